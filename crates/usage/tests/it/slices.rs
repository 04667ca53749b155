//! Spend limits that several nodes share, each with a recorder and a spend of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use base::ids::{Id, IdGenerator, ProjectId};
use base::{Entropy, NanoDollars};
use store::{Store, sql};
use usage::{
    DurableReservations, LedgerNode, NodeSession, Outcome, Recorder, RecorderTask, Spend,
    SpendRequest, SpendReservation, UsageEvent, verify,
};

use crate::fixture::{Fixture, NANO_DOLLARS_PER_EVENT, event, organization};

/// A time after every test, in microseconds since 1970.
const MAX_TIME: i64 = i64::MAX;

/// A session that the test ends.
struct TestSession {
    epoch: AtomicI64,
    is_over: AtomicBool,
}

impl NodeSession for TestSession {
    fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::SeqCst)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

struct Node {
    store: Store,
    spend: Spend,
    recorder: Recorder,
    task: RecorderTask,
    session: Arc<TestSession>,
}

/// Adds the row of a session.
async fn begin_session(fixture: &Fixture, epoch: i64) {
    if fixture.store.usage().is_local() {
        return;
    }
    let insert = sql!(
        "INSERT INTO nodes (epoch, name, version, fingerprint, keep_bodies_days, started_at, until, generation_seen, \
         revision_seen) VALUES ($1, 'a', '', '', 0, 0, $2, 1, 0)",
        epoch,
        MAX_TIME
    );
    fixture.execute(insert).await;
}

impl Node {
    async fn start(fixture: &Fixture, epoch: i64) -> Self {
        begin_session(fixture, epoch).await;
        let store = Store::open(fixture.database.url()).await;
        let store = store.expect("a store");
        let (database, clock) = (store.usage().clone(), fixture.clock.clone());
        let session = Arc::new(TestSession {
            epoch: AtomicI64::new(epoch),
            is_over: AtomicBool::new(false),
        });
        let node = LedgerNode {
            session: session.clone(),
            lost_after: Duration::ZERO,
            keeps_lost: false,
        };
        let spend = Spend::load(&database, clock.clone()).await.expect("spend");
        spend.share(database.clone(), node.clone());
        let prices = Arc::clone(&fixture.prices);
        let recorder = Recorder::start_on_node(database, prices, clock, spend.clone(), Some(node));
        let (recorder, task) = recorder.expect("a recorder");
        Self {
            store,
            spend,
            recorder,
            task,
            session,
        }
    }

    /// Reserves the cost of an event for a project, whose organization and which have these limits, in events.
    async fn reserve(
        &self,
        fixture: &Fixture,
        project: &str,
        limits: [Option<i64>; 2],
    ) -> base::Result<Option<SpendReservation>> {
        self.reserve_events(fixture, project, limits, 1).await
    }

    async fn reserve_events(
        &self,
        fixture: &Fixture,
        project: &str,
        limits: [Option<i64>; 2],
        events: i64,
    ) -> base::Result<Option<SpendReservation>> {
        let (of, project) = (organization("a"), ProjectId::from_text(project.to_owned()));
        let dollars = |events: i64| NanoDollars(events * NANO_DOLLARS_PER_EVENT);
        let [of_organization, of_project] = limits.map(|limit| limit.map(dollars));
        let request = SpendRequest {
            organization: (&of, of_organization),
            project: (&project, of_project),
            at: fixture.clock.now(),
            max_cost: dollars(events),
        };
        self.spend.reserve(&request).await
    }

    /// Records an event for a reservation.
    async fn record(&self, id: &str, spend: Option<SpendReservation>) {
        let permit = self.recorder.reserve().await.expect("a place");
        permit
            .with_spend(spend)
            .record(event(id))
            .await
            .expect("durable");
    }
}

/// Returns the sum of all slices, in events.
async fn slices(fixture: &Fixture) -> i64 {
    let sum = sql!("SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS amount FROM spend_slices");
    let rows = fixture.rows(sum, |row| row.get::<i64>("amount")).await;
    rows[0] / NANO_DOLLARS_PER_EVENT
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_reserve_a_limit_once() {
    const MAX_AMOUNT: i64 = 40;
    let fixture = Fixture::new().await;
    let nodes = [
        Node::start(&fixture, 1).await,
        Node::start(&fixture, 2).await,
    ];
    let mut held = Vec::new();
    // Of the organization's limit, one project may have a quarter.
    for (project, limits, most) in [
        (
            "proj_a",
            [Some(MAX_AMOUNT), Some(MAX_AMOUNT / 4)],
            MAX_AMOUNT / 4,
        ),
        ("proj_b", [Some(MAX_AMOUNT), None], MAX_AMOUNT),
    ] {
        poll::until("the limit is reserved", async || {
            for node in &nodes {
                for _ in 0..7 {
                    held.extend(node.reserve(&fixture, project, limits).await.ok().flatten());
                }
            }
            assert!(held.len() as i64 <= most, "{} of {most}", held.len());
            held.len() as i64 == most
        })
        .await;
    }
    assert_eq!(slices(&fixture).await, MAX_AMOUNT);
    // What is dropped is given back to whom it is refused.
    held.truncate(MAX_AMOUNT as usize - 3);
    poll::until("three are given back", async || {
        let got = nodes[0]
            .reserve(&fixture, "proj_b", [Some(MAX_AMOUNT), None])
            .await;
        held.extend(got.ok().flatten());
        held.len() as i64 == MAX_AMOUNT
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cost_leaves_the_slice_as_it_counts() {
    let fixture = Fixture::new().await;
    let (one, other) = (
        Node::start(&fixture, 1).await,
        Node::start(&fixture, 2).await,
    );
    let limits = [Some(10), None];
    // Nine are reserved, and one is spent.
    let most = one.reserve_events(&fixture, "proj_a", limits, 9).await;
    assert_eq!(slices(&fixture).await, 9);
    let refused = other.reserve_events(&fixture, "proj_a", limits, 2).await;
    let refused = refused.err().expect("nine are set aside");
    assert_eq!(refused.code, Some("insufficient_quota"));
    one.record("1", most.expect("room")).await;
    poll::until("the rest is given back", async || {
        other
            .reserve_events(&fixture, "proj_a", limits, 9)
            .await
            .is_ok()
    })
    .await;
    // A repeat changes no slice.
    let before = slices(&fixture).await;
    let again = one.reserve(&fixture, "proj_a", [Some(100), None]).await;
    one.record("1", again.expect("room")).await;
    one.task.stop(Duration::from_secs(10)).await;
    other.task.stop(Duration::from_secs(10)).await;
    assert!(before >= slices(&fixture).await);
    assert_eq!(slices(&fixture).await, 0, "both have given back all");
    let verified = verify(fixture.store.usage(), |_| {}).await;
    assert!(verified.expect("verified").is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_of_a_project_ask_together() {
    let fixture = Fixture::new().await;
    let node = Arc::new(Node::start(&fixture, 1).await);
    let requests = (0..50).map(|_| node.reserve(&fixture, "proj_a", [Some(50), None]));
    let reserved = futures_util::future::join_all(requests).await;
    assert!(reserved.iter().all(Result::is_ok));
    let changes = sql!("SELECT changes FROM spend_slices WHERE epoch = 1");
    let changes = fixture.rows(changes, |row| row.get::<i64>("changes")).await;
    assert!(changes[0] < 25, "{changes:?} asks for 50 requests");
    assert!(
        node.reserve(&fixture, "proj_a", [Some(50), None])
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn durable_reservations_and_slices_share_the_limit() {
    let fixture = Fixture::new().await;
    let node = Node::start(&fixture, 1).await;
    let ids = IdGenerator::new(fixture.clock.clone(), Entropy::operating_system());
    let durable = DurableReservations::new(
        node.store.usage().clone(),
        node.spend.clone(),
        Arc::new(ids),
        fixture.clock.clone(),
    );
    let limit = Some(NanoDollars(10 * NANO_DOLLARS_PER_EVENT));
    let (of, project) = (organization("a"), ProjectId::from_text("proj_a".to_owned()));
    let ask = |events: i64| SpendRequest {
        organization: (&of, limit),
        project: (&project, None),
        at: fixture.clock.now(),
        max_cost: NanoDollars(events * NANO_DOLLARS_PER_EVENT),
    };
    let held = node
        .reserve_events(&fixture, "proj_a", [Some(10), None], 6)
        .await;
    let held = held.expect("room");
    assert!(durable.reserve(&ask(5), 60).await.is_err());
    let batch = durable.reserve(&ask(4), 60).await.expect("room");
    assert!(
        node.reserve(&fixture, "proj_a", [Some(10), None])
            .await
            .is_err()
    );
    // A slice that nothing is reserved of is given back for a batch.
    drop(held);
    let other = durable.reserve(&ask(6), 60).await.expect("room");
    drop((other, batch));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over_admits_nothing_under_a_limit() {
    let fixture = Fixture::new().await;
    let node = Node::start(&fixture, 1).await;
    let limits = [Some(10), None];
    let held = node
        .reserve(&fixture, "proj_a", limits)
        .await
        .expect("room");
    node.session.is_over.store(true, Ordering::SeqCst);
    let refused = node.reserve(&fixture, "proj_a", limits).await.err();
    let refused = refused.expect("refused");
    assert_eq!(
        (refused.status.as_u16(), refused.retry_after),
        (503, Some(1))
    );
    let unlimited = node.reserve(&fixture, "proj_a", [None, None]).await;
    assert!(unlimited.expect("no limit").is_none());
    // Comes back as another session, whose slice is another one.
    begin_session(&fixture, 2).await;
    node.session.epoch.store(2, Ordering::SeqCst);
    node.session.is_over.store(false, Ordering::SeqCst);
    let other = node
        .reserve(&fixture, "proj_a", limits)
        .await
        .expect("room");
    node.record("1", held).await;
    node.record("2", other).await;
    let spent = node.spend.month_to_date(&organization("a"), None);
    assert_eq!(spent.0, 2 * NANO_DOLLARS_PER_EVENT);
}

/// On PostgreSQL, where sessions have rows.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_session_leaves_is_recorded_before_its_slices_are_released() {
    let fixture = Fixture::new().await;
    if fixture.store.usage().is_local() {
        return;
    }
    let (living, lost) = (
        Node::start(&fixture, 1).await,
        Node::start(&fixture, 2).await,
    );
    let limits = [Some(10), None];
    let held = lost.reserve_events(&fixture, "proj_a", limits, 10).await;
    let mut permit = lost.recorder.reserve().await.expect("a place");
    permit = permit.with_spend(held.expect("room"));
    permit.register("1".to_owned(), || UsageEvent {
        estimated: true,
        outcome: Outcome::NodeLost,
        ..event("1")
    });
    permit.make_durable().await.expect("durable");
    assert!(living.reserve(&fixture, "proj_a", limits).await.is_err());
    let end = sql!("UPDATE nodes SET ended_at = 0 WHERE epoch = $1", 2_i64);
    fixture.execute(end).await;
    poll::until("the slice is released", async || {
        living
            .reserve_events(&fixture, "proj_a", limits, 9)
            .await
            .is_ok()
    })
    .await;
    assert_eq!(fixture.ids().await, ["1"]);
    // The node only slept: its row is known, and its slice is gone.
    permit.record(event("1")).await.expect("durable");
    assert_eq!(fixture.ids().await, ["1"]);
}
