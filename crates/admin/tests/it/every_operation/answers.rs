//! Responses of all operations to valid requests, and the audit events that they record.

use std::collections::BTreeSet;

use admin::operation::{Effect, EventType, Operation};
use admin::operations;
use futures_util::StreamExt;
use serde_json::Value;
use testkit::Server;
use testkit::examples::{Examples, Fill, Ids};
use tokio::sync::OnceCell;
use usage::UsageKind;

use super::log::{Change, log};
use super::schemas::Contract;
use crate::reports::report;

/// A successful request with its response.
#[derive(Clone)]
pub(super) struct Exchange {
    pub(super) command: &'static str,
    pub(super) path: String,
    /// Ids in the path, by the names of its parameters.
    pub(super) parameters: Vec<(&'static str, String)>,
    pub(super) body: Value,
    pub(super) answer: Value,
}

impl Exchange {
    fn new(
        examples: &Examples<'_>,
        operation: &Operation,
        ids: &Ids,
        body: Value,
        answer: Value,
    ) -> Self {
        let id = |name| (name, ids.id(operation, name).to_owned());
        Self {
            command: operation.command,
            path: examples.path(operation, ids),
            parameters: operation.path_parameters().map(id).collect(),
            body,
            answer,
        }
    }
}

/// Results of requests.
#[derive(Clone, Default)]
pub(super) struct Outcome {
    pub(super) exchanges: Vec<Exchange>,
    kinds: Vec<String>,
    complaints: Vec<String>,
}

/// Calls all operations without effects, once for all tests of this binary.
pub(super) async fn asked() -> &'static Outcome {
    static ASKED: OnceCell<Outcome> = OnceCell::const_new();
    ASKED.get_or_init(ask).await
}

/// Calls all operations with effects, each on its own server, once for all tests of this binary.
pub(super) async fn changed() -> &'static Outcome {
    static CHANGED: OnceCell<Outcome> = OnceCell::const_new();
    CHANGED.get_or_init(make_changes).await
}

async fn ask() -> Outcome {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    for kind in UsageKind::ALL {
        report(&server, *kind).await;
    }
    let (examples, mut outcome) = (Examples::new(&server), Outcome::default());
    let before = log(&server, "").await;
    for operation in operations() {
        if matches!(operation.effect, Effect::Read | Effect::Ingest) {
            let body = examples.body(&operation, &ids, Fill::Everything).await;
            let answer = examples.send(&operation, &ids, &body).await;
            if answer.status == 200 {
                let exchange = Exchange::new(&examples, &operation, &ids, body, answer.json);
                outcome.exchanges.push(exchange);
            } else {
                let complaint = format!("{}: {}", operation.command, answer.json);
                outcome.complaints.push(complaint);
            }
        }
    }
    if log(&server, "").await != before {
        let complaint = "what changes nothing has an event";
        outcome.complaints.push(complaint.to_owned());
    }
    outcome
}

async fn make_changes() -> Outcome {
    let changes = operations()
        .into_iter()
        .filter(|operation| matches!(operation.effect, Effect::Write | Effect::Open));
    // Two servers at a time.
    let outcomes = futures_util::stream::iter(changes)
        .map(|operation| tokio::spawn(async move { change(&operation).await }));
    let outcomes: Vec<_> = outcomes.buffer_unordered(2).collect().await;
    let mut all = Outcome::default();
    for outcome in outcomes {
        let outcome = outcome.expect("no panic");
        all.complaints.extend(outcome.complaints);
        all.kinds.extend(outcome.kinds);
        all.exchanges.extend(outcome.exchanges);
    }
    all
}

/// Returns the violations in the responses.
fn complaints(outcome: &Outcome) -> Vec<String> {
    let (mut contract, mut complaints) = (Contract::read(), outcome.complaints.clone());
    for exchange in &outcome.exchanges {
        complaints.extend(contract.complaints(exchange.command, &exchange.answer));
    }
    complaints
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_answer_as_documented_and_record_no_event() {
    let complaints = complaints(asked().await);
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_answer_as_documented_and_record_their_events() {
    let outcome = changed().await;
    let complaints = complaints(outcome);
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
    // `orgplane org create`, `orgplane bodies` and the sign-in have no operations.
    let others = [
        EventType::LoginSucceeded,
        EventType::LogoutSucceeded,
        EventType::UserPasswordSet,
        EventType::UserPasswordRemoved,
        EventType::SignInLinkCreated,
        EventType::UserIdentityLinked,
        EventType::UserIdentityUnlinked,
        EventType::OrganizationCreated,
        EventType::BodiesRead,
        EventType::LoginFailed,
    ];
    let mut kinds = BTreeSet::from(others.map(|kind| kind.as_str().to_owned()));
    kinds.extend(outcome.kinds.iter().cloned());
    let all = EventType::ALL.iter().map(|kind| kind.as_str().to_owned());
    assert_eq!(kinds, all.collect(), "every type is some operation's");
}

/// Returns the number of events of a change: accepting an invitation also adds a user, and rotating a key changes one and
/// creates another.
fn events_of(operation: &Operation) -> usize {
    match operation.command {
        "invites accept" => 2,
        command if command.ends_with(" rotate") => 2,
        _ => 1,
    }
}

/// Makes the change with required fields only, then with all fields.
async fn change(operation: &Operation) -> Outcome {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    let (examples, command) = (Examples::new(&server), operation.command);
    let (mut outcome, events) = (Outcome::default(), events_of(operation));
    for fill in examples.fills(operation) {
        let body = examples.body(operation, &ids, fill).await;
        let before = log(&server, "").await.len();
        let answer = examples.send(operation, &ids, &body).await;
        if answer.status != 200 {
            let complaint = format!("{command}: {body} gives {}", answer.json);
            outcome.complaints.push(complaint);
            continue;
        }
        let log = log(&server, "").await;
        if log.len() != before + events {
            let complaint = format!("{command}: {body} has {} events", log.len() - before);
            outcome.complaints.push(complaint);
        }
        let change = Change {
            server: &server,
            operation,
            ids: &ids,
            body: &body,
            answer: &answer.json,
        };
        let complaints = change.complaints(&log[events - 1]).await;
        outcome.complaints.extend(complaints);
        let kinds = log[..events].iter();
        let kinds = kinds.filter_map(|event| event["type"].as_str().map(str::to_owned));
        outcome.kinds.extend(kinds);
        let exchange = Exchange::new(&examples, operation, &ids, body, answer.json);
        outcome.exchanges.push(exchange);
        outcome.exchanges.push(newest(&server).await);
    }
    outcome
}

/// Returns the newest entry of the audit log. Extension events are listed only if named.
async fn newest(server: &Server) -> Exchange {
    let path = "/organization/audit_logs?limit=1";
    Exchange {
        command: "audit-logs list",
        path: path.to_owned(),
        parameters: Vec::new(),
        body: Value::Null,
        answer: server.admin().get(path).await.ok(),
    }
}
