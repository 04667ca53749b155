//! `/v1/chat/completions`.

use super::demand::Output;
use super::{Demand, Dialect, PLAIN, Tally};
use crate::answer::Document;
use crate::sse::Verdict;

pub(super) static COMPLETIONS: Dialect = Dialect {
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
        "max_completion_tokens",
        "max_tokens",
        "max_output_tokens",
        "max_new_tokens",
        "n_predict",
        "n",
        "best_of",
    ],
    maxima: &MAXIMA,
    answers: &["n", "best_of"],
    stores: Some(false),
    asks_for_usage: true,
    demand: |fields| {
        let most = fields.highest(&MAXIMA)?;
        let output = Output::of(most, fields.highest(&["n", "best_of"])?);
        Ok(Demand::of_output(output))
    },
    read_event,
    ..PLAIN
};

/// The names that model servers have for the most tokens of an answer; which one counts differs between them.
const MAXIMA: [&str; 5] = [
    "max_completion_tokens",
    "max_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "n_predict",
];

/// Reads an event. One that carries usage, and choices that say nothing or none at all, is there for the usage only.
pub(super) fn read_event(tally: &mut Tally, event: &Document) -> Verdict {
    tally.take(event);
    if event.has_text(&tally.text) || event.is_finished {
        tally.has_end = event.is_finished;
    }
    let says_nothing = !event.says_more && (event.choices.is_some() || !event.has_unknown_parts);
    if event.has_usage && says_nothing && event.fault().is_none() {
        tally.has_end |= event.usage().is_some();
        return Verdict::Hide;
    }
    Verdict::Keep
}

#[cfg(test)]
mod tests {
    use usage::Metric;

    use super::*;

    fn read_whole(tally: &mut Tally, json: &[u8]) {
        COMPLETIONS.read(tally, json);
    }

    fn read_event(tally: &mut Tally, data: &[u8]) -> Verdict {
        let document = Document::of(data, &mut tally.text);
        (COMPLETIONS.read_event)(tally, &document)
    }

    #[test]
    fn every_reported_amount_is_read() {
        let mut tally = Tally::default();
        read_whole(
            &mut tally,
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
            read_whole(&mut tally, format!(r#"{{"usage":{usage}}}"#).as_bytes());
            tally.reported
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
    fn only_an_event_that_says_nothing_is_there_for_the_usage() {
        let mut tally = Tally::default();
        let usage = r#""usage": {"prompt_tokens": 1, "completion_tokens": 2}"#;
        let mut read = |data: &str| read_event(&mut tally, data.as_bytes());
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
        assert!(tally.has_end && tally.reported.is_some());
    }

    #[test]
    fn text_is_counted_until_usage_is_known() {
        let mut tally = Tally::default();
        read_event(
            &mut tally,
            br#"{"choices":[{"delta":{"role":"assistant","content":""}}],"usage":null}"#,
        );
        read_event(
            &mut tally,
            br#"{"choices":[{"delta":{"content": "four"}}]}"#,
        );
        read_event(
            &mut tally,
            br#"{"choices":[{"delta":{"content":"a\"b\\"}}]}"#,
        );
        read_event(
            &mut tally,
            br#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}"}}]}}]}"#,
        );
        assert_eq!(tally.text.length, 4 + 6 + 2);
        assert_eq!(tally.reported, None);
    }
}
