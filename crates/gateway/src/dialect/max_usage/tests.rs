//! The reservation for a request is no less than the charge for its answer.

use base::money::Factor;
use base::{NanoDollars, UnixTime};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use usage::{ModelFact, ModelFacts, PriceBook};

use crate::dialect::{Call, CostBasis, Dialect};

pub(super) const NOW: UnixTime = UnixTime(1_768_478_400);

/// An input token costs a nano-dollar, an output token a thousand, and a tool call a million and more.
const PRICES: &str = "
[[price]]
model = 'm'
effective = '2026-01-01'
input = '0.001'
output = '1'
[[price]]
model = 'read'
effective = '2026-01-01'
input = '0.001'
[[price]]
model = '*'
effective = '2026-01-01'
web_search = '1'
file_search = '2'
code_interpreter = '0.003'
";

pub(super) fn facts() -> ModelFacts {
    let fact = |name: &str, window, output| ModelFact {
        name: name.to_owned(),
        context_window: window,
        max_output_tokens: output,
        ..ModelFact::default()
    };
    ModelFacts::with(vec![
        fact("m", Some(100_000), Some(400)),
        fact("window", Some(100_000), None),
    ])
}

pub(super) fn basis<'a>(
    prices: &'a PriceBook,
    facts: &'a ModelFacts,
    dialect: &'a Dialect,
    model: &'a str,
) -> CostBasis<'a> {
    CostBasis {
        prices,
        facts,
        dialect,
        model,
        at: NOW,
        uplift: Factor::ONE,
        batch: None,
    }
}

pub(super) fn call(path: &str, body: &Value) -> (&'static Dialect, Call) {
    let dialect = Dialect::at(path).expect(path);
    let body = Bytes::from(body.to_string());
    let call = Call::parse(dialect, &HeaderMap::new(), body).expect("a call");
    (dialect, call)
}

fn cost(path: &str, body: &Value, model: &str) -> base::Result<i64> {
    let prices = PriceBook::parse(&PRICES.replace("'m'", &format!("'{model}'"))).expect("prices");
    let (dialect, call) = call(path, body);
    let most = call.max_usage(dialect)?;
    let cost = most.max_cost(&basis(&prices, &facts(), dialect, model));
    cost.map(|cost| cost.0)
}

/// Returns the most input and output tokens, and the most millions of nano-dollars for tools.
fn tokens(path: &str, body: &Value) -> (i64, i64, i64) {
    let cost = cost(path, body, "m").expect("a cost");
    (cost % 1_000, cost / 1_000 % 1_000, cost / 1_000_000)
}

#[test]
fn s11_everything_that_a_model_may_read_or_write_is_reserved() {
    let chat = |more: Value| {
        let mut body = json!({"model": "m", "messages": [], "max_completion_tokens": 7});
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        tokens("/chat/completions", &body)
    };
    assert_eq!(chat(json!({})), (2, 7, 0));
    assert_eq!(chat(json!({"user": "x".repeat(500)})), (2, 7, 0));
    for unusual in ["functions", "response_format", "whatever"] {
        assert_eq!(chat(json!({unusual: "12345678"})), (12, 7, 0), "{unusual}");
    }
    assert_eq!(chat(json!({"n": 3, "max_tokens": 9})), (2, 27, 0));
    assert_eq!(chat(json!({"max_completion_tokens": null})), (2, 400, 0));
    assert_eq!(chat(json!({"prediction": "1234"})), (8, 13, 0));
    // A file counts as text unless it stands where an image does.
    let file = format!("data:image/png;base64,{}", "A".repeat(300));
    let text = json!([{"role": "user", "content": file}]);
    assert_eq!(chat(json!({"messages": text})).0, 352);
    let completions = |prompt: Value| {
        let body = json!({"model": "m", "prompt": prompt, "max_tokens": 5, "n": 2, "best_of": 3});
        tokens("/completions", &body)
    };
    assert_eq!(completions(json!("1234")), (6, 15, 0));
    assert_eq!(completions(json!(["1", "2", "3"])), (13, 45, 0));
    assert_eq!(completions(json!([1, 2, 3])), (7, 15, 0));
    assert_eq!(completions(json!([[1], [2]])), (9, 30, 0));
    let embeddings = json!({"model": "m", "input": ["1", "2"]});
    assert_eq!(tokens("/embeddings", &embeddings), (9, 0, 0));
    // Input of 6 bytes, and a question of 41 bytes with 16 tokens around it, which is answered in 64.
    let questions = json!([{"type": "predicate", "instructions": "1"}]);
    let decision = json!({"model": "m", "input": "1234", "questions": questions});
    assert_eq!(tokens("/decisions", &decision), (63, 64, 0));
}

#[test]
fn s11_named_content_fills_the_context_window_and_each_tool_call_fills_it_again() {
    const CONTEXT_WINDOW_LEN: i64 = 100_000;
    let respond = |more: Value| {
        let mut body = json!({"model": "m", "input": [], "max_output_tokens": 1});
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        cost("/responses", &body, "m").map(|cost| cost - 1_000)
    };
    let image = json!([{"role": "user", "content": [{"type": "input_image", "image_url": "https://x/y.png"}]}]);
    let image_bytes =
        i64::try_from(image.to_string().len() - "https://x/y.png".len()).expect("few");
    let kept = json!([{"type": "item_reference", "id": "msg_1"}]);
    let file = json!([{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]);
    let tool = |kind: &str| json!([{"type": kind}]);
    let hidden =
        json!([{"type": "additional_tools", "role": "developer", "tools": [{"type": "mcp"}]}]);
    for (more, expected) in [
        (json!({"input": image}), 50_000 + image_bytes),
        (json!({"input": kept}), CONTEXT_WINDOW_LEN),
        (json!({"input": file}), CONTEXT_WINDOW_LEN),
        (
            json!({"previous_response_id": "resp_1"}),
            CONTEXT_WINDOW_LEN,
        ),
        (json!({"conversation": "conv_1"}), CONTEXT_WINDOW_LEN),
        (json!({"previous_response_id": null}), 2),
        (json!({"tools": tool("function")}), 2 + 21),
        (
            json!({"tools": tool("mcp"), "max_tool_calls": 4}),
            5 * CONTEXT_WINDOW_LEN,
        ),
        (
            json!({"input": hidden, "max_tool_calls": 4}),
            5 * CONTEXT_WINDOW_LEN,
        ),
        (
            json!({"tools": tool("web_search_preview"), "max_tool_calls": 4}),
            5 * CONTEXT_WINDOW_LEN + 4_000_000,
        ),
        (
            json!({"tools": [{"type": "file_search"}, {"type": "code_interpreter"}], "max_tool_calls": 2}),
            3 * CONTEXT_WINDOW_LEN + 4_000_000 + 6_000_000,
        ),
        (
            json!({"prompt": {"id": "pmpt_1"}, "max_tool_calls": 1}),
            2 * CONTEXT_WINDOW_LEN + 1_000_000 + 2_000_000 + 3_000_000 + 6_240_000,
        ),
    ] {
        assert_eq!(respond(more.clone()).ok(), Some(expected), "{more}");
    }
    let search = json!({"model": "m", "messages": [], "max_tokens": 1, "web_search_options": {}});
    let searched = cost("/chat/completions", &search, "m").expect("a cost");
    assert_eq!(searched, CONTEXT_WINDOW_LEN + 1_000 + 1_000_000);
}

#[test]
fn s11_unbounded_request_is_refused_where_it_is_charged() {
    let chat = |more: &str| format!(r#"{{"model":"x","messages":[]{more}}}"#);
    let respond = |more: &str| format!(r#"{{"model":"x","input":[],"max_output_tokens":5{more}}}"#);
    let image = r#","input":[{"content":[{"file_id":"file-1"}]}]"#;
    let only_file = format!(r#"{{"model":"x","max_output_tokens":5{image}}}"#);
    for (path, body, param) in [
        ("/chat/completions", chat(""), "max_completion_tokens"),
        (
            "/completions",
            r#"{"model":"x","prompt":"x"}"#.into(),
            "max_tokens",
        ),
        (
            "/responses",
            r#"{"model":"x","input":"x"}"#.into(),
            "max_output_tokens",
        ),
        (
            "/responses",
            respond(r#","tools":[{"type":"mcp"}]"#),
            "max_tool_calls",
        ),
        (
            "/responses",
            respond(r#","prompt":{"id":"p"}"#),
            "max_tool_calls",
        ),
        (
            "/responses",
            respond(r#","previous_response_id":"r""#),
            "previous_response_id",
        ),
        (
            "/responses",
            respond(r#","conversation":"r""#),
            "conversation",
        ),
        ("/responses", only_file, "input"),
    ] {
        let value: Value = serde_json::from_str(&body).expect(&body);
        let error = cost(path, &value, "unknown").expect_err(&body);
        assert_eq!(
            (error.status.as_u16(), error.param.as_deref()),
            (400, Some(param)),
            "{body}"
        );
        let (dialect, call) = call(path, &value);
        let most = call.max_usage(dialect).expect("a number");
        let free = PriceBook::default();
        let cost = most.max_cost(&basis(&free, &facts(), dialect, "unknown"));
        assert_eq!(cost.ok(), Some(NanoDollars(0)), "{body}");
    }
    // A model whose answers cost nothing needs no bound of them; the window is one.
    let body: Value = serde_json::from_str(&chat("")).expect("JSON");
    assert!(cost("/chat/completions", &body, "window").is_ok());
    let (dialect, call) = call("/chat/completions", &body);
    let most = call.max_usage(dialect).expect("a number");
    let prices = PriceBook::parse(PRICES).expect("prices");
    let read = most.max_cost(&basis(&prices, &facts(), dialect, "read"));
    assert_eq!(read.ok(), Some(NanoDollars(2)));
}

#[test]
fn web_searches_and_containers_are_reserved_at_the_variant_that_is_asked_for() {
    let prices = PRICES.replace(
        "web_search = '1'",
        "web_search = { low = '1', medium = '2', high = '5' }",
    );
    let prices = prices.replace(
        "code_interpreter = '0.003'",
        "code_interpreter = { 1g = '0.003', 4g = '0.012', 64g = '1' }",
    );
    let prices = PriceBook::parse(&prices).expect("prices");
    let facts = facts();
    // The tools of a request with two calls, in millionths of a dollar.
    let millionths = |more: Value| {
        let mut body =
            json!({"model": "m", "input": "", "max_output_tokens": 1, "max_tool_calls": 2});
        let members = body.as_object_mut().expect("an object");
        members.extend(more.as_object().expect("an object").clone());
        let (dialect, call) = call("/responses", &body);
        let most = call.max_usage(dialect).expect("a number");
        let cost = most
            .max_cost(&basis(&prices, &facts, dialect, "m"))
            .expect("a cost");
        (cost.0 - 3 * 100_000 - 1_000) / 1_000
    };
    let search = |size: Value| json!({"type": "web_search", "search_context_size": size});
    let container = |memory: &str| json!({"type": "code_interpreter", "container": {"type": "auto", "memory_limit": memory}});
    for (tools, expected) in [
        // 2 × 1, 2 and 5 thousandths.
        (json!([search(json!("low"))]), 2_000),
        (json!([search(json!(null))]), 4_000),
        (json!([search(json!("high"))]), 10_000),
        (json!([search(json!("low")), search(json!("high"))]), 10_000),
        // An unknown size may be any.
        (json!([search(json!("huge"))]), 10_000),
        // 2 × 3 and 12 thousandths, and 2 dollars.
        (json!([{"type": "code_interpreter"}]), 6_000),
        (json!([container("4g")]), 24_000),
        (json!([container("1g"), container("64g")]), 2_000_000),
        (json!([container("32g")]), 2_000_000),
    ] {
        assert_eq!(millionths(json!({"tools": tools})), expected, "{tools}");
    }
    // A stored prompt may bring any: 2 × 5, 2 × 2 thousandths for file searches, and 2 dollars; and images at 6,240 a call.
    let any = millionths(json!({"prompt": {"id": "pmpt_1"}}));
    assert_eq!(any, 10_000 + 4_000 + 2_000_000 + 2 * 6_240);
}

#[test]
fn agents_that_start_others_are_refused_where_output_is_charged() {
    for (agents, is_refused) in [
        (json!({"enabled": true}), true),
        (
            json!({"enabled": true, "max_concurrent_subagents": 1}),
            true,
        ),
        (json!({"enabled": "yes"}), true),
        (json!(true), true),
        (json!({"enabled": false}), false),
        (json!(null), false),
    ] {
        let body =
            json!({"model": "m", "input": "", "max_output_tokens": 5, "multi_agent": agents});
        let param = cost("/responses", &body, "m")
            .err()
            .and_then(|error| error.param);
        let expected = is_refused.then_some("multi_agent");
        assert_eq!(param.as_deref(), expected, "{agents}");
    }
}
