//! Every enforced setting: a change of it takes effect in the snapshot, and it ends with its project.

use std::collections::BTreeSet;

use admin::operation::{Effect, EventType, Operation};
use admin::operations;
use base::EventSubject;
use http::Method;
use serde_json::{Value, json};
use settings::{Descriptor, ENFORCED};
use testkit::Server;
use testkit::examples::{Examples, Fill, Ids};

use super::log::log;

/// The operation that archives a project.
const ARCHIVE: &str = "projects archive";

/// Makes an example of each change with this method, except of those that take a resource away, and returns the types of
/// the events about settings.
///
/// # Panics
/// A change of a setting has no effect on the snapshot.
async fn change_settings(server: &Server, ids: &Ids, method: &Method) -> BTreeSet<&'static str> {
    let examples = Examples::new(server);
    let is_wanted = |operation: &Operation| {
        let takes_away = *method == Method::DELETE && operation.path.ends_with('}');
        let is_write = operation.effect == Effect::Write && operation.method == *method;
        is_write && operation.command != ARCHIVE && !takes_away
    };
    let mut kinds = BTreeSet::new();
    for operation in operations().into_iter().filter(is_wanted) {
        let body = examples.body(&operation, ids, Fill::Everything).await;
        let [before, _] = server.pictures().await;
        let answer = examples.send(&operation, ids, &body).await;
        if answer.status != 200 {
            // An example for a resource of its own may not suit one that others have changed.
            continue;
        }
        let [after, _] = server.pictures().await;
        let event = log(server, "").await.swap_remove(0);
        let kind: EventType = event["type"]
            .as_str()
            .and_then(|kind| kind.parse().ok())
            .expect("a type");
        if kind.subject() == EventSubject::Setting {
            assert_ne!(before.1, after.1, "{} has no effect", operation.command);
            kinds.insert(kind.as_str());
        }
    }
    kinds
}

#[tokio::test]
async fn every_change_of_a_setting_takes_effect_in_the_snapshot() {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    let mut changed = change_settings(&server, &ids, &Method::POST).await;
    changed.extend(change_settings(&server, &ids, &Method::DELETE).await);
    let all = ENFORCED.iter().flat_map(|setting| setting.events);
    let all: BTreeSet<_> = all.map(|kind| kind.as_str()).collect();
    assert_eq!(changed, all);
}

/// Returns the settings of the project that have rows.
async fn set_in(server: &Server, project: &str) -> Vec<bool> {
    let mut read = server.store.read().await.expect("a connection");
    let mut set = Vec::new();
    for Descriptor {
        select_all,
        read: decode,
        ..
    } in ENFORCED
    {
        let statement = store::Statement::new(select_all, vec![server.organization_id().into()]);
        let rows = read.fetch_all(statement, *decode).await.expect("rows");
        set.push(rows.iter().any(|(of, _)| of == project));
    }
    set
}

#[tokio::test]
async fn no_setting_outlives_its_project() {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    change_settings(&server, &ids, &Method::POST).await;
    let mut all = operations().into_iter();
    let archive = all
        .find(|operation| operation.command == ARCHIVE)
        .expect(ARCHIVE);
    let project = ids.id(&archive, "project_id");
    assert_eq!(set_in(&server, project).await, vec![true; ENFORCED.len()]);
    let answer = Examples::new(&server)
        .send(&archive, &ids, &Value::Null)
        .await;
    assert_eq!(answer.ok()["status"], json!("archived"));
    assert_eq!(set_in(&server, project).await, vec![false; ENFORCED.len()]);
    let settings = server
        .services()
        .directory
        .settings(server.organization_id());
    assert!(!settings.projects.keys().any(|id| id.to_string() == project));
}
