//! The memory of request bodies: bounded in sum, and for each key and project.

use std::sync::Arc;
use std::time::Duration;

use base::{Budget, BudgetLimits};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::slow_body::{UnderWay, slow_body, slow_chat};
use crate::upstream::{COMPLETION, Reply, Step};
use crate::world::{Answer, Bounds, World, chat, config, read, request};

const MODEL: &str = r#"{"model":"real"}"#;
const KIBI_BYTES: u64 = 1024;

async fn world(reply: Reply, limits: BudgetLimits) -> (World, Budget) {
    let memory = Budget::new(limits);
    let bounds = Bounds {
        body_memory: memory.clone(),
        ..Bounds::default()
    };
    let upstreams = |url| vec![config("local", url)];
    (World::bounded(reply, upstreams, bounds).await, memory)
}

fn limits() -> BudgetLimits {
    BudgetLimits {
        total: 1000 * KIBI_BYTES,
        per_key: 400 * KIBI_BYTES,
        per_project: 700 * KIBI_BYTES,
    }
}

/// Returns the status, the code, and the time after which to try again.
fn refusal(answer: &Answer) -> (u16, serde_json::Value, &str) {
    let [.., code] = answer.error();
    (answer.status.as_u16(), code, answer.header("retry-after"))
}

async fn until(is_so: impl Fn() -> bool) {
    poll::until("memory is used or given back", async || is_so()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_bodies_are_bounded_in_sum_and_for_each_key_and_project() {
    let (world, memory) = world(Reply::whole(200, COMPLETION), limits()).await;
    let mut senders = Vec::new();
    let mut begin = |key: &str, announced: u64| {
        let (sender, body) = slow_body(Some(announced * KIBI_BYTES));
        let under_way = UnderWay::start(&world, slow_chat(key, body));
        senders.push(sender);
        under_way
    };
    let first = begin(world.service(), 300);
    until(|| memory.used() == 300 * KIBI_BYTES).await;
    let answer = begin(world.service(), 300).answer().await;
    assert_eq!(
        refusal(&answer),
        (429, json!("rate_limit_exceeded"), "1"),
        "of one key"
    );
    let second = begin(world.owner(), 350);
    until(|| memory.used() == 650 * KIBI_BYTES).await;
    let answer = begin(world.owner(), 51).answer().await;
    assert_eq!(
        refusal(&answer),
        (429, json!("rate_limit_exceeded"), "1"),
        "of one project"
    );
    let third = begin(world.other(), 340);
    until(|| memory.used() == 990 * KIBI_BYTES).await;
    let answer = begin(world.other(), 20).answer().await;
    assert_eq!(refusal(&answer), (503, json!("overloaded"), "1"), "of all");
    assert_eq!(world.chat(MODEL).await.status, 200, "a small one passes");
    drop(senders);
    for under_way in [first, second, third] {
        assert_eq!(under_way.answer().await.status, 400);
    }
    until(|| memory.used() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_body_of_unknown_length_is_charged_as_it_grows() {
    let (world, memory) = world(Reply::whole(200, COMPLETION), limits()).await;
    let (sender, body) = slow_body(None);
    let under_way = UnderWay::start(&world, slow_chat(world.service(), body));
    let piece = " ".repeat(100 * 1024);
    for number in 1..=3 {
        sender.send(&piece).await;
        until(|| memory.used() >= number * 100 * KIBI_BYTES).await;
        assert!(memory.used() <= 400 * KIBI_BYTES);
    }
    sender.send(&piece).await;
    let (sent, answer) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(5), async {
            // No task reads this body.
            let _ = tokio::spawn(async move { sender.send("x").await }).await;
        }),
        under_way.answer()
    );
    sent.expect("it is not waited for");
    assert_eq!(refusal(&answer), (429, json!("rate_limit_exceeded"), "1"));
    until(|| memory.used() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_body_is_charged_until_its_upstream_has_it() {
    let gate = Arc::new(Semaphore::new(0));
    let reply = Reply::whole(200, COMPLETION).after(Step::Gate(Arc::clone(&gate)));
    let (world, memory) = world(reply, limits()).await;
    let long = format!(r#"{{"model":"real","messages":"{}"}}"#, "x".repeat(100_000));
    let response = {
        let request = world.gateway.handle(chat(world.service(), &long));
        tokio::pin!(request);
        tokio::select! {
            _ = &mut request => panic!("the gate is shut"),
            () = until(|| !world.upstream.asked().is_empty()) => {}
        }
        assert!(memory.used() >= 100_000, "{}", memory.used());
        gate.add_permits(1);
        request.await
    };
    assert_eq!(memory.used(), 0, "the answer needs no body");
    assert_eq!(read(response).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_project_without_any_limit_left_is_refused_before_the_body_is_read() {
    for code in ["rate_limit_exceeded", "insufficient_quota"] {
        let (world, memory) = world(Reply::whole(200, COMPLETION), limits()).await;
        // The first request costs more than the limit.
        assert_eq!(world.chat(MODEL).await.status, 200);
        world.recorder.flush().await;
        if code == "insufficient_quota" {
            world.limit_project_spend(Some(1)).await;
        } else {
            for model in ["real", "nick"] {
                world.limit(model, "max_requests_per_1_minute", 0).await;
            }
        }
        let (sender, body) = slow_body(Some(300 * KIBI_BYTES));
        let answer = UnderWay::start(&world, slow_chat(world.service(), body)).answer();
        let answer = tokio::time::timeout(Duration::from_secs(5), answer).await;
        let answer = answer.expect("the body is not waited for");
        let [.., found] = answer.error();
        assert_eq!((answer.status.as_u16(), found), (429, json!(code)));
        assert_eq!(memory.used(), 0);
        drop(sender);
        let models = request(http::Method::GET, "/v1/models", world.service(), "");
        assert_eq!(world.send(models).await.status, 200);
        assert_eq!(world.send(chat(world.other(), MODEL)).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_project_is_accepted_as_long_as_one_model_is() {
    let (world, _) = world(Reply::whole(200, COMPLETION), limits()).await;
    world.limit("nick", "max_requests_per_1_minute", 0).await;
    assert_eq!(world.chat(MODEL).await.status, 200);
}
