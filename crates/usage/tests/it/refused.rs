//! Rows that the database refuses: they are set aside, and affect no other row.

use std::time::Duration;

use base::ids::Id;
use http::StatusCode;
use prometheus::Registry;
use store::{Statement, sql};
use usage::{Metric, Outcome, Quantities, UsageEvent, Width, rebuild, set_aside};

use crate::fixture::{Fixture, event};
use crate::sources::{count_of, is_clean, record, reported};

/// Makes the database refuse all spend of `proj_bad`.
fn refusing(fixture: &Fixture) -> Statement {
    match fixture.store.kind() {
        "sqlite" => sql!(
            "CREATE TRIGGER bad BEFORE INSERT ON spend_months WHEN NEW.project_id = 'proj_bad' \
             BEGIN SELECT RAISE(ABORT, 'bad'); END"
        ),
        _ => {
            sql!("ALTER TABLE spend_months ADD CONSTRAINT bad CHECK (project_id <> 'proj_bad')")
        }
    }
}

fn accepting(fixture: &Fixture) -> Statement {
    match fixture.store.kind() {
        "sqlite" => sql!("DROP TRIGGER bad"),
        _ => sql!("ALTER TABLE spend_months DROP CONSTRAINT bad"),
    }
}

fn bad(id: &str) -> UsageEvent {
    let mut bad = event(id);
    bad.project_id = Id::from_text("proj_bad".to_owned());
    bad
}

#[tokio::test]
async fn a_sum_that_overflows_loses_no_row() {
    let fixture = Fixture::new().await;
    record(&fixture, event("1")).await;
    for (end, ids) in [
        (i64::MAX, vec!["1", "2", "3"]),
        (i64::MIN + 1, vec!["1", "2", "3", "4"]),
    ] {
        fixture
            .execute(sql!("UPDATE spend_months SET amount = $1", end))
            .await;
        for id in &ids[1..] {
            record(&fixture, event(id)).await;
        }
        assert_eq!(fixture.ids().await, ids);
    }
    let aside = set_aside(fixture.store.usage(), 10).await.expect("read");
    assert_eq!(aside, []);
}

#[tokio::test]
async fn saturated_sums_pass_verification() {
    let prices = usage::PriceBook::parse(
        "[[price]]\nmodel = 'm'\neffective = '2026-01-01'\noutput = '900000000'",
    );
    let fixture = Fixture::with(prices.expect("a price book")).await;
    for id in ["1", "2", "3"] {
        let mut huge = event(id);
        huge.quantities = Quantities::default().with(Metric::OutputTokens, i64::MAX);
        record(&fixture, huge).await;
    }
    record(&fixture, event("4")).await;
    assert_eq!(fixture.ids().await, ["1", "2", "3", "4"]);
    is_clean(&fixture).await;
    let database = fixture.store.usage();
    rebuild(database, |_| {}).await.expect("rebuilt");
    is_clean(&fixture).await;
    let report = fixture.total(Width::Day, Metric::OutputTokens).await;
    assert_eq!(report, 300_000_000_100, "absurd amounts are cut");
}

#[tokio::test]
async fn a_row_that_the_database_refuses_is_set_aside_alone() {
    let fixture = Fixture::new().await;
    let registry = Registry::new();
    fixture.recorder.register(&registry).expect("registered");
    fixture.execute(refusing(&fixture)).await;
    fixture.record_forty(bad).await;
    let ids = fixture.ids().await;
    assert_eq!(ids.len(), 77, "{ids:?}");
    let aside = set_aside(fixture.store.usage(), 10).await.expect("read");
    let events: Vec<_> = aside.into_iter().map(|aside| aside.event).collect();
    assert_eq!(events, [bad("07"), bad("23"), bad("24")]);
    assert_eq!(fixture.recorder.set_aside(), 3);
    assert_eq!(count_of(&registry, "orgplane_ledger_set_aside_events"), 3.0);
    is_clean(&fixture).await;

    // A report is refused as a whole, and delays no other.
    let both = vec![
        reported("a"),
        UsageEvent {
            outcome: Outcome::Reported,
            ..bad("b")
        },
    ];
    let refused = fixture.recorder.report(both, None).await;
    let refused = refused.expect_err("one call is one transaction");
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(fixture.ids().await.len(), 77);

    // The next start writes the events that the database accepts by then.
    fixture.execute(accepting(&fixture)).await;
    let (other, _task, _spend) = fixture.another().await;
    other.flush().await;
    assert_eq!(fixture.ids().await.len(), 80);
    assert_eq!((other.set_aside(), other.is_accepting()), (0, true));
    let aside = set_aside(fixture.store.usage(), 10).await.expect("read");
    assert_eq!(aside, []);
    is_clean(&fixture).await;
}

#[tokio::test]
async fn admission_stops_while_a_row_can_be_neither_written_nor_set_aside() {
    let fixture = Fixture::new().await;
    fixture.execute(refusing(&fixture)).await;
    fixture
        .execute(sql!("ALTER TABLE usage_set_aside RENAME TO away"))
        .await;
    let slot = fixture.recorder.reserve().await.expect("a place");
    let waiting = fixture.recorder.reserve().await.expect("a place");
    let mut recorded = slot.record(bad("1")).into_future();
    let is_stopped = poll::until("nothing is admitted", async || {
        !fixture.recorder.is_accepting()
    });
    tokio::select! {
        _ = &mut recorded => panic!("it is nowhere"),
        stopped = tokio::time::timeout(Duration::from_secs(20), is_stopped) => {
            stopped.expect("admission stops");
        }
    }
    let Err(refused) = fixture.recorder.reserve().await else {
        panic!("a request is admitted");
    };
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    // The events of admitted requests are not lost.
    let waiting = waiting.record(event("2"));
    fixture
        .execute(sql!("ALTER TABLE away RENAME TO usage_set_aside"))
        .await;
    recorded.await.expect("durable");
    waiting.await.expect("durable");
    assert!(fixture.recorder.is_accepting());
    assert_eq!(fixture.ids().await, ["2"]);
    let aside = set_aside(fixture.store.usage(), 10).await.expect("read");
    assert_eq!(aside[0].event, bad("1"));
}
