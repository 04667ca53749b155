//! Forwarding: which upstreams serve a model, connections to them, and the next one when one cannot be reached.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::Error;
use base::time::Stopwatch;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use usage::Outcome;

use crate::StartError;
use crate::upstream::{Outgoing, Upstream, UpstreamConfig};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection is kept that nobody uses.
const KEEP_IDLE: Duration = Duration::from_secs(60);
/// How many such connections are kept to one address.
const MAX_IDLE: usize = 512;
/// The longest name of a model that no upstream lists, in bytes.
const MAX_MODEL_NAME: usize = 256;

type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// All model servers.
pub(crate) struct Upstreams {
    client: Client,
    all: Vec<Arc<Upstream>>,
    /// The one that keeps what clients make.
    keeper: Option<Arc<Upstream>>,
    by_model: HashMap<String, Vec<Route>>,
    /// Those that take every name that is not in `by_model`.
    any: Vec<Arc<Upstream>>,
    turn: AtomicUsize,
    watch: Stopwatch,
}

/// An upstream, and its name for the model that was asked for.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) upstream: Arc<Upstream>,
    /// The upstream's name for the model, which is also the ledger's.
    pub(crate) model: Arc<str>,
}

/// The beginning of an upstream's answer.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) route: Route,
}

/// Why there is no answer.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) outcome: Outcome,
}

impl Upstreams {
    /// Checks the settings and prepares connections; makes none yet.
    pub(crate) fn new(configs: &[UpstreamConfig]) -> Result<Self, StartError> {
        let mut by_model: HashMap<String, Vec<Route>> = HashMap::new();
        let mut any = Vec::new();
        let (mut all, mut keeper) = (Vec::with_capacity(configs.len()), None);
        let mut secure = false;
        for config in configs {
            let upstream = Arc::new(Upstream::new(config)?);
            all.push(Arc::clone(&upstream));
            if config.stores && keeper.replace(Arc::clone(&upstream)).is_some() {
                let reason = "another upstream has stores = true, and only one can";
                return Err(StartError::Upstream {
                    name: config.name.clone(),
                    reason: reason.to_owned(),
                });
            }
            secure |= upstream.is_secure;
            let listed = config.models.iter().map(|model| (model, model));
            for (asked, known) in listed.chain(&config.aliases) {
                if asked == "*" {
                    any.push(Arc::clone(&upstream));
                    continue;
                }
                by_model.entry(asked.clone()).or_default().push(Route {
                    upstream: Arc::clone(&upstream),
                    model: known.as_str().into(),
                });
            }
        }
        if let Some(keeper) = &keeper
            && all.iter().filter(|other| other.name == keeper.name).count() > 1
        {
            let reason = "it has stores = true, so no other upstream can have its name";
            return Err(StartError::Upstream {
                name: keeper.name.clone(),
                reason: reason.to_owned(),
            });
        }
        Ok(Self {
            client: client(secure)?,
            all,
            keeper,
            by_model,
            any,
            turn: AtomicUsize::new(0),
            watch: Stopwatch::start(),
        })
    }

    /// The names that clients may ask for, except those that only a `*` covers.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_model.keys().map(String::as_str)
    }

    /// The upstreams that serve `model`, in the order in which to try them: each in its turn first, those that could
    /// not be reached lately last. `None` when this deployment does not know the model.
    pub(crate) fn plan(&self, model: &str) -> Option<Vec<Route>> {
        let mut plan = match self.by_model.get(model) {
            Some(routes) => routes.clone(),
            None if is_plausible(model) && !self.any.is_empty() => {
                let model: Arc<str> = model.into();
                let route = |upstream: &Arc<Upstream>| Route {
                    upstream: Arc::clone(upstream),
                    model: Arc::clone(&model),
                };
                self.any.iter().map(route).collect()
            }
            None => return None,
        };
        if plan.len() > 1 {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % plan.len();
            plan.rotate_left(turn);
            let now = self.watch.milliseconds();
            plan.sort_by_key(|route| route.upstream.is_cooling(now));
        }
        Some(plan)
    }

    /// The upstream that keeps what clients make, if there is one.
    pub(crate) fn keeper(&self) -> Option<Route> {
        self.keeper.clone().map(Route::without_model)
    }

    /// The upstream with this name.
    pub(crate) fn named(&self, name: &str) -> Option<Route> {
        let named = self.all.iter().find(|upstream| upstream.name == name);
        named.cloned().map(Route::without_model)
    }

    /// Whether an upstream serves a model by this name, which is its own for it too.
    pub(crate) fn knows(&self, route: &Route, model: &str) -> bool {
        let plan = self.plan(model).unwrap_or_default();
        let is_it =
            |own: &Route| Arc::ptr_eq(&own.upstream, &route.upstream) && &*own.model == model;
        plan.iter().any(is_it)
    }

    /// Sends a request to the first upstream of `plan` that can be reached; `body` makes its body.
    pub(crate) async fn send(
        &self,
        plan: Vec<Route>,
        mut outgoing: Outgoing,
        body: impl Fn(&Route) -> Bytes,
    ) -> Result<Answer, Failure> {
        let mut left = plan.len();
        for route in plan {
            left -= 1;
            let headers = match left {
                0 => std::mem::take(&mut outgoing.headers),
                _ => outgoing.headers.clone(),
            };
            let request = route.upstream.request(&outgoing, headers, body(&route));
            let request = request.ok_or_else(|| Failure {
                error: Error::refused("invalid_url", "The query of the URL is not valid."),
                outcome: Outcome::UpstreamFailed,
            })?;
            let sent = tokio::time::timeout(route.upstream.timeout, self.client.request(request));
            match sent.await {
                Ok(Ok(response)) => return accept(response, route),
                Ok(Err(error)) => self.missed(&route.upstream, &error)?,
                Err(_) => return Err(late(&route.upstream)),
            }
        }
        Err(failed("The model server cannot be reached."))
    }

    /// Goes on to the next upstream only if this one was not reached: it cannot have begun to work then.
    fn missed(&self, upstream: &Upstream, error: &legacy::Error) -> Result<(), Failure> {
        let (name, reason) = (&upstream.name, innermost(error));
        if error.is_connect() {
            upstream.cool_down(self.watch.milliseconds());
            tracing::warn!(upstream = name, reason, "cannot be reached");
            return Ok(());
        }
        tracing::warn!(upstream = name, reason, "broke off before it answered");
        Err(failed("The model server broke off before it answered."))
    }
}

impl Route {
    /// For what is no request to a model.
    fn without_model(upstream: Arc<Upstream>) -> Self {
        let model = "".into();
        Self { upstream, model }
    }
}

/// An answer that says our own key is wrong is not the client's business.
fn accept(response: Response<Incoming>, route: Route) -> Result<Answer, Failure> {
    let status = response.status();
    let refusals = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
    ];
    if refusals.contains(&status) {
        let name = &route.upstream.name;
        tracing::error!(upstream = name, %status, "does not accept the gateway's key");
        return Err(failed(
            "The model server did not accept the gateway. Tell its operator.",
        ));
    }
    Ok(Answer { response, route })
}

fn failed(message: &'static str) -> Failure {
    Failure {
        error: Error::upstream(message),
        outcome: Outcome::UpstreamFailed,
    }
}

fn late(upstream: &Upstream) -> Failure {
    tracing::warn!(upstream = upstream.name, "did not answer in time");
    Failure {
        error: Error::upstream_timeout("The model server did not answer in time."),
        outcome: Outcome::TimedOut,
    }
}

/// The innermost reason: those around it say only that a request failed.
fn innermost(error: &legacy::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}

/// A name that no upstream lists is forwarded only if it looks like one.
fn is_plausible(model: &str) -> bool {
    !model.is_empty() && model.len() <= MAX_MODEL_NAME && !model.chars().any(char::is_control)
}

/// Connections over HTTP/1.1 or, where TLS agrees on it, HTTP/2. The system's certificates are needed only if an
/// upstream is reached over TLS.
fn client(secure: bool) -> Result<Client, StartError> {
    let tls = |error: &dyn std::fmt::Display| StartError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(&error))?;
    let config = if secure {
        config.with_native_roots().map_err(|error| tls(&error))?
    } else {
        config.with_root_certificates(RootCertStore::empty())
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(KEEP_IDLE));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config.with_no_client_auth())
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(KEEP_IDLE)
        .pool_max_idle_per_host(MAX_IDLE)
        .build(connector))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, models: &[&str], aliases: &[(&str, &str)]) -> UpstreamConfig {
        UpstreamConfig {
            name: name.into(),
            base_url: format!("http://{name}/v1"),
            api_key: None,
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            aliases: aliases
                .iter()
                .map(|(asked, known)| ((*asked).to_owned(), (*known).to_owned()))
                .collect(),
            stores: false,
            timeout_seconds: 1,
        }
    }

    fn tried(upstreams: &Upstreams, model: &str) -> Vec<(String, String)> {
        let route = |route: &Route| (route.upstream.name.clone(), route.model.to_string());
        let plan = upstreams.plan(model).unwrap_or_default();
        plan.iter().map(route).collect()
    }

    #[test]
    fn upstreams_take_turns_and_the_unreachable_come_last() {
        let upstreams = Upstreams::new(&[
            config("a", &["m"], &[]),
            config("b", &["m"], &[]),
            config("c", &["other"], &[("m", "mm")]),
        ])
        .expect("upstreams");
        let names = |model| -> String {
            let tried = tried(&upstreams, model);
            tried.iter().map(|(name, _)| name.as_str()).collect()
        };
        assert_eq!([names("m"), names("m"), names("m")], ["abc", "bca", "cab"]);
        let now = upstreams.watch.milliseconds();
        upstreams.by_model["m"][0].upstream.cool_down(now);
        assert_eq!([names("m"), names("m")], ["bca", "bca"]);
        assert_eq!(names("other"), "c");
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
        }
    }
}
