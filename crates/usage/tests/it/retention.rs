//! Dropping what is too old: reports say the same as far as sums are kept, and nothing counts twice.

use base::UnixTime;
use base::time::DAY;
use store::{USAGE_EVENTS, sql};
use tokio::runtime::Handle;
use usage::{Entries, Keep, Kind, Metric, UsageQuery, Width, forget, rebuild, usage, verify};

use crate::fixture::{Fixture, START, event, organization};

const ALL: i64 = 100;
const EVENTS: u32 = 62;

/// An event for each of the last days, whose sums have moved on but for the newest.
async fn with_days() -> Fixture {
    let fixture = Fixture::new().await;
    for ago in (0..ALL).rev() {
        let mut one = event(&ago.to_string());
        one.timestamp = UnixTime(START - ago * DAY + 90);
        let appended = fixture.recorder.append(vec![one]).await;
        assert_eq!(appended.expect("written").accepted, 1);
    }
    fixture.recorder.flush().await;
    fixture
}

/// The requests of each bucket that has some, by how many days ago it began.
async fn requests(fixture: &Fixture, width: Width) -> Vec<(i64, i64)> {
    requests_since(fixture, width, START - ALL * DAY).await
}

async fn requests_since(fixture: &Fixture, width: Width, start: i64) -> Vec<(i64, i64)> {
    let query = UsageQuery {
        organization_id: organization("a"),
        kind: Kind::Completions,
        start: UnixTime(start),
        end: UnixTime(START + DAY),
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
            (START - bucket.start.0 + DAY - 1).div_euclid(DAY),
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
async fn days_of_the_ledger_go_and_their_sums_stay() {
    let fixture = with_days().await;
    let (database, now) = (fixture.store.usage(), fixture.clock.now());
    let keep = Keep {
        events: Some(EVENTS),
        ..Keep::default()
    };
    forget(database, Keep::default(), now).await.expect("done");
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
            assert_eq!(requests(&fixture, width).await, since(ALL - 1));
        }
        let verified = verify(database, |_| {}).await.expect("proved");
        assert_eq!(verified.differences, []);
        assert_eq!((verified.rows, verified.days), (64, 64));
        assert_eq!(verified.dropped, 36);
    }

    // The event of a day is in its second minute, of which a part can be told from the ledger alone.
    for (ago, in_day, counts) in [
        (99, 60, true),
        (99, 80, false),
        (63, 80, true),
        (63, 91, false),
    ] {
        let answer = requests_since(&fixture, Width::Day, START - ago * DAY + in_day).await;
        assert_eq!(answer, since(if counts { ago } else { ago - 1 }));
    }

    // An event of a day that is gone may have been counted, so it is refused: alone.
    let mut old = event("99");
    old.timestamp = UnixTime(START - 99 * DAY + 90);
    let (other, _task, _spend) = fixture.another().await;
    for recorder in [&fixture.recorder, &other] {
        let refused = recorder.append(vec![old.clone()]).await;
        assert!(refused.is_err(), "{refused:?}");
    }
    let new = fixture.recorder.append(vec![event("new")]).await;
    assert_eq!(new.expect("written").accepted, 1);
    let total = requests(&fixture, Width::Day).await;
    assert_eq!(total.first(), Some(&(99, 1)));
    assert_eq!(total.last(), Some(&(0, 2)));
}

/// Drops the ledger of a day, as another program would.
async fn drop_day(fixture: &Fixture, ago: i64) {
    let day = UnixTime(START - ago * DAY).floor(DAY);
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
    let entries = Entries::of(&mut read, None, first, last).await;
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
    let kept = (0..ALL).rev().filter(|ago| *ago != 50);
    let kept: Vec<_> = kept.map(|ago| ago.to_string()).collect();
    assert_eq!(found, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dropped_while_it_is_proved_is_not_missed() {
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
    // SQLite's snapshot still has it; on PostgreSQL the next one does not.
    assert_eq!(verified.days + verified.dropped, 100);
    assert!(is_dropped && verified.dropped <= 1, "{verified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fine_sums_go_before_coarse_ones() {
    let fixture = with_days().await;
    let (database, now) = (fixture.store.usage(), fixture.clock.now());
    let keep = Keep {
        events: Some(EVENTS),
        minutes: Some(70),
        hours: Some(80),
        days: None,
    };
    forget(database, keep, now).await.expect("done");
    assert_eq!(requests(&fixture, Width::Minute).await, since(71));
    assert_eq!(requests(&fixture, Width::Hour).await, since(81));
    assert_eq!(requests(&fixture, Width::Day).await, since(ALL - 1));
    rebuild(database, |_| {}).await.expect("made anew");
    assert_eq!(requests(&fixture, Width::Minute).await, since(71));
    assert_eq!(requests(&fixture, Width::Day).await, since(ALL - 1));
    let verified = verify(database, |_| {}).await.expect("proved");
    assert_eq!(verified.differences, []);
}
