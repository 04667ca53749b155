//! Background tasks and handlers that panic, in the test's process, where logging can be made to.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use http::Request;
use serde_json::json;
use store::sql;
use testkit::{Answer, Server};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// A mail to this address panics when it is logged.
const RECIPIENT: &str = "panics@acme.example";
/// So does this word, where data retention is set to it.
const WORD: &str = "panics_in_a_handler";

static PANICS: AtomicBool = AtomicBool::new(true);

/// A log that panics when it is told of the mail.
struct Panicking;

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{value:?} ");
    }
}

impl Subscriber for Panicking {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("admin::")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let is_mail = fields.0.contains(RECIPIENT) && PANICS.load(Ordering::SeqCst);
        let panics = is_mail || fields.0.contains(WORD);
        assert!(!panics, "the log panics on purpose");
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn log_panics() {
    static LOGS: Once = Once::new();
    LOGS.call_once(|| tracing::subscriber::set_global_default(Panicking).expect("none is set"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_1_a_handler_that_panics_is_a_500_of_one_request() {
    log_panics();
    let server = Server::start().await;
    // The API refuses this word. The line that logs it makes the handler panic.
    let set = sql!(
        "INSERT INTO data_retention (organization_id, project_id, retention_type) VALUES ($1, '', $2)",
        server.organization_id(),
        WORD
    );
    let mut transaction = server.store.begin().await.expect("a transaction");
    transaction.execute(set).await.expect("set");
    transaction.commit().await.expect("committed");
    for _ in 0..3 {
        let panicked = server.admin().get("/organization/data_retention").await;
        assert_eq!(panicked.refused(500), (None, None));
        let listed = server.admin().get("/organization/projects").await;
        assert_eq!(listed.status, 200, "nothing else is touched");
        let written = json!({"name": "Written"});
        let written = server.admin().post("/organization/projects", written).await;
        assert_eq!(written.status, 200, "{}", written.json);
    }
    until(&server, 200, "").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_1_readiness_says_503_until_a_task_that_panicked_runs_again() {
    log_panics();
    let server = Server::start().await;
    until(&server, 200, "").await;
    let invite = json!({"email": RECIPIENT, "role": "reader", "projects": []});
    let invited = server.admin().post("/organization/invites", invite).await;
    assert_eq!(invited.status, 200, "{}", invited.json);

    until(&server, 503, "mailer").await;
    // Everything else works meanwhile, and goes on to.
    let listed = server.admin().get("/organization/invites").await;
    assert_eq!(listed.status, 200);
    PANICS.store(false, Ordering::SeqCst);
    until(&server, 200, "").await;
    let metrics = get(&server, "/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.bytes).into_owned();
    let mailer = "orgplane_task_panics_total{task=\"mailer\"} ";
    let panics = metrics.lines().find_map(|line| line.strip_prefix(mailer));
    assert_ne!(panics.expect("a sample"), "0");
    server.stop().await;
}

async fn get(server: &Server, path: &str) -> Answer {
    let request = Request::builder().uri(path).body(Body::empty());
    server.anonymous().send(request.expect("a request")).await
}

async fn until(server: &Server, status: u16, reason: &str) {
    poll::until(reason, async || {
        let ready = get(server, "/readyz").await;
        ready.status == status && ready.json["reasons"].to_string().contains(reason)
    })
    .await;
}
