//! Repricing: new rows that change the ledger to other prices.

use base::time::SECONDS_PER_DAY;
use base::{NanoDollars, UnixTime};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use usage::{
    CostDimension, CostQuery, Outcome, PriceBook, Reprice, Repriced, UsageEvent, costs, reprice,
};

use crate::fixture::{Fixture, NANO_DOLLARS_PER_EVENT, PRICES, START_SECONDS, event, organization};
use crate::random::some_event;

/// Prices with dearer input, cheaper output, cached input at the price of other input, and a price for `unheard of`.
const OTHER: &str = r#"
    [[price]]
    model = "m"
    effective = "2026-01-01"
    input = "3"
    output = "7"

    [[price]]
    model = "unheard of"
    effective = "2026-01-01"
    input = "1"
"#;

fn other() -> PriceBook {
    let book = PriceBook::parse(PRICES).expect("a price book");
    book.with_overrides(PriceBook::parse(OTHER).expect("a price book"))
}

fn all(is_trial: bool) -> Reprice {
    Reprice {
        organization: None,
        start: UnixTime(START_SECONDS),
        end: UnixTime(START_SECONDS + 7 * SECONDS_PER_DAY),
        is_trial,
    }
}

async fn run(fixture: &Fixture, what: &Reprice) -> Repriced {
    let (database, clock) = (fixture.store.usage(), fixture.clock.clone());
    let done = reprice(database, other(), clock, what, |_| {}).await;
    done.expect("repriced")
}

/// Returns the quantity and the cost of each line item on each day, by the costs report.
async fn reported(fixture: &Fixture) -> Vec<(UnixTime, Option<String>, i64, NanoDollars)> {
    let query = CostQuery {
        organization_id: organization("a"),
        start: UnixTime(START_SECONDS),
        end: UnixTime(START_SECONDS + 7 * SECONDS_PER_DAY),
        limit: 180,
        group_by: vec![CostDimension::LineItem],
        project_ids: Vec::new(),
        user_ids: Vec::new(),
        api_key_ids: Vec::new(),
        line_items: Vec::new(),
    };
    let found = costs(&fixture.reports, &query).await.expect("costs");
    let mut all = Vec::new();
    for bucket in found.buckets {
        for result in bucket.results {
            let quantity = result.quantity.expect("one");
            all.push((bucket.start, result.line_item, quantity, result.amount));
        }
    }
    all.retain(|(.., quantity, amount)| *quantity != 0 || amount.0 != 0);
    all
}

async fn priced_by(
    book: PriceBook,
    events: &[UsageEvent],
) -> Vec<(UnixTime, Option<String>, i64, NanoDollars)> {
    let fixture = Fixture::with(book).await;
    let appended = fixture.recorder.append(events.to_vec()).await;
    assert_eq!(appended.expect("written").accepted, events.len());
    reported(&fixture).await
}

#[tokio::test]
async fn repriced_usage_costs_what_the_new_prices_say() {
    let fixture = Fixture::new().await;
    let mut runner = TestRunner::deterministic();
    let events = prop::collection::vec(some_event(), 300);
    let mut events = events.new_tree(&mut runner).expect("events").current();
    for (number, event) in events.iter_mut().enumerate() {
        event.id = number.to_string();
        event.organization_id = organization("a");
    }
    fixture
        .recorder
        .append(events.clone())
        .await
        .expect("written");
    let before = reported(&fixture).await;
    assert_ne!(
        before,
        priced_by(other(), &events).await,
        "the prices differ"
    );

    let trial = run(&fixture, &all(true)).await;
    assert_eq!(reported(&fixture).await, before, "a trial changes nothing");
    let done = run(&fixture, &all(false)).await;
    assert_eq!(done, trial);
    assert_eq!(done.rows, 300);
    assert!(done.corrections > 10, "{done:?}");
    assert_eq!(reported(&fixture).await, priced_by(other(), &events).await);
    let again = run(&fixture, &all(false)).await;
    let rows = 300 + done.corrections;
    assert_eq!(
        (again.rows, again.corrections),
        (rows, 0),
        "nothing is left"
    );
}

#[tokio::test]
async fn a_correction_is_a_row_of_its_own_and_counts_in_the_months_spend() {
    let fixture = Fixture::new().await;
    let events = vec![event("1"), event("2")];
    fixture
        .recorder
        .append(events.clone())
        .await
        .expect("written");
    let done = run(&fixture, &all(false)).await;
    // 1,000 × 3 and 100 × 7 dollars per million, each.
    let more = 2 * (3_700_000 - NANO_DOLLARS_PER_EVENT);
    let by_model = [(Some("m".to_owned()), NanoDollars(more))];
    assert_eq!(done.by_model.into_iter().collect::<Vec<_>>(), by_model);
    let ledger = fixture.ledger().await;
    let (corrections, rest): (Vec<_>, Vec<_>) = ledger
        .into_iter()
        .partition(|entry| entry.event.outcome == Outcome::Repriced);
    let rest: Vec<_> = rest
        .into_iter()
        .map(|entry| (entry.event, entry.amount))
        .collect();
    let as_they_were = events
        .into_iter()
        .map(|event| (event, NanoDollars(NANO_DOLLARS_PER_EVENT)));
    assert_eq!(rest, as_they_were.collect::<Vec<_>>());
    let [correction] = &corrections[..] else {
        panic!("{corrections:?}");
    };
    assert_eq!(correction.amount, NanoDollars(more));
    assert_eq!(correction.event.timestamp, UnixTime(START_SECONDS));
    let spent = store::sql!("SELECT amount FROM spend_months");
    let spent = fixture.rows(spent, |row| row.get::<i64>("amount")).await;
    assert_eq!(spent, [2 * 3_700_000]);
}

#[tokio::test]
async fn only_the_given_hours_and_organization_are_repriced() {
    let fixture = Fixture::new().await;
    let mut elsewhere = event("1");
    elsewhere.organization_id = organization("b");
    let mut later = event("2");
    later.timestamp = UnixTime(START_SECONDS + 3_600);
    let events = vec![event("1"), later, elsewhere];
    fixture.recorder.append(events).await.expect("written");
    let what = Reprice {
        organization: Some(organization("a")),
        start: UnixTime(START_SECONDS + 1_800),
        end: UnixTime(START_SECONDS + 1_801),
        is_trial: false,
    };
    let done = run(&fixture, &what).await;
    assert_eq!((done.rows, done.corrections), (1, 1), "the hour is whole");
    assert_eq!(run(&fixture, &all(false)).await.corrections, 2);
}
