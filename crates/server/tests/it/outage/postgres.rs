//! A PostgreSQL server that is paused, gone, or read-only.

use std::time::Duration;

use testkit::Cluster;
use tokio::time::Instant;

use super::{World, is_unavailable};

/// The time that a call may take while the database does not answer, on a machine that does other things too.
const MAX_CALL: Duration = Duration::from_secs(12);

fn start() -> Option<(Cluster, World)> {
    let cluster = Cluster::start("", "", &[])?;
    let world = World::start(&cluster.url("orgplane", "localhost"));
    Some((cluster, world))
}

/// More calls than there are connections, half of them writes: each is refused in time.
async fn are_unavailable(world: &World) {
    let started = Instant::now();
    let calls = (0..40).map(|number| async move {
        if number % 2 == 0 {
            world.read().await
        } else {
            world.write().await
        }
    });
    for answer in futures_util::future::join_all(calls).await {
        is_unavailable(&answer);
    }
    let took = started.elapsed();
    assert!(took < MAX_CALL, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s25_a_paused_postgres_holds_no_call_and_is_not_ready() {
    let Some((cluster, world)) = start() else {
        return;
    };
    world.is_well().await;
    cluster.pause();
    are_unavailable(&world).await;
    world.not_ready("does not answer in time").await;
    world.not_ready("keys in memory").await;
    are_unavailable(&world).await;
    cluster.resume();
    world.is_well().await;
    let lines = world.lines("database unavailable");
    assert!(
        (1..20).contains(&lines),
        "{lines}: {}",
        world.server.process.stderr()
    );
    assert_eq!(world.lines("query failed"), 0);
    world.server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s25_a_postgres_that_is_gone_or_read_only_is_503() {
    let Some((cluster, world)) = start() else {
        return;
    };
    world.is_well().await;
    cluster.stop();
    are_unavailable(&world).await;
    world.not_ready("cannot be reached").await;
    cluster.restart();
    world.is_well().await;

    let set = |value: &str| {
        let text = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
        cluster.execute("postgres", &[&text, "SELECT pg_reload_conf()"]);
    };
    set("on");
    world.not_ready("read-only").await;
    is_unavailable(&world.write().await);
    assert_eq!(world.read().await.0, 200);
    set("off");
    world.is_well().await;
    assert_eq!(world.lines("query failed"), 0);
    world.server.stop();
}
