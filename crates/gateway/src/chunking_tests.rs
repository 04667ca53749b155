//! The usage and the forwarded bytes of a stream do not depend on its chunks.

use proptest::prelude::*;

use crate::dialect::Dialect;
use crate::fuzzing::{event_stream, event_stream_headers, read_answer};

/// An event of one of the endpoints, in the spellings of several upstreams.
fn event() -> impl Strategy<Value = String> {
    let usage = (0u32..5_000, 0u32..5_000).prop_map(|(input, output)| {
        format!(
            r#"{{"prompt_tokens":{input},"completion_tokens":{output},"input_tokens":{input},"output_tokens":{output},"total_tokens":{}}}"#,
            input + output
        )
    });
    let data = prop_oneof![
        "[a-z \\\\\"{}é]{0,12}".prop_map(|text| {
            serde_json::json!({"choices": [{"delta": {"content": text}}]}).to_string()
        }),
        "[a-z é]{0,12}".prop_map(|text| {
            serde_json::json!({"type": "response.output_text.delta", "delta": text}).to_string()
        }),
        usage
            .clone()
            .prop_map(|usage| format!(r#"{{"choices":[],"usage":{usage}}}"#)),
        usage.clone().prop_map(|usage| format!(
            r#"{{"type":"response.completed","response":{{"status":"completed","usage":{usage}}}}}"#
        )),
        usage.prop_map(|usage| format!(
            r#"{{"type":"transcript.text.done","usage":{usage},"text":"x"}}"#
        )),
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
    fn every_chunking_gives_the_same_usage(
        first: u8,
        length in 1u8..40,
        lengths in proptest::collection::vec(any::<u8>(), 0..20),
        events in proptest::collection::vec(event(), 0..12),
    ) {
        let count = u8::try_from(lengths.len()).expect("few");
        let mut data = vec![first, length, count];
        data.extend_from_slice(&lengths);
        data.extend_from_slice(events.concat().as_bytes());
        event_stream(&data);
    }
}

#[test]
fn every_cut_of_a_stream_into_two_gives_the_same_usage() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\r\n\r\n\
                  data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n";
    let chat = Dialect::at("/chat/completions").expect("an endpoint");
    let headers = event_stream_headers();
    let read = |chunks: &[&[u8]]| read_answer(chat, &headers, true, chunks).expect("a stream");
    let whole = read(&[stream.as_bytes()]);
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
        assert_eq!(read(&[one, two]), whole, "cut at {at}");
    }
}
