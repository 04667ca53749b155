//! Spend limits: the requests that pass, the refusals, and the release of reservations.

use std::sync::Arc;

use base::ids::{Id, ProjectId};
use base::{NanoDollars, UnixTime};
use gateway::{Durability, UpstreamConfig};
use http::Method;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use usage::{Month, SpendRequest};

use crate::upstream::{COMPLETION, Reply, Step};
use crate::world::{Answer, START_SECONDS, World, chat, config, read, request};

/// A request that may cost between 10 and 11 cents, at the prices of the world: a token for each byte of its messages, and 20
/// of output. Its answer has 11 and 7 tokens, which cost 1.8 cents.
const REQUEST: &str = r#"{"model":"real","max_tokens":20,"messages":[{"role":"user","content":"as long as is needed to be no less than was reported"}]}"#;
/// A request for a model without a price.
const FREE: &str = r#"{"model":"free","messages":[]}"#;
/// The cost of the answer, in billionths of a dollar.
const MAX_ANSWER_COST: i64 = 18_000_000;
/// An upper bound of the cost of the request, in billionths of a dollar.
const MAX_REQUEST_COST: i64 = 110_000_000;
/// A cent, in billionths of a dollar.
const NANODOLLARS_PER_CENT: i64 = 10_000_000;
/// The number of clients of a crowd.
const CLIENT_COUNT: usize = 500;

/// Sets the limits of the organization and of the project, in cents.
async fn limit(world: &World, whole: Option<i64>, part: Option<i64>) {
    world.limit_spend(whole).await;
    world.limit_project_spend(part).await;
}

async fn start(reply: Reply) -> World {
    World::with(reply, Durability::Batched, |url| {
        let models = vec!["real".to_owned(), "free".to_owned()];
        vec![UpstreamConfig {
            models,
            ..config("local", url)
        }]
    })
    .await
}

/// Returns the sum of the ledger, in billionths of a dollar.
async fn spent(world: &World) -> i64 {
    world
        .entries()
        .await
        .iter()
        .map(|entry| entry.amount.0)
        .sum()
}

/// Returns whether a limit of the organization alone, and one of the project alone, refuses a request: limits in cents.
fn refusing(world: &World, whole: i64, part: i64) -> (bool, bool) {
    let limit = |cents| Some(NanoDollars::from_cents(cents));
    let project = ProjectId::from_text(world.project.clone());
    let refuses = |whole, part| {
        let reserved = world.spend.reserve_locally(&SpendRequest {
            organization: (&world.organization.id, whole),
            project: (&project, part),
            at: world.clock.now(),
            max_cost: NanoDollars(MAX_REQUEST_COST),
        });
        reserved.is_err()
    };
    (refuses(limit(whole), None), refuses(None, limit(part)))
}

/// Returns the message of a refusal.
fn refused(answer: &Answer) -> String {
    let [message, kind, param, code] = answer.error();
    assert_eq!(answer.status, 429, "{message}");
    assert_eq!(
        (&kind, &code),
        (&"insufficient_quota".into(), &"insufficient_quota".into())
    );
    assert!(param.is_null() && answer.header("retry-after").is_empty());
    message.as_str().expect("a message").to_owned()
}

/// Returns the responses to a crowd of clients, each of which sends this many requests.
async fn crowd(world: &World, times: usize) -> Vec<Answer> {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENT_COUNT {
        let (gateway, key) = (world.gateway.clone(), world.service().to_owned());
        clients.spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..times {
                answers.push(read(gateway.handle(chat(&key, REQUEST)).await).await);
            }
            answers
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_ask_at_once_no_limit_is_passed() {
    for (whole, part, who) in [
        (Some(100), None, "organization org-"),
        (None, Some(60), "project proj_"),
        (Some(400), Some(150), "project proj_"),
    ] {
        let world = start(Reply::whole(200, COMPLETION)).await;
        limit(&world, whole, part).await;
        let (of_organization, of_project) = (whole.unwrap_or(1 << 40), part.unwrap_or(1 << 40));
        assert_eq!(
            refusing(&world, of_organization, of_project),
            (false, false)
        );
        let answers = crowd(&world, 3).await;
        let (passed, others): (Vec<_>, Vec<_>) =
            answers.iter().partition(|answer| answer.status == 200);
        assert!(others.iter().all(|answer| refused(answer).contains(who)));
        let most = of_organization.min(of_project) * NANODOLLARS_PER_CENT;
        let spent = spent(&world).await;
        assert_eq!(
            spent,
            i64::try_from(passed.len()).expect("few") * MAX_ANSWER_COST
        );
        assert!(spent <= most, "{spent} of {most}");
        // One after the other, all of it can be spent but what one request might cost more.
        while world.chat(REQUEST).await.status == 200 {
            world.recorder.flush().await;
        }
        let spent = self::spent(&world).await;
        assert!(
            spent <= most && most < spent + MAX_REQUEST_COST,
            "{spent} of {most}"
        );
        let is_of_organization = part.is_none();
        let found = refusing(&world, of_organization, of_project);
        assert_eq!(found, (is_of_organization, !is_of_organization));
    }
}

#[tokio::test]
async fn a_refusal_names_the_organization_first_and_leaves_no_trace() {
    let world = start(Reply::whole(200, COMPLETION)).await;
    limit(&world, Some(11), Some(11)).await;
    assert_eq!(world.chat(REQUEST).await.status, 200);
    spent(&world).await;
    let message = refused(&world.chat(REQUEST).await);
    let words = format!(
        "The organization {} has spent $0.018 of the $0.11 that it may spend in October 2025 (UTC); $0.00 is set aside",
        world.organization.id
    );
    assert!(message.starts_with(&words), "{message}");
    assert_eq!(refusing(&world, 11, 11), (true, true));
    limit(&world, Some(1000), Some(11)).await;
    let message = refused(&world.chat(REQUEST).await);
    let words = format!(
        "The project {} has spent $0.018 of the $0.11",
        world.project
    );
    assert!(message.starts_with(&words), "{message}");
    assert_eq!(refusing(&world, 1000, 11), (false, true));
    limit(&world, Some(1000), None).await;
    assert_eq!(world.chat(REQUEST).await.status, 200);
    assert_eq!(spent(&world).await, 2 * MAX_ANSWER_COST);
    assert_eq!(world.upstream.asked().len(), 2);
}

#[tokio::test]
async fn what_costs_nothing_passes_until_the_limit_is_reached() {
    let world = start(Reply::whole(200, COMPLETION)).await;
    limit(&world, Some(1), None).await;
    assert_eq!(world.chat(FREE).await.status, 200);
    let message = refused(&world.chat(REQUEST).await);
    assert!(message.contains("this one may cost up to $0."), "{message}");
    assert_eq!(world.chat(FREE).await.status, 200);
    limit(&world, None, None).await;
    assert_eq!(world.chat(REQUEST).await.status, 200);
    assert_eq!(spent(&world).await, MAX_ANSWER_COST);
    limit(&world, Some(1), None).await;
    let message = refused(&world.chat(FREE).await);
    assert!(message.contains("$0.018 of the $0.01"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_aside_is_given_back_whatever_becomes_of_the_request() {
    let gate = Arc::new(Semaphore::new(0));
    let gated = Reply::whole(200, COMPLETION).after(Step::Gate(Arc::clone(&gate)));
    let world = start(gated).await;
    limit(&world, Some(15), None).await;
    // A client that hangs up: its request goes on, and what it may cost stays set aside.
    let first = tokio::spawn({
        let (gateway, key) = (world.gateway.clone(), world.service().to_owned());
        async move { read(gateway.handle(chat(&key, REQUEST)).await).await }
    });
    poll::until("the upstream is asked", async || {
        !world.upstream.asked().is_empty()
    })
    .await;
    first.abort();
    refused(&world.chat(REQUEST).await);
    gate.add_permits(1);
    world.rows(1).await;
    // A model server that fails: nothing was spent.
    world.upstream.replies(Reply::whole(500, "{}"));
    assert_eq!(world.chat(REQUEST).await.status, 500);
    world.recorder.flush().await;
    world.upstream.replies(Reply::whole(200, COMPLETION));
    assert_eq!(world.chat(REQUEST).await.status, 200);
    assert_eq!(spent(&world).await, 2 * MAX_ANSWER_COST);
}

#[tokio::test]
async fn the_next_month_begins_with_nothing_spent() {
    let world = start(Reply::whole(200, COMPLETION)).await;
    limit(&world, Some(11), None).await;
    assert_eq!(world.chat(REQUEST).await.status, 200);
    spent(&world).await;
    refused(&world.chat(REQUEST).await);
    assert_eq!(refusing(&world, 11, 11), (true, true));
    world
        .clock
        .advance(Month::of(UnixTime(START_SECONDS)).end.0 - START_SECONDS);
    assert_eq!(refusing(&world, 11, 11), (false, false));
    assert_eq!(world.chat(REQUEST).await.status, 200);
}

#[tokio::test]
async fn s11_a_limit_that_equals_the_cost_of_one_request_lets_it_pass() {
    let world = start(Reply::whole(200, COMPLETION)).await;
    limit(&world, Some(1), None).await;
    let asks = |tokens: i64| format!(r#"{{"model":"real","max_tokens":{tokens},"messages":[]}}"#);
    // Two tokens are read at the most, and ten cost a cent.
    let message = refused(&world.chat(&asks(9)).await);
    assert!(message.contains("may cost up to $0.011."), "{message}");
    assert_eq!(world.chat(&asks(8)).await.status, 200);
}

/// Requests that may cost more than 5 dollars, or an unknown amount: the path, the body, and words of the refusal.
fn dear() -> Vec<(&'static str, String, Option<&'static str>)> {
    let long = "x".repeat(6_000);
    let chat = |more: &str, param| {
        let body = format!(r#"{{"model":"real","messages":[]{more}}}"#);
        ("/v1/chat/completions", body, param)
    };
    let message = |content: &str| {
        let body = format!(
            r#"{{"model":"real","max_tokens":1,"messages":[{{"role":"user","content":{content}}}]}}"#
        );
        ("/v1/chat/completions", body, None)
    };
    let respond = |more: &str, param| {
        let body = format!(r#"{{"model":"real","input":[],"max_output_tokens":1{more}}}"#);
        ("/v1/responses", body, param)
    };
    let with =
        |name: &str, value: &str| chat(&format!(r#","max_tokens":1,"{name}":{value}"#), None);
    let text = format!(r#""{long}""#);
    vec![
        chat(r#","max_tokens":9e5"#, None),
        chat(r#","max_tokens":900000.0"#, None),
        chat(r#","max_completion_tokens":"900000""#, None),
        chat(r#","max_tokens":100,"n":90.0"#, None),
        chat(r#","max_tokens":-1"#, Some("max_tokens")),
        respond(
            r#","tools":[{"type":"web_search"}]"#,
            Some("max_tool_calls"),
        ),
        respond(r#","prompt":{"id":"pmpt_1"}"#, Some("max_tool_calls")),
        chat(r#","n":6"#, None),
        with("functions", &text),
        with("response_format", &text),
        with("prediction", &text),
        with("web_search_options", "{}"),
        message(r#"[{"type":"image_url","image_url":{"url":"https://x/y"}}]"#),
        message(&format!(r#""data:x;base64,{long}""#)),
        respond(r#","tools":[{"type":"mcp"}],"max_tool_calls":1"#, None),
    ]
}

#[tokio::test]
async fn s11_no_spelling_and_nothing_that_is_only_named_passes_a_limit() {
    let world = start(Reply::whole(200, COMPLETION)).await;
    limit(&world, Some(500), None).await;
    for (path, body, param) in dear() {
        let request = request(Method::POST, path, world.service(), &body);
        let answer = world.send(request).await;
        let Some(param) = param else {
            refused(&answer);
            continue;
        };
        let [message, _, named, _] = answer.error();
        assert_eq!(answer.status, 400, "{body}: {message}");
        assert_eq!(named, param, "{body}: {message}");
    }
    let asked = world.upstream.asked();
    assert!(asked.is_empty(), "what is refused is not passed on");
}

#[tokio::test]
async fn counted_late_what_an_answer_has_cost_counts_at_once() {
    let usage = COMPLETION.replace("\"prompt_tokens\":11", "\"prompt_tokens\":1000");
    let usage = usage.replace("\"completion_tokens\":7", "\"completion_tokens\":100");
    let world = start(Reply::whole(200, &usage)).await;
    limit(&world, Some(200), None).await;
    let request = r#"{"model":"real","max_completion_tokens":10,"messages":[]}"#;
    // Each costs 1.10 dollars, though little was set aside; nothing waits for the ledger.
    assert_eq!(world.chat(request).await.status, 200);
    assert_eq!(world.chat(request).await.status, 200);
    for _ in 0..3 {
        refused(&world.chat(request).await);
    }
    assert_eq!(spent(&world).await, 2 * 110 * NANODOLLARS_PER_CENT);
    refused(&world.chat(request).await);
    // The row gives back what it takes the place of.
    limit(&world, Some(260), None).await;
    assert_eq!(world.chat(request).await.status, 200);
    assert_eq!(spent(&world).await, 3 * 110 * NANODOLLARS_PER_CENT);
}
