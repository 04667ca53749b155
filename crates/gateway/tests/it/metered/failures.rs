//! Failed answers with status 200, which cost what they report, else nothing.

use super::*;

const NOTHING: &str = "completions real upstream_failed num_model_requests=0";

fn whole(kind: &str, text: &str) -> Reply {
    let mut reply = Reply::whole(200, text);
    reply.headers[0].1 = kind.to_owned();
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn in_band_errors_and_other_failed_answers_cost_nothing() {
    let json = "application/json";
    for (kind, text) in [
        (json, r#"{"error":{"message":"Upstream error","code":502}}"#),
        (json, r#"{"error":"boom"}"#),
        (json, r#"{"object":"error","message":"boom","code":500}"#),
        (json, r#"{"choices":[],"error":{"message":"boom"}}"#),
        (json, r#"{"detail":"Not Found"}"#),
        (json, r#"{"choices":[{"message":{"content":"Hello"#),
        (json, "[]"),
        (json, ""),
        (json, "  \n "),
        ("text/html", "<html>Bad gateway</html>"),
        (json, "<html>Bad gateway</html>"),
    ] {
        let world = world(whole(kind, text)).await;
        for (count, body) in [MODEL, STREAM].into_iter().enumerate() {
            let answer = world.consult(CHAT, body).await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, text));
            world.rows(count + 1).await;
            assert_eq!(world.consumed().await[count], NOTHING, "{text}");
        }
        assert!(world.entries().await.iter().all(|row| row.amount.0 == 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_band_errors_of_a_stream_cost_what_was_reported() {
    let error = event(r#"{"error":{"message":"boom"}}"#);
    let [text, end, usage, done] = chat_events();
    let named = "event: error\ndata: {\"message\":\"boom\"}\n\n";
    let reported =
        "completions real upstream_failed input_tokens=11 output_tokens=7 num_model_requests=1";
    for (events, consumed) in [
        (vec![&*error], NOTHING),
        (vec![&error, &done], NOTHING),
        (vec![named], NOTHING),
        (vec![&text, &error, &done], NOTHING),
        (vec![&text, &error, &usage, &done], reported),
        (vec![&text, &end, &usage, &error], reported),
        // The stream has no error, but no end either.
        (vec![&text], NOTHING),
        (vec![": ping\n\n"], NOTHING),
        (vec![&text, &text[..30]], NOTHING),
    ] {
        let events = events.concat();
        let world = world(Reply::stream(vec![send(&events)])).await;
        let asks = r#"{"model":"real","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#;
        let answer = world.consult(CHAT, asks).await;
        assert_eq!(answer.body, events);
        assert_eq!(world.consumed_once().await, consumed, "{events}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_band_errors_of_responses_cost_nothing() {
    let delta = event(r#"{"type":"response.output_text.delta","delta":"Hello"}"#);
    let error = "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"boom\"}\n\n";
    for events in [vec![error], vec![&delta, error], vec![&*delta]] {
        let world = world(Reply::stream(vec![send(&events.concat())])).await;
        let body = r#"{"model":"real","input":"x","stream":true}"#;
        world.consult("/v1/responses", body).await;
        assert_eq!(world.consumed_once().await, NOTHING);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_band_errors_cost_nothing_at_any_endpoint() {
    let error = r#"{"error":{"message":"Upstream error","code":502}}"#;
    for (path, body, kind) in [
        (
            "/v1/completions",
            r#"{"model":"real","prompt":"x"}"#,
            "completions",
        ),
        (
            "/v1/responses",
            r#"{"model":"real","input":"x"}"#,
            "completions",
        ),
        (
            "/v1/embeddings",
            r#"{"model":"real","input":"x"}"#,
            "embeddings",
        ),
        (
            "/v1/moderations",
            r#"{"model":"real","input":"x"}"#,
            "moderations",
        ),
        (
            "/v1/images/generations",
            r#"{"model":"real","prompt":"x"}"#,
            "images",
        ),
        (
            "/v1/audio/speech",
            r#"{"model":"real","input":"x"}"#,
            "audio_speeches",
        ),
    ] {
        for answer in [error, "", r#"{"object":"error","message":"x"}"#] {
            let world = world(Reply::whole(200, answer)).await;
            world.consult(path, body).await;
            let consumed = world.consumed_once().await;
            let nothing = format!("{kind} real upstream_failed num_model_requests=0");
            assert!(
                consumed.starts_with(&nothing),
                "{path} {answer}: {consumed}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_band_errors_count_for_the_health_of_their_upstream() {
    let is_healthy = |world: &World| world.gateway.upstreams().all(|one| one.is_healthy);
    for (text, stays) in [
        (
            r#"{"error":{"message":"Upstream error","code":502}}"#,
            false,
        ),
        ("", false),
        // An error that a client can provoke must not open the circuit of an upstream.
        (
            r#"{"error":{"message":"No","type":"invalid_request_error"}}"#,
            true,
        ),
        (r#"{"error":{"message":"No","code":400}}"#, true),
    ] {
        let world = world(Reply::whole(200, text)).await;
        assert!(is_healthy(&world));
        for count in 1..=5 {
            world.consult(CHAT, MODEL).await;
            world.rows(count).await;
        }
        assert_eq!(is_healthy(&world), stays, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_answer_costs_what_it_has_reported() {
    let reported =
        "completions real upstream_failed input_tokens=11 output_tokens=7 num_model_requests=1";
    let usage = r#"{"usage":{"prompt_tokens":11,"completion_tokens":7},"choices":[{"mess"#;
    for (text, consumed) in [(&usage[..usage.len() - 40], NOTHING), (usage, reported)] {
        let mut reply = Reply::whole(200, text);
        reply.headers.pop();
        reply
            .steps
            .extend([Step::Wait(Duration::from_millis(100)), Step::Die]);
        let world = world(reply).await;
        let answer = world.consult(CHAT, MODEL).await;
        assert!(answer.is_broken);
        assert_eq!(world.consumed_once().await, consumed, "{text}");
    }
}
