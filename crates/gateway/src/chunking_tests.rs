//! However the bytes of a stream are cut, the same usage is read and the same bytes are forwarded: what the property test and
//! the fuzz target have in common.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use usage::Outcome;

use crate::answer::Answer;
use crate::dialect::{DIALECTS, Demand, Dialect};

/// Reads `data` as a stream, cut in two ways, and compares: its first byte chooses the endpoint and whether events are
/// hidden, its second how many bytes a piece has, its third how many further bytes say where else to cut.
///
/// # Panics
/// The two ways differ, or a byte is forwarded that did not come, or one is missing.
pub fn check(data: &[u8]) {
    let [first, length, cuts, rest @ ..] = data else {
        return;
    };
    let dialect = DIALECTS[usize::from(first >> 1) % DIALECTS.len()];
    let hides = first & 1 == 1;
    let (cuts, stream) = rest.split_at(usize::from(*cuts).min(rest.len()));
    let whole = pass(dialect, hides, &[stream]);
    let even: Vec<&[u8]> = stream.chunks(usize::from(*length).max(1)).collect();
    assert_eq!(pass(dialect, hides, &even), whole, "{}", dialect.path);
    assert_eq!(
        pass(dialect, hides, &cut(stream, cuts)),
        whole,
        "{}",
        dialect.path
    );
    if !hides {
        assert_eq!(whole.forwarded, stream, "{}", dialect.path);
    }
}

/// What became of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Passed {
    forwarded: Vec<u8>,
    /// What it comes to, in words.
    usage: String,
    outcome: Outcome,
}

fn pass(dialect: &'static Dialect, hides: bool, pieces: &[&[u8]]) -> Passed {
    let mut headers = HeaderMap::new();
    let stream = HeaderValue::from_static("text/event-stream");
    headers.insert(CONTENT_TYPE, stream);
    let mut answer = Answer::new(dialect, &headers, (true, hides), None);
    let mut forwarded = Vec::new();
    for piece in pieces {
        answer.push(Bytes::copy_from_slice(piece));
        while let Ok(Some(piece)) = answer.next() {
            forwarded.extend_from_slice(&piece);
        }
    }
    forwarded.extend_from_slice(&answer.finish());
    let (outcome, tally) = answer.settle(Outcome::Succeeded);
    let spent = dialect.spent(&Demand::default(), "m", &tally);
    let usage = format!(
        "{:?} {} {:?} {:?}",
        spent.quantities, spent.estimated, spent.service_tier, spent.size
    );
    Passed {
        forwarded,
        usage,
        outcome,
    }
}

/// Cuts where the bytes of `places` say: each so far behind the one before.
fn cut<'a>(mut stream: &'a [u8], places: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for place in places {
        let (piece, rest) = stream.split_at(usize::from(*place).min(stream.len()));
        pieces.push(piece);
        stream = rest;
    }
    pieces.push(stream);
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An event of one of the endpoints, with a little of what upstreams do differently.
    fn event() -> impl Strategy<Value = String> {
        let usage = (0u32..5_000, 0u32..5_000).prop_map(|(input, output)| {
            format!(
                r#"{{"prompt_tokens":{input},"completion_tokens":{output},"input_tokens":{input},"output_tokens":{output},"total_tokens":{}}}"#,
                input + output
            )
        });
        let data = prop_oneof![
            "[a-z \\\\\"{}é]{0,12}".prop_map(|text| serde_json::json!({"choices": [{"delta": {"content": text}}]}).to_string()),
            "[a-z é]{0,12}".prop_map(|text| serde_json::json!({"type": "response.output_text.delta", "delta": text}).to_string()),
            usage.clone().prop_map(|usage| format!(r#"{{"choices":[],"usage":{usage}}}"#)),
            usage.clone().prop_map(|usage| format!(
                r#"{{"type":"response.completed","response":{{"status":"completed","usage":{usage}}}}}"#
            )),
            usage.prop_map(|usage| format!(r#"{{"type":"transcript.text.done","usage":{usage},"text":"x"}}"#)),
            Just(r#"{"choices":[],"usage":null}"#.to_owned()),
            Just("[DONE]".to_owned()),
            "[ -~]{0,16}",
        ];
        let end = prop_oneof![Just("\n\n"), Just("\r\n\r\n"), Just("\n\r\n"), Just("\n")];
        let before = prop_oneof![3 => Just(""), 1 => Just(": ping\n"), 1 => Just("event: x\r\n")];
        (before, data, end).prop_map(|(before, data, end)| format!("{before}data: {data}{end}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_same_usage_is_read_for_every_way_of_cutting(
            first: u8,
            length in 1u8..40,
            places in proptest::collection::vec(any::<u8>(), 0..20),
            events in proptest::collection::vec(event(), 0..12),
        ) {
            let count = u8::try_from(places.len()).expect("few");
            let mut data = vec![first, length, count];
            data.extend_from_slice(&places);
            data.extend_from_slice(events.concat().as_bytes());
            check(&data);
        }
    }

    #[test]
    fn every_single_cut_of_a_stream_gives_its_usage() {
        let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\r\n\r\n\
                      data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n";
        let chat = Dialect::at("/chat/completions").expect("an endpoint");
        let whole = pass(chat, true, &[stream.as_bytes()]);
        assert!(
            whole.usage.contains('7') && whole.usage.contains('5'),
            "{whole:?}"
        );
        assert!(
            !whole
                .forwarded
                .windows(7)
                .any(|bytes| bytes == b"\"usage\"")
        );
        for at in 0..=stream.len() {
            let (one, two) = stream.as_bytes().split_at(at);
            assert_eq!(pass(chat, true, &[one, two]), whole, "cut at {at}");
        }
    }
}
