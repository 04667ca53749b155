//! Two nodes on one database, each with its own recorder and spend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use usage::{Recorder, Spend, UsageEvent};

use crate::fixture::{Fixture, NANO_DOLLARS_PER_EVENT, event, organization};

/// The number of events that wait on a busy node at any time.
const WAITING_COUNT: usize = 400;
/// The time after which a node that has not seen a change is taken to never see it.
const SEEN_TIMEOUT: Duration = Duration::from_secs(30);
const ROUNDS_COUNT: i64 = 5;

/// Returns an event of an organization whose spend is not checked.
fn load(number: u64) -> UsageEvent {
    UsageEvent {
        organization_id: organization("b"),
        ..event(&format!("load_{number}"))
    }
}

/// Keeps events waiting in the queue of a recorder until `is_over`. Returns their number.
async fn keep_busy(recorder: Recorder, is_over: Arc<AtomicBool>) -> u64 {
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        if recorder.queue_depth() >= WAITING_COUNT {
            poll::pause(Duration::from_millis(1)).await;
            continue;
        }
        let slot = recorder.reserve().await.expect("a place");
        drop(slot.record(load(number)));
        number += 1;
    }
    number
}

/// Returns the time until a node sees this spend of organization `a`.
async fn time_until(spend: &Spend, spent: i64) -> Duration {
    let started = Instant::now();
    while spend.month_to_date(&organization("a"), None).0 < spent {
        let waited = started.elapsed();
        assert!(waited < SEEN_TIMEOUT, "not known while the load lasts");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_node_sees_the_spend_of_another_within_a_second() {
    let fixture = Fixture::new().await;
    let (busy, task, spend) = fixture.another().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(keep_busy(busy, Arc::clone(&is_over)));
    let mut times = Vec::new();
    for round in 1..=ROUNDS_COUNT {
        let spent = fixture.recorder.append(vec![event(&round.to_string())]);
        spent.await.expect("durable");
        times.push(time_until(&spend, round * NANO_DOLLARS_PER_EVENT).await);
    }
    is_over.store(true, Ordering::Relaxed);
    let events = load.await.expect("the load");
    task.stop(SEEN_TIMEOUT).await;
    // Half of the rounds may be late, since the machine may be busy.
    times.sort_unstable();
    let median = times[times.len() / 2];
    assert!(median <= Duration::from_secs(1), "{times:?}");
    assert!(events > 1_000, "{events} events are no load");
}
