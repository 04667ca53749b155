//! What a chat completion used: read from whatever carries `usage`, whole answers and events of a stream alike.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use usage::{Metric, Quantities};

use crate::sse::Verdict;

/// What was read so far.
#[derive(Default)]
pub(crate) struct Tally {
    /// What the last report said.
    pub(crate) reported: Option<Quantities>,
    pub(crate) service_tier: Option<String>,
    /// How many bytes of generated text there were before any report.
    pub(crate) text: usize,
    /// Whether the stream said that it is complete.
    pub(crate) is_done: bool,
}

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(borrow, default)]
    service_tier: Option<Cow<'a, str>>,
    #[serde(default)]
    choices: Option<Vec<IgnoredAny>>,
}

/// Each amount is missing if it is not a whole number of at least zero.
#[derive(Deserialize)]
struct Usage {
    #[serde(default, deserialize_with = "amount")]
    prompt_tokens: Option<i64>,
    #[serde(default, deserialize_with = "amount")]
    completion_tokens: Option<i64>,
    #[serde(default)]
    prompt_tokens_details: Option<Details>,
    #[serde(default)]
    completion_tokens_details: Option<Details>,
}

#[derive(Default, Deserialize)]
struct Details {
    #[serde(default, deserialize_with = "amount")]
    cached_tokens: Option<i64>,
    #[serde(default, deserialize_with = "amount")]
    cache_write_tokens: Option<i64>,
    #[serde(default, deserialize_with = "amount")]
    audio_tokens: Option<i64>,
    #[serde(default, deserialize_with = "amount")]
    image_tokens: Option<i64>,
    #[serde(default, deserialize_with = "amount")]
    text_tokens: Option<i64>,
}

fn amount<'de, D: Deserializer<'de>>(field: D) -> Result<Option<i64>, D::Error> {
    let number = Value::deserialize(field)?;
    Ok(number.as_i64().filter(|amount| *amount >= 0))
}

impl Tally {
    /// Reads the data of an event. An event that carries usage and no choices is there for the usage only.
    pub(crate) fn read_event(&mut self, data: &[u8]) -> Verdict {
        if data == b"[DONE]" {
            self.is_done = true;
            return Verdict::Keep;
        }
        match self.read(data) {
            Some(report) if report.choices.as_ref().is_some_and(Vec::is_empty) => Verdict::Hide,
            _ => Verdict::Keep,
        }
    }

    /// Reads a whole answer.
    pub(crate) fn read_whole(&mut self, json: &[u8]) {
        self.read(json);
    }

    /// What `json` reports, if it reports anything.
    fn read<'a>(&mut self, json: &'a [u8]) -> Option<Report<'a>> {
        if !carries_usage(json) {
            if self.reported.is_none() {
                self.text += generated_text(json);
            }
            return None;
        }
        let report = serde_json::from_slice::<Report<'a>>(json).ok();
        let quantities = report
            .as_ref()
            .and_then(|report| report.usage.as_ref()?.quantities());
        let (Some(report), Some(quantities)) = (report, quantities) else {
            self.text += generated_text(json);
            return None;
        };
        self.reported = Some(quantities);
        self.service_tier = report.service_tier.as_deref().map(str::to_owned);
        Some(report)
    }
}

impl Usage {
    /// `None` when it does not even say how long the prompt was.
    fn quantities(&self) -> Option<Quantities> {
        let input = self.prompt_tokens?;
        let none = Details::default();
        let read = self.prompt_tokens_details.as_ref().unwrap_or(&none);
        let written = self.completion_tokens_details.as_ref().unwrap_or(&none);
        // The parts of the input add up to it, also where an upstream's numbers do not.
        let cached = read.cached_tokens.map(|cached| cached.min(input));
        let fresh = input - cached.unwrap_or(0);
        let cache_write = read.cache_write_tokens.map(|amount| amount.min(fresh));
        let uncached = cached.map(|_| fresh - cache_write.unwrap_or(0));
        let mut quantities = Quantities::default().with(Metric::NumModelRequests, 1);
        for (metric, amount) in [
            (Metric::InputTokens, Some(input)),
            (Metric::OutputTokens, self.completion_tokens),
            (Metric::InputCachedTokens, cached),
            (Metric::InputCacheWriteTokens, cache_write),
            (Metric::InputUncachedTokens, uncached),
            (Metric::InputAudioTokens, read.audio_tokens),
            (Metric::InputImageTokens, read.image_tokens),
            (Metric::InputTextTokens, read.text_tokens),
            (Metric::OutputAudioTokens, written.audio_tokens),
            (Metric::OutputImageTokens, written.image_tokens),
            (Metric::OutputTextTokens, written.text_tokens),
        ] {
            if let Some(amount) = amount {
                quantities.set(metric, amount);
            }
        }
        Some(quantities)
    }
}

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""usage""#));
/// The fields that generated text comes in.
static TEXTS: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| {
    [
        Finder::new(br#""content""#),
        Finder::new(br#""reasoning_content""#),
        Finder::new(br#""arguments""#),
    ]
});

/// Whether there is a `usage` that is not null. Most events of a stream have none, and need not be parsed.
fn carries_usage(json: &[u8]) -> bool {
    values(&USAGE, json).any(|value| !value.starts_with(b"null"))
}

/// How many bytes of text there are.
fn generated_text(json: &[u8]) -> usize {
    let strings = TEXTS.iter().flat_map(|text| values(text, json));
    strings
        .filter_map(|value| {
            let text = value.strip_prefix(b"\"")?;
            let mut ends = memchr::memchr_iter(b'"', text);
            ends.find(|end| !is_escaped(&text[..*end]))
        })
        .sum()
}

/// Whether what follows `text` in a JSON string is escaped.
fn is_escaped(text: &[u8]) -> bool {
    text.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// What stands after each key that `finder` finds.
fn values<'a>(finder: &'a Finder<'_>, json: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    finder.find_iter(json).filter_map(|at| {
        let rest = json[at + finder.needle().len()..].trim_ascii_start();
        Some(rest.strip_prefix(b":")?.trim_ascii_start())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reported_amount_is_read() {
        let mut tally = Tally::default();
        tally.read_whole(
            br#"{"id":"c","choices":[{"message":{"content":"\"usage\": 1"}}],"service_tier":"flex","usage":{
                "prompt_tokens":100,"completion_tokens":40,"total_tokens":140,
                "prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":10,"audio_tokens":5},
                "completion_tokens_details":{"audio_tokens":3,"reasoning_tokens":7}}}"#,
        );
        let quantities = tally.reported.expect("usage");
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
        assert_eq!(tally.service_tier.as_deref(), Some("flex"));
    }

    #[test]
    fn amounts_that_make_no_sense_are_missing() {
        let read = |usage: &str| {
            let mut tally = Tally::default();
            tally.read_whole(format!(r#"{{"usage":{usage}}}"#).as_bytes());
            tally.reported
        };
        for usage in [
            "null",
            "{}",
            "5",
            r#"{"prompt_tokens":-1}"#,
            r#"{"prompt_tokens":"7"}"#,
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
    fn only_an_event_without_choices_is_there_for_the_usage() {
        let mut tally = Tally::default();
        let usage = r#""usage": {"prompt_tokens": 1, "completion_tokens": 2}"#;
        let mut read = |data: &str| tally.read_event(data.as_bytes());
        assert_eq!(read(r#"{"choices":[],"usage":null}"#), Verdict::Keep);
        assert_eq!(
            read(&format!(r#"{{"choices":[{{}}],{usage}}}"#)),
            Verdict::Keep
        );
        assert_eq!(read(&format!(r#"{{{usage}}}"#)), Verdict::Keep);
        assert_eq!(read(&format!(r#"{{"choices":[],{usage}}}"#)), Verdict::Hide);
        assert_eq!(read("[DONE]"), Verdict::Keep);
        assert!(tally.is_done && tally.reported.is_some());
    }

    #[test]
    fn text_is_counted_until_usage_is_known() {
        let mut tally = Tally::default();
        tally.read_event(
            br#"{"choices":[{"delta":{"role":"assistant","content":""}}],"usage":null}"#,
        );
        tally.read_event(br#"{"choices":[{"delta":{"content": "four"}}]}"#);
        tally.read_event(br#"{"choices":[{"delta":{"content":"a\"b\\"}}]}"#);
        tally.read_event(
            br#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}]}}]}"#,
        );
        assert_eq!(tally.text, 4 + 6 + 2);
        assert_eq!(tally.reported, None);
    }
}
