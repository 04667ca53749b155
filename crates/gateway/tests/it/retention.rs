//! Data retention: bodies that are captured, and storage at model servers.

use std::sync::Arc;

use access::Directory;
use base::ids::{Id, ProjectId, RequestId};
use base::secret::Pepper;
use base::{Clock, Entropy, UnixTime};
use bodies::{Bodies, BodiesTask, BodyEntry, BodyWriterOptions, MAX_BODY_BYTES};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use store::Store;
use tokio::sync::Semaphore;

use crate::endpoints::PATHS;
use crate::upstream::{COMPLETION, EVENTS, Reply, Step, send};
use crate::world::{Answer, World, chat, request};

const MODEL: &str = r#"{"model":"real"}"#;
const STREAM: &str = r#"{"model":"real","stream":true}"#;

/// Starts to capture bodies.
pub fn keeper(
    store: &Store,
    directory: &Directory,
    pepper: &Pepper,
    clock: &Clock,
) -> (Option<Bodies>, BodiesTask) {
    let options = BodyWriterOptions {
        store: store.clone(),
        changes: directory.settings_changes(),
        pepper: pepper.clone(),
        entropy: Entropy::operating_system(),
        clock: clock.clone(),
        days: 30,
    };
    bodies::start(options).expect("a keeper")
}

/// A captured body: its side, its metadata, and its bytes as text.
type StoredEntry = (&'static str, BodyEntry, String);

async fn entries(world: &World) -> Vec<BodyEntry> {
    let project = ProjectId::from_text(world.project.clone());
    let list = bodies::list(world.store.usage(), &project, UnixTime(0), 1000);
    list.await.expect("a list")
}

/// Returns the captured bodies once all are written: the newest first, a request before its response.
async fn kept(world: &mut World) -> Vec<StoredEntry> {
    world.keeper.take().expect("a keeper").stop().await;
    let mut kept = Vec::new();
    for entry in entries(world).await {
        let id = entry.request.clone();
        if kept
            .iter()
            .any(|(_, other, _): &StoredEntry| other.request == id)
        {
            continue;
        }
        let found = bodies::find(world.store.usage(), &world.pepper, &id).await;
        for body in found.expect("bodies") {
            let bytes = body.bytes.expect("ours").to_vec();
            let text = String::from_utf8(bytes).expect("text");
            kept.push((body.entry.side.as_str(), body.entry, text));
        }
    }
    kept
}

fn texts(kept: &[StoredEntry]) -> Vec<(&'static str, &str)> {
    let each = kept.iter();
    each.map(|(side, _, text)| (*side, text.as_str())).collect()
}

fn form(key: &str, path: &str) -> Request<Full<bytes::Bytes>> {
    let body = "--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nreal\r\n--x--\r\n";
    let mut request = request(Method::POST, path, key, body);
    let kind = HeaderValue::from_static("multipart/form-data; boundary=x");
    request.headers_mut().insert("content-type", kind);
    request
}

/// Returns a valid request to the endpoint.
fn call(key: &str, path: &str) -> Request<Full<bytes::Bytes>> {
    let forms = ["/images/edits", "/images/variations", "/audio/trans"];
    if forms.iter().any(|part| path.contains(part)) {
        return form(key, path);
    }
    request(Method::POST, path, key, MODEL)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_is_kept_as_it_passed() {
    let mut world = World::keeping(Reply::whole(200, COMPLETION)).await;
    let body = r#"{"model":"nick", "x":1}"#;
    let answer = world.chat(body).await;
    assert_eq!(answer.body, COMPLETION);
    let kept = kept(&mut world).await;
    assert_eq!(texts(&kept), [("request", body), ("answer", COMPLETION)]);
    for (_, entry, text) in &kept {
        assert_eq!(entry.request.as_str(), answer.header("x-request-id"));
        assert_eq!(
            (entry.endpoint.as_str(), entry.model.as_str()),
            ("/chat/completions", "nick")
        );
        assert_eq!((entry.status, entry.kept), (Some(200), text.len() as i64));
        assert!(!entry.is_cut());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_answer_is_kept_without_what_was_hidden() {
    let mut world = World::keeping(Reply::events()).await;
    let Answer { body, .. } = world.chat(STREAM).await;
    let kept = kept(&mut world).await;
    assert_eq!(texts(&kept), [("request", STREAM), ("answer", &body)]);
    assert_eq!(body, [EVENTS[0], EVENTS[1], EVENTS[3]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_long_is_cut_and_says_so() {
    let long = "x".repeat(MAX_BODY_BYTES);
    let pieces = vec![send("first "), send(&long), send(&long)];
    let mut world = World::keeping(Reply {
        steps: pieces,
        ..Reply::events()
    })
    .await;
    let body = format!(r#"{{"model":"real","input":"{long}"}}"#);
    let answer = world.chat(&body).await;
    assert_eq!(answer.body.len(), 6 + 2 * MAX_BODY_BYTES);
    for (side, entry, text) in kept(&mut world).await {
        let whole = if side == "request" {
            &body
        } else {
            &answer.body
        };
        assert_eq!(text, whole[..MAX_BODY_BYTES]);
        assert_eq!(entry.kept, MAX_BODY_BYTES as i64);
        assert_eq!(entry.length, whole.len() as i64);
        assert!(entry.is_cut());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_keeps_what_was_seen() {
    let gate = Arc::new(Semaphore::new(0));
    let steps = vec![
        send(EVENTS[0]),
        Step::Gate(Arc::clone(&gate)),
        send(EVENTS[1]),
        send(EVENTS[3]),
    ];
    let mut world = World::keeping(Reply::stream(steps)).await;
    let answer = world.gateway.handle(chat(world.service(), STREAM)).await;
    let mut body = answer.into_body();
    body.frame().await.expect("a frame").expect("a piece");
    drop(body);
    gate.add_permits(1);
    world.rows(1).await;
    let kept = kept(&mut world).await;
    assert_eq!(texts(&kept), [("request", STREAM), ("answer", EVENTS[0])]);
    let outcomes = world.entries().await.into_iter();
    let outcomes: Vec<_> = outcomes.map(|entry| entry.event.outcome.as_str()).collect();
    assert_eq!(outcomes, ["client_gone"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_request_without_an_answer_its_own_body_is_kept() {
    let gate = Arc::new(Semaphore::new(0));
    let reply = Reply::whole(200, COMPLETION).after(Step::Gate(Arc::clone(&gate)));
    let mut world = World::keeping(reply).await;
    tokio::select! {
        _ = world.gateway.handle(chat(world.service(), STREAM)) => panic!("the gate is shut"),
        () = poll::until("the upstream is asked", async || !world.upstream.asked().is_empty()) => {}
    }
    gate.add_permits(1);
    world.rows(1).await;
    world
        .upstream
        .replies(Reply::stream(vec![]).after(Step::Die));
    assert_eq!(world.chat(MODEL).await.status, 502);
    let kept = kept(&mut world).await;
    assert_eq!(texts(&kept), [("request", MODEL), ("request", STREAM)]);
    let statuses: Vec<_> = kept.iter().map(|(_, entry, _)| entry.status).collect();
    assert_eq!(statuses, [Some(502), None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_not_kept_and_nothing_is_where_that_is_off() {
    let mut world = World::keeping(Reply::whole(200, COMPLETION)).await;
    for body in ["{}", r#"{"model":"unheard-of"}"#] {
        assert!(world.chat(body).await.status.is_client_error());
    }
    assert!(kept(&mut world).await.is_empty());
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    world.rows(1).await;
    assert!(entries(&world).await.is_empty());
}

/// Captured sides of an endpoint's requests under each setting but `none`, with and without `enhanced_`.
fn sides(path: &str, is_enhanced: bool) -> &'static [&'static str] {
    match path {
        _ if is_enhanced => &[],
        "/v1/audio/speech" => &["answer"],
        "/v1/images/variations" => &["request", "answer"],
        _ => &[],
    }
}

/// Settings, each of the project itself, or inherited from its organization.
const SETTINGS: [(&str, bool); 6] = [
    ("none", false),
    ("zero_data_retention", false),
    ("modified_abuse_monitoring", false),
    ("enhanced_zero_data_retention", false),
    ("enhanced_modified_abuse_monitoring", false),
    ("zero_data_retention", true),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_setting_means_the_same_at_each_endpoint() {
    for (setting, is_inherited) in SETTINGS {
        let mut world = World::keeping(Reply::whole(200, COMPLETION)).await;
        if is_inherited {
            world.retain("none").await;
            world.retain_everywhere(setting).await;
            world.retain("organization_default").await;
        } else {
            world.retain(setting).await;
        }
        let mut expected = Vec::new();
        for path in PATHS {
            let answer = world.send(call(world.service(), path)).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            let id = answer.header("x-request-id").to_owned();
            let sides = match setting {
                "none" => &["request", "answer"],
                _ => sides(path, setting.starts_with("enhanced_")),
            };
            expected.extend(sides.iter().map(|side| (id.clone(), *side)));
        }
        let kept = kept(&mut world).await;
        let mut found: Vec<_> = kept
            .iter()
            .map(|(side, entry, _)| (entry.request.to_string(), *side))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{setting}");
        let unstored: Vec<_> = world
            .upstream
            .asked()
            .iter()
            .filter(|asked| asked.body.ends_with(br#","store":false}"#))
            .map(|asked| asked.path.clone())
            .collect();
        let expected: &[&str] = if setting.contains("zero") {
            &["/v1/responses"]
        } else {
            &[]
        };
        assert_eq!(unstored, expected, "{setting}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_wants_to_be_stored_is_not_under_zero_data_retention() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let body = r#"{"model":"nick","store" : true,"metadata":{"a":"b"}}"#;
    for _ in 0..2 {
        assert_eq!(world.chat(body).await.status, 200);
        if world.upstream.asked().len() == 1 {
            world
                .retain_everywhere("enhanced_zero_data_retention")
                .await;
        }
    }
    let sent: Vec<_> = world
        .upstream
        .asked()
        .iter()
        .map(|asked| asked.body.clone())
        .collect();
    assert_eq!(
        sent[0],
        r#"{"model":"real","store" : true,"metadata":{"a":"b"}}"#
    );
    assert_eq!(
        sent[1],
        r#"{"model":"real","store" : false,"metadata":{"a":"b"}}"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_nobody_has_is_nothing() {
    let world = World::keeping(Reply::whole(200, COMPLETION)).await;
    let id = RequestId::from_text("req_0".into());
    let found = bodies::find(world.store.usage(), &world.pepper, &id).await;
    assert!(found.expect("none").is_empty());
}
