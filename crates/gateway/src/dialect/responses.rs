//! `/v1/responses`: creating one. Those that a model server keeps are out of reach; see the router.

use std::borrow::Cow;
use std::sync::LazyLock;

use base::{Error, Result};
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::demand::Output;
use super::report::Usage;
use super::tally::{Keys, keys, values};
use super::{Called, Demand, Dialect, Fields, PLAIN, Tally};
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
    read_whole: Some(read_whole),
    read_event,
    ..PLAIN
};

/// The names that model servers have for the most tokens of an answer.
const MAXIMA: [&str; 3] = ["max_output_tokens", "max_completion_tokens", "max_tokens"];

static RESPONSE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""response""#));
/// What the pieces of a stream have their text under.
static DELTAS: Keys = LazyLock::new(|| keys([br#""delta""#]));
/// What a whole response has its text under.
static TEXTS: Keys = LazyLock::new(|| keys([br#""text""#, br#""arguments""#]));

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    name: Cow<'a, str>,
    #[serde(borrow)]
    response: Report<'a>,
}

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(borrow, default)]
    service_tier: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
}

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
fn read_event(tally: &mut Tally, data: &[u8]) -> Verdict {
    if values(&RESPONSE, data).any(|value| value.starts_with(b"{"))
        && let Ok(event) = serde_json::from_slice::<Event<'_>>(data)
    {
        tally.is_done = matches!(
            &*event.name,
            "response.completed" | "response.incomplete" | "response.failed"
        );
        event.response.tell(tally);
    } else if tally.reported.is_none() {
        tally.text.add(&DELTAS, data);
    }
    Verdict::Keep
}

fn read_whole(tally: &mut Tally, json: &[u8]) {
    let report = serde_json::from_slice::<Report<'_>>(json);
    if !report.is_ok_and(|report| report.tell(tally)) {
        tally.text.add(&TEXTS, json);
    }
}

impl Report<'_> {
    /// Whether it has usage.
    fn tell(&self, tally: &mut Tally) -> bool {
        tally.called = Called::of(self.output);
        tally.is_failed = self.status.as_deref() == Some("failed");
        tally.take(self.usage.as_ref(), self.service_tier.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use usage::Metric;

    use super::*;

    fn read(events: &[&str]) -> Tally {
        let mut tally = Tally::default();
        for data in events {
            assert_eq!(read_event(&mut tally, data.as_bytes()), Verdict::Keep);
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
            assert_eq!((tally.is_done, tally.is_failed), (true, end == "failed"));
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
