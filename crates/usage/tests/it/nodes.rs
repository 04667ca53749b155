//! Two nodes on one database, each with its own recorder and spend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rollup::{DUE_BLOCKS_COUNT, Rollup};
use store::sql;
use tokio::task::JoinSet;
use usage::{Recorder, UsageEvent};

use crate::fixture::{Fixture, NANO_DOLLARS_PER_EVENT, event, organization};

/// The number of clients of a busy node, each with one event that waits.
const CLIENTS_COUNT: usize = 400;
/// The time in which the events of the load are written at the end.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const ROUNDS_COUNT: i64 = 5;

/// Records event after event of an organization whose spend is not checked, until `is_over`. Returns their number.
async fn record_events(recorder: Recorder, client: usize, is_over: Arc<AtomicBool>) -> usize {
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        let load = UsageEvent {
            organization_id: organization("b"),
            ..event(&format!("load_{client}_{number}"))
        };
        let slot = recorder.reserve().await.expect("a place");
        slot.record(load).await.expect("durable");
        number += 1;
    }
    number
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_node_sees_the_spend_of_another() {
    let fixture = Fixture::new().await;
    let (busy, task, spend) = fixture.another().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS_COUNT {
        clients.spawn(record_events(busy.clone(), client, Arc::clone(&is_over)));
    }
    for round in 1..=ROUNDS_COUNT {
        let spent = fixture.recorder.append(vec![event(&round.to_string())]);
        spent.await.expect("durable");
        Fixture::until_spent(&spend, round * NANO_DOLLARS_PER_EVENT).await;
    }
    is_over.store(true, Ordering::Relaxed);
    let events: usize = clients.join_all().await.into_iter().sum();
    task.stop(STOP_TIMEOUT).await;
    assert!(events > 1_000, "{events} events are no load");
}

/// The number of blocks of new rows.
async fn new_blocks(fixture: &Fixture) -> i64 {
    let count = sql!(
        "SELECT COUNT(*) AS blocks FROM usage_sums WHERE shape = $1",
        Rollup::New.as_str()
    );
    fixture.rows(count, |row| row.get("blocks")).await[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_nodes_that_have_ended_are_compacted_by_another() {
    let fixture = Fixture::new().await;
    // Neither of two nodes has added enough blocks to compact them.
    let (first, task, _) = fixture.another().await;
    let (second, other_task, _) = fixture.another().await;
    for (node, recorder) in [first, second].into_iter().enumerate() {
        for number in 0..DUE_BLOCKS_COUNT - 6 {
            let event = event(&format!("{node}_{number}"));
            recorder.append(vec![event]).await.expect("durable");
        }
    }
    for task in [task, other_task] {
        task.stop(STOP_TIMEOUT).await;
    }
    let left = i64::try_from(2 * (DUE_BLOCKS_COUNT - 6)).expect("a small number");
    assert_eq!(new_blocks(&fixture).await, left);
    let elsewhere = UsageEvent {
        organization_id: organization("b"),
        ..event("elsewhere")
    };
    fixture
        .recorder
        .append(vec![elsewhere])
        .await
        .expect("durable");
    poll::until("only the new block is left", async || {
        new_blocks(&fixture).await == 1
    })
    .await;
}
