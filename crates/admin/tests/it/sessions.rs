//! Sessions of users who have signed in.

use std::time::Duration;

use admin::operation::Operation;
use admin::sessions::{self, NewSession, SignInMethod, SignedIn};
use axum::body::{Body, to_bytes};
use base::ids::{Id, UserId};
use base::{ClientAddress, Error};
use http::Request;
use serde_json::{Value, json};
use store::sql;
use testkit::Server;
use testkit::examples::operation;

const MAX_ANSWER_BYTES: usize = 1024 * 1024;
const IDLE_SECONDS: i64 = 3_600;
const ABSOLUTE_SECONDS: i64 = 12 * 3_600;

async fn signed_in(server: &Server, token: &str) -> Result<SignedIn, Error> {
    sessions::authenticate(server.services(), token).await
}

fn sessions_of(user: &UserId) -> String {
    format!("/organization/users/{user}/sessions")
}

/// Sends a request in the session with this token. Returns the status and the answer.
async fn call(
    server: &Server,
    token: &str,
    operation: &Operation,
    body: Option<Value>,
) -> (u16, Value) {
    let caller = signed_in(server, token).await.expect("a session").caller;
    let mut request = Request::builder()
        .method(operation.method.clone())
        .uri(format!("/v1{}", operation.path))
        .header("content-type", "application/json");
    let client = ClientAddress("192.0.2.7".parse().expect("an address"));
    request = request.extension(client);
    let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
    let request = request.body(body).expect("a request");
    let answer = operation
        .answer_as(server.services(), caller, request)
        .await;
    let status = answer.status().as_u16();
    let bytes = to_bytes(answer.into_body(), MAX_ANSWER_BYTES).await;
    let json = serde_json::from_slice(&bytes.expect("a body")).expect("JSON");
    (status, json)
}

/// Returns the newest entry of the audit log of this type.
async fn newest(server: &Server, kind: &str) -> Value {
    let path = format!("/organization/audit_logs?limit=1&event_types[]={kind}");
    server.admin().get(&path).await.ok()["data"][0].clone()
}

#[tokio::test]
async fn session_has_the_permissions_of_its_user_and_is_the_actor_of_changes() {
    let server = Server::start().await;
    let create = operation("projects create");
    let token = server.sign_in(server.owner_id()).await;
    let name = json!({"name": "Made in a browser"});
    let (status, project) = call(&server, &token, &create, Some(name.clone())).await;
    assert_eq!(status, 200, "{project}");
    let event = newest(&server, "project.created").await;
    let user = json!({"id": server.owner_id(), "email": "ada@acme.example"});
    let session = json!({"user": user, "ip_address": "192.0.2.7"});
    assert_eq!(
        event["actor"],
        json!({"type": "session", "session": session})
    );
    let proof = "/organization/audit_logs/verification";
    let proof = server.admin().get(proof).await.ok();
    assert_eq!(proof["intact"], json!(true), "{proof}");

    let token = server.sign_in(server.reader_id()).await;
    let (status, refusal) = call(&server, &token, &create, Some(name.clone())).await;
    assert_eq!(status, 403, "{refusal}");
    let message = refusal["error"]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("api.organization.projects.write"),
        "{message}"
    );
    let (status, _) = call(&server, &token, &operation("projects list"), None).await;
    assert_eq!(status, 200);
    // The next request in the same session has the new role.
    let path = format!("/organization/users/{}", server.reader_id());
    let admin = server.admin();
    admin.post(&path, json!({"role": "owner"})).await.ok();
    let (status, answer) = call(&server, &token, &create, Some(name)).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn token_of_a_session_is_no_api_key() {
    let server = Server::start().await;
    let token = server.sign_in(server.owner_id()).await;
    assert!(token.starts_with("session-"), "{token}");
    let client = server.with_key(&token);
    for path in ["/organization/projects", "/organization/users", "/models"] {
        let answer = client.get(path).await;
        assert_eq!(answer.refused(401).0, Some("invalid_api_key"), "{path}");
    }
    for path in ["/organization/usage/events", "/chat/completions", "/files"] {
        let answer = client.post(path, json!({})).await;
        assert_eq!(answer.refused(401).0, Some("invalid_api_key"), "{path}");
    }
    let unknown = server.with_key("session-0123456789abcdefghijklmnopqrstuv");
    let (known, unknown) = (
        client.get("/organization/projects").await,
        unknown.get("/organization/projects").await,
    );
    assert_eq!(known.json, unknown.json, "nothing is said about sessions");
    // Nor is a key a session.
    let key = server.admin().key.expect("a key");
    assert!(signed_in(&server, &key).await.is_err());
    assert!(signed_in(&server, &token).await.is_ok());
}

#[tokio::test]
async fn session_ends_when_it_is_not_used_and_at_its_absolute_end() {
    let server = Server::start().await;
    let token = server.sign_in(server.owner_id()).await;
    let begun = signed_in(&server, &token).await.expect("a session").session;
    let path = sessions_of(server.owner_id());
    let last_seen = async |expected: i64| {
        poll::until("last_seen_at", async || {
            let list = server.admin().get(&path).await.ok();
            list["data"][0]["last_seen_at"] == expected
        })
        .await;
    };
    for _ in 0..2 {
        server.clock.advance(IDLE_SECONDS - 1);
        let session = signed_in(&server, &token).await.expect("used").session;
        assert_eq!(session, begun, "use moves no other time");
        last_seen(server.clock.now().0).await;
    }
    server.clock.advance(IDLE_SECONDS);
    let error = signed_in(&server, &token).await.expect_err("idle");
    assert_eq!(error.code, Some("session_ended"));
    let list = server.admin().get(&path).await.ok();
    assert_eq!(list["data"], json!([]));

    let token = server.sign_in(server.owner_id()).await;
    server.clock.advance(ABSOLUTE_SECONDS - 1);
    seen_now(&server).await;
    assert!(signed_in(&server, &token).await.is_ok());
    server.clock.advance(1);
    seen_now(&server).await;
    let error = signed_in(&server, &token).await.expect_err("over");
    assert_eq!(error.code, Some("session_ended"));
}

/// Marks all sessions as seen now, as if they had been used all the time.
async fn seen_now(server: &Server) {
    let update = sql!("UPDATE sessions SET last_seen_at = $1", server.clock.now());
    let mut transaction = server.store.begin_untracked().await.expect("a transaction");
    transaction.execute(update).await.expect("updated");
    transaction.commit().await.expect("committed");
}

#[tokio::test]
async fn session_that_was_ended_is_refused_at_once_and_others_go_on() {
    let server = Server::start().await;
    let (admin, owner) = (server.admin(), server.owner_id());
    let (one, two) = (server.sign_in(owner).await, server.sign_in(owner).await);
    let list = admin.get(&sessions_of(owner)).await.ok();
    let id = list["data"][0]["id"]
        .as_str()
        .expect("a session")
        .to_owned();
    let answer = admin.delete(&format!("{}/{id}", sessions_of(owner))).await;
    assert_eq!(
        answer.ok(),
        json!({"object": "organization.user.session.deleted", "id": id, "deleted": true})
    );
    assert!(signed_in(&server, &one).await.is_err());
    assert!(signed_in(&server, &two).await.is_ok());
    let event = newest(&server, "x.session.ended").await;
    assert_eq!(
        event["x.session.ended"],
        json!({"id": id, "user_id": owner, "reason": "ended"})
    );
    let again = admin.delete(&format!("{}/{id}", sessions_of(owner))).await;
    assert_eq!(again.refused(404).0, Some("not_found"));

    // A sign-out is of the same effect.
    let session = signed_in(&server, &two).await.expect("a session");
    for _ in 0..2 {
        let ended = sessions::end(server.services(), &session, None).await;
        ended.expect("signed out, or out already");
    }
    assert!(signed_in(&server, &two).await.is_err());
    let event = newest(&server, "logout.succeeded").await;
    assert_eq!(
        event["logout.succeeded"],
        json!({"session_id": session.session.id})
    );
    assert_eq!(event["actor"]["session"]["user"]["id"], json!(owner));
}

#[tokio::test]
async fn all_sessions_of_a_user_end_together_and_keys_stay_valid() {
    let server = Server::start().await;
    let (admin, owner) = (server.admin(), server.owner_id());
    let tokens = [server.sign_in(owner).await, server.sign_in(owner).await];
    let other = server.sign_in(server.reader_id()).await;
    let ended = admin.delete(&sessions_of(owner)).await.ok();
    assert_eq!(ended["session_ids"].as_array().map(Vec::len), Some(2));
    for token in &tokens {
        assert!(signed_in(&server, token).await.is_err());
    }
    assert!(signed_in(&server, &other).await.is_ok());
    let event = newest(&server, "x.user.sessions.ended").await;
    let payload = &event["x.user.sessions.ended"];
    assert_eq!(payload["id"], json!(owner));
    assert_eq!(payload["removed"]["sessions"], ended["session_ids"]);
    let again = admin.delete(&sessions_of(owner)).await.ok();
    assert_eq!(again["session_ids"], json!([]), "nothing is left to end");
    assert_eq!(newest(&server, "x.user.sessions.ended").await, event);
}

#[tokio::test]
async fn sessions_die_with_their_user() {
    let server = Server::start().await;
    let grace = server.join("grace@acme.example", "owner").await;
    let token = server.sign_in(&grace).await;
    assert!(signed_in(&server, &token).await.is_ok());
    let path = format!("/organization/users/{grace}");
    server.admin().delete(&path).await.ok();
    assert!(signed_in(&server, &token).await.is_err());
}

#[tokio::test]
async fn session_that_ends_on_another_node_is_refused_within_a_second() {
    let server = Server::start().await;
    let other = server.another().await;
    let token = server.sign_in(server.owner_id()).await;
    // The other node has never seen the session.
    let there = sessions::authenticate(other.services(), &token).await;
    let session = there.expect("known everywhere");
    let here = signed_in(&server, &token).await;
    assert_eq!(here.expect("a session").session, session.session);
    let ended = sessions::end(other.services(), &session, None).await;
    ended.expect("signed out");
    let began = tokio::time::Instant::now();
    let directory = &server.services().directory;
    let count = || {
        directory
            .keys()
            .iter()
            .filter(|key| key.is_session())
            .count()
    };
    poll::until("the directory without the session", async || count() == 0).await;
    let elapsed = began.elapsed();
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
    assert!(signed_in(&server, &token).await.is_err());
    other.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn new_session_ends_the_one_that_it_replaces() {
    let server = Server::start().await;
    let old = server.sign_in(server.owner_id()).await;
    let before = signed_in(&server, &old).await.expect("a session").session;
    let new = NewSession {
        method: SignInMethod::Password,
        provider: None,
        user_agent: Some(&"x\n".repeat(1_000)),
        replaces: Some(&before.id),
    };
    let (services, organization) = (server.services(), server.organization_id());
    let started = sessions::begin(services, organization, server.owner_id(), None, new).await;
    let started = started.expect("a session");
    assert!(signed_in(&server, &old).await.is_err());
    let token = started.token.reveal();
    let now = signed_in(&server, &token).await.expect("a session").session;
    assert_ne!(now.id, before.id);
    let event = newest(&server, "x.session.ended").await;
    assert_eq!(event["x.session.ended"]["reason"], "replaced");
    let event = newest(&server, "login.succeeded").await;
    assert_eq!(
        event["login.succeeded"],
        json!({"session_id": now.id, "method": "password"})
    );
    let list = server.admin().get(&sessions_of(server.owner_id())).await;
    let agent = list.ok()["data"][0]["user_agent"].clone();
    assert_eq!(agent, "x".repeat(200));
}

#[tokio::test]
async fn user_has_a_bounded_number_of_sessions_and_the_oldest_gives_way() {
    let server = Server::start().await;
    let owner = server.owner_id();
    let first = server.sign_in(owner).await;
    let second = server.sign_in(owner).await;
    for _ in 0..49 {
        server.sign_in(owner).await;
    }
    assert!(signed_in(&server, &first).await.is_err());
    assert!(signed_in(&server, &second).await.is_ok());
    let path = format!("{}?limit=100", sessions_of(owner));
    let list = server.admin().get(&path).await.ok();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(50));
}

#[tokio::test]
async fn session_of_another_organization_is_not_found() {
    let server = Server::start().await;
    server.sign_in(server.owner_id()).await;
    let path = sessions_of(server.owner_id());
    let list = server.admin().get(&path).await.ok();
    let id = list["data"][0]["id"].as_str().expect("a session");
    for path in [path.clone(), format!("{path}/{id}")] {
        let answer = server.stranger().delete(&path).await;
        assert_eq!(answer.refused(404).0, Some("not_found"), "{path}");
    }
    let missing = UserId::from_text("user-01K000000000000000000000000".to_owned());
    let organization = server.organization_id();
    let new = NewSession {
        method: SignInMethod::Link,
        provider: None,
        user_agent: None,
        replaces: None,
    };
    let begun = sessions::begin(server.services(), organization, &missing, None, new).await;
    assert_eq!(begun.err().and_then(|error| error.code), Some("not_found"));
}

#[tokio::test]
async fn only_sessions_that_began_at_the_provider_end_there() {
    let server = Server::start().await;
    let (services, organization) = (server.services(), server.organization_id());
    let own = server.sign_in(server.owner_id()).await;
    let mut tokens = Vec::new();
    for (issuer, subject, id) in [
        ("https://a.example", "1", Some("s1")),
        ("https://a.example", "1", Some("s2")),
        ("https://a.example", "2", None),
        ("https://b.example", "1", Some("s1")),
    ] {
        let provider = sessions::ProviderSession {
            provider: "main".to_owned(),
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            id: id.map(str::to_owned),
        };
        let new = NewSession {
            method: SignInMethod::Provider,
            provider: Some(&provider),
            user_agent: None,
            replaces: None,
        };
        let begun = sessions::begin(services, organization, server.owner_id(), None, new).await;
        tokens.push(begun.expect("a session").token.reveal());
    }
    let a = "https://a.example";
    let end = async |subject, session| {
        let until = services.clock.now();
        let who = (subject, session);
        let ended = sessions::end_at_provider(services, organization, a, who, until).await;
        ended.expect("ended")
    };
    let alive = async || {
        let mut alive = Vec::new();
        for token in tokens.iter().chain([&own]) {
            alive.push(signed_in(&server, token).await.is_ok());
        }
        alive
    };
    assert_eq!(end(None, None).await, 0, "neither is named");
    assert_eq!(end(None, Some("s1")).await, 1);
    assert_eq!(alive().await, [false, true, true, true, true]);
    assert_eq!(end(Some("1"), None).await, 1);
    assert_eq!(alive().await, [false, false, true, true, true]);
    assert_eq!(end(Some("1"), Some("s2")).await, 0);
    // A report of the past concerns no session that began later.
    let (before, who) = (services.clock.now().plus(-1), (Some("2"), None));
    let ended = sessions::end_at_provider(services, organization, a, who, before).await;
    assert_eq!(ended.expect("ended"), 0);
    assert_eq!(alive().await, [false, false, true, true, true]);
}
