//! The recorder: durability, bounds and retries.

use std::time::Duration;

use base::ids::{Id, KeyId, ProjectId};
use http::StatusCode;
use store::sql;
use tokio::task::JoinSet;
use usage::{Allowance, LedgerReader, Outcome, UsageEvent};

use crate::fixture::{Fixture, event, organization};

#[tokio::test]
async fn a_recorded_event_is_durable_when_its_future_resolves() {
    let fixture = Fixture::new().await;
    let slot = fixture.recorder.reserve().await.expect("a place");
    assert_eq!(fixture.recorder.queue_depth(), 1);
    slot.record(event("1")).await.expect("durable");
    assert_eq!(fixture.ids().await, ["1"]);
    assert_eq!(fixture.recorder.queue_depth(), 0);
}

#[tokio::test]
async fn an_event_without_a_waiter_is_soon_durable() {
    let fixture = Fixture::new().await;
    drop(
        fixture
            .recorder
            .reserve()
            .await
            .expect("a place")
            .record(event("1")),
    );
    poll::until("the event is durable", async || {
        fixture.ids().await == ["1"]
    })
    .await;
    drop(
        fixture
            .recorder
            .reserve()
            .await
            .expect("a place")
            .record(event("2")),
    );
    fixture.recorder.flush().await;
    assert_eq!(fixture.ids().await, ["1", "2"]);
}

#[tokio::test]
async fn a_full_queue_refuses_requests() {
    let fixture = Fixture::new().await;
    let mut slots = Vec::new();
    while slots.len() < 8_192 {
        slots.push(fixture.recorder.reserve().await.expect("a place"));
    }
    assert_eq!(fixture.recorder.queue_depth(), 8_192);
    let Err(refused) = fixture.recorder.reserve().await else {
        panic!("a place more than there are");
    };
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.retry_after, Some(1));
    slots.pop();
    let slot = fixture.recorder.reserve().await.expect("a place");
    drop(slots);
    slot.record(event("1")).await.expect("durable");
}

#[tokio::test]
async fn a_write_is_retried_until_the_database_works() {
    let fixture = Fixture::new().await;
    fixture
        .execute(sql!("ALTER TABLE usage_sums RENAME TO away"))
        .await;
    let slot = fixture.recorder.reserve().await.expect("a place");
    let mut recorded = slot.record(event("1")).into_future();
    tokio::select! {
        _ = &mut recorded => panic!("not durable, so not said to be"),
        () = fixture.until_failed(2.0) => {}
    }
    assert_eq!(fixture.ids().await.len(), 0, "ledger and sums go together");
    fixture
        .execute(sql!("ALTER TABLE away RENAME TO usage_sums"))
        .await;
    recorded.await.expect("durable");
    assert_eq!(fixture.ids().await, ["1"]);
}

#[tokio::test]
async fn stopping_writes_waiting_events_and_those_of_reserved_permits() {
    let fixture = Fixture::new().await;
    for n in 0..100 {
        let slot = fixture.recorder.reserve().await.expect("a place");
        drop(slot.record(event(&format!("{n:03}"))));
    }
    let late = fixture.recorder.reserve().await.expect("a place");
    let finish = async {
        let places_end = async { while fixture.recorder.reserve().await.is_ok() {} };
        let ended = tokio::time::timeout(Duration::from_secs(30), places_end).await;
        ended.expect("no new places");
        late.record(event("late")).await.expect("durable");
    };
    let store = fixture.store.clone();
    tokio::join!(fixture.task.stop(Duration::from_secs(40)), finish);
    let all = LedgerReader::all(store.usage()).await.expect("the ledger");
    assert_eq!(all.len(), 101);
    fixture.recorder.flush().await;
    let refused = fixture.recorder.append(vec![event("x")]).await;
    assert_eq!(
        refused.expect_err("stopped").status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn no_event_is_reported_durable_after_the_writer_has_ended() {
    let fixture = Fixture::new().await;
    let early = fixture.recorder.reserve().await.expect("a place");
    let late = fixture.recorder.reserve().await.expect("a place");
    fixture
        .execute(sql!("ALTER TABLE usage_sums RENAME TO away"))
        .await;
    // The write is retried against a failing database until the stop timeout.
    let early = early.record(event("early")).into_future();
    let store = fixture.store.clone();
    fixture.task.stop(Duration::ZERO).await;
    for recorded in [early, late.record(event("late")).into_future()] {
        let told = tokio::time::timeout(Duration::from_secs(20), recorded).await;
        let refused = told.expect("an answer").expect_err("not durable");
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.retry_after, Some(5));
    }
    let all = LedgerReader::all(store.usage()).await.expect("the ledger");
    assert!(all.is_empty());
}

fn allowance(project: &str) -> Allowance {
    Allowance {
        organization_id: organization("a"),
        project_id: ProjectId::from_text(project.to_owned()),
        api_key_id: KeyId::from_text(format!("key of {project}")),
        project_limit: None,
        organization_limit: None,
    }
}

fn reported(id: &str, project: &str) -> UsageEvent {
    UsageEvent {
        project_id: ProjectId::from_text(project.to_owned()),
        outcome: Outcome::Reported,
        ..event(id)
    }
}

#[tokio::test]
async fn one_key_cannot_exhaust_the_capacity_for_reported_events() {
    // Once with many events in each report, once with few: then the queue is the bound.
    for (reports, events, fitting) in [(11, 10_000, 2), (1_100, 1, 255)] {
        let fixture = Fixture::new().await;
        fixture
            .execute(sql!("ALTER TABLE usage_sums RENAME TO away"))
            .await;
        let mut greedy = JoinSet::new();
        for report in 0..reports {
            let recorder = fixture.recorder.clone();
            let event = move |number| reported(&format!("{report} {number}"), "greedy");
            let events: Vec<_> = (0..events).map(event).collect();
            greedy.spawn(async move { recorder.report(events, Some(allowance("greedy"))).await });
        }
        // Each future is polled once, and then waits for the writer or for capacity.
        tokio::task::yield_now().await;
        let recorder = fixture.recorder.clone();
        let modest = vec![reported("modest", "modest")];
        let modest = recorder.report(modest, Some(allowance("modest")));
        let own = recorder.append(vec![event("own")]);
        let all = async {
            let answers = tokio::join!(greedy.join_all(), modest, own);
            answers.0
        };
        tokio::time::pause();
        let answers = all.await;
        tokio::time::resume();
        let refused = answers.into_iter().map(|answer| {
            let refused = answer.expect_err("the database fails");
            assert_eq!(refused.retry_after, Some(1));
            refused.status
        });
        let (busy, bounded): (Vec<_>, Vec<_>) =
            refused.partition(|status| *status == StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(busy.len(), fitting);
        assert!(
            bounded
                .iter()
                .all(|status| *status == StatusCode::TOO_MANY_REQUESTS)
        );
        assert_eq!(bounded.len(), reports - fitting);
        // Waiting events are written once the database works again, those of the other project among them.
        fixture
            .execute(sql!("ALTER TABLE away RENAME TO usage_sums"))
            .await;
        fixture.recorder.flush().await;
        let ids = fixture.ids().await;
        assert_eq!(ids.len(), fitting * events + 2);
        assert!(ids.iter().any(|id| id == "modest"));
        assert!(ids.iter().any(|id| id == "own"));
    }
}
