//! `/v1/responses`: creating one. Those that a model server keeps are out of reach; see the router.

use base::{Error, Result};

use super::demand::Output;
use super::{Demand, Dialect, Fields, PLAIN, Tally};
use crate::answer::{Document, Fault};
use crate::sse::Verdict;

pub(super) static RESPONSES: Dialect = Dialect {
    path: "/responses",
    fields: &[
        "model",
        "input",
        "instructions",
        "background",
        "tools",
        "store",
        "conversation",
        "stream",
        "max_output_tokens",
        "max_completion_tokens",
        "max_tokens",
        "max_tool_calls",
        "n",
    ],
    maxima: &MAXIMA,
    answers: &["n"],
    stores: Some(true),
    demand,
    read_whole,
    read_event,
    ..PLAIN
};

/// The names that model servers have for the most tokens of an answer.
const MAXIMA: [&str; 3] = ["max_output_tokens", "max_completion_tokens", "max_tokens"];

fn demand(fields: &Fields<'_>) -> Result<Demand> {
    if fields.boolean("background")? {
        let message = "background must be false: a response that is made in the background could not be fetched here, \
                       and what it used would not be known.";
        return Err(Error::invalid("background", message));
    }
    fields.count("max_tool_calls")?;
    let most = fields.highest(&MAXIMA)?;
    let output = Output::of(most, fields.count("n")?);
    Ok(Demand::of_output(output))
}

/// The events that have a whole response tell how it is; the last of them has its usage.
fn read_event(tally: &mut Tally, event: &Document) -> Verdict {
    let kind = event.kind.text();
    if event.has_response {
        tally.is_done |= matches!(
            kind,
            "response.completed" | "response.incomplete" | "response.failed"
        );
        read_whole(tally, event);
    } else if kind == "response.output_item.done" {
        tally.items.add_all(&event.item);
    }
    let is_delta = kind.ends_with(".delta");
    // Sound comes as base64. What a response consists of has come in pieces before.
    let is_sound = kind.contains("audio") && !kind.contains("transcript");
    let is_again = !is_delta && event.text_before() > 0;
    if is_sound || is_again {
        tally.text.rewind(event.text_before());
    }
    Verdict::Keep
}

fn read_whole(tally: &mut Tally, document: &Document) {
    tally.take(document);
    if document.has_answer {
        tally.called = Some(document.items.called());
    }
    if document.status.text() == "failed" && tally.fault.is_none() {
        tally.fault = Some(document.fault().unwrap_or(Fault::OfServer));
    }
}

#[cfg(test)]
mod tests {
    use usage::Metric;

    use super::*;

    fn read(events: &[&str]) -> Tally {
        let mut tally = Tally::default();
        for data in events {
            let event = Document::of(data.as_bytes(), &mut tally.text);
            assert_eq!(read_event(&mut tally, &event), Verdict::Keep);
        }
        tally
    }

    const CREATED: &str =
        r#"{"type":"response.created","response":{"status":"in_progress","usage":null}}"#;

    #[test]
    fn the_last_event_has_the_usage() {
        let delta = r#"{"type":"response.output_text.delta","delta":"Hello"}"#;
        let tally = read(&[CREATED, delta]);
        assert_eq!((tally.text.length, tally.is_done), (5, false));
        assert_eq!(tally.reported, None);
        for end in ["completed", "incomplete", "failed"] {
            let last = format!(
                r#"{{"type":"response.{end}","response":{{"status":"{end}","service_tier":"flex","output":[{{"text":"x"}}],
                    "usage":{{"input_tokens":9,"input_tokens_details":{{"cached_tokens":4}},"output_tokens":5,
                              "output_tokens_details":{{"reasoning_tokens":2}}}}}}}}"#
            );
            let tally = read(&[CREATED, delta, &last]);
            let quantities = tally.reported.expect("usage");
            for (metric, amount) in [
                (Metric::InputTokens, 9),
                (Metric::InputCachedTokens, 4),
                (Metric::InputUncachedTokens, 5),
                (Metric::OutputTokens, 5),
            ] {
                assert_eq!(quantities.get(metric), Some(amount), "{metric:?}");
            }
            assert_eq!(tally.service_tier.as_deref(), Some("flex"));
            assert_eq!(
                (tally.is_done, tally.fault.is_some()),
                (true, end == "failed")
            );
        }
    }

    #[test]
    fn text_about_a_response_is_text() {
        let tally = read(&[
            r#"{"type":"response.output_text.delta","delta":"\"response\":{\"usage\":1}"}"#,
            r#"{"type":"response.output_text.done","text":"\"response\":{\"usage\":1}"}"#,
        ]);
        assert_eq!((tally.is_done, tally.text.length), (false, 26));
    }
}
