//! `/v1/messages` and `/v1/messages/count_tokens`, in Anthropic's format.
//!
//! The input tokens of this format exclude those that are read from a cache or written to it; ours include them.

use base::Result;
use proxy::ApiFormat;
use usage::Metric;

use super::estimate::OutputTokens;
use super::{DEFAULT, Dialect, Estimate, Fields, MeasuredUsage, UsageAccumulator, measure_text};
use crate::document::{Document, HostedToolUsage, JsonPath, MessagePath, ReportedUsage};
use crate::sse::Verdict;

pub(super) static MESSAGES: Dialect = Dialect {
    path: "/messages",
    fields: &FIELDS,
    max_token_fields: &["max_tokens"],
    has_conversations: true,
    estimate,
    read_document,
    read_event,
    measure,
    ..ANTHROPIC
};

/// Counts the tokens of an input, which costs nothing.
pub(super) static COUNT_TOKENS: Dialect = Dialect {
    path: "/messages/count_tokens",
    fields: &FIELDS,
    is_free: true,
    read_document: |_, _| {},
    measure: |_, _, _| MeasuredUsage::none(),
    ..ANTHROPIC
};

/// The properties that both endpoints have in common.
const ANTHROPIC: Dialect = Dialect {
    api: ApiFormat::Anthropic,
    has_betas: true,
    root: JsonPath::Message(MessagePath::Root),
    ..DEFAULT
};

const FIELDS: [&str; 15] = [
    "model",
    "stream",
    "max_tokens",
    "messages",
    "metadata",
    "system",
    "tools",
    "mcp_servers",
    "context_management",
    "compaction",
    "thinking",
    "output_config",
    "service_tier",
    "speed",
    "inference_geo",
];

/// The speed that has prices of its own.
const FAST: &str = "fast";
/// The service tier of a request that a model answered at that speed. `fast` and `priority` are other tiers.
const FAST_TIER: &str = "fast_mode";

fn estimate(fields: &Fields<'_>) -> Result<Estimate> {
    let output = match fields.get("max_tokens") {
        // Fills the cache, and answers nothing.
        Some(b"0") => OutputTokens::Requested(0),
        _ => OutputTokens::of(fields.count("max_tokens")?, None),
    };
    Ok(Estimate::of_output(output))
}

fn read_document(accumulator: &mut UsageAccumulator, document: &Document) {
    add_usage(accumulator, document);
    accumulator.has_final_usage = true;
}

/// Reads an event. Its usage is that of the whole answer so far: `message_start` has the input, `message_delta` all of it.
fn read_event(accumulator: &mut UsageAccumulator, event: &Document) -> Verdict {
    add_usage(accumulator, event);
    match event.event_type.as_str() {
        "message_delta" => {
            accumulator.has_final_usage |= event.usage().is_some_and(ReportedUsage::has_output);
            accumulator.has_end |= event.is_finished;
        }
        "message_stop" => accumulator.is_done = true,
        _ => {}
    }
    Verdict::Keep
}

fn add_usage(accumulator: &mut UsageAccumulator, document: &Document) {
    let Some(usage) = document.usage() else {
        return;
    };
    accumulator.cumulative.raise_to(usage);
    accumulator.reported = accumulator.cumulative.quantities();
    let searches = accumulator.cumulative.web_searches();
    accumulator.counted_tools = Some(HostedToolUsage::of_web_searches(searches));
    let tier = match document.speed.as_str() {
        FAST => Some(FAST_TIER.to_owned()),
        _ => document.service_tier.to_owned(),
    };
    accumulator.service_tier = tier.or(accumulator.service_tier.take());
}

/// Measures an answer. The output that the first event of a stream reports is only its beginning.
fn measure(estimate: &Estimate, model: &str, accumulator: &UsageAccumulator) -> MeasuredUsage {
    let mut usage = measure_text(estimate, model, accumulator);
    if !accumulator.has_final_usage && !accumulator.is_failed {
        let output = accumulator.text.tokens(model);
        let reported = usage.quantities.or_zero(Metric::OutputTokens);
        usage.estimate(Metric::OutputTokens, output.max(reported));
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::UsageAccumulator;

    /// Returns what was read of the events of a stream, each as JSON.
    fn events(all: &[&str]) -> UsageAccumulator {
        let mut accumulator = UsageAccumulator::default();
        for json in all {
            let event = Document::at(MESSAGES.root, json.as_bytes(), &mut accumulator.text);
            (MESSAGES.read_event)(&mut accumulator, &event);
        }
        accumulator
    }

    /// Returns what was read of an answer that is no stream.
    fn document(dialect: &Dialect, json: &str) -> UsageAccumulator {
        let mut accumulator = UsageAccumulator::default();
        dialect.read(&mut accumulator, json.as_bytes());
        accumulator
    }

    fn measured(accumulator: &UsageAccumulator) -> MeasuredUsage {
        MESSAGES.measure(&Estimate::of_input(7), "m", accumulator)
    }

    /// Returns the input, output, cached, cache-write and uncached tokens.
    fn tokens(usage: &MeasuredUsage) -> [Option<i64>; 5] {
        [
            Metric::InputTokens,
            Metric::OutputTokens,
            Metric::InputCachedTokens,
            Metric::InputCacheWriteTokens,
            Metric::InputUncachedTokens,
        ]
        .map(|metric| usage.quantities.get(metric))
    }

    /// The beginning of a stream: 25 fresh tokens, 100 from a cache, and 60 that are written to it.
    const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],
        "stop_reason":null,"usage":{"input_tokens":25,"cache_read_input_tokens":100,"cache_creation_input_tokens":60,
        "cache_creation":{"ephemeral_5m_input_tokens":40,"ephemeral_1h_input_tokens":20},"output_tokens":1,"service_tier":"standard"}}}"#;
    const BLOCK: &str =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    const TEXT: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello there, whoever you are"}}"#;
    const END: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;

    #[test]
    fn input_includes_the_tokens_of_the_cache_and_no_event_counts_twice() {
        let read = events(&[START, r#"{"type":"ping"}"#, BLOCK, TEXT, END, STOP]);
        assert!(read.is_done && read.error.is_none());
        let usage = measured(&read);
        assert_eq!(
            tokens(&usage),
            [Some(185), Some(15), Some(100), Some(60), Some(25)]
        );
        assert_eq!(usage.service_tier.as_deref(), Some("standard"));
        assert!(!usage.estimated);
    }

    #[test]
    fn cache_writes_are_told_apart_by_lifetime() {
        let lifetimes = |usage: &str| {
            let json = format!(
                r#"{{"type":"message","content":[],"usage":{{"input_tokens":1,"output_tokens":1,{usage}}}}}"#
            );
            let usage = measured(&document(&MESSAGES, &json));
            let metrics = [
                Metric::InputCacheWriteTokens,
                Metric::InputCacheWrite5mTokens,
                Metric::InputCacheWrite1hTokens,
            ];
            metrics.map(|metric| usage.quantities.get(metric))
        };
        let parts =
            r#""cache_creation":{"ephemeral_5m_input_tokens":40,"ephemeral_1h_input_tokens":20}"#;
        let sum = |amount: i64| format!(r#""cache_creation_input_tokens":{amount},{parts}"#);
        assert_eq!(lifetimes(&sum(60)), [Some(60), Some(40), Some(20)]);
        assert_eq!(lifetimes(&sum(70)), [Some(70), Some(40), Some(20)]);
        assert_eq!(lifetimes(&sum(30)), [Some(60), Some(40), Some(20)]);
        assert_eq!(lifetimes(parts), [Some(60), Some(40), Some(20)]);
        let unknown = r#""cache_creation_input_tokens":60"#;
        assert_eq!(lifetimes(unknown), [Some(60), None, None]);
    }

    #[test]
    fn usage_of_the_last_event_is_of_the_whole_answer() {
        let again = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":30,
            "cache_read_input_tokens":100,"cache_creation_input_tokens":60,"output_tokens":15,
            "server_tool_use":{"web_search_requests":2,"web_fetch_requests":1}}}"#;
        let usage = measured(&events(&[START, TEXT, again, STOP]));
        assert_eq!(
            tokens(&usage),
            [Some(190), Some(15), Some(100), Some(60), Some(30)]
        );
        let searches: Vec<i64> = usage
            .hosted_tools
            .reports()
            .map(|(.., count)| count)
            .collect();
        assert_eq!(searches, [2]);
        let without = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":0,"output_tokens":15}}"#;
        let usage = measured(&events(&[START, TEXT, without, STOP]));
        assert_eq!(
            tokens(&usage),
            [Some(185), Some(15), Some(100), Some(60), Some(25)]
        );
    }

    #[test]
    fn answer_that_breaks_off_is_measured_by_its_text() {
        let read = events(&[START, BLOCK, TEXT]);
        assert!(!read.is_complete());
        let usage = measured(&read);
        assert_eq!(tokens(&usage)[..2], [Some(185), Some(7)]);
        assert!(usage.estimated);
        let usage = measured(&events(&[START]));
        assert_eq!(tokens(&usage)[..2], [Some(185), Some(1)]);
        let usage = measured(&events(&[]));
        assert_eq!(tokens(&usage)[0], Some(7));
    }

    #[test]
    fn text_thoughts_and_the_input_of_tools_are_generated_text() {
        for (json, length) in [
            (r#"{"type":"thinking_delta","thinking":"four"}"#, 4),
            (r#"{"type":"input_json_delta","partial_json":"{\"a\""}"#, 6),
            (r#"{"type":"signature_delta","signature":"long"}"#, 0),
        ] {
            let event = format!(r#"{{"type":"content_block_delta","delta":{json}}}"#);
            assert_eq!(events(&[&event]).text.length, length, "{json}");
        }
        let whole = r#"{"type":"message","content":[{"type":"text","text":"four"},{"type":"thinking","thinking":"five5","signature":"s"},
            {"type":"tool_use","id":"t","name":"n","input":{"a":["six666"],"b":{"c":"1"}}}]}"#;
        assert_eq!(document(&MESSAGES, whole).text.length, 4 + 5 + 6 + 1);
    }

    #[test]
    fn samplings_that_compact_the_conversation_are_added() {
        let whole = r#"{"type":"message","content":[],"usage":{"input_tokens":10,"output_tokens":5,"iterations":[
            {"input_tokens":100,"output_tokens":20,"cache_read_input_tokens":40,"cache_creation_input_tokens":0,"type":"compaction"},
            {"type":"message","input_tokens":10,"output_tokens":5,"cache_read_input_tokens":0,"cache_creation_input_tokens":0}]}}"#;
        let usage = measured(&document(&MESSAGES, whole));
        assert_eq!(
            tokens(&usage),
            [Some(150), Some(25), Some(40), Some(0), Some(110)]
        );
    }

    #[test]
    fn fast_speed_is_a_tier_of_its_own() {
        let tier = |usage: &str| {
            let json = format!(
                r#"{{"type":"message","content":[],"usage":{{"input_tokens":1,"output_tokens":1,{usage}}}}}"#
            );
            document(&MESSAGES, &json).service_tier
        };
        let fast = r#""service_tier":"standard","speed":"fast""#;
        assert_eq!(tier(fast).as_deref(), Some("fast_mode"));
        let standard = r#""service_tier":"priority","speed":"standard""#;
        assert_eq!(tier(standard).as_deref(), Some("priority"));
    }

    #[test]
    fn counting_tokens_consumes_nothing() {
        let mut accumulator = UsageAccumulator::default();
        let json = br#"{"input_tokens":2095}"#;
        let counted = Document::at(COUNT_TOKENS.root, json, &mut accumulator.text);
        assert!(counted.has_answer && counted.is_whole);
        (COUNT_TOKENS.read_document)(&mut accumulator, &counted);
        let usage = COUNT_TOKENS.measure(&Estimate::of_input(7), "m", &accumulator);
        assert_eq!(usage.quantities.get(Metric::NumModelRequests), Some(0));
        assert_eq!(tokens(&usage), [None; 5]);
    }

    #[test]
    fn error_in_a_stream_has_a_cause() {
        let error = |kind: &str| {
            let json = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"m"}}}}"#);
            let mut accumulator = UsageAccumulator::default();
            Document::at(MESSAGES.root, json.as_bytes(), &mut accumulator.text).error()
        };
        use crate::document::ReportedError::{Client, Server};
        assert_eq!(error("overloaded_error"), Some(Server));
        assert_eq!(error("api_error"), Some(Server));
        assert_eq!(error("rate_limit_error"), Some(Client));
        assert_eq!(error("invalid_request_error"), Some(Client));
    }
}
