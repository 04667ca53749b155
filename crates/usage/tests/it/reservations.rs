//! Durable reservations: of several nodes, for as long as their objects last.

use std::sync::Arc;

use base::ids::{Id, IdGenerator, ProjectId};
use base::{Entropy, NanoDollars, UnixTime};
use store::sql;
use tokio::task::JoinSet;
use usage::{DurableReservation, DurableReservations, ReservationKey, Spend, SpendRequest, verify};

use crate::fixture::{Fixture, NANO_DOLLARS_PER_EVENT, START_SECONDS, event, organization};

/// The time after which a reservation without an object expires.
const RESERVATION_SECONDS: i64 = 3_600;

fn project() -> ProjectId {
    ProjectId::from_text("proj_a".to_owned())
}

fn reservations(fixture: &Fixture, spend: &Spend) -> DurableReservations {
    let clock = fixture.clock.clone();
    let ids = IdGenerator::new(clock.clone(), Entropy::operating_system());
    let database = fixture.store.usage().clone();
    DurableReservations::new(database, spend.clone(), Arc::new(ids), clock)
}

async fn reserve(
    reservations: &DurableReservations,
    limits: [Option<i64>; 2],
    max_cost: i64,
) -> base::Result<DurableReservation> {
    let [whole, part] = limits.map(|limit| limit.map(NanoDollars));
    let (organization, project) = (organization("a"), project());
    let ask = SpendRequest {
        organization: (&organization, whole),
        project: (&project, part),
        at: UnixTime(START_SECONDS),
        max_cost: NanoDollars(max_cost),
    };
    reservations.reserve(&ask, RESERVATION_SECONDS).await
}

/// True if a request that may cost a nano-dollar is admitted.
fn passes(spend: &Spend, limit: i64) -> bool {
    let ask = SpendRequest {
        organization: (&organization("a"), Some(NanoDollars(limit))),
        project: (&project(), None),
        at: UnixTime(START_SECONDS),
        max_cost: NanoDollars(1),
    };
    spend.reserve_locally(&ask).is_ok()
}

/// Waits until requests are admitted, or until they are refused.
async fn until(condition: impl Fn() -> bool) {
    poll::until("the reservations are known", async || condition()).await;
}

async fn reserved(fixture: &Fixture) -> i64 {
    let sum = sql!("SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS n FROM spend_reserved");
    let rows = sql!("SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS n FROM spend_reservations");
    let sum = fixture.rows(sum, |row| row.get::<i64>("n")).await[0];
    let rows = fixture.rows(rows, |row| row.get::<i64>("n")).await[0];
    assert_eq!(sum, rows, "the sum is that of the rows");
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_reservations_of_two_nodes_exceed_no_limit() {
    for limits in [
        [Some(1_000), None],
        [None, Some(1_000)],
        [Some(5_000), Some(1_000)],
    ] {
        let fixture = Fixture::new().await;
        let (_recorder, _task, other) = fixture.another().await;
        let programs = [
            reservations(&fixture, &fixture.spend),
            reservations(&fixture, &other),
        ];
        let mut clients = JoinSet::new();
        for client in 0..40 {
            let program = programs[client % 2].clone();
            clients.spawn(async move {
                reserve(&program, limits, 90)
                    .await
                    .map(DurableReservation::keep)
            });
        }
        let outcomes = clients.join_all().await;
        let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        assert!(
            refused.clone().all(|error| error.status == 429),
            "{limits:?}"
        );
        assert_eq!(refused.count(), 29, "11 × 90 is what 1,000 has room for");
        assert_eq!(reserved(&fixture).await, 990);
        // Requests are checked against the reservations on both nodes, too.
        for spend in [&fixture.spend, &other] {
            until(|| !passes(spend, 990)).await;
            assert!(passes(spend, 991));
        }
    }
}

#[tokio::test]
async fn a_reservation_is_released_with_the_row_that_it_was_made_for() {
    let fixture = Fixture::new().await;
    let (_recorder, _task, other) = fixture.another().await;
    let own = reservations(&fixture, &fixture.spend);
    let limits = [Some(2 * NANO_DOLLARS_PER_EVENT), None];
    let release = reserve(&own, limits, 2 * NANO_DOLLARS_PER_EVENT)
        .await
        .expect("room")
        .keep();
    assert!(own.bind(&release, "batch_1").await.expect("bound"));
    assert!(!own.bind(&release, "batch_1").await.expect("bound"), "once");
    assert!(reserve(&own, limits, 1).await.is_err());
    assert!(!passes(&fixture.spend, 2 * NANO_DOLLARS_PER_EVENT));
    until(|| !passes(&other, 2 * NANO_DOLLARS_PER_EVENT)).await;
    // Neither time nor another process releases it.
    fixture.clock.advance(40 * 86_400);
    assert_eq!(own.release_expired(10).await.expect("looked"), 0);
    let settled = fixture
        .recorder
        .settle(vec![event("batch_1")], vec![release.clone()]);
    settled.await.expect("written");
    assert_eq!(reserved(&fixture).await, 0);
    assert!(
        passes(&fixture.spend, 2 * NANO_DOLLARS_PER_EVENT)
            && !passes(&fixture.spend, NANO_DOLLARS_PER_EVENT)
    );
    until(|| passes(&other, 2 * NANO_DOLLARS_PER_EVENT)).await;
    // The second settlement neither counts nor releases anything.
    let again = fixture
        .recorder
        .settle(vec![event("batch_1")], vec![release]);
    assert_eq!(again.await.expect("written").duplicates, 1);
    assert_eq!(reserved(&fixture).await, 0);
    assert!(passes(&fixture.spend, NANO_DOLLARS_PER_EVENT + 1));
}

#[tokio::test]
async fn an_unused_reservation_is_released_or_expires() {
    let fixture = Fixture::new().await;
    let own = reservations(&fixture, &fixture.spend);
    drop(reserve(&own, [Some(100), None], 100).await.expect("room"));
    until(|| passes(&fixture.spend, 100)).await;
    // As if the process had been killed: it is not released.
    let left = reserve(&own, [Some(100), None], 100)
        .await
        .expect("room")
        .keep();
    fixture.clock.advance(RESERVATION_SECONDS - 1);
    assert_eq!(own.release_expired(10).await.expect("looked"), 0);
    assert!(reserve(&own, [Some(100), None], 1).await.is_err());
    fixture.clock.advance(1);
    // Another node releases it.
    let (_recorder, _task, other) = fixture.another().await;
    assert!(!passes(&other, 100), "a new program knows of it at once");
    let others = reservations(&fixture, &other);
    assert_eq!(others.release_expired(10).await.expect("looked"), 1);
    assert!(passes(&other, 100));
    until(|| passes(&fixture.spend, 100)).await;
    assert!(!own.bind(&left, "batch_1").await.expect("looked"));
    assert_eq!(reserved(&fixture).await, 0);
    let unknown = ReservationKey::new(
        organization("a"),
        Id::from_text("spend_res_none".to_owned()),
    );
    own.release(&unknown).await.expect("nothing to do");
    assert_eq!(reserved(&fixture).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn verification_finds_reserved_sums_that_differ_from_their_reservations() {
    let fixture = Fixture::new().await;
    let reservations = reservations(&fixture, &fixture.spend);
    let differences = async || {
        let verified = verify(fixture.store.usage(), |_| {}).await;
        let differences = verified.expect("proved").differences.into_iter();
        let differences = differences.map(|difference| difference.to_string());
        differences.collect::<Vec<_>>()
    };
    for most in [2_500_000_000, 700] {
        let made = reserve(&reservations, [Some(5_000_000_000), None], most).await;
        let _kept = made.expect("there is room").keep();
    }
    assert_eq!(reserved(&fixture).await, 2_500_000_700);
    assert!(differences().await.is_empty());
    for (change, found) in [
        (
            "UPDATE spend_reserved SET amount = amount - 1 WHERE project_id = 'proj_a'",
            "org-a: reserved for proj_a: the reservations come to 2500000700, but this is 2500000699",
        ),
        (
            "UPDATE spend_reservations SET project_id = 'proj_b' WHERE amount = 700",
            "org-a: reserved for proj_b: the reservations come to 700, but this is 0",
        ),
        (
            "UPDATE spend_reserved SET amount = 5 WHERE project_id = ''",
            "org-a: reserved for no project: the reservations come to 0, but this is 5",
        ),
        (
            "DELETE FROM spend_reserved",
            "org-a: reserved for proj_a: the reservations come to 2500000000, but this is 0",
        ),
    ] {
        fixture.execute(sql!(change)).await;
        let differences = differences().await;
        assert!(
            differences.iter().any(|one| one == found),
            "{differences:?}"
        );
    }
}
