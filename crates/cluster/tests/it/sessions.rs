//! Sessions of several nodes on PostgreSQL.

use std::time::Duration;

use base::{BootClock, Clock};
use cluster::{Fingerprint, NodeSession, SessionOptions, living_nodes};
use store::testing::{TestDatabase, execute};
use store::{Store, sql};
use tasks::TaskHandle;
use tokio::time::timeout;

/// A node, as far as sessions are concerned.
struct Node {
    session: NodeSession,
    task: TaskHandle,
    store: Store,
    boot: BootClock,
}

impl Node {
    async fn start(database: &TestDatabase, name: &str) -> Self {
        Self::start_with(database, name, |_| {}).await
    }

    async fn start_with(
        database: &TestDatabase,
        name: &str,
        change: impl FnOnce(&mut SessionOptions),
    ) -> Self {
        let store = Store::open(database.url()).await.expect("a store");
        let boot = BootClock::adjustable();
        let mut options = SessionOptions {
            name: name.to_owned(),
            version: "1.0.0",
            fingerprint: Fingerprint::of(&[("prices", "1"), ("upstreams", "1")]),
            keep_bodies_days: 0,
            has_shared_limits: false,
            reports_revision_at_once: true,
            boot_clock: boot.clone(),
        };
        change(&mut options);
        let started = NodeSession::start(&store, &Clock::system(), options).await;
        let (session, task) = started.expect("a session");
        Self {
            session,
            task: task.expect("the database is PostgreSQL"),
            store,
            boot,
        }
    }

    async fn names(&self) -> Vec<String> {
        let living = living_nodes(&self.store).await.expect("nodes");
        living.into_iter().map(|node| node.name).collect()
    }

    /// Commits a change of the administrative data.
    async fn commit(&self) {
        let mut transaction = self.store.begin().await.expect("a transaction");
        let touch = sql!("UPDATE organizations SET revision = revision");
        transaction.execute(touch).await.expect("nothing to change");
        transaction.commit().await.expect("a commit");
    }
}

#[tokio::test]
async fn sessions_of_a_database_see_each_other_and_differences_of_configuration() {
    let database = TestDatabase::new();
    let one = Node::start(&database, "one").await;
    let other = Node::start_with(&database, "other", |options| {
        options.fingerprint = Fingerprint::of(&[("prices", "2"), ("upstreams", "1")]);
    })
    .await;
    assert_ne!(one.session.epoch(), other.session.epoch());
    assert_eq!(one.names().await, ["one", "other"]);
    for node in [&one, &other] {
        poll::until("both are seen, and differ", async || {
            node.session.living().len() == 2 && node.session.differing() == 1
        })
        .await;
    }
    other.task.stop().await;
    assert_eq!(one.names().await, ["one"]);
    poll::until("the node is alone", async || {
        one.session.differing() == 0 && one.session.living().len() == 1
    })
    .await;
}

#[tokio::test]
async fn the_time_of_all_nodes_is_that_of_the_database() {
    let database = TestDatabase::new();
    let node = Node::start(&database, "one").await;
    let mut read = node.store.read().await.expect("a connection");
    let time = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now";
    for _ in 0..20 {
        let before = node.session.now();
        let now: i64 = read
            .fetch_one(sql!(time), |row| row.get("now"))
            .await
            .expect("a time");
        let after = node.session.now();
        let now = u64::try_from(now).expect("a time after 1970");
        assert!(
            before.lo <= now + 1 && now <= after.hi + 1,
            "{before:?} {now} {after:?}"
        );
        assert!(after.hi - after.lo < 2_000, "{after:?}");
    }
}

#[tokio::test]
async fn a_commit_is_announced_to_the_other_nodes() {
    let database = TestDatabase::new();
    let (one, other) = (
        Node::start(&database, "one").await,
        Node::start(&database, "other").await,
    );
    let own = one.session.announcements();
    let mut heard = other.session.announcements();
    for _ in 0..3 {
        one.commit().await;
        let announced = timeout(Duration::from_secs(5), heard.changed()).await;
        announced.expect("an announcement").expect("a session");
    }
    assert!(!own.has_changed().expect("a session"), "its own commits");
}

#[tokio::test]
async fn a_connection_that_is_lost_is_replaced_and_what_it_may_have_missed_is_announced() {
    let database = TestDatabase::new();
    let node = Node::start(&database, "one").await;
    let (epoch, mut heard) = (node.session.epoch(), node.session.announcements());
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    execute(database.url(), end);
    let announced = timeout(Duration::from_secs(30), heard.changed()).await;
    announced.expect("an announcement").expect("a session");
    assert!(!node.session.is_over());
    assert_eq!(node.session.epoch(), epoch);
}

#[tokio::test]
async fn a_session_that_was_not_prolonged_in_time_comes_back_as_another_epoch() {
    let database = TestDatabase::new();
    let node = Node::start(&database, "one").await;
    let before = node.session.current().expect("a session");
    node.boot.advance(Duration::from_secs(8));
    assert!(node.session.is_over());
    assert_eq!(node.session.current(), None);
    poll::until("another session", async || !node.session.is_over()).await;
    let after = node.session.current().expect("a session");
    assert!(after.epoch > before.epoch);
    // By the node's own clock, that of the database was set back.
    assert!(after.generation.number > before.generation.number);
    assert!(after.generation.clock_step <= -7_000, "{after:?}");
    let living = living_nodes(&node.store).await.expect("nodes");
    assert_eq!(living.len(), 1, "{living:?}");
    assert_eq!(living[0].epoch, after.epoch);
}

#[tokio::test]
async fn a_session_that_others_have_ended_is_not_prolonged() {
    let database = TestDatabase::new();
    let (one, other) = (
        Node::start(&database, "one").await,
        Node::start(&database, "other").await,
    );
    let epoch = one.session.epoch();
    let expire = format!("UPDATE nodes SET until = until - 8000000 WHERE epoch = {epoch}");
    execute(database.url(), &expire);
    poll::until("another session", async || one.session.epoch() > epoch).await;
    let mut read = other.store.read().await.expect("a connection");
    let ended = sql!(
        "SELECT ended_at, has_left FROM nodes WHERE epoch = $1",
        epoch
    );
    let ended: (Option<i64>, bool) = read
        .fetch_one(ended, |row| {
            Ok((row.get("ended_at")?, row.get("has_left")?))
        })
        .await
        .expect("the row");
    assert!(ended.0.is_some() && !ended.1, "{ended:?}");
}

#[tokio::test]
async fn another_timeline_begins_a_generation_that_opens_once_all_have_acknowledged_it() {
    let database = TestDatabase::new();
    let one = Node::start(&database, "one").await;
    let other = Node::start_with(&database, "other", |options| {
        options.has_shared_limits = true;
    })
    .await;
    for node in [&one, &other] {
        poll::until("an open generation", async || {
            node.session.generation().is_open
        })
        .await;
    }
    let before = one.session.generation().number;
    let moved = "UPDATE generations SET identity = '1/00000001' WHERE id = 1";
    execute(database.url(), moved);
    for node in [&one, &other] {
        poll::until("the generation", async || {
            node.session.generation().number == before + 1
        })
        .await;
        assert!(!node.session.generation().is_open);
    }
    other.session.acknowledge(before + 1);
    for node in [&one, &other] {
        poll::until("the generation is open", async || {
            node.session.generation().is_open
        })
        .await;
        assert_eq!(node.session.generation().number, before + 1);
    }
}

#[tokio::test]
async fn a_write_can_wait_until_all_nodes_are_as_new() {
    let database = TestDatabase::new();
    let (one, other) = (
        Node::start(&database, "one").await,
        Node::start(&database, "other").await,
    );
    let wait = async |limit: u64| {
        let limit = Duration::from_millis(limit);
        one.session.wait_seen_by_all(&one.store, 7, limit).await
    };
    assert!(!wait(100).await, "the other node has not said so");
    other.session.set_revision(7);
    assert!(wait(5_000).await);
    other.session.set_revision(6);
    poll::until("the other node is older", async || !wait(1).await).await;
    other.task.stop().await;
    assert!(wait(5_000).await, "only living nodes are waited for");
}
