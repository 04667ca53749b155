//! Two nodes on one database, each with a recorder and a picture of the spend of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use usage::{Recorder, Spend, UsageEvent};

use crate::fixture::{Fixture, PRICE, event, organization};

/// The events that wait on a busy node at every moment.
const WAITING: usize = 400;
/// The time after which a node that has not learnt of something never will.
const DEADLINE: Duration = Duration::from_secs(30);
const ROUNDS: i64 = 5;

/// An event of an organization whose spend nobody looks at.
fn load(number: u64) -> UsageEvent {
    UsageEvent {
        organization_id: organization("b"),
        ..event(&format!("load_{number}"))
    }
}

/// Keeps events waiting in the queue of a recorder until told to stop, and returns their number.
async fn keep_busy(recorder: Recorder, is_over: Arc<AtomicBool>) -> u64 {
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        if recorder.queue_depth() >= WAITING {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let slot = recorder.reserve().await.expect("a place");
        drop(slot.record(load(number)));
        number += 1;
    }
    number
}

/// The time until a node knows that organization `a` has spent so much.
async fn time_until(spend: &Spend, spent: i64) -> Duration {
    let started = Instant::now();
    while spend.month_to_date(&organization("a"), None).0 < spent {
        let waited = started.elapsed();
        assert!(waited < DEADLINE, "not known while the load lasts");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn b4_a_busy_node_learns_within_a_second_what_another_spends() {
    let fixture = Fixture::new().await;
    let (busy, task, spend) = fixture.another().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(keep_busy(busy, Arc::clone(&is_over)));
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        let spent = fixture.recorder.append(vec![event(&round.to_string())]);
        spent.await.expect("durable");
        times.push(time_until(&spend, round * PRICE).await);
    }
    is_over.store(true, Ordering::Relaxed);
    let events = load.await.expect("the load");
    task.stop(DEADLINE).await;
    // Half of the rounds may be late on a machine that does other things too.
    times.sort_unstable();
    let median = times[times.len() / 2];
    assert!(median <= Duration::from_secs(1), "{times:?}");
    assert!(events > 1_000, "{events} events are no load");
}
