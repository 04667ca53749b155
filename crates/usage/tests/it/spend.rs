//! Spend: always equal to the ledger, and reservations of requests under way.

use std::collections::BTreeMap;

use base::ids::{Id, OrganizationId, ProjectId};
use base::{NanoDollars, UnixTime};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use store::sql;
use usage::{
    Metric, Month, Quantities, Spend, SpendChange, SpendRequest, SpendReservation, UsageEvent,
    rebuild,
};

use crate::fixture::{Fixture, NANO_DOLLARS_PER_EVENT, START_SECONDS, event, organization};

const DAY_SECONDS: i64 = 86_400;

fn project(name: &str) -> ProjectId {
    ProjectId::from_text(name.to_owned())
}

fn march() -> Month {
    Month::of(UnixTime(START_SECONDS))
}

/// Reserves `max_cost` nano-dollars for `proj_a`, whose organization has the limit `limit`.
fn reserve(spend: &Spend, limit: i64, max_cost: i64) -> base::Result<Option<SpendReservation>> {
    spend.reserve_locally(&SpendRequest {
        organization: (&organization("a"), Some(NanoDollars(limit))),
        project: (&project("proj_a"), None),
        at: UnixTime(START_SECONDS),
        max_cost: NanoDollars(max_cost),
    })
}

type Sums = BTreeMap<(Month, OrganizationId, ProjectId), NanoDollars>;

/// Returns the sums of the ledger by month.
async fn ledger(fixture: &Fixture) -> Sums {
    let mut sums = Sums::new();
    for entry in fixture.ledger().await {
        let event = entry.event;
        let key = (
            Month::of(event.timestamp),
            event.organization_id,
            event.project_id,
        );
        *sums.entry(key).or_default() += entry.amount;
    }
    sums
}

/// Asserts that `spend` equals the ledger, from the month `since` on.
async fn agrees(fixture: &Fixture, spend: &Spend, since: Month) {
    let ledger = ledger(fixture).await;
    let mut whole: BTreeMap<_, NanoDollars> = BTreeMap::new();
    for ((month, organization, project), amount) in &ledger {
        if *month < since {
            continue;
        }
        let found = spend.in_month(*month, organization, Some(project));
        assert_eq!(found, *amount, "{month} {project}");
        *whole.entry((month, organization)).or_default() += *amount;
    }
    for ((month, organization), amount) in whole {
        let found = spend.in_month(*month, organization, None);
        assert_eq!(found, amount, "{month} {organization}");
    }
}

fn some_event() -> impl Strategy<Value = UsageEvent> {
    let who = (select(&["a", "b"][..]), select(&["proj_a", "proj_b"][..]));
    // From January to the end of April; ids are repeated.
    let when = START_SECONDS - 50 * DAY_SECONDS..START_SECONDS + 59 * DAY_SECONDS;
    (0..600u32, who, when, 0..5_000i64).prop_map(|(id, (who, of), at, tokens)| {
        let mut event = event(&id.to_string());
        event.organization_id = organization(who);
        event.project_id = project(of);
        event.timestamp = UnixTime(at);
        event.quantities = Quantities::default().with(Metric::OutputTokens, tokens);
        event
    })
}

#[tokio::test]
async fn spend_equals_the_ledger_after_every_commit_and_restart() {
    let fixture = Fixture::new().await;
    let mut runner = TestRunner::deterministic();
    let february = march().before();
    for round in 0..30 {
        let events = prop::collection::vec(some_event(), 1..40);
        let events = events.new_tree(&mut runner).expect("events").current();
        if round % 2 == 0 {
            fixture.recorder.append(events).await.expect("written");
        } else {
            for event in events {
                let slot = fixture.recorder.reserve().await.expect("a place");
                drop(slot.record(event));
            }
            fixture.recorder.flush().await;
        }
        agrees(&fixture, &fixture.spend, february).await;
        let database = fixture.store.usage();
        let fresh = Spend::load(database, fixture.clock.clone()).await;
        agrees(&fixture, &fresh.expect("loaded"), february).await;
    }
    rebuild(fixture.store.usage(), |_| {})
        .await
        .expect("rebuilt");
    fixture
        .recorder
        .append(vec![event("last")])
        .await
        .expect("written");
    agrees(&fixture, &fixture.spend, february).await;
    // In April, March is the month before, and February is forgotten.
    fixture.clock.advance(30 * DAY_SECONDS);
    fixture
        .recorder
        .append(vec![event("april")])
        .await
        .expect("written");
    agrees(&fixture, &fixture.spend, march()).await;
    let forgotten = fixture.spend.in_month(february, &organization("a"), None);
    assert_eq!(forgotten, NanoDollars(0));
    assert!(ledger(&fixture).await.keys().any(|key| key.0 == february));
}

#[tokio::test]
async fn a_new_month_starts_with_the_spend_that_it_already_has() {
    let fixture = Fixture::new().await;
    let spent = || fixture.spend.month_to_date(&organization("a"), None).0;
    let mut early = event("early");
    early.timestamp = march().end;
    let events = vec![event("1"), event("2"), early];
    fixture.recorder.append(events).await.expect("written");
    assert_eq!(spent(), 2 * NANO_DOLLARS_PER_EVENT);
    fixture.clock.advance(march().end.0 - START_SECONDS - 1);
    assert_eq!(spent(), 2 * NANO_DOLLARS_PER_EVENT);
    fixture.clock.advance(1);
    assert_eq!(spent(), NANO_DOLLARS_PER_EVENT);
    let late = fixture.recorder.append(vec![event("late")]).await;
    late.expect("written");
    assert_eq!(
        spent(),
        NANO_DOLLARS_PER_EVENT,
        "what is late counts in its own month"
    );
    let march = fixture.spend.in_month(march(), &organization("a"), None);
    assert_eq!(march.0, 3 * NANO_DOLLARS_PER_EVENT);
}

#[tokio::test]
async fn a_reservation_is_released_when_the_cost_counts() {
    let fixture = Fixture::new().await;
    let slot = async || fixture.recorder.reserve().await.expect("a place");
    let limit = 3 * NANO_DOLLARS_PER_EVENT;
    let held = reserve(&fixture.spend, limit, 2 * NANO_DOLLARS_PER_EVENT).expect("room");
    let slot_with_hold = slot().await.with_spend(held);
    let refused = reserve(&fixture.spend, limit, NANO_DOLLARS_PER_EVENT + 1)
        .err()
        .expect("full");
    assert_eq!(
        (refused.status.as_u16(), refused.code, refused.retry_after),
        (429, Some("insufficient_quota"), None)
    );
    assert_eq!(
        refused.message,
        "The organization org-a has spent $0.00 of the $0.0066 that it may spend in March 2026 (UTC); $0.0044 is set \
         aside for requests under way, and this one may cost up to $0.002200001. Raise its spend limit, or wait until \
         April 2026 begins."
    );
    slot_with_hold.record(event("1")).await.expect("durable");
    let rest = reserve(&fixture.spend, limit, 2 * NANO_DOLLARS_PER_EVENT)
        .expect("it has cost less than was set aside");
    assert!(reserve(&fixture.spend, limit, 1).is_err());
    drop(slot().await.with_spend(rest));
    // A row that the database refuses releases its reservation, too.
    let rest = reserve(&fixture.spend, limit, 2 * NANO_DOLLARS_PER_EVENT)
        .expect("given back when dropped");
    let mut huge = event("huge");
    huge.quantities = Quantities::default().with(Metric::UsageBytes, i64::MAX);
    let again = UsageEvent {
        id: "2".into(),
        ..huge.clone()
    };
    fixture.recorder.append(vec![huge]).await.expect("written");
    slot()
        .await
        .with_spend(rest)
        .record(again)
        .await
        .expect("durable");
    let rest = reserve(&fixture.spend, limit, 2 * NANO_DOLLARS_PER_EVENT)
        .expect("given back when refused");
    slot()
        .await
        .with_spend(rest)
        .record(event("3"))
        .await
        .expect("durable");
    let last = reserve(&fixture.spend, limit, NANO_DOLLARS_PER_EVENT).expect("room");
    slot()
        .await
        .with_spend(last)
        .record(event("4"))
        .await
        .expect("durable");
    let refused = reserve(&fixture.spend, limit, 0).err().expect("reached");
    assert_eq!(
        refused.message,
        "The organization org-a has spent $0.0066 of the $0.0066 that it may spend in March 2026 (UTC). Raise its \
         spend limit, or wait until April 2026 begins."
    );
}

#[tokio::test]
async fn a_commit_that_took_effect_although_it_failed_counts() {
    let fixture = Fixture::new().await;
    let (other, _task, _) = fixture.another().await;
    fixture
        .execute(sql!("ALTER TABLE spend_months RENAME TO away"))
        .await;
    let slot = fixture.recorder.reserve().await.expect("a place");
    let held = reserve(
        &fixture.spend,
        NANO_DOLLARS_PER_EVENT,
        NANO_DOLLARS_PER_EVENT,
    )
    .expect("room");
    let recorded = slot.with_spend(held).record(event("1"));
    fixture.until_failed(1.0).await;
    fixture
        .execute(sql!("ALTER TABLE away RENAME TO spend_months"))
        .await;
    // As if the answer to a commit had been lost: the row is there at the next attempt.
    other.append(vec![event("1")]).await.expect("written");
    recorded.await.expect("durable");
    agrees(&fixture, &fixture.spend, march()).await;
    assert!(reserve(&fixture.spend, NANO_DOLLARS_PER_EVENT, 1).is_err());
}

#[tokio::test]
async fn spend_of_other_nodes_is_seen() {
    let fixture = Fixture::new().await;
    let (other, _task, _) = fixture.another().await;
    for round in 1..=3 {
        let event = event(&round.to_string());
        other.append(vec![event]).await.expect("written");
        Fixture::until_spent(&fixture.spend, round * NANO_DOLLARS_PER_EVENT).await;
        agrees(&fixture, &fixture.spend, march()).await;
    }
}

#[tokio::test]
async fn changed_since_returns_the_organizations_that_have_spent() {
    let fixture = Fixture::new().await;
    let (seen, moved) = fixture.spend.changed_since(0);
    assert_eq!((seen, moved), (0, Vec::new()));
    let mut other = event("2");
    other.organization_id = organization("b");
    let events = vec![event("1"), other];
    fixture.recorder.append(events).await.expect("written");
    let (seen, moved) = fixture.spend.changed_since(seen);
    assert_eq!(moved.len(), 2);
    fixture
        .recorder
        .append(vec![event("1"), event("3")])
        .await
        .expect("written");
    let (seen, moved) = fixture.spend.changed_since(seen);
    let expected = SpendChange {
        month: march(),
        organization_id: organization("a"),
    };
    assert_eq!(moved, [expected]);
    assert_eq!(fixture.spend.changed_since(seen), (seen, Vec::new()));
}
