//! The reservation for a request is no less than the charge for its answer.

use base::ids::{Id, OrganizationId, ProjectId};
use base::money::Factor;
use base::{NanoDollars, UnixTime};
use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use usage::{Metric, ModelFact, ModelFacts, PriceBook, Quantities, UsageEvent, UsageKind};

use crate::dialect::{Call, CostBasis, Dialect, MeasuredUsage, UsageAccumulator};
use crate::document::{Document, GeneratedText};

const NOW: UnixTime = UnixTime(1_768_478_400);

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

fn facts() -> ModelFacts {
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

fn basis<'a>(
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

fn call(path: &str, body: &Value) -> (&'static Dialect, Call) {
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

/// A request, and the most usage that its answer may report.
#[derive(Clone, Debug)]
struct Requested {
    path: &'static str,
    body: Value,
    input: i64,
    output: i64,
    calls: i64,
}

const SPEECH: &str = "/audio/speech";

/// The endpoints of the requests that are generated.
const PATHS: [&str; 5] = [
    "/chat/completions",
    "/responses",
    "/messages",
    "/decisions",
    SPEECH,
];

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).expect("few")
}

/// Generates a tool of a response, of any variant.
fn tool() -> impl Strategy<Value = Value> {
    let kind = select(&["web_search", "file_search", "code_interpreter", "mcp"][..]);
    let size = select(
        &[
            None,
            Some("low"),
            Some("medium"),
            Some("high"),
            Some("huge"),
        ][..],
    );
    let memory = select(&[None, Some("1g"), Some("4g"), Some("64g")][..]);
    (kind, size, memory).prop_map(|(kind, size, memory)| match kind {
        "web_search" => json!({"type": kind, "search_context_size": size}),
        "code_interpreter" => {
            json!({"type": kind, "container": {"type": "auto", "memory_limit": memory}})
        }
        kind => json!({"type": kind}),
    })
}

fn requested() -> impl Strategy<Value = Requested> {
    let text = "[ -~äé漢]{0,60}";
    let numbers = (1..4i64, 1..50i64, 1..4i64);
    let tools = prop::collection::vec(tool(), 0..3);
    (select(&PATHS[..]), any::<bool>(), text, numbers, tools, 0..3usize).prop_map(
        |(path, has_maximum, text, (n, maximum, calls), tools, images)| {
            let bytes = length(&text);
            let longest = if has_maximum { maximum } else { 400 };
            let shown = i64::try_from(images).expect("few") * 50_000;
            let mut requested = Requested { path, body: json!(null), input: 0, output: 0, calls: 0 };
            match path {
                "/chat/completions" => {
                    let url = json!({"type": "image_url", "image_url": {"url": "https://x/y"}});
                    let mut parts = vec![json!({"type": "text", "text": text})];
                    parts.extend(std::iter::repeat_n(url, images));
                    requested.body = json!({"model": "m", "n": n, "messages": [{"role": "user", "content": parts}]});
                    if has_maximum {
                        requested.body["max_tokens"] = json!(maximum);
                    }
                    (requested.input, requested.output) = ((bytes + shown + 8).min(100_000), n * longest);
                }
                "/responses" => {
                    requested.body = json!({"model": "m", "input": text, "tools": tools, "max_tool_calls": calls});
                    if has_maximum {
                        requested.body["max_output_tokens"] = json!(maximum);
                    }
                    requested.calls = if tools.is_empty() { 0 } else { calls };
                    requested.input = if tools.is_empty() { bytes + 8 } else { (calls + 1) * 100_000 };
                    requested.output = longest;
                }
                "/messages" => {
                    requested.body = json!({"model": "m", "max_tokens": maximum, "messages": [{"role": "user", "content": text}]});
                    (requested.input, requested.output) = (bytes + 900, maximum);
                    if !tools.is_empty() {
                        requested.body["tools"] = json!([{"type": "web_search_20250305", "name": "s", "max_uses": calls}]);
                        requested.calls = calls;
                        requested.input = (calls + 1) * 100_000;
                        requested.output = (calls + 1) * maximum;
                    }
                }
                "/decisions" => {
                    let question = json!({"type": "predicate", "instructions": text});
                    let count = usize::try_from(n).expect("few");
                    requested.body = json!({"model": "m", "input": text, "questions": vec![question; count]});
                    (requested.input, requested.output) = ((n + 1) * bytes + n * 16, n * 64);
                }
                _ => {
                    requested.body = json!({"model": "m", "input": text, "voice": "alloy", "response_format": "pcm"});
                    (requested.input, requested.output) = (bytes + 2, (bytes.max(10) * 21).min(400));
                }
            }
            requested
        },
    )
}

/// Returns an answer that reports this usage, with calls of the requested tools.
fn answer(request: &Requested, input: i64, output: i64, calls: i64, tier: &str) -> Value {
    let lifetimes = json!({"ttl_30m_tokens": input / 11, "ttl_12h_tokens": input / 13});
    let details = json!({"cached_tokens": input / 3, "cache_write_tokens": input / 5, "audio_tokens": input / 7,
        "cache_write_tokens_details": lifetimes, "cached_tokens_details": {"audio_tokens": input / 17}});
    match request.path {
        "/chat/completions" => json!({"choices": [], "service_tier": tier, "usage": {
            "prompt_tokens": input, "completion_tokens": output, "prompt_tokens_details": details,
            "completion_tokens_details": {"audio_tokens": output / 2}}}),
        "/messages" => {
            let (read, written) = (input / 3, input / 5);
            let lifetimes = json!({"ephemeral_5m_input_tokens": written / 2, "ephemeral_1h_input_tokens": written / 3});
            json!({"type": "message", "content": [], "usage": {"input_tokens": input - read - written, "output_tokens": output,
                "cache_read_input_tokens": read, "cache_creation_input_tokens": written, "cache_creation": lifetimes,
                "server_tool_use": {"web_search_requests": calls}}})
        }
        "/decisions" => {
            json!({"answers": [], "usage": {"input_tokens": input, "output_tokens": output}})
        }
        SPEECH => {
            json!({"type": "speech.audio.done", "usage": {"input_tokens": input, "output_tokens": output}})
        }
        _ => {
            let tools = request.body["tools"].as_array().expect("tools");
            let items = (0..calls).map(|call| {
                let kind = tools[usize::try_from(call).expect("few") % tools.len()]["type"].as_str();
                json!({"type": format!("{}_call", kind.expect("a type")), "container_id": format!("c{call}")})
            });
            json!({"status": "completed", "service_tier": tier, "output": items.collect::<Vec<_>>(), "usage": {
                "input_tokens": input, "output_tokens": output, "input_tokens_details": details}})
        }
    }
}

/// Returns the usage of an answer. Of speech, half of the answers report none and are as long as their audio.
fn measured(
    dialect: &'static Dialect,
    call: &mut Call,
    answer: &Value,
    bytes: usize,
) -> MeasuredUsage {
    let mut accumulator = UsageAccumulator::default();
    call.estimate.speech.has_tokens = true;
    call.estimate.input = call.input("m", None);
    let json = answer.to_string();
    if dialect.kind != UsageKind::AudioSpeeches {
        dialect.read(&mut accumulator, json.as_bytes());
    } else if bytes.is_multiple_of(2) {
        let event = Document::of(json.as_bytes(), &mut GeneratedText::default());
        (dialect.read_event)(&mut accumulator, &event);
    } else {
        accumulator.audio.push(&vec![0; bytes]);
    }
    dialect.measure(&call.estimate, "m", &accumulator)
}

/// Returns the cost of the rows of a request.
fn charged(
    prices: &PriceBook,
    kind: UsageKind,
    uplift: Factor,
    usage: MeasuredUsage,
) -> NanoDollars {
    let event = |kind, quantities: Quantities| UsageEvent {
        model: (kind != UsageKind::FileSearchCalls && kind != UsageKind::CodeInterpreterSessions)
            .then(|| "m".to_owned()),
        ..UsageEvent::new(
            "req_1".to_owned(),
            NOW,
            OrganizationId::from_text("org-1".to_owned()),
            ProjectId::from_text("proj_1".to_owned()),
            kind,
            quantities.with(Metric::UpliftBillionths, uplift.billionths()),
        )
    };
    let tools = usage.hosted_tools.reports();
    let tools = tools.map(|(kind, metric, count)| UsageEvent {
        context_level: usage.context_level.clone(),
        size: usage.container_memory.clone(),
        ..event(kind, Quantities::default().with(metric, count))
    });
    let request = UsageEvent {
        service_tier: usage.service_tier,
        ..event(kind, usage.quantities)
    };
    let rows = tools.chain([request]);
    let lines = rows.flat_map(|row| prices.charges(&row).charges);
    lines.map(|line| line.amount).sum()
}

/// The keys of prices by token, and of characters.
const KEYS: [&str; 12] = [
    "input",
    "cached_input",
    "cache_write",
    "cache_write_30m",
    "cache_write_12h",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "input_audio",
    "cached_input_audio",
    "output_audio",
    "character",
];

/// Generates a book with prices of tokens and characters, rows by length and tier, and of tools by their variants.
fn book() -> impl Strategy<Value = PriceBook> {
    let prices = || prop::collection::vec(prop::option::of(0..3_000_000_000i64), KEYS.len());
    let tools = prop::collection::vec(0..9_000_000_000i64, 8);
    (prices(), prop::array::uniform3(prices()), tools).prop_map(|(table, rows, tools)| {
        let dollars = |nanos: i64| format!("'{}.{:09}'", nanos / 1_000_000_000, nanos % 1_000_000_000);
        let lines = |prices: &[Option<i64>]| -> String {
            let priced = KEYS.iter().zip(prices).filter_map(|(key, price)| Some((key, (*price)?)));
            priced.map(|(key, price)| format!("{key} = {}\n", dollars(price))).collect()
        };
        let tools: Vec<String> = tools.into_iter().map(dollars).collect();
        let mut text = format!(
            "[[price]]\nmodel = 'm'\neffective = '2026-01-01'\nweb_search = {{ low = {}, high = {} }}\n\
             service_tier = {{ priority = '2.5', flex = '0.3' }}\n{}",
            tools[0], tools[1], lines(&table),
        );
        let conditions = ["above_input_tokens = 40", "service_tier = 'priority'\nabove_input_tokens = 90000", "endpoint = 'decisions'"];
        for (condition, prices) in conditions.iter().zip(&rows) {
            let prices = lines(prices);
            if !prices.is_empty() {
                text += &format!("[[price.row]]\n{condition}\n{prices}");
            }
        }
        text += &format!(
            "[[price]]\nmodel = '*'\neffective = '2026-01-01'\nfile_search = {}\nweb_search = {}\n\
             code_interpreter = {{ 1g = {}, 4g = {}, 64g = {} }}\n",
            tools[2], tools[3], tools[4], tools[5], tools[6],
        );
        PriceBook::parse(&text).expect("prices")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Random requests at random prices, and answers that use some of what the request allows, or all of it.
    #[test]
    fn s11_no_charge_exceeds_its_reservation(
        request in requested(),
        book in book(),
        used in prop::array::uniform3(prop_oneof![Just(100i64), 0..=100i64]),
        (asked, tier) in select(&[
            (None, "priority"), (None, "flex"), (Some("auto"), "default"), (Some("flex"), "flex"), (Some("flex"), "default"),
            (Some("fast"), "priority"), (Some("priority"), "default"), (Some("whatever"), "priority"),
        ][..]),
        uplift in select(&["1", "1.1", "0.333333333"][..]),
        audio_bytes in 0..900_000usize,
    ) {
        let mut request = request;
        if let Some(asked) = asked.filter(|_| matches!(request.path, "/responses" | "/chat/completions")) {
            request.body["service_tier"] = json!(asked);
        }
        let (dialect, mut call) = call(request.path, &request.body);
        let most = call.max_usage(dialect).expect("a number");
        let facts = facts();
        let uplift = Factor::parse(uplift).expect("a factor");
        let basis = CostBasis { uplift, ..basis(&book, &facts, dialect, "m") };
        let most = most.max_cost(&basis).expect("a bound");
        let [input, output, calls] = [(request.input, used[0]), (request.output, used[1]), (request.calls, used[2])]
            .map(|(most, hundredths)| most * hundredths / 100);
        let answer = answer(&request, input, output, calls, tier);
        let usage = measured(dialect, &mut call, &answer, audio_bytes);
        let cost = charged(&book, dialect.kind, uplift, usage);
        prop_assert!(cost <= most, "{cost} > {most}: {} {answer}", request.body);
    }
}
