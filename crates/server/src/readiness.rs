//! Readiness: the server can answer requests and store their effects.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use admin::Services;
use axum::body::Body;
use axum::response::Response;
use base::time::Stopwatch;
use cluster::NodeSession;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use store::{Database, Outage, Store};
use tasks::Health;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Time for which the result of a database probe is reused, so that frequent checks cost at most one write per
/// interval.
const CACHE_TIMEOUT: Duration = Duration::from_millis(500);
/// Time that a check waits for the database probe; the probe itself continues.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum age of the oldest ledger event that is not durable.
const MAX_LEDGER_AGE: Duration = Duration::from_secs(5);

/// Readiness check with a cached database probe.
pub(crate) struct Readiness {
    state: Mutex<ReadinessState>,
    tasks: Vec<Health>,
    session: NodeSession,
}

#[derive(Default)]
struct ReadinessState {
    probe: Probe,
    /// Result of the last check.
    last: Option<Checked>,
}

/// Probe of both databases, of which at most one runs at a time.
#[derive(Default)]
struct Probe {
    running: Option<JoinHandle<Option<Reason>>>,
    /// Last result and its age.
    answer: Option<(Stopwatch, Option<Reason>)>,
}

struct Checked {
    reasons: Vec<Reason>,
    /// Number of ledger rows that the database refused and that were set aside.
    set_aside: i64,
}

/// Reason for not being ready.
#[derive(Clone)]
struct Reason {
    /// Text of the public response.
    message: Cow<'static, str>,
    /// Details, logged only.
    detail: String,
}

impl Reason {
    fn new(message: impl Into<Cow<'static, str>>, detail: &dyn Display) -> Self {
        Self {
            message: message.into(),
            detail: detail.to_string(),
        }
    }
}

impl Readiness {
    /// Creates the check for a server with these background tasks and this session.
    pub(crate) fn new(tasks: Vec<Health>, session: NodeSession) -> Self {
        Self {
            state: Mutex::default(),
            tasks,
            session,
        }
    }

    /// Answers `GET /readyz`: 200, or 503 with the reasons.
    pub(crate) async fn answer(&self, services: &Services) -> Response {
        let mut state = self.state.lock().await;
        let of_database = state.probe.reason(services).await;
        let mut reasons: Vec<Reason> = files(services).into_iter().collect();
        reasons.extend(of_database);
        reasons.extend(memory(services));
        reasons.extend(session(&self.session));
        reasons.extend(self.tasks.iter().filter_map(panicked));
        let checked = Checked {
            reasons,
            set_aside: services.recorder.set_aside(),
        };
        checked.log_change(state.last.as_ref());
        let answer = checked.answer();
        state.last = Some(checked);
        answer
    }
}

impl Probe {
    /// Returns the reason why the databases are unusable, if any; the result may be up to `CACHE_TIMEOUT` old. After
    /// [`PROBE_TIMEOUT`] the reason is that they do not answer.
    async fn reason(&mut self, services: &Services) -> Option<Reason> {
        if let Some((at, reason)) = &self.answer
            && at.elapsed() < CACHE_TIMEOUT
        {
            return reason.clone();
        }
        // A task of its own: an abandoned probe would leave its connection in the middle of a query.
        let store = services.store.clone();
        let running = self
            .running
            .get_or_insert_with(|| tokio::spawn(async move { database(&store).await }));
        let Ok(answer) = timeout(PROBE_TIMEOUT, running).await else {
            return Some(Reason::new(Outage::Timeout.as_str(), &"no answer yet"));
        };
        self.running = None;
        let reason = answer.unwrap_or_else(|error| Some(Reason::new("the database fails", &error)));
        self.answer = Some((Stopwatch::start(), reason.clone()));
        reason
    }
}

impl Checked {
    fn messages(&self) -> Vec<&str> {
        self.reasons.iter().map(|reason| &*reason.message).collect()
    }

    /// Logs the reasons that differ from the last check.
    fn log_change(&self, last: Option<&Self>) {
        let before = last.map(Self::messages).unwrap_or_default();
        if before == self.messages() {
            return;
        }
        if self.reasons.is_empty() {
            tracing::info!("server ready");
        }
        for Reason { message, detail } in &self.reasons {
            if !before.contains(&&**message) {
                tracing::error!(reason = %message, detail, "server not ready");
            }
        }
    }

    fn answer(&self) -> Response {
        let (status, body) = if self.reasons.is_empty() {
            let body = match self.set_aside {
                0 => json!({"status": "ready"}),
                rows => json!({"status": "ready", "ledger_rows_set_aside": rows}),
            };
            (StatusCode::OK, body)
        } else {
            let body = json!({"status": "server not ready", "reasons": self.messages()});
            (StatusCode::SERVICE_UNAVAILABLE, body)
        };
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

/// Returns a reason if the task is down.
fn panicked(task: &Health) -> Option<Reason> {
    let message = || {
        let name = task.name();
        format!("a background task has panicked, and is started again after a pause: {name}")
    };
    (!task.is_well()).then(|| Reason::new(message(), &format!("{} times", task.panics())))
}

/// Returns a reason if the session of this node is over.
fn session(session: &NodeSession) -> Option<Reason> {
    let message = "the session of this node is over: the database has not answered for 8 seconds";
    session
        .is_over()
        .then(|| Reason::new(message, &format!("epoch {}", session.epoch())))
}

/// Returns a reason if a database file was deleted or replaced.
fn files(services: &Services) -> Option<Reason> {
    let databases = [services.store.administration(), services.store.usage()];
    let lost = databases.into_iter().find_map(Database::lost_file)?;
    let message = "a file of the database was deleted or replaced: what is written now is lost";
    Some(Reason::new(message, &lost.display()))
}

/// Probes the databases with a read and a write.
async fn database(store: &Store) -> Option<Reason> {
    let tried = async {
        let missing = store.missing_migration().await?;
        if missing.is_none() {
            store.probe().await?;
        }
        Ok(missing)
    };
    match tried.await {
        Ok(None) => None,
        Ok(Some(name)) => Some(Reason::new(format!("migration {name} has not run"), &"")),
        Err(error) => {
            let outage = store::Error::outage(&error);
            let message = outage.map_or("the database fails", Outage::as_str);
            Some(Reason::new(message, &error))
        }
    }
}

/// Returns the reasons why the directory is stale or the ledger is not durable.
fn memory(services: &Services) -> impl Iterator<Item = Reason> {
    let (directory, oldest) = (&services.directory, services.recorder.oldest_age());
    let keys = (!directory.is_fresh()).then(|| {
        let age = format!("{} seconds old", directory.age().as_secs());
        Reason::new("the keys in memory may be out of date", &age)
    });
    let ledger = (oldest > MAX_LEDGER_AGE).then(|| {
        let age = format!("the oldest event waits for {} seconds", oldest.as_secs());
        Reason::new("the ledger cannot be written: usage waits in memory", &age)
    });
    let closed = (!services.recorder.is_accepting()).then(|| {
        let message = "the ledger takes no rows: no request is admitted";
        let detail = "the recorder has ended, or a row can be neither written nor set aside";
        Reason::new(message, &detail)
    });
    keys.into_iter().chain(ledger).chain(closed)
}
