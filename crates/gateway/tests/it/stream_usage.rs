//! `stream_options`, which is sent to upstreams that accept it, and left out for others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use gateway::{Durability, StreamUsage, UpstreamConfig};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use crate::upstream::{COMPLETION, EVENTS, Reply, serve};
use crate::world::{World, config};

const STREAM: &str = r#"{"model":"real","stream":true,"messages":[]}"#;

/// A model server that refuses requests with a member, and the requests that it received.
struct Strict {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

type Refuses = fn(&str) -> Option<(u16, String)>;

impl Strict {
    async fn start(refuses: Refuses) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let address = serve(move |request: Request<Incoming>| {
            let seen = Arc::clone(&seen);
            async move {
                let body = request.into_body().collect().await.expect("a body");
                let body = String::from_utf8(body.to_bytes().to_vec()).expect("text");
                seen.lock().expect("a lock").push(body.clone());
                let answer = |status, kind, text: String| {
                    let response = Response::builder().status(status);
                    let response = response.header("content-type", kind);
                    response
                        .body(Full::new(Bytes::from(text)))
                        .expect("a response")
                };
                match refuses(&body) {
                    Some((status, text)) => answer(status, "application/json", text),
                    None if body.contains("\"stream\":true") => {
                        let events = [EVENTS[0], EVENTS[1], EVENTS[3]].concat();
                        answer(200, "text/event-stream", events)
                    }
                    None => answer(200, "application/json", COMPLETION.to_owned()),
                }
            }
        })
        .await;
        let url = format!("http://{address}/v1");
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a lock").clone()
    }

    async fn world(&self) -> World {
        let url = self.url.clone();
        let upstreams = |_| vec![config("strict", url)];
        World::with(Reply::events(), Durability::Batched, upstreams).await
    }
}

const UNKNOWN: &str = r#"{"error":{"message":"Unknown parameter: 'stream_options'.","type":"invalid_request_error","param":"stream_options","code":"unknown_parameter"}}"#;

fn knows_no_stream_options(body: &str) -> Option<(u16, String)> {
    let is_there = body.contains("stream_options");
    is_there.then(|| (400, UNKNOWN.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_options_refused_are_left_out_from_then_on() {
    let strict = Strict::start(knows_no_stream_options).await;
    let world = strict.world().await;
    for _ in 0..3 {
        let answer = world.chat(STREAM).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body, [EVENTS[0], EVENTS[1], EVENTS[3]].concat());
    }
    let asked = strict.asked();
    assert_eq!(asked.len(), 4, "one is learnt from: {asked:?}");
    assert!(asked[0].contains("stream_options"));
    assert!(asked[1..].iter().all(|body| body == STREAM), "{asked:?}");
    for row in world.rows(3).await {
        let (outcome, estimated, input, output, requests) = row.sums();
        assert_eq!((outcome, estimated, requests), ("succeeded", true, Some(1)));
        assert!(input > Some(0) && output > Some(0), "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_options_refused_with_422_and_a_list_of_errors_are_understood() {
    fn forbids_extras(body: &str) -> Option<(u16, String)> {
        let detail = r#"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted","input":{"include_usage":true}}]}"#;
        body.contains("stream_options")
            .then(|| (422, detail.to_owned()))
    }
    let strict = Strict::start(forbids_extras).await;
    let world = strict.world().await;
    for _ in 0..2 {
        assert_eq!(world.chat(STREAM).await.status, 200);
    }
    assert_eq!(strict.asked().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_options_can_be_disabled_by_configuration() {
    let strict = Strict::start(knows_no_stream_options).await;
    let url = strict.url.clone();
    let upstreams = |_| {
        vec![UpstreamConfig {
            stream_usage: StreamUsage::Never,
            ..config("strict", url)
        }]
    };
    let world = World::with(Reply::events(), Durability::Batched, upstreams).await;
    assert_eq!(world.chat(STREAM).await.status, 200);
    assert_eq!(strict.asked(), [STREAM]);
    assert!(world.row().await.estimated);
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_options_of_the_client_are_forwarded() {
    let strict = Strict::start(knows_no_stream_options).await;
    let world = strict.world().await;
    for own in ["true", "false"] {
        let body = format!(
            r#"{{"model":"real","stream":true,"stream_options":{{"include_usage":{own}}},"messages":[]}}"#
        );
        let answer = world.chat(&body).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.body),
            (400, UNKNOWN),
            "{own}"
        );
        assert_eq!(strict.asked().last(), Some(&body));
    }
    // The refusal of the client's own field changes nothing for others.
    assert_eq!(strict.asked().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_options_are_kept_after_an_error_about_another_field() {
    static REFUSED: AtomicUsize = AtomicUsize::new(0);
    const ECHO: &str = r#"{"detail":[{"type":"missing","loc":["body","messages"],"input":{"stream_options":{"include_usage":true}}}]}"#;
    fn wants_messages(body: &str) -> Option<(u16, String)> {
        (!body.contains("messages")).then(|| {
            REFUSED.fetch_add(1, Ordering::SeqCst);
            (422, ECHO.to_owned())
        })
    }
    let strict = Strict::start(wants_messages).await;
    let world = strict.world().await;
    let answer = world.chat(r#"{"model":"real","stream":true}"#).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (422, ECHO));
    assert!(REFUSED.load(Ordering::SeqCst) <= 2);
    assert_eq!(world.chat(STREAM).await.status, 200);
    let last = strict.asked().pop().expect("it was asked");
    assert!(last.contains("stream_options"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_options_are_kept_after_other_refusals() {
    fn refuses_all(_: &str) -> Option<(u16, String)> {
        Some((400, "x".repeat(300_000)))
    }
    let strict = Strict::start(refuses_all).await;
    let world = strict.world().await;
    let answer = world.chat(STREAM).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (400, 300_000));
    assert_eq!(strict.asked().len(), 1);
}
