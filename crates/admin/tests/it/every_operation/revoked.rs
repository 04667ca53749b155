//! Permits are checked again when they are used: every write is sent halfway, the caller's key is revoked, and the rest is
//! sent.

use std::convert::Infallible;
use std::time::Duration;

use admin::operation::{Effect, Operation};
use admin::operations;
use axum::body::{Body, Bytes};
use base::ids::{Id, KeyId};
use futures_util::{StreamExt, stream};
use http::{Request, header};
use serde_json::{Value, json};
use store::sql;
use testkit::examples::{Examples, Fill, Ids};
use testkit::{Answer, Client, Server};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

const KEYS: &str = "/organization/admin_api_keys";

/// A request of which the head and the first byte of the body have been sent.
struct Halfway {
    rest: oneshot::Sender<()>,
    answer: JoinHandle<Answer>,
}

impl Halfway {
    /// Sends the first byte of `body`, and waits until the server asks for more.
    async fn begin(client: &Client, operation: &Operation, path: &str, body: &Value) -> Self {
        let text = if body.is_null() {
            "{}".to_owned()
        } else {
            body.to_string()
        };
        let (asked, is_asked) = oneshot::channel();
        let (rest, may_go) = oneshot::channel();
        let (first, last) = text.split_at(1);
        let (first, last) = (first.to_owned(), last.to_owned());
        let last = async move {
            let _ = asked.send(());
            let _ = may_go.await;
            Ok::<_, Infallible>(Bytes::from(last))
        };
        let chunks = stream::iter([Ok(Bytes::from(first))]).chain(stream::once(last));
        let request = Request::builder()
            .method(operation.method.clone())
            .uri(format!("/v1{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from_stream(chunks))
            .expect("a request");
        let client = client.clone();
        let answer = tokio::spawn(async move { client.send(request).await });
        if is_asked.await.is_err() {
            let answer = answer.await.expect("an answer");
            panic!("{} was answered early: {answer:?}", operation.command);
        }
        Self { rest, answer }
    }

    /// Sends the rest.
    async fn end(self) -> Answer {
        let _ = self.rest.send(());
        self.answer.await.expect("an answer")
    }
}

/// Returns the number of commits to the organization, and the length of its audit log.
async fn committed(server: &Server) -> (i64, i64) {
    let mut read = server.store.read().await.expect("a connection");
    let counts = sql!(
        "SELECT revision, (SELECT COUNT(*) FROM audit_logs a WHERE a.organization_id = o.id) AS entries \
         FROM organizations o WHERE id = $1",
        server.organization_id()
    );
    let read = read.fetch_one(counts, |row| {
        Ok((row.get("revision")?, row.get("entries")?))
    });
    read.await.expect("counted")
}

/// Issues an admin key of the server's owner. Returns its client and id.
async fn new_key(server: &Server, lifetime: Option<i64>) -> (Client, KeyId) {
    let body = match lifetime {
        Some(seconds) => json!({"name": "Leaked", "expires_in_seconds": seconds}),
        None => json!({"name": "Leaked"}),
    };
    let key = server.admin().post(KEYS, body).await.ok();
    let client = server.with_key(key["value"].as_str().expect("a secret"));
    let id = KeyId::from_text(key["id"].as_str().expect("an id").to_owned());
    (client, id)
}

fn changes() -> impl Iterator<Item = Operation> {
    let changes =
        |operation: &Operation| matches!(operation.effect, Effect::Write | Effect::Ingest);
    operations().into_iter().filter(changes)
}

#[tokio::test]
async fn a_key_that_is_deleted_during_the_body_writes_nothing() {
    let server = Server::start().await;
    let (ids, examples) = (Ids::make(&server).await, Examples::new(&server));
    for operation in changes() {
        let body = examples.body(&operation, &ids, Fill::Everything).await;
        let (client, id) = new_key(&server, None).await;
        let path = examples.path(&operation, &ids);
        let halfway = Halfway::begin(&client, &operation, &path, &body).await;
        server.admin().delete(&format!("{KEYS}/{id}")).await.ok();
        let before = committed(&server).await;
        let answer = halfway.end().await;
        let command = operation.command;
        assert_eq!(answer.refused(401).0, Some("invalid_api_key"), "{command}");
        assert_eq!(committed(&server).await, before, "{command}");
    }
}

#[tokio::test]
async fn an_owner_who_is_demoted_during_the_body_writes_nothing() {
    let server = Server::start().await;
    let (ids, examples) = (Ids::make(&server).await, Examples::new(&server));
    let grace = server.join("grace@acme.example", "owner").await;
    let client = server.owner_key("grace@acme.example").await;
    let path = format!("/organization/users/{grace}");
    // What belongs to a user stays when the role goes.
    for operation in changes().filter(|operation| operation.needs.is_some()) {
        let body = examples.body(&operation, &ids, Fill::Everything).await;
        let target = examples.path(&operation, &ids);
        let halfway = Halfway::begin(&client, &operation, &target, &body).await;
        let demoted = json!({"role": "reader"});
        server.admin().post(&path, demoted).await.ok();
        let before = committed(&server).await;
        let answer = halfway.end().await;
        let (command, code) = (operation.command, Some("insufficient_permissions"));
        assert_eq!(answer.refused(403).0, code, "{command}");
        assert_eq!(committed(&server).await, before, "{command}");
        let promoted = json!({"role": "owner"});
        server.admin().post(&path, promoted).await.ok();
    }
}

/// Returns the operation by which a thief could use a key to create another one while the first is being deleted.
fn create_key() -> Operation {
    let create = operations().into_iter();
    let mut create = create.filter(|one| one.command == "admin-api-keys create");
    create.next().expect("the operation")
}

#[tokio::test]
async fn a_revocation_by_another_node_applies_when_the_body_ends() {
    let server = Server::start().await;
    let other = server.another().await;
    let name = json!({"name": "Mine"});
    let operation = create_key();
    let (client, id) = new_key(&server, None).await;
    let halfway = Halfway::begin(&client, &operation, KEYS, &name).await;
    let there = Client::new(other.http_service(), server.admin().key);
    there.delete(&format!("{KEYS}/{id}")).await.ok();
    let before = committed(&server).await;
    let answer = halfway.end().await;
    assert_eq!(answer.refused(401).0, Some("invalid_api_key"));
    assert_eq!(committed(&server).await, before);
    drop(there);
    other.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_key_that_expires_or_loses_its_owner_during_the_body_writes_nothing() {
    let server = Server::start().await;
    let (operation, name) = (create_key(), json!({"name": "Mine"}));
    let (client, _) = new_key(&server, Some(60)).await;
    let halfway = Halfway::begin(&client, &operation, KEYS, &name).await;
    server.clock.advance(60);
    let answer = halfway.end().await;
    assert_eq!(answer.refused(401).0, Some("invalid_api_key"));
    let grace = server.join("grace@acme.example", "owner").await;
    let client = server.owner_key("grace@acme.example").await;
    let halfway = Halfway::begin(&client, &operation, KEYS, &name).await;
    let path = format!("/organization/users/{grace}");
    server.admin().delete(&path).await.ok();
    let before = committed(&server).await;
    let answer = halfway.end().await;
    assert_eq!(answer.refused(401).0, Some("invalid_api_key"));
    assert_eq!(committed(&server).await, before);
}

#[tokio::test]
async fn a_permit_is_renewed_when_nothing_was_revoked() {
    let server = Server::start().await;
    let (operation, name) = (create_key(), json!({"name": "Mine"}));
    let (client, _) = new_key(&server, None).await;
    let halfway = Halfway::begin(&client, &operation, KEYS, &name).await;
    assert_eq!(halfway.end().await.ok()["name"], "Mine");
}

/// Uses the project key of a user who may report usage.
#[tokio::test]
async fn usage_reported_with_a_revoked_key_is_not_recorded() {
    let server = Server::start().await;
    let (ids, examples) = (Ids::make(&server).await, Examples::new(&server));
    let ingest = operations().into_iter();
    let mut ingest = ingest.filter(|operation| operation.effect == Effect::Ingest);
    let ingest = ingest.next().expect("an operation");
    let admin = server.admin();
    let project = &ids.at("/organization/projects/{project_id}").id;
    let user = &ids
        .at("/organization/projects/{project_id}/users/{user_id}")
        .id;
    let role = json!({"role_name": "Reporter", "permissions": ["api.usage.write"]});
    let role = admin
        .post(&format!("/projects/{project}/roles"), role)
        .await
        .ok();
    let roles = format!("/projects/{project}/users/{user}/roles");
    admin
        .post(&roles, json!({"role_id": role["id"]}))
        .await
        .ok();
    let keys = format!("/organization/projects/{project}/api_keys");
    let key = json!({"name": "Reporter", "user_id": user});
    let key = admin.post(&keys, key).await.ok();
    let client = server.with_key(key["value"].as_str().expect("a secret"));
    let body = examples.body(&ingest, &ids, Fill::Everything).await;
    // The examples have usage of their own.
    let usage = examples.path_of("usage moderations", &ids);
    let before = admin.get(&usage).await.ok();
    let halfway = Halfway::begin(&client, &ingest, ingest.path, &body).await;
    let path = format!("{keys}/{}", key["id"].as_str().expect("an id"));
    admin.delete(&path).await.ok();
    let answer = halfway.end().await;
    assert_eq!(answer.refused(401).0, Some("invalid_api_key"));
    server.flush().await;
    assert_eq!(admin.get(&usage).await.ok(), before);
}

#[tokio::test]
async fn a_report_in_progress_ends_when_its_key_is_revoked() {
    let server = Server::start().await;
    let project = server.default_project_id();
    let events: Vec<Value> = (0..2000)
        .map(|number| {
            json!({"id": format!("evt_{number}"), "timestamp": testkit::NOW.0 - 60, "type": "completions",
                   "project_id": project, "model": format!("model-{number}"), "input_tokens": 1, "output_tokens": 1})
        })
        .collect();
    let (client, path) = (server.admin(), "/organization/usage/events");
    let sent = client.post(path, json!(events)).await.ok();
    assert_eq!(sent["accepted"], 2000);
    server.flush().await;
    let (start, group) = (testkit::NOW.0 - 86_400, "group_by[]=model");
    for format in ["", "&format=csv"] {
        let (client, id) = new_key(&server, None).await;
        let path = format!("/v1/organization/usage/completions?start_time={start}&{group}{format}");
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let mut frames = client.stream(request).await.into_data_stream();
        let first = frames.next().await.expect("a piece").expect("no error");
        assert!(!first.is_empty());
        server.admin().delete(&format!("{KEYS}/{id}")).await.ok();
        let next = frames.next().await.expect("a piece or the end");
        assert!(
            next.is_err(),
            "goes on for {} bytes",
            next.unwrap_or_default().len()
        );
    }
}

/// Bytes arrive steadily, but the whole body never in time.
#[tokio::test]
async fn a_request_body_has_a_deadline() {
    const PIECE_INTERVAL: Duration = Duration::from_secs(1);
    let server = Server::start().await;
    for path in ["/organization/projects", "/organization/usage/events"] {
        let (pieces, received) = mpsc::channel(1);
        let body = stream::unfold(received, |mut received| async move {
            let piece: Bytes = received.recv().await?;
            Some((Ok::<_, Infallible>(piece), received))
        });
        let trickle = async {
            while pieces.send(Bytes::from_static(b" ")).await.is_ok() {
                poll::advance(PIECE_INTERVAL).await;
                // The snapshot of keys must not be too old to be trusted when the deadline has passed.
                poll::until("the directory follows the clock", async || {
                    server.services().directory.age() < PIECE_INTERVAL
                })
                .await;
            }
        };
        let request = Request::post(format!("/v1{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from_stream(body));
        let began = tokio::time::Instant::now();
        let client = server.admin();
        let answer = client.send(request.expect("a request"));
        let (answer, ()) = tokio::join!(answer, trickle);
        let elapsed = began.elapsed();
        assert_eq!(answer.refused(408).0, Some("request_timeout"), "{path}");
        assert!(elapsed < PIECE_INTERVAL * 40, "{elapsed:?}");
    }
}
