//! Events of the gateway and reported ones: neither takes the key of the other, or delays it.

use base::UnixTime;
use base::time::SECONDS_PER_DAY;
use prometheus::Registry;
use store::sql;
use usage::{Corrected, Metric, Outcome, Quantities, UsageEvent, Width, correct, verify};

use crate::fixture::{Fixture, NANO_DOLLARS_PER_EVENT, START_SECONDS, event, organization};

/// Ids of each form that the gateway, or upstreams for batches, give.
const OWN_IDS: [&str; 7] = [
    "req_01K",
    "req_01K-web_search_calls",
    "batch_1",
    "a batch of any form",
    "vs_1/20514",
    "reported/x",
    "gateway/reported/x",
];

/// Returns a reported event without tokens.
pub(crate) fn reported(id: &str) -> UsageEvent {
    UsageEvent {
        outcome: Outcome::Reported,
        quantities: Quantities::default()
            .with(Metric::InputTokens, 0)
            .with(Metric::NumModelRequests, 0),
        ..event(id)
    }
}

/// Corrects a reported event.
pub(crate) async fn corrected(fixture: &Fixture, id: &str, day: Option<UnixTime>) -> Corrected {
    let (database, clock) = (fixture.store.usage(), fixture.clock.clone());
    let corrected = correct(database, clock, &organization("a"), id, day).await;
    corrected.expect("an answer")
}

pub(crate) async fn record(fixture: &Fixture, event: UsageEvent) {
    let slot = fixture.recorder.reserve().await.expect("a place");
    slot.record(event).await.expect("durable");
}

pub(crate) async fn is_clean(fixture: &Fixture) {
    let verified = verify(fixture.store.usage(), |_| {}).await.expect("proved");
    assert_eq!(verified.differences, []);
}

pub(crate) fn count_of(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name);
    let metric = &family.expect(name).get_metric()[0];
    metric.get_counter().get_value() + metric.get_gauge().get_value()
}

#[tokio::test]
async fn a_reported_event_never_takes_the_key_of_a_gateway_row() {
    for reported_first in [true, false] {
        let fixture = Fixture::new().await;
        let registry = Registry::new();
        fixture.recorder.register(&registry).expect("registered");
        for id in OWN_IDS {
            let report = async {
                let report = fixture.recorder.report(vec![reported(id)], None).await;
                assert_eq!(report.expect("written").accepted, 1, "{id}");
            };
            if reported_first {
                report.await;
                record(&fixture, event(id)).await;
            } else {
                record(&fixture, event(id)).await;
                report.await;
            }
            let rows = fixture.ledger().await;
            let own = rows.iter().filter(|row| row.event == event(id)).count();
            let other = rows.iter().filter(|row| row.event == reported(id)).count();
            assert_eq!((own, other), (1, 1), "{id}");
        }
        let all = i64::try_from(OWN_IDS.len()).expect("a few");
        let tokens = fixture.total(Width::Day, Metric::InputTokens).await;
        assert_eq!(tokens, 1_000 * all);
        let spent = fixture.spend.month_to_date(&organization("a"), None);
        assert_eq!(spent.0, all * NANO_DOLLARS_PER_EVENT);
        assert_eq!(count_of(&registry, "orgplane_ledger_conflicts_total"), 0.0);
        is_clean(&fixture).await;
    }
}

#[tokio::test]
async fn a_row_that_is_settled_twice_is_written_once_and_a_conflicting_one_is_counted() {
    let fixture = Fixture::new().await;
    let registry = Registry::new();
    fixture.recorder.register(&registry).expect("registered");
    let conflicts = || count_of(&registry, "orgplane_ledger_conflicts_total");
    for _ in 0..3 {
        let appended = fixture.recorder.append(vec![event("batch_1")]).await;
        appended.expect("written");
    }
    assert_eq!((fixture.ids().await.len(), conflicts()), (1, 0.0));
    let mut other = event("batch_1");
    other.quantities.set(Metric::OutputTokens, 7);
    let appended = fixture.recorder.append(vec![other]).await;
    assert_eq!(appended.expect("answered").duplicates, 1);
    assert_eq!((fixture.ids().await.len(), conflicts()), (1, 1.0));
}

#[tokio::test]
async fn importing_exported_rows_of_the_same_ledger_adds_nothing() {
    let fixture = Fixture::new().await;
    for id in OWN_IDS {
        record(&fixture, event(id)).await;
        let report = fixture.recorder.report(vec![reported("evt_1")], None).await;
        report.expect("written");
    }
    let exported = fixture.ledger().await.into_iter().map(|entry| UsageEvent {
        outcome: Outcome::Reported,
        ..entry.event
    });
    let exported: Vec<_> = exported.collect();
    let again = fixture.recorder.import(exported.clone()).await;
    assert_eq!(again.expect("known").accepted, 0);
    // In another ledger they are new, once.
    let elsewhere = Fixture::new().await;
    for accepted in [exported.len(), 0] {
        let imported = elsewhere.recorder.import(exported.clone()).await;
        assert_eq!(imported.expect("written").accepted, accepted);
    }
    assert_eq!(elsewhere.ids().await, fixture.ids().await);
    // Imported events take no keys of the gateway either.
    record(&elsewhere, event("req_01K")).await;
    assert_eq!(elsewhere.ids().await.len(), exported.len() + 1);
}

#[tokio::test]
async fn an_event_reported_before_keys_had_prefixes_counts_once() {
    let fixture = Fixture::new().await;
    record(&fixture, event("evt_1")).await;
    record(&fixture, event("req_1")).await;
    // The day as an earlier version left it.
    let unlock = match fixture.store.kind() {
        "sqlite" => sql!("DROP TRIGGER usage_events_20260302_keep_values"),
        _ => sql!("DROP TRIGGER usage_events_20260302_keep ON usage_events_20260302"),
    };
    fixture.execute(unlock).await;
    fixture
        .execute(sql!(
            "UPDATE usage_events_20260302 SET outcome = 'reported' WHERE id = 'evt_1'"
        ))
        .await;
    fixture
        .execute(sql!("UPDATE usage_partitions SET bare_ids = TRUE"))
        .await;
    let (other, _task, _spend) = fixture.another().await;
    let again = vec![reported("evt_1"), reported("req_1"), reported("evt_2")];
    let again = other.report(again, None).await.expect("written");
    assert_eq!((again.accepted, again.duplicates), (2, 1));
    assert_eq!(fixture.ids().await, ["evt_1", "evt_2", "req_1", "req_1"]);
    let corrected = corrected(&fixture, "evt_1", None).await;
    assert!(matches!(corrected, Corrected::Reversed(_)), "{corrected:?}");
    is_clean(&fixture).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reported_events_of_many_days_do_not_delay_gateway_rows() {
    let fixture = Fixture::new().await;
    let days = || async {
        let count = sql!("SELECT CAST(COUNT(*) AS BIGINT) AS days FROM usage_partitions");
        fixture.rows(count, |row| row.get::<i64>("days")).await[0]
    };
    record(&fixture, event("0")).await;
    let old = (1..=400).map(|ago| UsageEvent {
        timestamp: UnixTime(START_SECONDS - ago * SECONDS_PER_DAY),
        ..reported(&ago.to_string())
    });
    let (recorder, old) = (fixture.recorder.clone(), old.collect());
    let report = tokio::spawn(async move { recorder.report(old, None).await });
    for row in 1..=5 {
        let before = days().await;
        record(&fixture, event(&row.to_string())).await;
        let more = days().await - before;
        // At most the transaction under way, and those until this count is read.
        assert!(more <= 48, "{more} days were made before row {row}");
    }
    assert!(!report.is_finished(), "the rows went first");
    let appended = report.await.expect("no panic").expect("written");
    assert_eq!((appended.accepted, days().await), (400, 401));
    fixture.recorder.flush().await;
    is_clean(&fixture).await;
}

#[tokio::test]
async fn small_reports_of_many_old_days_are_written_a_few_days_at_a_time() {
    let fixture = Fixture::new().await;
    let registry = Registry::new();
    fixture.recorder.register(&registry).expect("registered");
    let reports = (0..100).map(|ago| {
        let recorder = fixture.recorder.clone();
        let event = UsageEvent {
            timestamp: UnixTime(START_SECONDS - ago * SECONDS_PER_DAY),
            ..reported("evt")
        };
        tokio::spawn(async move { recorder.report(vec![event], None).await })
    });
    let reports: Vec<_> = reports.collect();
    for report in reports {
        let appended = report.await.expect("no panic").expect("written");
        assert_eq!(appended.accepted, 1);
    }
    let families = registry.gather();
    let batches = families
        .iter()
        .find(|family| family.name() == "orgplane_ledger_batch_events");
    let batches = batches.expect("a metric").get_metric()[0]
        .get_histogram()
        .get_sample_count();
    assert!(batches >= 100 / 16, "{batches} transactions");
}
