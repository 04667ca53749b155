//! Timeouts: nothing hangs, however slow an upstream is.

use std::time::Duration;

use base::time::Stopwatch;
use gateway::{Durability, UpstreamConfig};
use tokio::net::TcpListener;

use crate::upstream::{COMPLETION, EVENTS, Reply, Step, send};
use crate::world::{World, config};

const MODEL: &str = r#"{"model":"real"}"#;
const STREAM: &str = r#"{"model":"real","stream":true}"#;

/// Starts a gateway whose only upstream answers `reply`, with a timeout of the whole answer and an idle timeout, in seconds.
async fn world(reply: Reply, timeout_seconds: u64, idle: Option<u64>) -> World {
    World::with(reply, Durability::Batched, |url| {
        vec![UpstreamConfig {
            timeout_seconds,
            idle_timeout_seconds: idle,
            ..config("slow", url)
        }]
    })
    .await
}

/// Asserts that this time has passed, and not much more.
fn assert_passed(watch: Stopwatch, seconds: u64) {
    let passed = watch.milliseconds();
    let expected = seconds * 1_000..seconds * 1_000 + 5_000;
    assert!(expected.contains(&passed), "{passed} ms, not {expected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_that_accepts_and_never_answers_is_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let world = World::with(Reply::events(), Durability::Batched, |_| {
        vec![UpstreamConfig {
            timeout_seconds: 1,
            ..config("deaf", url)
        }]
    })
    .await;
    let watch = Stopwatch::start();
    let answer = world.chat(MODEL).await;
    assert_passed(watch, 1);
    assert_eq!(
        (answer.status.as_u16(), &answer.error()[3]),
        (504, &"upstream_timeout".into())
    );
    let row = world.row().await;
    assert_eq!(row.sums(), ("timed_out", false, None, None, Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_handshake_that_never_ends_is_502() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let pem = authority.expect("a certificate").cert.pem();
    let world = World::with(Reply::events(), Durability::Batched, |_| {
        vec![UpstreamConfig {
            connect_timeout_seconds: 1,
            ca_certificates: Some(gateway::CaCertificates::Pem(pem.into_bytes())),
            ..config("mute", format!("https://{address}/v1"))
        }]
    })
    .await;
    let watch = Stopwatch::start();
    let answer = world.chat(MODEL).await;
    assert_passed(watch, 1);
    assert_eq!(
        (answer.status.as_u16(), &answer.error()[3]),
        (502, &"upstream_error".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_falls_silent_is_cut_off_after_the_idle_timeout() {
    let silence = Step::Wait(Duration::from_secs(30));
    for steps in [vec![silence.clone()], vec![send(EVENTS[0]), silence]] {
        let expected = if steps.len() == 1 { "" } else { EVENTS[0] };
        let world = world(Reply::stream(steps), 20, Some(1)).await;
        let watch = Stopwatch::start();
        let answer = world.chat(STREAM).await;
        assert_passed(watch, 1);
        assert!(answer.is_broken);
        assert_eq!(answer.body, expected);
        assert_eq!(world.row().await.outcome, "timed_out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_drips_is_cut_off_after_the_timeout() {
    let drip = [Step::Wait(Duration::from_millis(600)), send(EVENTS[0])];
    let steps: Vec<Step> = drip.iter().cycle().take(40).cloned().collect();
    let world = world(Reply::stream(steps), 2, None).await;
    let watch = Stopwatch::start();
    let answer = world.chat(STREAM).await;
    assert_passed(watch, 2);
    assert!(answer.is_broken);
    let drops = answer.body.matches(EVENTS[0]).count();
    assert!((1..=3).contains(&drops), "{drops}");
    assert_eq!(world.row().await.outcome, "timed_out");
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_drips_to_a_client_that_hung_up_is_cut_off_too() {
    let drip = [Step::Wait(Duration::from_millis(600)), send(EVENTS[0])];
    let steps: Vec<Step> = drip.iter().cycle().take(40).cloned().collect();
    let world = world(Reply::stream(steps), 2, None).await;
    let request = crate::world::chat(world.service(), STREAM);
    drop(world.gateway.handle(request).await);
    let row = world.rows(1).await.remove(0);
    assert_eq!((row.outcome.as_str(), row.estimated), ("timed_out", false));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_timeout_does_not_count_the_time_before_the_answer() {
    let reply = Reply::whole(200, COMPLETION).after(Step::Wait(Duration::from_millis(1_500)));
    let world = world(reply, 5, Some(1)).await;
    assert_eq!(world.chat(MODEL).await.status, 200);
}
