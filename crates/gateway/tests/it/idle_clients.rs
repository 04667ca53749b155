//! Clients that do not read their responses: no other client suffers from them.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use gateway::{FlowLimits, UpstreamConfig};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::upstream::{COMPLETION, EVENTS, Reply, Step, send};
use crate::world::{Bounds, World, chat, config, read};

const MODEL: &str = r#"{"model":"real"}"#;
const STREAM: &str = r#"{"model":"real","stream":true}"#;

async fn world(reply: Reply, timeout_seconds: u64, flow: FlowLimits) -> World {
    let bounds = Bounds {
        flow,
        ..Bounds::default()
    };
    let upstreams = |url| {
        vec![UpstreamConfig {
            timeout_seconds,
            ..config("local", url)
        }]
    };
    World::bounded(reply, upstreams, bounds).await
}

fn impatient() -> FlowLimits {
    FlowLimits {
        client_idle_timeout: Duration::from_secs(1),
        ..FlowLimits::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_an_answer_that_nobody_takes_is_read_to_its_end_and_gives_its_place_back() {
    for (reply, request) in [
        (Reply::whole(200, COMPLETION), MODEL),
        (Reply::events(), STREAM),
    ] {
        let world = world(reply, 600, impatient()).await;
        let response = world.gateway.handle(chat(world.service(), request)).await;
        // It is neither read nor dropped.
        let row = world.rows(1).await.remove(0);
        assert_eq!(
            row.sums(),
            ("client_gone", false, Some(11), Some(7), Some(1))
        );
        world.recorder.flush().await;
        assert_eq!(world.recorder.queue_depth(), 0);
        let answer = read(response).await;
        assert!(answer.is_broken, "{answer:?}");
        assert_eq!(world.rows(1).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_client_that_stops_in_the_middle_is_not_waited_for() {
    let world = world(Reply::events(), 600, impatient()).await;
    let response = world.gateway.handle(chat(world.service(), STREAM)).await;
    let mut body = response.into_body();
    body.frame().await.expect("a frame").expect("a piece");
    let row = world.rows(1).await.remove(0);
    assert_eq!(
        row.sums(),
        ("client_gone", false, Some(11), Some(7), Some(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_the_time_of_an_answer_holds_for_those_who_do_not_read_and_the_upstream_is_not_to_blame()
 {
    let endless = Step::Gate(Arc::new(Semaphore::new(0)));
    let reply = Reply::stream(vec![send(EVENTS[0]), endless]);
    let world = world(reply, 1, impatient()).await;
    let mut unread = Vec::new();
    // One more than the failures in a row that take an upstream out.
    for _ in 0..6 {
        unread.push(world.gateway.handle(chat(world.service(), STREAM)).await);
    }
    let rows = world.rows(6).await;
    for row in rows {
        assert_eq!((row.outcome.as_str(), row.estimated), ("client_gone", true));
    }
    assert!(world.gateway.upstreams().all(|one| one.is_healthy));
    drop(unread);
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_client_that_waits_for_its_upstream_is_not_idle() {
    let gate = Arc::new(Semaphore::new(0));
    let reply = Reply::stream(vec![
        send(EVENTS[0]),
        Step::Wait(Duration::from_secs(3)),
        send(EVENTS[2]),
        send(EVENTS[3]),
    ]);
    let world = world(reply, 600, impatient()).await;
    let answer = world.chat(STREAM).await;
    assert!(!answer.is_broken, "{answer:?}");
    assert_eq!(world.row().await.outcome, "succeeded");
    drop(gate);
}

/// Returns the status, the code and the `retry-after` of a response.
fn refusal(answer: &crate::world::Answer) -> (u16, serde_json::Value, &str) {
    let [.., code] = answer.error();
    (answer.status.as_u16(), code, answer.header("retry-after"))
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_no_key_and_no_project_takes_every_place_of_the_queue() {
    let gate = Arc::new(Semaphore::new(0));
    let reply = Reply::stream(vec![
        send(EVENTS[0]),
        Step::Gate(Arc::clone(&gate)),
        send(EVENTS[2]),
        send(EVENTS[3]),
    ]);
    let flow = FlowLimits {
        max_requests_per_key: 2,
        max_requests_per_project: 3,
        ..FlowLimits::default()
    };
    let world = world(reply, 600, flow).await;
    let mut under_way = Vec::new();
    for key in [world.service(), world.service(), world.owner()] {
        let response = world.gateway.handle(chat(key, STREAM)).await;
        assert_eq!(response.status(), 200);
        under_way.push(response);
    }
    let limited = (429, json!("rate_limit_exceeded"), "1");
    let answer = world.chat(STREAM).await;
    assert_eq!(refusal(&answer), limited);
    assert!(answer.body.contains("one API key"), "{}", answer.body);
    let answer = world.send(chat(world.owner(), STREAM)).await;
    assert_eq!(refusal(&answer), limited);
    assert!(answer.body.contains("one project"), "{}", answer.body);
    let other = world.gateway.handle(chat(world.other(), STREAM)).await;
    assert_eq!(other.status(), 200);
    gate.add_permits(4);
    for response in under_way.into_iter().chain([other]) {
        assert!(!read(response).await.is_broken);
    }
    world.rows(4).await;
    gate.add_permits(1);
    assert_eq!(world.chat(STREAM).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_key_whose_clients_hang_up_leaves_room_for_those_of_others() {
    let gate = Arc::new(Semaphore::new(0));
    let reply = Reply::stream(vec![
        send(EVENTS[0]),
        Step::Gate(Arc::clone(&gate)),
        send(EVENTS[2]),
        send(EVENTS[3]),
    ]);
    let world = world(reply, 600, FlowLimits::default()).await;
    // Half of 1,024, and some.
    for _ in 0..514 {
        drop(world.gateway.handle(chat(world.service(), STREAM)).await);
    }
    assert_eq!(world.gateway.running_drains(), 512);
    drop(world.gateway.handle(chat(world.other(), STREAM)).await);
    assert_eq!(world.gateway.running_drains(), 513);
    gate.add_permits(515);
    let rows = world.rows(515).await;
    assert_eq!(rows.iter().filter(|row| row.estimated).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_compressed_answers_are_decoded_within_a_budget() {
    let gate = Arc::new(Semaphore::new(0));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(COMPLETION.as_bytes()).expect("memory");
    let encoded = encoder.finish().expect("memory");
    let (begin, end) = encoded.split_at(100);
    let reply = Reply {
        steps: vec![
            Step::Send(Bytes::copy_from_slice(begin)),
            Step::Gate(Arc::clone(&gate)),
            Step::Send(Bytes::copy_from_slice(end)),
        ],
        ..Reply::stream(Vec::new())
    };
    let reply = reply.with("content-encoding", "gzip");
    // A key has an eighth of it, and gzip takes 64 KiB.
    for (budget, fits) in [(8 * 64 * 1024, true), (8 * 1024, false)] {
        let flow = FlowLimits {
            answer_memory_bytes: budget,
            ..FlowLimits::default()
        };
        let world = world(reply.clone(), 600, flow).await;
        let response = world.gateway.handle(chat(world.service(), MODEL)).await;
        let is_decoded = !response.headers().contains_key("content-encoding");
        assert_eq!(is_decoded, fits);
        let memory = if fits { 64 * 1024 } else { 0 };
        assert_eq!(world.gateway.answer_bytes(), memory);
        gate.add_permits(1);
        let body = response.into_body().collect().await.expect("a body");
        let expected = if fits {
            COMPLETION.as_bytes()
        } else {
            &encoded
        };
        assert_eq!(body.to_bytes(), expected);
        assert_eq!(world.gateway.answer_bytes(), 0);
        let row = world.rows(1).await.remove(0);
        assert_eq!(row.estimated, !fits, "{row:?}");
        assert_eq!(row.outcome, "succeeded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_an_http2_client_without_a_window_gives_its_place_back() {
    let world = world(Reply::events(), 600, impatient()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let gateway = world.gateway.clone();
    let serving = tokio::spawn(async move {
        let (connection, _) = listener.accept().await.expect("a connection");
        let service = hyper::service::service_fn(move |request| {
            let gateway = gateway.clone();
            async move { Ok::<_, std::convert::Infallible>(gateway.handle(request).await) }
        });
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(connection), service)
            .await
    });
    let connection = TcpStream::connect(address).await.expect("a connection");
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let (client, connection) = builder
        .handshake::<_, Bytes>(connection)
        .await
        .expect("a handshake");
    let driving = tokio::spawn(connection);
    let mut client = client.ready().await.expect("a client");
    let mut answers = Vec::new();
    for _ in 0..3 {
        let request = chat(world.service(), "");
        let (mut head, _) = request.into_parts();
        head.uri = "http://gateway/v1/chat/completions".parse().expect("a URI");
        let request = http::Request::from_parts(head, ());
        let (answer, mut body) = client.send_request(request, false).expect("a stream");
        body.send_data(STREAM.into(), true).expect("a body");
        answers.push(answer.await.expect("a head"));
    }
    let rows = world.rows(3).await;
    assert!(rows.iter().all(|row| row.outcome == "client_gone"));
    assert_eq!(world.recorder.queue_depth(), 0);
    drop(answers);
    driving.abort();
    serving.abort();
}
