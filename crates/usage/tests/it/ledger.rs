//! Appending to the ledger: once, in one transaction, with sums that can be rebuilt.

use base::UnixTime;
use base::ids::Id;
use base::time::SECONDS_PER_DAY;
use store::sql;
use usage::{Appended, Metric, Outcome, Quantities, Width, rebuild};

use crate::fixture::{Fixture, NANO_DOLLARS_PER_EVENT, START_SECONDS, event, organization};

fn appended(accepted: usize, duplicates: usize) -> Appended {
    Appended {
        accepted,
        duplicates,
    }
}

#[tokio::test]
async fn an_event_counts_once() {
    let fixture = Fixture::new().await;
    let mut other = event("1");
    other.organization_id = organization("b");
    let events = vec![event("1"), event("2"), event("1"), other];
    let first = fixture.recorder.append(events.clone()).await;
    assert_eq!(first.expect("written"), appended(3, 1));
    let again = [events, vec![event("3")]].concat();
    let again = fixture.recorder.append(again).await;
    assert_eq!(again.expect("written"), appended(1, 4));

    assert_eq!(fixture.ids().await, ["1", "1", "2", "3"]);
    for width in [Width::Minute, Width::Hour, Width::Day] {
        assert_eq!(fixture.total(width, Metric::InputTokens).await, 4_000);
    }
    let amounts = fixture
        .ledger()
        .await
        .into_iter()
        .map(|entry| entry.amount.0);
    assert_eq!(amounts.sum::<i64>(), 4 * NANO_DOLLARS_PER_EVENT);
}

#[tokio::test]
async fn events_that_two_nodes_append_count_once() {
    let fixture = Fixture::new().await;
    let (other, _task, _spend) = fixture.another().await;
    let events: Vec<_> = (0..300).map(|n| event(&format!("{n:03}"))).collect();
    let reversed = events.iter().rev().cloned().collect();
    let (one, two) = tokio::join!(fixture.recorder.append(events), other.append(reversed));
    let (one, two) = (one.expect("written"), two.expect("written"));
    assert_eq!(one.accepted + two.accepted, 300);
    assert_eq!(one.duplicates + two.duplicates, 300);
    assert_eq!(
        fixture.total(Width::Day, Metric::OutputTokens).await,
        30_000
    );
}

#[tokio::test]
async fn a_row_has_the_event_and_its_charges() {
    let fixture = Fixture::new().await;
    let mut failed = event("f");
    failed.quantities = Quantities::default();
    failed.outcome = Outcome::UpstreamFailed;
    let mut unpriced = event("u");
    unpriced.model = Some("unheard of".to_owned());
    unpriced.estimated = true;
    let events = vec![event("e"), failed, unpriced];
    fixture.recorder.append(events).await.expect("written");
    let shown = fixture.ledger().await;
    let shown = shown.iter().map(|entry| {
        let event = &entry.event;
        let lines = entry.charges.iter();
        let lines = lines.map(|line| (line.name.as_str(), line.quantity, line.amount.0));
        format!(
            "{} {:?} {:?} {} {} {} {} {:?}",
            event.id,
            event.quantities.get(Metric::InputTokens),
            event.quantities.get(Metric::Images),
            event.estimated,
            event.outcome.as_str(),
            entry.unpriced,
            entry.amount.0,
            lines.collect::<Vec<_>>(),
        )
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "e Some(1000) None false succeeded false 2200000 \
             [(\"input_tokens\", 600, 1200000), (\"input_cached_tokens\", 400, 200000), \
             (\"output_tokens\", 100, 800000)]",
            "f None None false upstream_failed false 0 []",
            "u Some(1000) None true succeeded true 0 \
             [(\"input_tokens\", 1000, 0), (\"output_tokens\", 100, 0)]",
        ]
    );
    assert_eq!(fixture.total(Width::Day, Metric::NumModelRequests).await, 2);
}

#[tokio::test]
async fn each_row_is_what_was_recorded() {
    let fixture = Fixture::new().await;
    let mut other = event("2");
    other.timestamp = UnixTime(START_SECONDS + 3 * SECONDS_PER_DAY);
    other.user_id = Some(Id::from_text("user-a".to_owned()));
    other.batch = true;
    other.service_tier = Some("flex".to_owned());
    let events = vec![event("1"), other];
    fixture
        .recorder
        .append(events.clone())
        .await
        .expect("written");
    let found = fixture.ledger().await.into_iter().map(|entry| entry.event);
    assert_eq!(found.collect::<Vec<_>>(), events);
}

#[tokio::test]
async fn an_id_is_unique_within_its_day() {
    let fixture = Fixture::new().await;
    let mut later = event("1");
    later.timestamp = UnixTime(START_SECONDS + SECONDS_PER_DAY - 1);
    let mut next_day = event("1");
    next_day.timestamp = UnixTime(START_SECONDS + SECONDS_PER_DAY);
    let events = vec![event("1"), later, next_day];
    let first = fixture.recorder.append(events.clone()).await;
    assert_eq!(first.expect("written"), appended(2, 1));
    let again = fixture.recorder.append(events).await;
    assert_eq!(again.expect("written"), appended(0, 3));
}

#[tokio::test]
async fn hostile_texts_are_truncated_and_cleaned() {
    let fixture = Fixture::new().await;
    let mut hostile = event("1");
    hostile.model = Some("ü\0".repeat(5_000));
    hostile.service_tier = Some("'; DROP TABLE usage_events; --".to_owned());
    fixture
        .recorder
        .append(vec![hostile])
        .await
        .expect("written");
    let event = fixture.ledger().await.remove(0).event;
    let (model, tier) = (event.model.expect("one"), event.service_tier.expect("one"));
    assert!(
        model.starts_with("ü\u{fffd}ü") && model.len() < 256,
        "{model}"
    );
    assert_eq!(tier, "'; DROP TABLE usage_events; --");
}

#[tokio::test]
async fn the_ledger_is_append_only() {
    let fixture = Fixture::new().await;
    fixture
        .recorder
        .append(vec![event("1")])
        .await
        .expect("written");
    for statement in [
        sql!("UPDATE usage_events_20260302 SET amount = 0"),
        sql!("DELETE FROM usage_events_20260302"),
    ] {
        let mut transaction = fixture.store.usage().begin().await.expect("a transaction");
        let refused = transaction.execute(statement).await.expect_err("refused");
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}

#[tokio::test]
async fn rebuilt_sums_are_identical() {
    let fixture = Fixture::new().await;
    let events = (0..12_000).map(|n| {
        let mut event = event(&format!("{n}"));
        event.timestamp = UnixTime(START_SECONDS + n * 7919 % 200_000);
        event.organization_id = organization(["a", "b"][n as usize % 2]);
        event.user_id = (n % 3 == 0).then(|| Id::from_text(format!("user-{}", n % 5)));
        event.quantities.set(Metric::InputCachedTokens, n % 1001);
        event
    });
    fixture
        .recorder
        .append(events.collect())
        .await
        .expect("written");
    let before = totals(&fixture).await;
    rebuild(fixture.store.usage(), |_| {})
        .await
        .expect("rebuilt");
    assert_eq!(totals(&fixture).await, before);
    fixture
        .execute(sql!("DELETE FROM usage_sums WHERE shape = 'days_by_model'"))
        .await;
    fixture
        .execute(sql!("UPDATE spend_months SET amount = 7"))
        .await;
    assert_ne!(totals(&fixture).await, before);
    rebuild(fixture.store.usage(), |_| {})
        .await
        .expect("rebuilt");
    assert_eq!(totals(&fixture).await, before);
    // The recorder continues on the rebuilt sums.
    fixture
        .recorder
        .append(vec![event("new")])
        .await
        .expect("written");
    let after = totals(&fixture).await;
    assert_ne!(after, before);
    rebuild(fixture.store.usage(), |_| {})
        .await
        .expect("rebuilt");
    assert_eq!(totals(&fixture).await, after);
}

/// Returns totals of every width of rollup.
async fn totals(fixture: &Fixture) -> Vec<i64> {
    let mut totals = Vec::new();
    for width in [Width::Minute, Width::Hour, Width::Day] {
        totals.push(fixture.total(width, Metric::InputCachedTokens).await);
    }
    let spend = sql!("SELECT amount FROM spend_months ORDER BY month, organization_id, project_id");
    totals.extend(fixture.rows(spend, |row| row.get::<i64>("amount")).await);
    totals
}
