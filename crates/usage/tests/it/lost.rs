//! Requests that a process has left under way: each becomes a row, once.

use std::sync::Arc;

use base::NanoDollars;
use base::ids::{Id, ProjectId};
use store::sql;
use usage::{
    Metric, Outcome, QueuePermit, SpendRequest, SpendReservation, UsageEvent, record_lost, verify,
};

use crate::fixture::{Fixture, NANO_DOLLARS_PER_EVENT, event, organization};

/// The event of a request that is lost.
fn lost_event(id: &str) -> UsageEvent {
    UsageEvent {
        estimated: true,
        outcome: Outcome::NodeLost,
        ..event(id)
    }
}

/// Returns the permit of a registered request.
async fn registered(fixture: &Fixture, id: &str, spend: Option<SpendReservation>) -> QueuePermit {
    let mut permit = fixture.recorder.reserve().await.expect("a place");
    permit = permit.with_spend(spend);
    let reserved = permit.reserved();
    let owned = id.to_owned();
    permit.register(id.to_owned(), move || {
        let mut event = lost_event(&owned);
        if let Some(reserved) = reserved {
            event.quantities.set(Metric::ReportedCost, reserved.0);
        }
        event
    });
    permit
}

async fn ids_under_way(fixture: &Fixture) -> Vec<String> {
    let select = sql!("SELECT id FROM under_way ORDER BY id");
    fixture.rows(select, |row| row.get("id")).await
}

async fn until_under_way(fixture: &Fixture, ids: &[&str]) {
    poll::until("the requests are in the table", async || {
        ids_under_way(fixture).await == ids
    })
    .await;
}

async fn record(fixture: &Fixture) -> usize {
    let prices = Arc::clone(&fixture.prices);
    let recorded = record_lost(fixture.store.usage(), prices, fixture.clock.clone());
    recorded.await.expect("recorded")
}

#[tokio::test]
async fn a_request_under_way_is_durable_until_its_row_is_written() {
    let fixture = Fixture::new().await;
    let (one, other) = (
        registered(&fixture, "1", None).await,
        registered(&fixture, "2", None).await,
    );
    until_under_way(&fixture, &["1", "2"]).await;
    one.record(event("1")).await.expect("durable");
    assert_eq!(ids_under_way(&fixture).await, ["2"]);
    // Ends without a row.
    drop(other);
    until_under_way(&fixture, &[]).await;
    assert_eq!(fixture.ids().await, ["1"]);
    assert_eq!(record(&fixture).await, 0);
}

#[tokio::test]
async fn a_request_that_a_process_has_left_becomes_one_row() {
    let fixture = Fixture::new().await;
    let one = registered(&fixture, "1", None).await;
    let other = registered(&fixture, "2", None).await;
    until_under_way(&fixture, &["1", "2"]).await;
    assert_eq!(record(&fixture).await, 2);
    assert_eq!(record(&fixture).await, 0);
    assert_eq!(ids_under_way(&fixture).await, Vec::<String>::new());
    let rows = fixture.ledger().await;
    let rows: Vec<_> = rows.iter().map(|entry| entry.event.clone()).collect();
    assert_eq!(rows, [lost_event("1"), lost_event("2")]);
    // A process that only slept sends its events after that: they are known.
    one.record(event("1")).await.expect("durable");
    drop(other);
    fixture.recorder.flush().await;
    assert_eq!(fixture.ids().await, ["1", "2"]);
    let verified = verify(fixture.store.usage(), |_| {}).await;
    assert!(verified.expect("verified").is_clean());
}

#[tokio::test]
async fn a_lost_request_under_a_spend_limit_costs_what_was_reserved() {
    let fixture = Fixture::new().await;
    let reserved = 100 * NANO_DOLLARS_PER_EVENT;
    let spend = fixture.spend.reserve_locally(&SpendRequest {
        organization: (&organization("a"), Some(NanoDollars(2 * reserved))),
        project: (&ProjectId::from_text("proj_a".to_owned()), None),
        at: fixture.clock.now(),
        max_cost: NanoDollars(reserved),
    });
    let permit = registered(&fixture, "1", spend.expect("room")).await;
    until_under_way(&fixture, &["1"]).await;
    assert_eq!(record(&fixture).await, 1);
    let rows = fixture.ledger().await;
    assert_eq!(rows[0].amount, NanoDollars(reserved));
    drop(permit);
}

#[tokio::test]
async fn a_request_can_be_durable_before_it_is_forwarded() {
    let fixture = Fixture::new().await;
    let permit = registered(&fixture, "1", None).await;
    permit.make_durable().await.expect("durable");
    assert_eq!(ids_under_way(&fixture).await, ["1"]);
    permit.record(event("1")).await.expect("durable");
    assert_eq!(ids_under_way(&fixture).await, Vec::<String>::new());
    // A request that is not registered has nothing to wait for.
    let permit = fixture.recorder.reserve().await.expect("a place");
    permit.make_durable().await.expect("nothing to do");
}

/// A row that cannot be read, or that the ledger refuses, does not keep the others from being recorded.
#[tokio::test]
async fn what_the_ledger_refuses_is_set_aside() {
    let fixture = Fixture::new().await;
    let _permit = registered(&fixture, "good", None).await;
    until_under_way(&fixture, &["good"]).await;
    let insert = sql!(
        "INSERT INTO under_way (id, epoch, event) VALUES ($1, 0, $2)",
        "broken",
        b"no event".to_vec()
    );
    fixture.execute(insert).await;
    assert_eq!(record(&fixture).await, 1);
    assert_eq!(fixture.ids().await, ["good"]);
    assert_eq!(ids_under_way(&fixture).await, Vec::<String>::new());
}
