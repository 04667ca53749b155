//! Streams of every type, line ending and order of events.

use super::*;

/// A stream as it was read: the bytes for the client, and the row.
async fn read(reply: Reply) -> (String, String) {
    let world = world(reply).await;
    let answer = world.consult(CHAT, STREAM).await;
    (answer.body, world.consumed_once().await)
}

const REPORTED: &str =
    "completions real succeeded input_tokens=11 output_tokens=7 num_model_requests=1";

#[tokio::test(flavor = "multi_thread")]
async fn mislabelled_streams_are_read_as_streams() {
    let events = chat_events();
    for kind in [
        "Text/Event-Stream",
        "TEXT/EVENT-STREAM; charset=utf-8",
        "text/plain; charset=utf-8",
        "application/json",
        "application/octet-stream",
        "",
    ] {
        let mut reply = Reply::stream(events.iter().map(|event| send(event)).collect());
        reply.headers = vec![("content-type", kind.into())];
        reply.headers.retain(|(_, kind)| !kind.is_empty());
        let (body, consumed) = read(reply).await;
        assert_eq!(consumed, REPORTED, "{kind}");
        let shown = [&*events[0], &events[1], &events[3]].concat();
        assert_eq!(body, shown, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mislabelled_streams_that_are_one_object_are_read_as_an_object() {
    let mut reply = Reply::whole(200, crate::upstream::COMPLETION);
    reply.headers = vec![("content-type", "text/event-stream".into())];
    let (body, consumed) = read(reply).await;
    assert_eq!(body, crate::upstream::COMPLETION);
    assert!(consumed.contains("succeeded input_tokens=11"), "{consumed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lone_cr_and_every_other_line_end_is_read() {
    let events = chat_events();
    for end in ["\r", "\r\n", "\n"] {
        for mark in ["", "\u{feff}"] {
            let text = |events: &[&str]| {
                let text = format!("{mark}{}", events.concat());
                text.replace('\n', end)
            };
            let all: Vec<&str> = events.iter().map(String::as_str).collect();
            let (body, consumed) = read(Reply::stream(vec![send(&text(&all))])).await;
            assert_eq!(consumed, REPORTED, "{end:?}");
            let shown = text(&[all[0], all[1], all[3]]);
            assert_eq!(body, shown, "{end:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lone_cr_ends_events_as_they_come() {
    use http_body_util::BodyExt;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let events = chat_events().map(|event| event.replace('\n', "\r"));
    let world = world(Reply::stream(vec![
        send(&events[0]),
        Step::Gate(std::sync::Arc::clone(&gate)),
        send(&events[1..].concat()),
    ]))
    .await;
    let mut request = crate::world::chat(world.service(), STREAM);
    *request.uri_mut() = CHAT.parse().expect("a path");
    let mut body = world.gateway.handle(request).await.into_body();
    let first = tokio::time::timeout(Duration::from_secs(60), body.frame()).await;
    let first = first.expect("it is not held back").expect("a frame");
    assert_eq!(
        first.expect("a piece").into_data().expect("data"),
        events[0]
    );
    gate.add_permits(1);
    while let Some(frame) = body.frame().await {
        frame.expect("a piece");
    }
    assert_eq!(world.consumed_once().await, REPORTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_after_the_end_of_a_stream_is_read_and_hidden() {
    let events = chat_events();
    let order = [&*events[0], &events[1], &events[3], &events[2]];
    let pause = Step::Wait(Duration::from_millis(100));
    let steps = vec![send(&order[..3].concat()), pause, send(order[3])];
    let (body, consumed) = read(Reply::stream(steps)).await;
    assert_eq!(consumed, REPORTED);
    assert_eq!(body, order[..3].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_13_usage_is_hidden_where_its_chunk_has_no_content() {
    let usage = r#""usage":{"prompt_tokens":11,"completion_tokens":7}"#;
    let [text, end, _, done] = chat_events();
    for (chunk, is_hidden) in [
        (format!(r#"{{"choices":[],{usage}}}"#), true),
        (
            format!(r#"{{"id":"c","object":"x","created":1,"model":"m",{usage}}}"#),
            true,
        ),
        (
            format!(r#"{{"choices":[{{"index":0,"delta":{{}}}}],{usage}}}"#),
            true,
        ),
        (
            format!(
                r#"{{"choices":[{{"index":0,"delta":{{"content":"","role":null,"tool_calls":[]}},"finish_reason":null,"logprobs":null}}],{usage}}}"#
            ),
            true,
        ),
        (
            format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"!"}}}}],{usage}}}"#),
            false,
        ),
        (
            format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}],{usage}}}"#),
            false,
        ),
        (
            format!(r#"{{"choices":[{{"index":0,"delta":{{"role":"assistant"}}}}],{usage}}}"#),
            false,
        ),
    ] {
        let chunk = event(&chunk);
        let events = [&*text, &end, &chunk, &done];
        let (body, consumed) = read(Reply::stream(vec![send(&events.concat())])).await;
        let shown = if is_hidden {
            [&*text, &end, &done].concat()
        } else {
            events.concat()
        };
        assert_eq!(body, shown);
        assert_eq!(consumed, REPORTED, "{chunk}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_in_several_chunks_counts_once_by_the_last_one() {
    let chunk = |text: &str, output: i64| {
        event(&format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}],"usage":{{"prompt_tokens":11,"completion_tokens":{output},"total_tokens":{}}}}}"#,
            11 + output
        ))
    };
    let [_, end, usage, done] = chat_events();
    let events = [&*chunk("a", 1), &chunk("b", 2), &end, &usage, &done].concat();
    let (_, consumed) = read(Reply::stream(vec![send(&events)])).await;
    assert_eq!(consumed, REPORTED);
    // The events before the stream broke off.
    let events = [&*chunk("a", 1), &chunk("b", 2)].concat();
    let steps = vec![
        send(&events),
        Step::Wait(Duration::from_millis(100)),
        Step::Die,
    ];
    let (_, consumed) = read(Reply::stream(steps)).await;
    let reported =
        "completions real upstream_failed input_tokens=11 output_tokens=2 num_model_requests=1";
    assert_eq!(consumed, reported);
}
