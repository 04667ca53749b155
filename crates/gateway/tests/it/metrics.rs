//! Metrics: they agree with the ledger.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body::Frame;
use http_body_util::BodyExt;
use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};
use tokio::sync::Semaphore;

use crate::upstream::{COMPLETION, EVENTS, Reply, Step, send};
use crate::world::{World, chat, request};

const MODEL: &str = r#"{"model":"real"}"#;
const STREAM: &str = r#"{"model":"real","stream":true}"#;

/// Returns the values of a metric by its labels; of a histogram the counts.
type Values = BTreeMap<String, f64>;

fn values(registry: &Registry, name: &str) -> Values {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name);
    let Some(family) = family.map(MetricFamily::get_metric) else {
        return Values::new();
    };
    let entries = family.iter().map(|metric| {
        let labels = metric.get_label().iter();
        let labels: Vec<String> = labels.map(|label| label.value().to_owned()).collect();
        let histogram = metric.get_histogram();
        let value = match histogram.get_sample_count() {
            0 => metric.get_counter().get_value() + metric.get_gauge().get_value(),
            count => count as f64,
        };
        (labels.join(" "), value)
    });
    entries.collect()
}

fn expected<const N: usize>(values: [(&str, u32); N]) -> Values {
    let values = values.map(|(labels, value)| (labels.to_owned(), f64::from(value)));
    Values::from(values)
}

fn registry(world: &World) -> Registry {
    let registry = Registry::new();
    world.gateway.register(&registry).expect("registered once");
    registry
}

/// Sends requests with every kind of end, and returns the number of those that are in the ledger.
async fn mixed_load(world: &World) -> usize {
    for body in [MODEL, r#"{"model":"nick"}"#] {
        assert_eq!(world.chat(body).await.status, 200);
    }
    world.upstream.replies(Reply::events());
    world.chat(STREAM).await;
    world.upstream.replies(Reply::whole(500, "{}"));
    assert_eq!(world.chat(MODEL).await.status, 500);
    world
        .upstream
        .replies(Reply::stream(vec![send(EVENTS[0]), Step::Die]));
    assert!(world.chat(STREAM).await.is_broken);
    world.upstream.replies(Reply::whole(401, "{}"));
    assert_eq!(world.chat(MODEL).await.status, 502);
    let gate = Arc::new(Semaphore::new(0));
    let steps = vec![
        send(EVENTS[0]),
        Step::Gate(Arc::clone(&gate)),
        send(EVENTS[2]),
        send(EVENTS[3]),
    ];
    world.upstream.replies(Reply::stream(steps));
    let mut body = world
        .gateway
        .handle(chat(world.service(), STREAM))
        .await
        .into_body();
    body.frame().await.expect("a frame").expect("a piece");
    drop(body);
    poll::until("the answer is drained", async || {
        world.gateway.running_drains() > 0
    })
    .await;
    gate.add_permits(1);
    7
}

/// Sends requests that are not recorded in the ledger.
async fn refusals(world: &World) {
    world.send(chat("sk-proj-nobody", MODEL)).await;
    world.chat(r#"{"model":"unheard-of"}"#).await;
    world.chat("{").await;
    for path in [
        "/v1/models",
        "/v1/models/real",
        "/v1/models/unheard-of",
        "/v1/elsewhere",
    ] {
        world
            .send(request(Method::GET, path, world.owner(), ""))
            .await;
    }
}

/// Checks that this many requests had an answer of the upstream, and that none is in flight.
fn assert_timed(registry: &Registry, answered: u32) {
    assert_eq!(
        values(registry, "orgplane_added_latency_seconds"),
        expected([("", answered)])
    );
    for name in [
        "gen_ai_client_operation_time_to_first_chunk_seconds",
        "gen_ai_client_operation_duration_seconds",
    ] {
        assert_eq!(
            values(registry, name),
            expected([("local", answered)]),
            "{name}"
        );
    }
    assert_eq!(
        values(registry, "http_server_active_requests"),
        expected([("", 0)])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_is_what_is_in_the_ledger() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let registry = registry(&world);
    let admitted = mixed_load(&world).await;
    refusals(&world).await;
    let rows = world.rows(admitted).await;

    let requests = values(&registry, "orgplane_requests_total");
    let chat = "/v1/chat/completions";
    let all = [
        (format!("{chat} succeeded 2xx"), 3.0),
        (format!("{chat} upstream_failed 2xx"), 1.0),
        (format!("{chat} upstream_failed 5xx"), 2.0),
        (format!("{chat} client_gone 2xx"), 1.0),
        (format!("{chat} refused 4xx"), 3.0),
        ("/v1/models succeeded 2xx".to_owned(), 1.0),
        ("/v1/models/{model} succeeded 2xx".to_owned(), 1.0),
        ("/v1/models/{model} refused 4xx".to_owned(), 1.0),
        ("other refused 4xx".to_owned(), 1.0),
    ];
    assert_eq!(requests, Values::from(all));
    for outcome in ["succeeded", "upstream_failed", "client_gone"] {
        let of_models = requests
            .iter()
            .filter(|(labels, _)| labels.starts_with(chat));
        let counted: f64 = of_models
            .filter(|(labels, _)| labels.contains(outcome))
            .map(|(_, value)| value)
            .sum();
        let in_ledger = rows.iter().filter(|row| row.outcome == outcome).count();
        assert_eq!(counted, in_ledger as f64, "{outcome}");
    }
    let sum = |of: fn(&crate::world::Row) -> Option<i64>| -> f64 {
        let amounts = rows.iter().filter_map(of);
        amounts.map(|amount| amount as f64).sum()
    };
    let tokens = [
        ("real input".to_owned(), sum(|row| row.input)),
        ("real output".to_owned(), sum(|row| row.output)),
    ];
    assert_eq!(
        values(&registry, "orgplane_tokens_total"),
        Values::from(tokens)
    );
    assert_eq!(
        values(&registry, "orgplane_refusals_total"),
        expected([
            ("invalid_api_key", 1),
            ("invalid_json", 1),
            ("model_not_found", 2),
            ("unknown_url", 1)
        ])
    );
    assert_timed(&registry, 6);
}

/// A body of which no byte comes. Opens the gate once a byte is waited for.
struct Never(Arc<Semaphore>);

impl http_body::Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.add_permits(1);
        Poll::Pending
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_before_admission_is_in_no_ledger() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let registry = registry(&world);
    let gate = Arc::new(Semaphore::new(0));
    let body = Never(Arc::clone(&gate));
    let request = world
        .gateway
        .handle(chat(world.service(), MODEL).map(|_| body));
    tokio::select! {
        _ = request => panic!("its body has no end"),
        waits = gate.acquire() => drop(waits.expect("a gate")),
    }
    let requests = values(&registry, "orgplane_requests_total");
    assert_eq!(
        requests,
        expected([("/v1/chat/completions abandoned none", 1)])
    );
    assert_eq!(world.ledger().await, []);
    assert_eq!(
        values(&registry, "http_server_active_requests"),
        expected([("", 0)])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_a_client_makes_up_are_not_told_apart() {
    let world = World::with(
        Reply::whole(200, COMPLETION),
        gateway::Durability::Batched,
        |url| {
            let mut any = crate::world::config("any", url);
            any.models = vec!["*".to_owned()];
            vec![any]
        },
    );
    let world = world.await;
    let registry = registry(&world);
    for number in 0..20 {
        let answer = world
            .chat(&format!(r#"{{"model":"made-up-{number}"}}"#))
            .await;
        assert_eq!(answer.status, 200);
    }
    let tokens = values(&registry, "orgplane_tokens_total");
    assert_eq!(
        tokens,
        expected([("other input", 220), ("other output", 140)])
    );
    let text = TextEncoder::new().encode_to_string(&registry.gather());
    assert!(!text.expect("text").contains("made-up"));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_the_upstream_is_not_what_we_add() {
    let wait = Duration::from_millis(500);
    let reply = Reply::whole(200, COMPLETION).after(Step::Wait(wait));
    let world = World::start(reply).await;
    let registry = registry(&world);
    world.chat(MODEL).await;
    world.rows(1).await;
    let seconds = |name: &str| {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let family = family.expect("it is registered");
        family.get_metric()[0].get_histogram().get_sample_sum()
    };
    let added = seconds("orgplane_added_latency_seconds");
    assert!(added > 0.0 && added < wait.as_secs_f64(), "{added}");
    for name in [
        "gen_ai_client_operation_time_to_first_chunk_seconds",
        "gen_ai_client_operation_duration_seconds",
    ] {
        assert!(seconds(name) >= wait.as_secs_f64(), "{name}");
    }
}
