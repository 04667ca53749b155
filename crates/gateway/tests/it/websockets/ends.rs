//! Ends of connections: by the client, the upstream, a revocation or a stop. Each running response is one row.

use std::sync::Arc;
use std::time::Duration;

use base::time::Stopwatch;
use gateway::FlowLimits;
use serde_json::json;
use tokio::sync::Semaphore;

use super::harness::{CREATED, DELTA, SocketStep, SocketWorld, event, gated, response};
use crate::world::Bounds;

/// The time within which a revocation takes effect: a second on every node, with a reserve for a busy machine.
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_response_whose_client_hangs_up_is_drained() {
    let gate = Arc::new(Semaphore::new(0));
    let sockets = SocketWorld::start(gated(&gate)).await;
    let mut client = sockets.connect().await;
    client.ask().await;
    client.event().await;
    drop(client);
    poll::until("the response is drained", async || {
        sockets.world.gateway.running_drains() == 1
    })
    .await;
    gate.add_permits(1);
    let row = sockets.world.rows(1).await.remove(0);
    assert_eq!(
        row.sums(),
        ("client_gone", false, Some(11), Some(7), Some(1))
    );
    poll::until("the upstream's connection ends", async || {
        sockets.upstream.ended() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_dies_is_an_error_and_one_row() {
    for (steps, estimated_output) in [
        (vec![SocketStep::Die], None),
        (vec![event(CREATED), event(DELTA), SocketStep::Die], None),
        (
            vec![
                event(CREATED),
                event(r#"{"type":"response.unknown"}"#),
                SocketStep::Die,
            ],
            None,
        ),
    ] {
        let sockets = SocketWorld::start(steps).await;
        let mut client = sockets.connect().await;
        client.ask().await;
        let mut events = client.response().await;
        assert_eq!(events.pop().as_deref(), Some("error"));
        assert_eq!(client.closed().await, Some(1011));
        let row = sockets.world.rows(1).await.remove(0);
        assert_eq!(
            row.sums(),
            ("upstream_failed", false, None, estimated_output, Some(0))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_upstream_times_out() {
    let gate = Arc::new(Semaphore::new(0));
    let sockets = SocketWorld::start(gated(&gate)).await;
    let mut client = sockets.connect().await;
    client.ask().await;
    client.event().await;
    client.event().await;
    // The whole response may take five seconds.
    assert_eq!(client.error().await.0, 504);
    assert_eq!(client.closed().await, Some(1011));
    let row = sockets.world.rows(1).await.remove(0);
    assert_eq!(row.outcome, "timed_out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_ends_idle_and_running_connections() {
    let gate = Arc::new(Semaphore::new(0));
    let sockets = SocketWorld::start(gated(&gate)).await;
    let mut idle = sockets.connect().await;
    let mut running = sockets.connect().await;
    running.ask().await;
    running.event().await;
    running.event().await;
    let mut other = sockets.connect_with(sockets.world.other()).await;
    sockets.world.delete_service().await;
    let revoked = Stopwatch::start();
    assert_eq!(idle.error().await.0, 401);
    assert_eq!(idle.closed().await, Some(1008));
    assert_eq!(running.error().await.0, 401);
    assert_eq!(running.closed().await, Some(1008));
    assert!(
        revoked.elapsed() < REVOCATION_TIMEOUT,
        "{:?}",
        revoked.elapsed()
    );
    gate.add_permits(2);
    let row = sockets.world.rows(1).await.remove(0);
    assert_eq!(
        row.sums(),
        ("client_gone", false, Some(11), Some(7), Some(1))
    );
    other.ask().await;
    assert_eq!(other.response().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_loses_its_permission_ends_its_connection() {
    let sockets = SocketWorld::start(response()).await;
    let key = sockets.world.second_owner_key().await;
    let mut client = sockets.connect_with(&key.secret).await;
    client.ask().await;
    client.response().await;
    sockets.world.demote(&key.owner_id).await;
    assert_eq!(client.closed().await, Some(1008));
    assert_eq!(sockets.world.rows(1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_connections_after_their_running_response() {
    let gate = Arc::new(Semaphore::new(0));
    let sockets = SocketWorld::start(gated(&gate)).await;
    let mut idle = sockets.connect().await;
    let mut running = sockets.connect().await;
    running.ask().await;
    running.event().await;
    sockets.listener.stop();
    assert_eq!(idle.closed().await, Some(1001));
    gate.add_permits(1);
    assert_eq!(
        running.response().await.last().map(String::as_str),
        Some("response.completed")
    );
    assert_eq!(running.closed().await, Some(1001));
    let row = sockets.world.rows(1).await.remove(0);
    assert_eq!(row.sums(), ("succeeded", false, Some(11), Some(7), Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_is_given_up() {
    let bounds = Bounds {
        flow: FlowLimits {
            client_idle_timeout: Duration::from_secs(1),
            ..FlowLimits::default()
        },
        ..Bounds::default()
    };
    let long = format!(
        r#"{{"type":"response.output_text.delta","delta":"{}"}}"#,
        "x".repeat(4 * 1024 * 1024)
    );
    let mut steps = vec![event(CREATED)];
    steps.extend((0..8).map(|_| event(&long)));
    steps.extend(response());
    let sockets = SocketWorld::bounded(steps, bounds).await;
    let mut client = sockets.connect().await;
    client.create(json!({"model": "real", "input": "Hi"})).await;
    let row = sockets.world.rows(1).await.remove(0);
    assert_eq!(
        row.sums(),
        ("client_gone", false, Some(11), Some(7), Some(1))
    );
    drop(client);
}
