//! `/v1/chat/completions` and `/v1/completions`.

use base::Result;

use super::estimate::OutputTokens;
use super::{DEFAULT, Dialect, Estimate, Fields, UsageAccumulator};
use crate::document::{Document, StoredAnswer};
use crate::sse::Verdict;

pub(super) static CHAT_COMPLETIONS: Dialect = Dialect {
    path: "/chat/completions",
    fields: &[
        "model",
        "stream",
        "stream_options",
        "messages",
        "tools",
        "functions",
        "web_search_options",
        "store",
        "prompt_cache_key",
        "prompt_cache_retention",
        "service_tier",
        "max_completion_tokens",
        "max_tokens",
        "max_output_tokens",
        "max_new_tokens",
        "n_predict",
        "n",
        "best_of",
    ],
    max_token_fields: &CHAT_MAX_TOKEN_FIELDS,
    choice_count_fields: &CHOICE_COUNT_FIELDS,
    stores_by_default: Some(false),
    stored_answer: Some(StoredAnswer::ChatCompletion),
    has_optional_stream_usage: true,
    estimate: |fields| estimate(fields, &CHAT_MAX_TOKEN_FIELDS),
    read_event,
    ..DEFAULT
};

/// The older endpoint, which continues a text.
pub(super) static COMPLETIONS: Dialect = Dialect {
    path: "/completions",
    fields: &[
        "model",
        "stream",
        "stream_options",
        "prompt",
        "suffix",
        "max_tokens",
        "max_new_tokens",
        "n_predict",
        "n",
        "best_of",
    ],
    max_token_fields: &MAX_TOKEN_FIELDS,
    choice_count_fields: &CHOICE_COUNT_FIELDS,
    has_optional_stream_usage: true,
    estimate: |fields| estimate(fields, &MAX_TOKEN_FIELDS),
    read_event,
    ..DEFAULT
};

/// The names that model servers have for the most tokens of an answer. Servers differ in which of them they obey.
const CHAT_MAX_TOKEN_FIELDS: [&str; 5] = [
    "max_completion_tokens",
    "max_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "n_predict",
];
/// The names among them that the older endpoint has.
const MAX_TOKEN_FIELDS: [&str; 3] = ["max_tokens", "max_new_tokens", "n_predict"];
const CHOICE_COUNT_FIELDS: [&str; 2] = ["n", "best_of"];

fn estimate(fields: &Fields<'_>, max_token_fields: &[&'static str]) -> Result<Estimate> {
    let max_tokens = fields.highest(max_token_fields)?;
    let output = OutputTokens::of(max_tokens, fields.highest(&CHOICE_COUNT_FIELDS)?);
    Ok(Estimate::of_output(output))
}

/// Reads an event. An event with usage whose choices are empty or absent is sent for the usage alone, and may be hidden.
fn read_event(accumulator: &mut UsageAccumulator, event: &Document) -> Verdict {
    accumulator.add_report(event);
    if event.has_text(&accumulator.text) || event.is_finished {
        accumulator.has_end = event.is_finished;
    }
    let has_known_members = event.choices.is_some() || !event.has_unknown_members;
    let is_for_usage = !event.has_content && has_known_members;
    if event.has_usage && is_for_usage && event.error().is_none() {
        accumulator.has_end |= event.usage().is_some();
        return Verdict::Hide;
    }
    Verdict::Keep
}

#[cfg(test)]
mod tests {
    use usage::Metric;

    use super::*;

    fn read_document(accumulator: &mut UsageAccumulator, json: &[u8]) {
        CHAT_COMPLETIONS.read(accumulator, json);
    }

    fn read_event(accumulator: &mut UsageAccumulator, data: &[u8]) -> Verdict {
        let document = Document::of(data, &mut accumulator.text);
        (CHAT_COMPLETIONS.read_event)(accumulator, &document)
    }

    #[test]
    fn every_reported_amount_is_read() {
        let mut accumulator = UsageAccumulator::default();
        read_document(
            &mut accumulator,
            br#"{"id":"c","choices":[{"message":{"content":"\"usage\": 1"}}],"service_tier":"flex","usage":{
                "prompt_tokens":100,"completion_tokens":40,"total_tokens":140,
                "prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":10,"audio_tokens":5},
                "completion_tokens_details":{"audio_tokens":3,"reasoning_tokens":7}}}"#,
        );
        let quantities = accumulator.reported.expect("usage");
        for (metric, amount) in [
            (Metric::NumModelRequests, Some(1)),
            (Metric::InputTokens, Some(100)),
            (Metric::OutputTokens, Some(40)),
            (Metric::InputCachedTokens, Some(60)),
            (Metric::InputCacheWriteTokens, Some(10)),
            (Metric::InputUncachedTokens, Some(30)),
            (Metric::InputAudioTokens, Some(5)),
            (Metric::OutputAudioTokens, Some(3)),
            (Metric::InputImageTokens, None),
        ] {
            assert_eq!(quantities.get(metric), amount, "{metric:?}");
        }
        assert_eq!(accumulator.service_tier.as_deref(), Some("flex"));
    }

    #[test]
    fn amounts_that_cannot_be_right_are_absent() {
        let read = |usage: &str| {
            let mut accumulator = UsageAccumulator::default();
            read_document(
                &mut accumulator,
                format!(r#"{{"usage":{usage}}}"#).as_bytes(),
            );
            accumulator.reported
        };
        for usage in [
            "null",
            "{}",
            "5",
            r#"{"prompt_tokens":-1}"#,
            r#"{"prompt_tokens":"many"}"#,
        ] {
            assert_eq!(read(usage), None, "{usage}");
        }
        let clamped = read(
            r#"{"prompt_tokens":5,"completion_tokens":-1,"prompt_tokens_details":{"cached_tokens":9}}"#,
        )
        .expect("usage");
        assert_eq!(clamped.get(Metric::InputCachedTokens), Some(5));
        assert_eq!(clamped.get(Metric::InputUncachedTokens), Some(0));
        assert_eq!(clamped.get(Metric::OutputTokens), None);
    }

    #[test]
    fn only_an_event_without_content_is_hidden_with_its_usage() {
        let mut accumulator = UsageAccumulator::default();
        let usage = r#""usage": {"prompt_tokens": 1, "completion_tokens": 2}"#;
        let mut read = |data: &str| read_event(&mut accumulator, data.as_bytes());
        assert_eq!(read(r#"{"choices":[],"usage":null}"#), Verdict::Keep);
        let said = format!(r#"{{"choices":[{{"delta":{{"role":"assistant"}}}}],{usage}}}"#);
        assert_eq!(read(&said), Verdict::Keep);
        let other = format!(r#"{{"citations":[],{usage}}}"#);
        assert_eq!(read(&other), Verdict::Keep);
        let error = format!(r#"{{"choices":[],"error":{{}},{usage}}}"#);
        assert_eq!(read(&error), Verdict::Keep);
        let empty = format!(r#"{{"choices":[{{}}],{usage}}}"#);
        assert_eq!(read(&empty), Verdict::Hide);
        assert_eq!(read(&format!(r#"{{{usage}}}"#)), Verdict::Hide);
        assert_eq!(read(&format!(r#"{{"choices":[],{usage}}}"#)), Verdict::Hide);
        assert!(accumulator.has_end && accumulator.reported.is_some());
    }

    #[test]
    fn text_is_counted_until_usage_is_reported() {
        let mut accumulator = UsageAccumulator::default();
        read_event(
            &mut accumulator,
            br#"{"choices":[{"delta":{"role":"assistant","content":""}}],"usage":null}"#,
        );
        read_event(
            &mut accumulator,
            br#"{"choices":[{"delta":{"content": "four"}}]}"#,
        );
        read_event(
            &mut accumulator,
            br#"{"choices":[{"delta":{"content":"a\"b\\"}}]}"#,
        );
        read_event(
            &mut accumulator,
            br#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}]}}]}"#,
        );
        assert_eq!(accumulator.text.length, 4 + 6 + 2);
        assert_eq!(accumulator.reported, None);
    }
}
