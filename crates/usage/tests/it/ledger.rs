//! Appending: once, in one transaction, with sums that can be made anew.

use base::UnixTime;
use base::ids::Id;
use store::sql;
use usage::{Appended, Metric, Outcome, Quantities, rebuild};

use crate::fixture::{Fixture, PRICE, START, event, organization};

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
    for table in ["usage_minutes", "usage_hours", "usage_days"] {
        let mut sum = sql!("SELECT CAST(SUM(input_tokens) AS BIGINT) AS n FROM ");
        sum.push(table);
        assert_eq!(fixture.rows(sum, |row| row.get::<i64>("n")).await, [4_000]);
    }
    let costs = sql!("SELECT CAST(SUM(amount) AS BIGINT) AS n FROM cost_days");
    assert_eq!(
        fixture.rows(costs, |row| row.get::<i64>("n")).await,
        [4 * PRICE]
    );
}

#[tokio::test]
async fn two_programs_append_the_same_events() {
    let fixture = Fixture::new().await;
    let (other, _task, _spend) = fixture.another().await;
    let events: Vec<_> = (0..300).map(|n| event(&format!("{n:03}"))).collect();
    let reversed = events.iter().rev().cloned().collect();
    let (one, two) = tokio::join!(fixture.recorder.append(events), other.append(reversed));
    let (one, two) = (one.expect("written"), two.expect("written"));
    assert_eq!(one.accepted + two.accepted, 300);
    assert_eq!(one.duplicates + two.duplicates, 300);
    let sum = sql!("SELECT CAST(SUM(output_tokens) AS BIGINT) AS n FROM usage_days");
    assert_eq!(fixture.rows(sum, |row| row.get::<i64>("n")).await, [30_000]);
}

#[tokio::test]
async fn a_row_tells_what_happened() {
    let fixture = Fixture::new().await;
    let mut failed = event("f");
    failed.quantities = Quantities::default();
    failed.outcome = Outcome::UpstreamFailed;
    let mut unpriced = event("u");
    unpriced.model = Some("unheard of".to_owned());
    unpriced.estimated = true;
    let events = vec![event("e"), failed, unpriced];
    fixture.recorder.append(events).await.expect("written");
    let all = sql!("SELECT * FROM usage_events ORDER BY id");
    let shown = fixture.rows(all, |row| {
        Ok(format!(
            "{} {:?} {:?} {} {} {} {} {}",
            row.get::<String>("id")?,
            row.get::<Option<i64>>(Metric::InputTokens.as_str())?,
            row.get::<Option<i64>>(Metric::Images.as_str())?,
            row.get::<bool>("estimated")?,
            row.get::<String>("outcome")?,
            row.get::<bool>("unpriced")?,
            row.get::<i64>("amount")?,
            row.get::<String>("charges")?,
        ))
    });
    assert_eq!(
        shown.await,
        [
            "e Some(1000) None false succeeded false 2200000 \
             [[\"m, input_tokens\",600,1200000],[\"m, input_cached_tokens\",400,200000],\
             [\"m, output_tokens\",100,800000]]",
            "f None None false upstream_failed false 0 []",
            "u Some(1000) None true succeeded true 0 \
             [[\"unheard of, input_tokens\",1000,0],[\"unheard of, output_tokens\",100,0]]",
        ]
    );
    let rows = sql!("SELECT COUNT(*) AS n FROM usage_days");
    let rows = fixture.rows(rows, |row| row.get::<i64>("n")).await;
    assert_eq!(rows, [2], "what consumed nothing adds to no sum");
}

#[tokio::test]
async fn hostile_texts_are_made_to_fit() {
    let fixture = Fixture::new().await;
    let mut hostile = event("1");
    hostile.model = Some("ü\0".repeat(5_000));
    hostile.service_tier = Some("'; DROP TABLE usage_events; --".to_owned());
    fixture
        .recorder
        .append(vec![hostile])
        .await
        .expect("written");
    let model = sql!("SELECT model, service_tier FROM usage_series");
    let model = fixture.rows(model, |row| {
        Ok((row.get("model")?, row.get("service_tier")?))
    });
    let (model, tier): (String, String) = model.await.remove(0);
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
        sql!("UPDATE usage_events SET input_tokens = 0"),
        sql!("DELETE FROM usage_events"),
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
        event.timestamp = UnixTime(START + n * 7919 % 200_000);
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
    let before = sums(&fixture).await;
    rebuild(fixture.store.usage(), |_| {})
        .await
        .expect("rebuilt");
    assert_eq!(sums(&fixture).await, before);
    fixture.execute(sql!("DELETE FROM usage_hours")).await;
    fixture
        .execute(sql!("UPDATE usage_days SET input_tokens = 7, images = 1"))
        .await;
    fixture
        .execute(sql!("UPDATE cost_days SET amount = 7"))
        .await;
    fixture
        .execute(sql!("UPDATE spend_months SET amount = 7"))
        .await;
    assert_ne!(sums(&fixture).await, before);
    rebuild(fixture.store.usage(), |_| {})
        .await
        .expect("rebuilt");
    assert_eq!(sums(&fixture).await, before);
    // The recorder goes on where the rebuilt sums end.
    fixture
        .recorder
        .append(vec![event("new")])
        .await
        .expect("written");
    let after = sums(&fixture).await;
    rebuild(fixture.store.usage(), |_| {})
        .await
        .expect("rebuilt");
    assert_eq!(sums(&fixture).await, after);
}

/// Every row of every rollup.
async fn sums(fixture: &Fixture) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["usage_minutes", "usage_hours", "usage_days"] {
        let mut rows = sql!("SELECT * FROM ");
        rows.push(table).push(" ORDER BY bucket, series_id");
        all.extend(fixture.rows(rows, usage_row).await);
    }
    for table in ["cost_hours", "cost_days"] {
        let mut rows = sql!("SELECT * FROM ");
        rows.push(table)
            .push(" ORDER BY bucket, series_id, quantity");
        all.extend(fixture.rows(rows, cost_row).await);
    }
    let rows = sql!("SELECT * FROM spend_months ORDER BY month, organization_id, project_id");
    all.extend(fixture.rows(rows, spend_row).await);
    all
}

fn usage_row(row: &store::Row<'_>) -> store::Result<String> {
    let amounts = Metric::ALL
        .iter()
        .map(|metric| row.get::<Option<i64>>(metric.as_str()));
    let amounts: Vec<_> = amounts.collect::<Result<_, _>>()?;
    let (bucket, series): (i64, i64) = (row.get("bucket")?, row.get("series_id")?);
    Ok(format!("{bucket} {series} {amounts:?}"))
}

fn cost_row(row: &store::Row<'_>) -> store::Result<String> {
    let (bucket, series): (i64, i64) = (row.get("bucket")?, row.get("series_id")?);
    let (item, unit): (String, String) = (row.get("line_item")?, row.get("unit")?);
    let (quantity, amount): (i64, i64) = (row.get("quantity")?, row.get("amount")?);
    Ok(format!(
        "{bucket} {series} {item} {unit} {quantity} {amount}"
    ))
}

fn spend_row(row: &store::Row<'_>) -> store::Result<String> {
    let month: i64 = row.get("month")?;
    let (organization, project): (String, String) =
        (row.get("organization_id")?, row.get("project_id")?);
    Ok(format!(
        "{month} {organization} {project} {}",
        row.get::<i64>("amount")?
    ))
}
