//! `/v1/responses`: the creation of a response, the compaction of a conversation, and the count of the tokens of an input.

use base::{Error, Result};

use super::estimate::OutputTokens;
use super::{DEFAULT, Dialect, Estimate, Fields, MeasuredUsage, ResponseStatus, UsageAccumulator};
use crate::document::{Document, OutputItems, ReportedError, StoredAnswer};
use crate::sse::Verdict;

pub(crate) static RESPONSES: Dialect = Dialect {
    path: "/responses",
    fields: &[
        "model",
        "input",
        "instructions",
        "background",
        "tools",
        "store",
        "service_tier",
        "conversation",
        "prompt_cache_key",
        "prompt_cache_retention",
        "stream",
        "max_output_tokens",
        "max_completion_tokens",
        "max_tokens",
        "max_tool_calls",
        "multi_agent",
        "n",
        "type",
        "stream_id",
    ],
    max_token_fields: &MAX_TOKEN_FIELDS,
    choice_count_fields: &["n"],
    stores_by_default: Some(true),
    stored_answer: Some(StoredAnswer::Response),
    has_betas: true,
    has_conversations: true,
    estimate,
    read_document,
    read_event,
    ..DEFAULT
};

/// Shortens a conversation to its user messages and an item that stands for the rest, which a model writes. Servers store the
/// result only if `store` says so. The hosted tools in its output were called, and paid for, before.
pub(super) static COMPACT: Dialect = Dialect {
    path: "/responses/compact",
    stores_by_default: Some(false),
    is_for_batches: false,
    estimate: |fields| {
        refuse_background(fields)?;
        estimate(fields)
    },
    read_document: |accumulator, document| {
        read_document(accumulator, document);
        accumulator.complete_items = Some(OutputItems::default());
    },
    read_event: |accumulator, event| {
        let verdict = read_event(accumulator, event);
        accumulator.complete_items = Some(OutputItems::default());
        verdict
    },
    ..RESPONSES
};

/// Counts the tokens of what would be the request for a response. No model works on it, so that it costs nothing.
pub(super) static INPUT_TOKENS: Dialect = Dialect {
    path: "/responses/input_tokens",
    max_token_fields: &[],
    choice_count_fields: &[],
    stores_by_default: Some(false),
    is_for_batches: false,
    is_free: true,
    estimate: |fields| {
        refuse_background(fields)?;
        Ok(Estimate::default())
    },
    read_document: |_, _| {},
    read_event: |_, _| Verdict::Keep,
    measure: |_, _, _| MeasuredUsage::none(),
    ..RESPONSES
};

/// The names that model servers have for the most tokens of an answer.
const MAX_TOKEN_FIELDS: [&str; 3] = ["max_output_tokens", "max_completion_tokens", "max_tokens"];

fn estimate(fields: &Fields<'_>) -> Result<Estimate> {
    fields.count("max_tool_calls")?;
    let max_tokens = fields.highest(&MAX_TOKEN_FIELDS)?;
    let output = OutputTokens::of(max_tokens, fields.count("n")?);
    Ok(Estimate::of_output(output))
}

/// Refuses a request to be served in the background.
///
/// # Errors
/// 400.
fn refuse_background(fields: &Fields<'_>) -> Result<()> {
    if fields.boolean("background")? {
        let message =
            "background must be false: only POST /v1/responses makes responses in the background.";
        return Err(Error::invalid("background", message));
    }
    Ok(())
}

/// Reads an event. One that holds a whole response has its status; the last of them has its usage.
fn read_event(accumulator: &mut UsageAccumulator, event: &Document) -> Verdict {
    let event_type = event.event_type.as_str();
    if event.has_response {
        accumulator.is_done |= matches!(
            event_type,
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled"
        );
        read_document(accumulator, event);
    } else if event_type == "response.output_item.done" {
        accumulator.items.add_all(&event.item);
    }
    let is_delta = event_type.ends_with(".delta");
    // Audio comes as base64, and the text of a whole item has come in deltas before.
    let is_audio = event_type.contains("audio") && !event_type.contains("transcript");
    let is_repeated = !is_delta && event.text_before() > 0;
    if is_audio || is_repeated {
        accumulator.text.truncate(event.text_before());
    }
    Verdict::Keep
}

fn read_document(accumulator: &mut UsageAccumulator, document: &Document) {
    accumulator.add_report(document);
    if let Some(status) = ResponseStatus::parse(document.status.as_str()) {
        accumulator.status = status;
    }
    if document.has_answer {
        accumulator.complete_items = Some(document.items.clone());
    }
    if document.status.as_str() == "failed" && accumulator.error.is_none() {
        accumulator.error = Some(document.error().unwrap_or(ReportedError::Server));
    }
}

#[cfg(test)]
mod tests {
    use usage::Metric;

    use super::*;

    fn read(events: &[&str]) -> UsageAccumulator {
        let mut accumulator = UsageAccumulator::default();
        for data in events {
            let event = Document::of(data.as_bytes(), &mut accumulator.text);
            assert_eq!(read_event(&mut accumulator, &event), Verdict::Keep);
        }
        accumulator
    }

    const CREATED: &str =
        r#"{"type":"response.created","response":{"status":"in_progress","usage":null}}"#;

    #[test]
    fn last_event_reports_the_usage() {
        let delta = r#"{"type":"response.output_text.delta","delta":"Hello"}"#;
        let accumulator = read(&[CREATED, delta]);
        assert_eq!((accumulator.text.length, accumulator.is_done), (5, false));
        assert_eq!(accumulator.reported, None);
        for end in ["completed", "incomplete", "failed"] {
            let last = format!(
                r#"{{"type":"response.{end}","response":{{"status":"{end}","service_tier":"flex","output":[{{"text":"x"}}],
                    "usage":{{"input_tokens":9,"input_tokens_details":{{"cached_tokens":4}},"output_tokens":5,
                              "output_tokens_details":{{"reasoning_tokens":2}}}}}}}}"#
            );
            let accumulator = read(&[CREATED, delta, &last]);
            let quantities = accumulator.reported.expect("usage");
            for (metric, amount) in [
                (Metric::InputTokens, 9),
                (Metric::InputCachedTokens, 4),
                (Metric::InputUncachedTokens, 5),
                (Metric::OutputTokens, 5),
            ] {
                assert_eq!(quantities.get(metric), Some(amount), "{metric:?}");
            }
            assert_eq!(accumulator.service_tier.as_deref(), Some("flex"));
            assert_eq!(
                (accumulator.is_done, accumulator.error.is_some()),
                (true, end == "failed")
            );
        }
    }

    #[test]
    fn text_that_looks_like_a_response_is_text() {
        let accumulator = read(&[
            r#"{"type":"response.output_text.delta","delta":"\"response\":{\"usage\":1}"}"#,
            r#"{"type":"response.output_text.done","text":"\"response\":{\"usage\":1}"}"#,
        ]);
        assert_eq!((accumulator.is_done, accumulator.text.length), (false, 26));
    }
}
