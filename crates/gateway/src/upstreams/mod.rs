//! The model servers: which of them serve a model, in which order they are tried, and what is known of their health.

mod balance;
mod client;
mod config;
mod connect;
mod credentials;
mod exhaustion;
mod follow;
mod forward;
mod health;
mod in_band;
mod keeper;
mod key;
mod line;
mod pool;
mod probe;
mod redirect;
mod trust;
mod upstream;
mod usage_refusal;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::StartError;
use balance::Turns;
use trust::Trust;
use upstream::Upstream;

pub use config::{CaCertificates, StreamUsage, UpstreamConfig};
pub(crate) use forward::{Answer, Failure, Patience};
pub use key::{FileStamp, UpstreamKey};
pub(crate) use line::AnswerBody;
pub(crate) use probe::Probes;
pub(crate) use upstream::Outgoing;

/// The longest name of a model that no upstream lists, in bytes.
const MAX_MODEL_NAME: usize = 256;

/// All model servers.
pub(crate) struct Upstreams {
    all: Vec<Arc<Upstream>>,
    /// The one that keeps what clients make.
    keeper: Option<Arc<Upstream>>,
    by_model: HashMap<String, Group>,
    /// Those that take every name that is not in `by_model`.
    any: Group,
}

/// An upstream, and its name for the model that was asked for.
#[derive(Clone)]
pub(crate) struct Route {
    upstream: Arc<Upstream>,
    /// The upstream's name for the model, which is also the ledger's.
    pub(crate) model: Arc<str>,
}

/// The upstreams that serve one model.
struct Group {
    members: Vec<Member>,
    turns: Mutex<Turns>,
}

struct Member {
    upstream: Arc<Upstream>,
    /// Its name for the model; `None`: the one that was asked for.
    model: Option<Arc<str>>,
}

/// A model server, as far as its health is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamState<'a> {
    /// What logs call it.
    pub name: &'a str,
    /// Whether requests are sent to it; it is skipped otherwise.
    pub is_healthy: bool,
}

impl Route {
    /// What logs call the upstream.
    pub(crate) fn name(&self) -> &str {
        &self.upstream.name
    }
}

impl Upstreams {
    /// Checks the settings and prepares connections; makes none yet.
    pub(crate) fn new(configs: &[UpstreamConfig]) -> Result<Self, StartError> {
        let mut by_model: HashMap<String, Vec<Member>> = HashMap::new();
        let mut all = Vec::with_capacity(configs.len());
        let mut any = Vec::new();
        let mut trust = Trust::default();
        check_names(configs)?;
        for config in configs {
            let upstream = Arc::new(Upstream::new(config, &mut trust)?);
            all.push(Arc::clone(&upstream));
            let listed = config.models.iter().map(|model| (model, model));
            for (asked, known) in listed.chain(&config.aliases) {
                let upstream = Arc::clone(&upstream);
                if asked == "*" {
                    let model = None;
                    any.push(Member { upstream, model });
                    continue;
                }
                let model = Some(known.as_str().into());
                let group = by_model.entry(asked.clone()).or_default();
                group.push(Member { upstream, model });
            }
        }
        let group = |(model, members)| (model, Group::new(members));
        Ok(Self {
            keeper: keeper::marked(configs, &all)?,
            all,
            by_model: by_model.into_iter().map(group).collect(),
            any: Group::new(any),
        })
    }

    /// The names that clients may ask for, except those that only a `*` covers.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_model.keys().map(String::as_str)
    }

    /// Whether clients may ask for this name, and not only because a `*` covers it.
    pub(crate) fn lists(&self, model: &str) -> bool {
        self.by_model.contains_key(model)
    }

    /// True if clients may ask for names that no upstream lists.
    pub(crate) fn takes_any(&self) -> bool {
        !self.any.members.is_empty()
    }

    /// The names that upstreams have for these models.
    pub(crate) fn known(&self) -> impl Iterator<Item = &str> {
        let members = self.by_model.values().flat_map(|group| &group.members);
        members.filter_map(|member| member.model.as_deref())
    }

    /// Whether this deployment knows the model.
    pub(crate) fn serves(&self, model: &str) -> bool {
        self.group(model).is_some()
    }

    /// The upstreams that serve `model`, in the order in which to try them: the one whose turn it is first, those that are
    /// skipped last. `None` when this deployment does not know the model.
    pub(crate) fn plan(&self, model: &str) -> Option<Vec<Route>> {
        Some(self.group(model)?.plan(model))
    }

    /// The health of all.
    pub(crate) fn states(&self) -> impl Iterator<Item = UpstreamState<'_>> {
        self.all.iter().map(|upstream| UpstreamState {
            name: &upstream.name,
            is_healthy: !upstream.health.is_down(),
        })
    }

    /// Reads the keys and certificates of all upstreams anew.
    pub(crate) async fn reread(&self) {
        let rereading = self.all.iter().map(|upstream| async {
            upstream.credentials.reread().await;
            upstream.reread_certificates().await;
        });
        futures_util::future::join_all(rereading).await;
    }

    /// Watches over those that are skipped, until what it gives back is dropped. Needs a runtime.
    pub(crate) fn watch_over(&self) -> Probes {
        Probes::new(&self.all)
    }

    fn group(&self, model: &str) -> Option<&Group> {
        let takes_any = || is_plausible(model) && !self.any.members.is_empty();
        let listed = self.by_model.get(model);
        listed.or_else(|| takes_any().then_some(&self.any))
    }
}

impl Group {
    fn new(members: Vec<Member>) -> Self {
        let turns = Turns::new(members.iter().map(|member| member.upstream.weight));
        Self {
            members,
            turns: Mutex::new(turns),
        }
    }

    fn plan(&self, asked: &str) -> Vec<Route> {
        let route = |member: &Member| Route {
            upstream: Arc::clone(&member.upstream),
            model: member.model.clone().unwrap_or_else(|| asked.into()),
        };
        if let [only] = self.members.as_slice() {
            return vec![route(only)];
        }
        let order = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.order(|index| self.members[index].upstream.health.is_down())
        };
        let in_order = order.into_iter().map(|index| route(&self.members[index]));
        let mut plan: Vec<Route> = in_order.collect();
        let trial = plan.iter().position(|route| route.upstream.begin_trial());
        if let Some(trial) = trial {
            plan[..=trial].rotate_right(1);
        }
        plan
    }
}

/// Refuses a name that two upstreams have: metrics, logs and what upstreams keep know them by it.
fn check_names(configs: &[UpstreamConfig]) -> Result<(), StartError> {
    let mut known = HashSet::new();
    let second = configs
        .iter()
        .find(|config| !known.insert(config.name.as_str()));
    match second {
        Some(config) => Err(config.wrong("another upstream has this name: give each its own")),
        None => Ok(()),
    }
}

/// A name that no upstream lists is forwarded only if it looks like one.
fn is_plausible(model: &str) -> bool {
    !model.is_empty() && model.len() <= MAX_MODEL_NAME && !model.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::health::Trouble;
    use super::*;

    fn config(name: &str, models: &[&str], aliases: &[(&str, &str)]) -> UpstreamConfig {
        UpstreamConfig {
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            aliases: aliases
                .iter()
                .map(|(asked, known)| ((*asked).to_owned(), (*known).to_owned()))
                .collect(),
            ..UpstreamConfig::new(name, format!("http://{name}/v1"))
        }
    }

    fn tried(upstreams: &Upstreams, model: &str) -> Vec<(String, String)> {
        let route = |route: &Route| (route.upstream.name.clone(), route.model.to_string());
        let plan = upstreams.plan(model).unwrap_or_default();
        plan.iter().map(route).collect()
    }

    fn names(upstreams: &Upstreams, model: &str) -> String {
        let tried = tried(upstreams, model);
        tried.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn upstreams_take_turns_and_those_that_are_skipped_come_last() {
        let upstreams = Upstreams::new(&[
            config("a", &["m"], &[]),
            config("b", &["m"], &[]),
            config("c", &["other"], &[("m", "mm")]),
        ])
        .expect("upstreams");
        let turns: Vec<String> = (0..3).map(|_| names(&upstreams, "m")).collect();
        assert_eq!(turns, ["abc", "bca", "cab"]);
        upstreams.all[0].health.failed(Trouble::Unreachable);
        let turns: Vec<String> = (0..3).map(|_| names(&upstreams, "m")).collect();
        assert_eq!(turns, ["bca", "cba", "bca"]);
        assert_eq!(names(&upstreams, "other"), "c");
        let states: Vec<bool> = upstreams.states().map(|state| state.is_healthy).collect();
        assert_eq!(states, [false, true, true]);
    }

    #[test]
    fn after_a_pause_one_request_tries_it_unless_it_is_asked_in_the_background() {
        for (health_path, turns) in [("", ["ab", "ba", "ba"]), ("/models", ["ba"; 3])] {
            let unprobed = |name| UpstreamConfig {
                health_path: health_path.to_owned(),
                ..config(name, &["m"], &[])
            };
            let upstreams = Upstreams::new(&[unprobed("a"), unprobed("b")]).expect("upstreams");
            upstreams.all[0].health.failed(Trouble::Unreachable);
            assert_eq!(names(&upstreams, "m"), "ba");
            std::thread::sleep(std::time::Duration::from_millis(1_100));
            let after: Vec<String> = (0..3).map(|_| names(&upstreams, "m")).collect();
            assert_eq!(after, turns);
        }
    }

    #[test]
    fn duplicate_upstream_names_and_lists_that_reach_nothing_are_refused() {
        let error = |configs: &[UpstreamConfig]| {
            let error = Upstreams::new(configs).err().expect("an error");
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
        assert!(Upstreams::new(&[config("a", &[], &[("nick", "m")])]).is_ok());
        let keeper = UpstreamConfig {
            stores: true,
            ..config("a", &[], &[])
        };
        assert!(Upstreams::new(&[keeper]).is_ok());
    }

    #[test]
    fn a_star_takes_the_names_that_nobody_lists() {
        let upstreams = Upstreams::new(&[
            config("a", &["m"], &[("nick", "m")]),
            config("b", &["*"], &[]),
        ])
        .expect("upstreams");
        let one = |name: &str, model: &str| vec![(name.to_owned(), model.to_owned())];
        assert_eq!(tried(&upstreams, "m"), one("a", "m"));
        assert_eq!(tried(&upstreams, "nick"), one("a", "m"));
        assert_eq!(tried(&upstreams, "x"), one("b", "x"));
        for bad in ["", "a\nb", &"x".repeat(257)] {
            assert_eq!(tried(&upstreams, bad), []);
            assert!(!upstreams.serves(bad));
        }
    }
}
