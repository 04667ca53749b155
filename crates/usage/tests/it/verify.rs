//! Verification: passes after appends, compaction and rebuilds, and finds and names every change.

use base::ids::Id;
use base::time::SECONDS_PER_DAY;
use base::{NanoDollars, UnixTime};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use store::{Statement, sql};
use usage::{UsageEvent, Verified, rebuild, verify};

use crate::fixture::{Fixture, NANO_DOLLARS_PER_EVENT, START_SECONDS, event, organization};
use crate::random::some_event;

impl Fixture {
    async fn verified(&self) -> Verified {
        let verified = verify(self.store.usage(), |_| {}).await;
        verified.expect("the database answers")
    }

    #[track_caller]
    fn is_clean(verified: &Verified, rows: usize) {
        assert_eq!(verified.differences, [], "{}", verified.suppressed);
        assert_eq!(verified.rows, rows as u64);
    }

    async fn append(&self, events: &[UsageEvent]) {
        let appended = self.recorder.append(events.to_vec()).await;
        assert_eq!(appended.expect("written").accepted, events.len());
    }

    /// Returns a fixture with events of two organizations on two days, whose rows are compacted but for the newest.
    async fn with_sums() -> Self {
        let fixture = Self::new().await;
        for number in 0..36 {
            let mut one = event(&format!("{number:02}"));
            one.timestamp = UnixTime(START_SECONDS + number % 2 * SECONDS_PER_DAY + number * 400);
            if number % 3 == 0 {
                one.organization_id = organization("b");
                one.user_id = Some(Id::from_text("user-a".to_owned()));
            }
            fixture.append(&[one]).await;
        }
        fixture.recorder.flush().await;
        Self::is_clean(&fixture.verified().await, 36);
        fixture
    }

    /// Returns the differences that are found after a change, without their places.
    async fn said_after(&self, change: Statement) -> Vec<String> {
        self.execute(change).await;
        let differences = self.verified().await.differences.into_iter();
        differences
            .map(|difference| difference.to_string())
            .collect()
    }
}

/// Returns random events of three organizations.
fn events(count: usize) -> Vec<UsageEvent> {
    let mut runner = TestRunner::deterministic();
    let some = prop::collection::vec(some_event(), count).new_tree(&mut runner);
    let mut events = some.expect("events").current();
    for (number, event) in events.iter_mut().enumerate() {
        event.id = number.to_string();
        event.organization_id = organization(["a", "b", "c"][number % 3]);
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verification_passes_after_a_thousand_appends_and_a_rebuild() {
    let fixture = Fixture::new().await;
    Fixture::is_clean(&fixture.verified().await, 0);
    let events = events(1_200);
    for (number, some) in events.chunks(1).enumerate() {
        fixture.append(some).await;
        if number % 97 == 0 {
            Fixture::is_clean(&fixture.verified().await, number + 1);
        }
    }
    fixture.recorder.flush().await;
    let tiers = sql!("SELECT MAX(tier) AS tier FROM usage_sums");
    let tiers = fixture.rows(tiers, |row| row.get::<i64>("tier")).await;
    assert!(tiers[0] >= 2, "blocks were folded, and merged");
    Fixture::is_clean(&fixture.verified().await, 1_200);
    rebuild(fixture.store.usage(), |_| {})
        .await
        .expect("made anew");
    Fixture::is_clean(&fixture.verified().await, 1_200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verification_passes_while_two_nodes_write() {
    let fixture = Fixture::new().await;
    let (other, _task, _spend) = fixture.another().await;
    let events = events(600);
    let (one, two) = events.split_at(300);
    let write = async |recorder: &usage::Recorder, events: &[UsageEvent]| {
        for some in events.chunks(2) {
            let appended = recorder.append(some.to_vec()).await;
            assert_eq!(appended.expect("written").accepted, 2);
        }
    };
    let watch = async {
        let (mut seen, mut looks) = (0, 0);
        while seen < 600 {
            let verified = fixture.verified().await;
            assert_eq!(verified.differences, []);
            assert!(verified.rows >= seen && verified.rows <= 600);
            seen = verified.rows;
            looks += 1;
            tokio::task::yield_now().await;
        }
        assert!(looks > 2, "{looks}");
    };
    tokio::join!(write(&fixture.recorder, one), write(&other, two), watch);
}

/// Selects the block with the lowest id of a rollup, in SQL.
macro_rules! one_block {
    ($before:literal, $shape:literal) => {
        sql!(concat!(
            $before,
            " WHERE id = (SELECT MIN(id) FROM usage_sums WHERE shape = '",
            $shape,
            "')"
        ))
    };
}

#[tokio::test]
async fn verification_finds_a_missing_block() {
    let fixture = Fixture::with_sums().await;
    let said = fixture
        .said_after(one_block!("DELETE FROM usage_sums", "days_by_project"))
        .await;
    let day = "days_by_project 2026-03-02T00:00:00Z, completions, project_id proj_a, model m, input_tokens: \
               the ledger comes to 12000, but this is 4000";
    let says = |line: &String| line.ends_with(day);
    assert!(said.iter().any(says), "{said:#?}");
    assert!(
        said.iter().all(|line| line.contains("days_by_project")),
        "{said:#?}"
    );

    rebuild(fixture.store.usage(), |_| {})
        .await
        .expect("made anew");
    Fixture::is_clean(&fixture.verified().await, 36);
}

#[tokio::test]
async fn missing_new_rows_are_found_in_every_rollup() {
    let fixture = Fixture::with_sums().await;
    let said = fixture
        .said_after(one_block!("DELETE FROM usage_sums", "new"))
        .await;
    assert_eq!(said.len(), 20, "the first ones: {said:#?}");
    for shape in ["minutes 2026", "minutes_by_model", "hours 2026"] {
        assert!(said.iter().any(|line| line.contains(shape)), "{said:#?}");
    }
    assert!(fixture.verified().await.suppressed > 0);
}

#[tokio::test]
async fn verification_finds_a_duplicate_block() {
    let fixture = Fixture::with_sums().await;
    let twice = one_block!(
        "INSERT INTO usage_sums (organization, shape, period, tier, data) \
         SELECT organization, shape, period, tier, data FROM usage_sums",
        "minutes"
    );
    let said = fixture.said_after(twice).await;
    let minute = "minutes 2026-03-02T00:13:00Z, completions, project_id proj_a, api_key_id key_a, model m, \
                  input_tokens: the ledger comes to 1000, but this is 2000";
    assert_eq!(said[0], format!("org-a: {minute}"));
    assert!(
        said.iter().all(|line| line.contains(": minutes 2026")),
        "{said:#?}"
    );
}

#[tokio::test]
async fn verification_finds_a_block_of_a_day_without_ledger() {
    let fixture = Fixture::with_sums().await;
    for (shape, period) in [
        ("hours", START_SECONDS + 9 * SECONDS_PER_DAY),
        ("days", START_SECONDS + 90 * SECONDS_PER_DAY),
    ] {
        let moved = sql!(
            "INSERT INTO usage_sums (organization, shape, period, tier, data) \
             SELECT organization, shape, $1, tier, data FROM usage_sums WHERE shape = $2 ORDER BY id LIMIT 1",
            period,
            shape
        );
        let said = fixture.said_after(moved).await;
        let says = |line: &String| {
            line.contains(&format!(": {shape} 2026-03-0"))
                && line.contains("the ledger comes to nothing")
        };
        assert!(said.iter().any(says), "{said:#?}");
        let none = "DELETE FROM usage_sums WHERE period = $1";
        assert_eq!(fixture.said_after(sql!(none, period)).await, [""; 0]);
    }
}

#[tokio::test]
async fn verification_finds_a_changed_number_in_a_block() {
    let fixture = Fixture::with_sums().await;
    let block = one_block!("SELECT id, data FROM usage_sums", "hours");
    let read = |row: &store::Row<'_>| Ok((row.get::<i64>("id")?, row.get::<Vec<u8>>("data")?));
    let (id, mut data) = fixture.rows(block, read).await.remove(0);
    // The last byte ends the last number, an amount, whose lowest bit is its sign.
    *data.last_mut().expect("some bytes") ^= 0b10;
    let change = sql!(
        "UPDATE usage_sums SET data = $1 WHERE id = $2",
        data.clone(),
        id
    );
    let said = fixture.said_after(change).await;
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(
        said[0].contains(": hours 2026-03-0") && said[0].contains(", amount: "),
        "{said:#?}"
    );

    data.pop();
    let change = sql!("UPDATE usage_sums SET data = $1 WHERE id = $2", data, id);
    let said = fixture.said_after(change).await;
    assert!(said[0].contains("a block cannot be read"), "{said:#?}");
}

#[tokio::test]
async fn verification_finds_a_row_slipped_into_the_ledger() {
    let fixture = Fixture::with_sums().await;
    let more = |amount: i64| {
        sql!(
            "INSERT INTO usage_events_20260302 (organization, id, timestamp, recorded_at, series, estimated, unpriced, \
             outcome, amounts, amount) SELECT organization, 'more', timestamp, recorded_at, series, estimated, \
             unpriced, outcome, amounts, amount + $1 FROM usage_events_20260302 WHERE id = '02'",
            amount
        )
    };
    let said = fixture.said_after(more(7)).await;
    let bill = format!(
        "its bill come to {NANO_DOLLARS_PER_EVENT}, but its amount is {}",
        NANO_DOLLARS_PER_EVENT + 7
    );
    assert!(
        said[0].starts_with("org-a: row more of 2026-03-02T00:13:20Z"),
        "{said:#?}"
    );
    assert!(said[0].ends_with(&bill), "{said:#?}");
    let minute = "minutes 2026-03-02T00:13:00Z, completions, project_id proj_a, api_key_id key_a, model m, \
                  num_model_requests: the ledger comes to 2, but this is 1";
    assert!(said.iter().any(|line| line.contains(minute)), "{said:#?}");
}

#[tokio::test]
async fn verification_finds_changed_spend() {
    let fixture = Fixture::with_sums().await;
    let change = sql!(
        "UPDATE spend_months SET amount = amount + 1 WHERE organization_id = $1",
        "org-a"
    );
    let spent = NanoDollars(24 * NANO_DOLLARS_PER_EVENT).0;
    let said = fixture.said_after(change).await;
    let place = "org-a: spend of proj_a in the month from 2026-03-01T00:00:00Z";
    let numbers = format!("the ledger comes to {spent}, but this is {}", spent + 1);
    assert_eq!(said, [format!("{place}: {numbers}")]);

    let change = sql!(
        "UPDATE spend_months SET organization_id = $1 WHERE organization_id = $2",
        "org-x",
        "org-a"
    );
    let said = fixture.said_after(change).await;
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(
        said[0].ends_with("but this is nothing") && said[1].starts_with("org-x: "),
        "{said:#?}"
    );
}
