//! Retention: reports stay the same as far as rollups are kept, and no event counts twice.

use base::UnixTime;
use base::time::SECONDS_PER_DAY;
use store::{USAGE_EVENTS, sql};
use tokio::runtime::Handle;
use usage::{
    LedgerReader, Metric, Retention, RetentionPeriods, UsageKind, UsageQuery, Width, forget,
    rebuild, set_aside, usage, verify,
};

use crate::fixture::{Fixture, START_SECONDS, event, organization};

const DAYS_COUNT: i64 = 100;
const KEPT_DAYS_COUNT: u32 = 62;

/// Returns a fixture with an event on each of the last days, whose rows are compacted but for the newest.
async fn with_days() -> Fixture {
    let fixture = Fixture::new().await;
    for ago in (0..DAYS_COUNT).rev() {
        let mut one = event(&ago.to_string());
        one.timestamp = UnixTime(START_SECONDS - ago * SECONDS_PER_DAY + 90);
        let appended = fixture.recorder.append(vec![one]).await;
        assert_eq!(appended.expect("written").accepted, 1);
    }
    fixture.recorder.flush().await;
    fixture
}

/// Returns the requests of each bucket that has some, by the number of days since it began.
async fn requests(fixture: &Fixture, width: Width) -> Vec<(i64, i64)> {
    requests_since(fixture, width, START_SECONDS - DAYS_COUNT * SECONDS_PER_DAY).await
}

async fn requests_since(fixture: &Fixture, width: Width, start: i64) -> Vec<(i64, i64)> {
    let query = UsageQuery {
        organization_id: organization("a"),
        kind: UsageKind::Completions,
        start: UnixTime(start),
        end: UnixTime(START_SECONDS + SECONDS_PER_DAY),
        width,
        limit: i64::MAX,
        group_by: Vec::new(),
        filters: Vec::new(),
        batch: None,
    };
    let answer = usage(&fixture.reports, &query).await.expect("an answer");
    let of = |bucket: &usage::Bucket<usage::UsageResult>| {
        let results = bucket.results.iter();
        let requests = results.map(|one| one.quantities.or_zero(Metric::NumModelRequests));
        (
            (START_SECONDS - bucket.start.0 + SECONDS_PER_DAY - 1).div_euclid(SECONDS_PER_DAY),
            requests.sum::<i64>(),
        )
    };
    let buckets = answer.buckets.iter().map(of);
    buckets.filter(|(_, requests)| *requests > 0).collect()
}

fn since(first: i64) -> Vec<(i64, i64)> {
    (0..=first).rev().map(|ago| (ago, 1)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_days_of_the_ledger_keep_their_sums() {
    let fixture = with_days().await;
    let (database, now) = (fixture.store.usage(), fixture.clock.now());
    let keep = RetentionPeriods {
        events: Some(KEPT_DAYS_COUNT),
        ..RetentionPeriods::default()
    };
    forget(database, RetentionPeriods::default(), now)
        .await
        .expect("done");
    assert_eq!(fixture.ledger().await.len(), 100, "nothing is said");
    for _ in 0..2 {
        forget(database, keep, now).await.expect("done");
    }
    let kept = fixture.ledger().await;
    assert_eq!(
        kept.len(),
        64,
        "62 days, today, and one for what is under way"
    );
    for rebuilt in [false, true] {
        if rebuilt {
            rebuild(database, |_| {}).await.expect("made anew");
        }
        for width in [Width::Day, Width::Hour, Width::Minute] {
            assert_eq!(requests(&fixture, width).await, since(DAYS_COUNT - 1));
        }
        let verified = verify(database, |_| {}).await.expect("proved");
        assert_eq!(verified.differences, []);
        assert_eq!((verified.rows, verified.days), (64, 64));
        assert_eq!(verified.dropped, 36);
    }

    // The event of a day is in its second minute, a part of which can be read from the ledger only.
    for (ago, in_day, counts) in [
        (99, 60, true),
        (99, 80, false),
        (63, 80, true),
        (63, 91, false),
    ] {
        let answer = requests_since(
            &fixture,
            Width::Day,
            START_SECONDS - ago * SECONDS_PER_DAY + in_day,
        )
        .await;
        assert_eq!(answer, since(if counts { ago } else { ago - 1 }));
    }

    // An event of a dropped day may have been counted, so it is refused, and no other.
    let mut old = event("99");
    old.timestamp = UnixTime(START_SECONDS - 99 * SECONDS_PER_DAY + 90);
    let (other, _task, _spend) = fixture.another().await;
    for recorder in [&fixture.recorder, &other] {
        let refused = recorder.report(vec![old.clone()], None).await;
        let refused = refused.expect_err("refused");
        assert_eq!(refused.code, Some("usage_day_dropped"));
    }
    let new = fixture.recorder.append(vec![event("new")]).await;
    assert_eq!(new.expect("written").accepted, 1);
    let total = requests(&fixture, Width::Day).await;
    assert_eq!(total.first(), Some(&(99, 1)));
    assert_eq!(total.last(), Some(&(0, 2)));
}

/// Drops the ledger of a day, as another node would.
async fn drop_day(fixture: &Fixture, ago: i64) {
    let day = UnixTime(START_SECONDS - ago * SECONDS_PER_DAY).floor(SECONDS_PER_DAY);
    let note = sql!(
        "UPDATE usage_partitions SET dropped = TRUE WHERE day = $1",
        day
    );
    let mut transaction = fixture.store.usage().begin().await.expect("a turn");
    assert_eq!(transaction.execute(note).await.expect("noted"), 1);
    let dropped = transaction.drop_partition(USAGE_EVENTS, day).await;
    dropped.expect("dropped");
    transaction.commit().await.expect("committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_that_is_dropped_while_the_ledger_is_read_has_no_rows() {
    let fixture = with_days().await;
    let mut read = fixture.store.usage().read().await.expect("a connection");
    let (first, last) = (UnixTime(i64::MIN), UnixTime(i64::MAX));
    let entries = LedgerReader::of(&mut read, None, first, last).await;
    let mut entries = entries.expect("the days");
    let mut found = Vec::new();
    loop {
        let page = entries.next(&mut read).await.expect("a page");
        match &page[..] {
            [] => break,
            rows => found.extend(rows.iter().map(|entry| entry.event.id.clone())),
        }
        if found.len() == 40 {
            drop_day(&fixture, 50).await;
        }
    }
    let kept = (0..DAYS_COUNT).rev().filter(|ago| *ago != 50);
    let kept: Vec<_> = kept.map(|ago| ago.to_string()).collect();
    assert_eq!(found, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_dropped_during_verification_is_no_difference() {
    let fixture = with_days().await;
    let mut is_dropped = false;
    let progress = |rows| {
        if rows == 40 && !std::mem::replace(&mut is_dropped, true) {
            let drop_it = || Handle::current().block_on(drop_day(&fixture, 50));
            tokio::task::block_in_place(drop_it);
        }
    };
    let verified = verify(fixture.store.usage(), progress).await;
    let verified = verified.expect("proved");
    assert_eq!(verified.differences, []);
    // SQLite's snapshot still has the day; on PostgreSQL the next one does not.
    assert_eq!(verified.days + verified.dropped, 100);
    assert!(is_dropped && verified.dropped <= 1, "{verified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finer_rollups_expire_before_coarser_ones() {
    let fixture = with_days().await;
    let (database, now) = (fixture.store.usage(), fixture.clock.now());
    let keep = RetentionPeriods {
        events: Some(KEPT_DAYS_COUNT),
        minutes: Some(70),
        hours: Some(80),
        ..RetentionPeriods::default()
    };
    forget(database, keep, now).await.expect("done");
    assert_eq!(requests(&fixture, Width::Minute).await, since(71));
    assert_eq!(requests(&fixture, Width::Hour).await, since(81));
    assert_eq!(requests(&fixture, Width::Day).await, since(DAYS_COUNT - 1));
    rebuild(database, |_| {}).await.expect("made anew");
    assert_eq!(requests(&fixture, Width::Minute).await, since(71));
    assert_eq!(requests(&fixture, Width::Day).await, since(DAYS_COUNT - 1));
    let verified = verify(database, |_| {}).await.expect("proved");
    assert_eq!(verified.differences, []);
}

const YEAR_SECONDS: i64 = 365 * SECONDS_PER_DAY;

fn keep() -> RetentionPeriods {
    RetentionPeriods {
        events: Some(KEPT_DAYS_COUNT),
        ..RetentionPeriods::default()
    }
}

/// Returns the number of days of the ledger that have rows.
async fn days(fixture: &Fixture) -> usize {
    let days: std::collections::BTreeSet<_> = fixture
        .ledger()
        .await
        .into_iter()
        .map(|entry| entry.event.timestamp.floor(SECONDS_PER_DAY))
        .collect();
    days.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_ahead_at_startup_drops_no_day() {
    let fixture = with_days().await;
    fixture.clock.advance(YEAR_SECONDS);
    let database = fixture.store.usage().clone();
    let keep = RetentionPeriods {
        events: Some(120),
        ..RetentionPeriods::default()
    };
    let mut retention = Retention::new(database.clone(), keep, fixture.clock.clone());
    for _ in 0..5 {
        retention.round().await.expect("a round");
    }
    // The gateway uses the same clock, so the newest row agrees with it.
    let mut ahead = event("ahead");
    ahead.timestamp = fixture.clock.now();
    let appended = fixture.recorder.append(vec![ahead]).await;
    assert_eq!(appended.expect("written").accepted, 1);
    for _ in 0..5 {
        retention.round().await.expect("a round");
    }
    assert_eq!(
        days(&fixture).await,
        101,
        "a row of this moment is no second opinion"
    );
    // Nor after a restart.
    Retention::start(database, keep, fixture.clock.clone())
        .stop()
        .await;
    assert_eq!(days(&fixture).await, 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_that_the_ledger_confirms_are_dropped_a_few_in_each_round() {
    let fixture = with_days().await;
    let database = fixture.store.usage().clone();
    let mut retention = Retention::new(database.clone(), keep(), fixture.clock.clone());
    let mut left = Vec::new();
    for _ in 0..14 {
        retention.round().await.expect("a round");
        left.push(days(&fixture).await);
    }
    let few = left.windows(2).all(|pair| pair[0] - pair[1] <= 3);
    assert!(left[0] == 97 && few, "{left:?}");
    // The newest day but two confirms that older days have expired.
    assert_eq!(left.last(), Some(&68), "{left:?}");
    let verified = verify(&database, |_| {}).await.expect("proved");
    assert_eq!(verified.differences, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_day_that_a_wrong_clock_dropped_are_stored() {
    let fixture = with_days().await;
    let database = fixture.store.usage();
    let ahead = UnixTime(START_SECONDS + YEAR_SECONDS);
    forget(database, keep(), ahead).await.expect("dropped");
    assert_eq!(days(&fixture).await, 0);
    // With the clock set right: today's rows, and those of another node that still knows today's table.
    let (other, _task, _spend) = fixture.another().await;
    for (recorder, id) in [(&fixture.recorder, "a"), (&other, "b")] {
        let slot = recorder.reserve().await.expect("a place");
        slot.record(event(id)).await.expect("durable");
    }
    assert_eq!(fixture.ids().await, ["a", "b"]);
    let requests = requests(&fixture, Width::Day).await;
    assert_eq!(
        requests.last(),
        Some(&(0, 3)),
        "the sum of before, and both"
    );
    for _ in 0..2 {
        let verified = verify(database, |_| {}).await.expect("proved");
        assert_eq!(verified.differences, []);
        rebuild(database, |_| {}).await.expect("rebuilt");
    }
    let again = self::requests(&fixture, Width::Day).await;
    assert_eq!(again, requests, "nothing counts twice");

    // Whether a row of an old, dropped day was counted is unknown: it is set aside, not lost.
    let mut old = event("old");
    old.timestamp = UnixTime(START_SECONDS - 99 * SECONDS_PER_DAY + 90);
    let slot = fixture.recorder.reserve().await.expect("a place");
    slot.record(old.clone()).await.expect("durable");
    let aside = set_aside(database, 10).await.expect("what is set aside");
    assert_eq!(aside.len(), 1);
    assert_eq!(aside[0].event, old);
}

/// SQLite only: with paused time, timeouts of PostgreSQL connections would fire.
#[tokio::test]
async fn a_clock_is_trusted_after_a_day_unless_it_was_set_back() {
    if std::env::var("ORGPLANE_TEST_DATABASE").is_ok_and(|url| url.starts_with("postgres")) {
        return;
    }
    let fixture = Fixture::new().await;
    let mut old = event("old");
    old.timestamp = UnixTime(START_SECONDS - 10 * SECONDS_PER_DAY);
    let appended = fixture.recorder.append(vec![event("1"), old]).await;
    assert_eq!(appended.expect("written").accepted, 2);
    let database = fixture.store.usage().clone();
    tokio::time::pause();
    fixture.clock.advance(YEAR_SECONDS);
    let mut retention = Retention::new(database, keep(), fixture.clock.clone());
    tokio::time::advance(std::time::Duration::from_secs(23 * 3_600)).await;
    retention.round().await.expect("a round");
    assert_eq!(days(&fixture).await, 2);
    fixture.clock.advance(-YEAR_SECONDS);
    tokio::time::advance(std::time::Duration::from_secs(2 * 3_600)).await;
    retention.round().await.expect("a round");
    fixture.clock.advance(YEAR_SECONDS);
    retention.round().await.expect("a round");
    assert_eq!(days(&fixture).await, 2, "the clock was wrong");
    for _ in 0..2 {
        tokio::time::advance(std::time::Duration::from_secs(25 * 3_600)).await;
        retention.round().await.expect("a round");
    }
    assert_eq!(days(&fixture).await, 0, "it says so for two days");
}
