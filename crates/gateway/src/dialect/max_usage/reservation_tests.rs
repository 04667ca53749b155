//! No answer to a random request at random prices costs more than the request reserved.

use base::NanoDollars;
use base::ids::{Id, OrganizationId, ProjectId};
use base::money::Factor;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use usage::{Metric, PriceBook, Quantities, UsageEvent, UsageKind};

use super::tests::{NOW, basis, call, facts};
use crate::dialect::{Call, CostBasis, Dialect, MeasuredUsage, UsageAccumulator};
use crate::document::{Document, GeneratedText};

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
