//! What every operation answers to a valid request, and what the audit log says of it afterwards.

use std::collections::BTreeSet;

use admin::operation::{Effect, EventType, Operation};
use admin::operations;
use futures_util::StreamExt;
use serde_json::Value;
use testkit::Server;
use usage::Kind;

use super::example::{Examples, Fill};
use super::ids::Ids;
use super::kept;
use super::log::{Change, log};
use super::schemas::Contract;
use crate::reports::report;

#[tokio::test]
async fn everything_but_a_change_answers_as_documented_and_leaves_no_event() {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    for kind in Kind::ALL {
        report(&server, *kind).await;
    }
    let (examples, mut contract) = (Examples::new(&server), Contract::read());
    let before = log(&server, "").await;
    let mut complaints = Vec::new();
    for operation in operations() {
        if matches!(operation.effect, Effect::Read | Effect::Ingest) {
            let body = examples.body(&operation, &ids, Fill::Everything).await;
            let answer = examples.send(&operation, &ids, &body).await;
            if answer.status == 200 {
                complaints.extend(contract.complaints(operation.command, &answer.json));
            } else {
                complaints.push(format!("{}: {}", operation.command, answer.json));
            }
        }
    }
    assert_eq!(log(&server, "").await, before);
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_answers_as_documented_and_has_one_event() {
    let changes = operations()
        .into_iter()
        .filter(|operation| matches!(operation.effect, Effect::Write | Effect::Open));
    // Each of them on a server of its own, two at a time.
    let outcomes = futures_util::stream::iter(changes)
        .map(|operation| tokio::spawn(async move { change(&operation).await }));
    let outcomes: Vec<_> = outcomes.buffer_unordered(2).collect().await;
    let (mut contract, mut complaints) = (Contract::read(), Vec::new());
    // What `orgplane org create` and `orgplane bodies` do has no operation.
    let others = [
        EventType::OrganizationCreated,
        EventType::BodiesRead,
        EventType::LoginFailed,
    ];
    let mut kinds = BTreeSet::from(others.map(|kind| kind.as_str().to_owned()));
    for outcome in outcomes {
        let outcome = outcome.expect("no panic");
        complaints.extend(outcome.complaints);
        kinds.extend(outcome.kinds);
        for (command, answer) in &outcome.answers {
            complaints.extend(contract.complaints(command, answer));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
    let all = EventType::ALL.iter().map(|kind| kind.as_str().to_owned());
    assert_eq!(kinds, all.collect(), "every type is some operation's");
}

/// What came of the requests of an operation.
#[derive(Default)]
struct Outcome {
    answers: Vec<(&'static str, Value)>,
    kinds: Vec<String>,
    complaints: Vec<String>,
}

/// Makes the change with what is required, and then with everything that can be said.
async fn change(operation: &Operation) -> Outcome {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    let (examples, command) = (Examples::new(&server), operation.command);
    let mut outcome = Outcome::default();
    for fill in examples.fills(operation) {
        let body = examples.body(operation, &ids, fill).await;
        let before = log(&server, "").await.len();
        let questions = kept::questions(&examples, &ids);
        kept::ask(&server.admin(), &questions).await;
        let answer = examples.send(operation, &ids, &body).await;
        if answer.status != 200 {
            let complaint = format!("{command}: {body} gives {}", answer.json);
            outcome.complaints.push(complaint);
            continue;
        }
        let anew = format!("{fill:?}");
        let older = kept::older(&server.admin(), &questions, &anew).await;
        let told = older.iter().map(|older| format!("{command}: {older}"));
        outcome.complaints.extend(told);
        let log = log(&server, "").await;
        if log.len() != before + 1 {
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
        let event = &log[0];
        outcome.complaints.extend(change.complaints(event).await);
        outcome
            .kinds
            .extend(event["type"].as_str().map(str::to_owned));
        outcome.answers.push((command, answer.json));
        // Without being asked for by name, there are the published types only.
        let newest = server.admin().get("/organization/audit_logs?limit=1").await;
        outcome.answers.push(("audit-logs list", newest.ok()));
    }
    outcome
}
