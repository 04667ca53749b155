//! All upstreams: the models that they serve, and the plan of targets for a request.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::affinity::{self, Affinity, Candidate};
use crate::config::{UpstreamBilling, UpstreamConfig, UpstreamConfigError};
use crate::format::ApiFormat;
use crate::health_check::UpstreamTasks;
use crate::round_robin::{Rank, SmoothWeightedRoundRobin};
use crate::trust::SystemRoots;
use crate::upstream::Upstream;

/// Maximum length of a model name that no upstream lists.
const MAX_MODEL_NAME_BYTES: usize = 256;

/// Configured upstreams, by the models that they serve.
pub struct Upstreams {
    pub(crate) all: Vec<Arc<Upstream>>,
    /// First upstream with `stores`, at which clients create objects.
    pub(crate) storage: Option<Arc<Upstream>>,
    /// Models of the upstreams of each format, by [`ApiFormat::index`].
    routes: [Routes; ApiFormat::ALL.len()],
}

/// Models that the upstreams of one format serve.
struct Routes {
    by_model: HashMap<String, Group>,
    /// Upstreams with the model `*`: for every name that is not in `by_model`.
    wildcard: Group,
}

/// Upstreams of one format, while they are gathered.
#[derive(Default)]
struct RouteMembers {
    by_model: HashMap<String, Vec<Member>>,
    wildcard: Vec<Member>,
}

/// Upstream that a request can be sent to, and its name for the model.
#[derive(Clone)]
pub struct Target {
    pub(crate) upstream: Arc<Upstream>,
    /// Name that the upstream has for the requested model; the ledger's too.
    pub model: Arc<str>,
}

/// Upstreams that serve one model.
pub(crate) struct Group {
    pub(crate) members: Vec<Member>,
    round_robin: Mutex<SmoothWeightedRoundRobin>,
}

/// Upstream in a group.
pub(crate) struct Member {
    pub(crate) upstream: Arc<Upstream>,
    /// Name that the upstream has for the model; `None` if it is the requested one.
    pub(crate) model: Option<Arc<str>>,
}

/// Health of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamStatus<'a> {
    /// Name of the upstream in logs and metrics.
    pub name: &'a str,
    /// True if the circuit is closed: requests are sent to the upstream.
    pub is_healthy: bool,
}

impl Target {
    /// Returns the name of the upstream.
    #[must_use]
    pub fn upstream_name(&self) -> &str {
        &self.upstream.name
    }

    /// True if the account at the upstream has zero data retention.
    #[must_use]
    pub fn has_zero_data_retention(&self) -> bool {
        self.upstream.has_zero_data_retention
    }

    /// True if both are the same upstream, with the same name for the model.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.upstream, &other.upstream) && self.model == other.model
    }

    /// Returns the effect of the upstream on prices.
    #[must_use]
    pub fn billing(&self) -> UpstreamBilling {
        self.upstream.billing
    }
}

impl Upstreams {
    /// Checks the configuration. Makes no connection yet. `endpoint_paths` are the paths, below a base URL, that most
    /// requests are for. May read files, and blocks.
    ///
    /// # Errors
    /// The configuration is invalid, or names certificates that cannot be loaded.
    pub fn new(
        configs: &[UpstreamConfig],
        endpoint_paths: &[&'static str],
    ) -> Result<Self, UpstreamConfigError> {
        let mut routes = ApiFormat::ALL.map(|_| RouteMembers::default());
        let mut all = Vec::with_capacity(configs.len());
        let mut storage = None;
        let mut system_roots = SystemRoots::default();
        check_unique_names(configs)?;
        for config in configs {
            let upstream = Upstream::new(config, endpoint_paths, &mut system_roots)?;
            let upstream = Arc::new(upstream);
            all.push(Arc::clone(&upstream));
            if config.stores {
                storage.get_or_insert_with(|| Arc::clone(&upstream));
            }
            let members = &mut routes[config.format.index()];
            let listed = config.models.iter().map(|model| (model, model));
            for (requested, model) in listed.chain(&config.aliases) {
                let upstream = Arc::clone(&upstream);
                if requested == "*" {
                    let model = None;
                    members.wildcard.push(Member { upstream, model });
                    continue;
                }
                let model = Some(model.as_str().into());
                let members = members.by_model.entry(requested.clone()).or_default();
                members.push(Member { upstream, model });
            }
        }
        Ok(Self {
            storage,
            all,
            routes: routes.map(Routes::new),
        })
    }

    /// Returns the names of models that clients may request in this format, without those that only `*` covers.
    pub fn model_names(&self, format: ApiFormat) -> impl Iterator<Item = &str> {
        self.routes(format).by_model.keys().map(String::as_str)
    }

    /// True if an upstream of any format lists this name of a model, other than by `*`.
    #[must_use]
    pub fn lists_model(&self, model: &str) -> bool {
        let mut routes = self.routes.iter();
        routes.any(|routes| routes.by_model.contains_key(model))
    }

    /// Returns the names of models that clients may request in any format, without those that only `*` covers. A name that
    /// two formats have comes twice.
    pub fn all_model_names(&self) -> impl Iterator<Item = &str> {
        let names = self.routes.iter().flat_map(|routes| routes.by_model.keys());
        names.map(String::as_str)
    }

    /// Returns the listed models, each with the name of an upstream that serves it. A pair that two formats have comes twice.
    pub fn listed_models(&self) -> impl Iterator<Item = (&str, &str)> {
        let groups = self.routes.iter().flat_map(|routes| &routes.by_model);
        groups.flat_map(|(model, group)| {
            let members = group.members.iter();
            members.map(move |member| (model.as_str(), &*member.upstream.name))
        })
    }

    /// True if clients may request models that no upstream lists.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        let mut routes = self.routes.iter();
        routes.any(|routes| !routes.wildcard.members.is_empty())
    }

    /// Returns the upstreams' own names for the listed models.
    pub fn target_model_names(&self) -> impl Iterator<Item = &str> {
        let groups = (self.routes.iter()).flat_map(|routes| routes.by_model.values());
        let members = groups.flat_map(|group| &group.members);
        members.filter_map(|member| member.model.as_deref())
    }

    /// Returns the upstreams' own names for a listed model, one for each upstream of this format.
    pub fn targets_of(&self, format: ApiFormat, model: &str) -> impl Iterator<Item = &str> {
        let members = self.routes(format).by_model.get(model).into_iter();
        let members = members.flat_map(|group| &group.members);
        members.filter_map(|member| member.model.as_deref())
    }

    /// True if an upstream of this format serves the model, by `*` or by its name.
    #[must_use]
    pub fn serves(&self, format: ApiFormat, model: &str) -> bool {
        self.group(format, model).is_some()
    }

    /// Returns the targets of this format that serve `model`, in the order in which to try them: by affinity if the request
    /// has one, else weighted round robin, with open circuits last. `None` if no upstream of the format serves the model.
    /// `affinity` is called only where several upstreams serve it.
    pub fn plan(
        &self,
        format: ApiFormat,
        model: &str,
        affinity: impl FnOnce() -> Option<Affinity>,
    ) -> Option<Vec<Target>> {
        Some(self.group(format, model)?.plan(model, affinity))
    }

    /// Returns the health of each upstream.
    pub fn statuses(&self) -> impl Iterator<Item = UpstreamStatus<'_>> {
        self.all.iter().map(|upstream| UpstreamStatus {
            name: &upstream.name,
            is_healthy: !upstream.breaker.is_open(),
        })
    }

    /// Loads API keys and CA certificates from their files and commands again.
    pub async fn reload_credentials(&self) {
        let reloads = self.all.iter().map(|upstream| async {
            upstream.credentials.reload().await;
            upstream.reload_certificates().await;
        });
        futures_util::future::join_all(reloads).await;
    }

    /// Starts health checks and reloads, on the current Tokio runtime. They stop when the returned value is dropped.
    #[must_use]
    pub fn start_tasks(&self) -> UpstreamTasks {
        UpstreamTasks::start(&self.all)
    }

    pub(crate) fn group(&self, format: ApiFormat, model: &str) -> Option<&Group> {
        let Routes { by_model, wildcard } = self.routes(format);
        let is_wildcard = || is_plausible_model(model) && !wildcard.members.is_empty();
        let listed = by_model.get(model);
        listed.or_else(|| is_wildcard().then_some(wildcard))
    }

    fn routes(&self, format: ApiFormat) -> &Routes {
        &self.routes[format.index()]
    }
}

impl Routes {
    fn new(members: RouteMembers) -> Self {
        let group = |(model, members)| (model, Group::new(members));
        Self {
            by_model: members.by_model.into_iter().map(group).collect(),
            wildcard: Group::new(members.wildcard),
        }
    }
}

impl Group {
    fn new(members: Vec<Member>) -> Self {
        let weights = members.iter().map(|member| member.upstream.weight);
        Self {
            round_robin: Mutex::new(SmoothWeightedRoundRobin::new(weights)),
            members,
        }
    }

    fn plan(&self, requested: &str, affinity: impl FnOnce() -> Option<Affinity>) -> Vec<Target> {
        let target = |member: &Member| Target {
            upstream: Arc::clone(&member.upstream),
            model: member.model.clone().unwrap_or_else(|| requested.into()),
        };
        if let [only] = self.members.as_slice() {
            return vec![target(only)];
        }
        let is_open = |index: usize| self.members[index].upstream.breaker.is_open();
        let order = if let Some(affinity) = affinity() {
            self.order_by_affinity(affinity, is_open)
        } else {
            let round_robin = self.round_robin.lock();
            let mut round_robin = round_robin.unwrap_or_else(PoisonError::into_inner);
            round_robin.order(is_open)
        };
        let targets = order.into_iter().map(|index| target(&self.members[index]));
        let mut plan: Vec<Target> = targets.collect();
        let probed = plan
            .iter()
            .position(|target| target.upstream.try_half_open());
        if let Some(probed) = probed {
            plan[..=probed].rotate_right(1);
        }
        plan
    }

    /// Returns all members in the order in which to try them: those of the best rank by affinity, then the others by rank.
    fn order_by_affinity(&self, affinity: Affinity, is_open: impl Fn(usize) -> bool) -> Vec<usize> {
        let rank =
            |index: usize| Rank::of(is_open(index), self.members[index].upstream.weight == 0);
        let mut ranked: Vec<(Rank, usize)> = (0..self.members.len())
            .map(|index| (rank(index), index))
            .collect();
        ranked.sort_unstable();
        let best = ranked.first().map(|(rank, _)| *rank);
        let count = ranked.partition_point(|(rank, _)| Some(*rank) == best);
        let indexes: Vec<usize> = ranked.into_iter().map(|(_, index)| index).collect();
        let (near, far) = indexes.split_at(count);
        let candidate = |index: &usize| {
            let upstream = &self.members[*index].upstream;
            Candidate {
                name: &upstream.name,
                weight: upstream.weight,
                in_flight: upstream.in_flight.count(),
            }
        };
        let candidates: Vec<Candidate<'_>> = near.iter().map(candidate).collect();
        let near = affinity::order(affinity, &candidates)
            .into_iter()
            .map(|place| near[place]);
        near.chain(far.iter().copied()).collect()
    }
}

/// Refuses a name that two upstreams have: metrics, logs and stored objects refer to upstreams by name.
fn check_unique_names(configs: &[UpstreamConfig]) -> Result<(), UpstreamConfigError> {
    let mut known = HashSet::new();
    let duplicate = configs
        .iter()
        .find(|config| !known.insert(config.name.as_str()));
    match duplicate {
        Some(config) => Err(config.invalid("another upstream has this name: give each its own")),
        None => Ok(()),
    }
}

/// True for a text that can be the name of a model that no upstream lists.
fn is_plausible_model(model: &str) -> bool {
    !model.is_empty() && model.len() <= MAX_MODEL_NAME_BYTES && !model.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit_breaker::FailureKind;

    fn config(name: &str, models: &[&str], aliases: &[(&str, &str)]) -> UpstreamConfig {
        UpstreamConfig {
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            aliases: aliases
                .iter()
                .map(|(alias, model)| ((*alias).to_owned(), (*model).to_owned()))
                .collect(),
            ..UpstreamConfig::new(name, format!("http://{name}/v1"))
        }
    }

    fn upstreams(configs: &[UpstreamConfig]) -> Result<Upstreams, UpstreamConfigError> {
        Upstreams::new(configs, &[])
    }

    fn planned(upstreams: &Upstreams, model: &str) -> Vec<(String, String)> {
        let names = |target: &Target| (target.upstream.name.clone(), target.model.to_string());
        let plan = upstreams.plan(ApiFormat::OpenAi, model, || None);
        let plan = plan.unwrap_or_default();
        plan.iter().map(names).collect()
    }

    fn names(upstreams: &Upstreams, model: &str) -> String {
        let planned = planned(upstreams, model);
        planned.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn plan_is_round_robin_with_open_circuits_last() {
        let upstreams = upstreams(&[
            config("a", &["m"], &[]),
            config("b", &["m"], &[]),
            config("c", &["other"], &[("m", "mm")]),
        ])
        .expect("upstreams");
        let plans: Vec<String> = (0..3).map(|_| names(&upstreams, "m")).collect();
        assert_eq!(plans, ["abc", "bca", "cab"]);
        upstreams.all[0]
            .breaker
            .record_failure(FailureKind::Connect);
        let plans: Vec<String> = (0..3).map(|_| names(&upstreams, "m")).collect();
        assert_eq!(plans, ["bca", "cba", "bca"]);
        assert_eq!(names(&upstreams, "other"), "c");
        let statuses: Vec<bool> = upstreams
            .statuses()
            .map(|status| status.is_healthy)
            .collect();
        assert_eq!(statuses, [false, true, true]);
    }

    #[test]
    fn requests_of_one_affinity_stay_together_while_their_upstream_has_room() {
        let standby = UpstreamConfig {
            weight: 0,
            ..config("z", &["m"], &[])
        };
        let upstreams = upstreams(&[
            config("a", &["m"], &[]),
            config("b", &["m"], &[]),
            config("c", &["m"], &[]),
            standby,
        ]);
        let upstreams = upstreams.expect("upstreams");
        let affinity = Affinity::of(&[b"a conversation"]);
        let plan = || -> Vec<String> {
            let plan = upstreams.plan(ApiFormat::OpenAi, "m", || Some(affinity));
            let plan = plan.expect("a plan");
            let names = plan.iter().map(|target| target.upstream.name.clone());
            names.collect()
        };
        let first = plan();
        assert_eq!((first.len(), first[3].as_str()), (4, "z"));
        assert!((0..5).all(|_| plan() == first));
        let nearest = upstreams.all.iter().find(|it| it.name == first[0]);
        let nearest = nearest.expect("an upstream");
        // Of two requests in flight one upstream may have 2 × 1/3 × 1.25, rounded up.
        let busy = nearest.in_flight.enter();
        assert_eq!(plan()[0], first[1]);
        drop(busy);
        assert_eq!(plan(), first);
        nearest.breaker.record_failure(FailureKind::Connect);
        assert_eq!(plan(), [&first[1], &first[2], "z", &first[0]]);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_backoff_one_request_probes_an_upstream_without_health_checks() {
        for (health_path, plans) in [("", ["ab", "ba", "ba"]), ("/models", ["ba"; 3])] {
            let config = |name| UpstreamConfig {
                health_path: health_path.to_owned(),
                ..config(name, &["m"], &[])
            };
            let upstreams = upstreams(&[config("a"), config("b")]).expect("upstreams");
            upstreams.all[0]
                .breaker
                .record_failure(FailureKind::Connect);
            assert_eq!(names(&upstreams, "m"), "ba");
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
            let after: Vec<String> = (0..3).map(|_| names(&upstreams, "m")).collect();
            assert_eq!(after, plans);
        }
    }

    #[test]
    fn duplicate_names_and_empty_lists_of_models_are_refused() {
        let error = |configs: &[UpstreamConfig]| {
            let error = upstreams(configs).err().expect("an error");
            error.to_string()
        };
        let two = [config("same", &["a"], &[]), config("same", &["b"], &[])];
        assert!(error(&two).starts_with("upstream 'same': another upstream has this name"));
        let unnamed = |name: &str| UpstreamConfig {
            name: name.to_owned(),
            ..config("h", &["a"], &[])
        };
        for name in ["", " ", "a\nb"] {
            assert!(
                error(&[unnamed(name)]).contains("name must be some text"),
                "{name:?}"
            );
        }
        for (models, aliases, reason) in [
            (&[][..], &[][..], "models is empty"),
            (&["m", "m"], &[], "'m' is named twice"),
            (&["m"], &[("m", "x")], "'m' is named twice"),
            (&["m", ""], &[], "an empty name"),
            (&["m"], &[("", "m")], "an empty name"),
            (&["m"], &[("nick", " ")], "an empty name"),
        ] {
            let error = error(&[config("a", models, aliases)]);
            assert!(
                error.starts_with("upstream 'a': ") && error.contains(reason),
                "{error}"
            );
        }
        assert!(upstreams(&[config("a", &[], &[("nick", "m")])]).is_ok());
        let storage = UpstreamConfig {
            stores: true,
            ..config("a", &[], &[])
        };
        assert!(upstreams(&[storage]).is_ok());
    }

    #[test]
    fn wildcard_serves_the_models_that_no_upstream_lists() {
        let upstreams = upstreams(&[
            config("a", &["m"], &[("nick", "m")]),
            config("b", &["*"], &[]),
        ])
        .expect("upstreams");
        let one = |name: &str, model: &str| vec![(name.to_owned(), model.to_owned())];
        assert_eq!(planned(&upstreams, "m"), one("a", "m"));
        assert_eq!(planned(&upstreams, "nick"), one("a", "m"));
        assert_eq!(planned(&upstreams, "x"), one("b", "x"));
        for bad in ["", "a\nb", &"x".repeat(257)] {
            assert_eq!(planned(&upstreams, bad), []);
            assert!(!upstreams.serves(ApiFormat::OpenAi, bad));
        }
    }
    #[test]
    fn model_is_served_in_the_format_of_its_upstreams_alone() {
        let anthropic = |name, models: &[&str]| UpstreamConfig {
            format: ApiFormat::Anthropic,
            ..config(name, models, &[])
        };
        let upstreams = upstreams(&[
            config("a", &["both", "one"], &[]),
            anthropic("b", &["both", "other"]),
            anthropic("c", &["*"]),
        ])
        .expect("upstreams");
        let names = |format, model: &str| {
            let plan = upstreams.plan(format, model, || None).unwrap_or_default();
            let names = plan.iter().map(|target| target.upstream.name.as_str());
            names.collect::<String>()
        };
        for (model, expected) in [
            ("both", ["a", "b"]),
            ("one", ["a", "c"]),
            ("other", ["", "b"]),
        ] {
            assert_eq!(
                ApiFormat::ALL.map(|format| names(format, model)),
                expected,
                "{model}"
            );
        }
        let mut listed: Vec<&str> = upstreams.model_names(ApiFormat::Anthropic).collect();
        listed.sort_unstable();
        assert_eq!(listed, ["both", "other"]);
        let storage = UpstreamConfig {
            stores: true,
            ..anthropic("d", &["m"])
        };
        let error = Upstreams::new(&[storage], &[]).err().expect("an error");
        assert!(error.to_string().contains("stores = true needs"), "{error}");
    }
}
