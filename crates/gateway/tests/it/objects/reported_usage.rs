//! Usage that others report beside the gateway's, which it does not replace, and impossible amounts that model servers report.

use std::sync::Arc;

use base::ids::{Id, ProjectId};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::sync::Semaphore;
use usage::{Metric, Outcome, Quantities, UsageEvent, UsageKind, verify};

use super::world as keeping_world;
use crate::upstream::{COMPLETION, EVENTS, Reply, Step, send};
use crate::world::{World, chat};

/// Reports an event without usage under this id, as a member of the organization can.
async fn report(world: &World, id: &str, kind: UsageKind) {
    let mut quantities = Quantities::default();
    for metric in kind.required_metrics() {
        quantities.set(*metric, 0);
    }
    let event = UsageEvent {
        outcome: Outcome::Reported,
        ..UsageEvent::new(
            id.to_owned(),
            world.clock.now(),
            world.organization.id.clone(),
            ProjectId::from_text(world.project.clone()),
            kind,
            quantities,
        )
    };
    let appended = world.recorder.report(vec![event], None).await;
    assert_eq!(appended.expect("written").accepted, 1, "{id}");
}

/// Returns the id and the quantity of a metric of each row that the gateway has recorded.
async fn own(world: &World, metric: Metric) -> Vec<(String, Option<i64>)> {
    let verified = verify(world.store.usage(), |_| {}).await.expect("proved");
    assert_eq!(verified.differences, []);
    let entries = world.entries().await.into_iter().map(|entry| entry.event);
    let own = entries.filter(|event| event.outcome != Outcome::Reported);
    own.map(|event| (event.id, event.quantities.get(metric)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_a_report_with_a_streamed_requests_id_does_not_erase_its_row() {
    let gate = Arc::new(Semaphore::new(0));
    let reply = Reply::stream(vec![
        send(EVENTS[0]),
        send(EVENTS[1]),
        Step::Gate(Arc::clone(&gate)),
        send(EVENTS[2]),
        send(EVENTS[3]),
    ]);
    let world = World::start(reply).await;
    let stream = chat(world.service(), r#"{"model":"real","stream":true}"#);
    let response = world.gateway.handle(stream).await;
    let id = response.headers()["x-request-id"].to_str().expect("an id");
    let id = id.to_owned();
    let tool = format!("{id}-{}", UsageKind::WebSearchCalls.as_str());
    report(&world, &id, UsageKind::Completions).await;
    report(&world, &tool, UsageKind::WebSearchCalls).await;
    gate.add_permits(1);
    response.into_body().collect().await.expect("the answer");
    world.rows(3).await;
    assert_eq!(own(&world, Metric::InputTokens).await, [(id, Some(11))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_a_report_with_a_batchs_or_a_vector_stores_id_does_not_erase_their_rows() {
    let (world, shelf) = keeping_world().await;
    let batch = world.batch(world.service()).await;
    report(&world, &batch, UsageKind::Completions).await;
    let usage = json!({"usage": {"input_tokens": 40, "output_tokens": 21, "total_tokens": 61}});
    shelf.finish(&batch, "a\nb\n", usage);
    let path = format!("/v1/batches/{batch}");
    for _ in 0..2 {
        world.get(&path, world.service()).await.json();
    }
    assert_eq!(own(&world, Metric::InputTokens).await, [(batch, Some(40))]);

    let (world, shelf) = keeping_world().await;
    let body = json!({"name": "s"});
    let store = world
        .make("/v1/vector_stores", world.service(), &body)
        .await
        .id();
    shelf.set(&store, json!({"usage_bytes": 1000}));
    let row = format!("{store}/{}", world.clock.now().0 / 86_400);
    report(&world, &row, UsageKind::VectorStores).await;
    world.clock.advance(3_600);
    world.gateway.poll_objects().await;
    assert_eq!(own(&world, Metric::UsageBytes).await, [(row, Some(1_000))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s2_amounts_that_no_request_consumes_count_as_not_reported() {
    for absurd in ["9223372036854775807", "100000000001", "1e300", "-5"] {
        let usage = COMPLETION.replace(
            r#""prompt_tokens":11,"completion_tokens":7"#,
            &format!(r#""prompt_tokens":{absurd},"completion_tokens":{absurd}"#),
        );
        assert_ne!(usage, COMPLETION);
        let world = World::start(Reply::whole(200, &usage)).await;
        world.chat(r#"{"model":"real"}"#).await;
        let row = world.rows(1).await.remove(0);
        assert!(row.estimated, "{absurd}: {row:?}");
        let amounts = [row.input, row.output];
        let is_sane = |amount: &Option<i64>| amount.is_none_or(|it| (0..1_000).contains(&it));
        assert!(amounts.iter().all(is_sane), "{absurd}: {row:?}");
    }
}
