//! Corrections of reported events.

use base::time::SECONDS_PER_DAY;
use base::{NanoDollars, UnixTime};
use usage::{Corrected, Metric, Outcome, Quantities, UsageEvent, Width, rebuild, reprice};

use crate::fixture::{Fixture, NANO_DOLLARS_PER_EVENT, START_SECONDS, event, organization};
use crate::sources::{corrected, is_clean, record};

#[tokio::test]
async fn a_correction_reverses_a_reported_event_exactly_once() {
    let fixture = Fixture::new().await;
    let huge = UsageEvent {
        outcome: Outcome::Reported,
        quantities: Quantities::default()
            .with(Metric::InputTokens, 1_000_000_000)
            .with(Metric::InputCachedTokens, 3)
            .with(Metric::OutputTokens, 77),
        ..event("evt_1")
    };
    record(&fixture, event("req_1")).await;
    fixture
        .recorder
        .report(vec![huge.clone()], None)
        .await
        .expect("written");
    let database = fixture.store.usage();
    assert_eq!(
        corrected(&fixture, "req_1", None).await,
        Corrected::Unknown,
        "the gateway's"
    );
    let Corrected::Reversed(entry) = corrected(&fixture, "evt_1", None).await else {
        panic!("not reversed");
    };
    assert_eq!(entry.event, huge);
    assert_eq!(corrected(&fixture, "evt_1", None).await, Corrected::Already);
    let again = fixture.recorder.report(vec![huge.clone()], None).await;
    assert_eq!(again.expect("known").duplicates, 1);

    for width in [Width::Minute, Width::Hour, Width::Day] {
        assert_eq!(fixture.total(width, Metric::InputTokens).await, 1_000);
        assert_eq!(fixture.total(width, Metric::OutputTokens).await, 100);
    }
    is_clean(&fixture).await;
    rebuild(database, |_| {}).await.expect("rebuilt");
    is_clean(&fixture).await;
    let fresh = usage::Spend::load(database, fixture.clock.clone()).await;
    let spent = fresh
        .expect("loaded")
        .month_to_date(&organization("a"), None);
    assert_eq!(spent, NanoDollars(NANO_DOLLARS_PER_EVENT));
    assert_eq!(fixture.ledger().await.len(), 3, "no row was changed");
    let all = usage::Reprice {
        organization: None,
        start: UnixTime(START_SECONDS),
        end: UnixTime(START_SECONDS + SECONDS_PER_DAY),
        is_trial: false,
    };
    let prices = (*fixture.prices).clone();
    let repriced = reprice(database, prices, fixture.clock.clone(), &all, |_| {}).await;
    assert_eq!(repriced.expect("priced").corrections, 0);
}

#[tokio::test]
async fn a_day_selects_among_events_with_one_id() {
    let fixture = Fixture::new().await;
    let later = UsageEvent {
        timestamp: UnixTime(START_SECONDS + SECONDS_PER_DAY),
        outcome: Outcome::Reported,
        ..event("evt")
    };
    let first = UsageEvent {
        timestamp: UnixTime(START_SECONDS),
        ..later.clone()
    };
    let both = vec![first, later.clone()];
    fixture.recorder.report(both, None).await.expect("written");
    let days = vec![
        UnixTime(START_SECONDS),
        UnixTime(START_SECONDS + SECONDS_PER_DAY),
    ];
    let ambiguous = corrected(&fixture, "evt", None).await;
    assert_eq!(ambiguous, Corrected::Ambiguous(days));
    let day = Some(UnixTime(START_SECONDS + SECONDS_PER_DAY + 5));
    let Corrected::Reversed(entry) = corrected(&fixture, "evt", day).await else {
        panic!("not reversed");
    };
    assert_eq!(entry.event, later);
    assert_eq!(fixture.total(Width::Day, Metric::InputTokens).await, 1_000);
}
