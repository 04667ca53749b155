//! Long answers.

use super::*;

const MEBI_BYTES: usize = 1024 * 1024;

/// An answer that consists of these texts, with this many mebibytes of base64 for each `@`.
fn with_files(text: &str, mebibytes: usize) -> (Reply, usize) {
    let file = Bytes::from(vec![b'A'; MEBI_BYTES]);
    let (mut steps, mut length) = (Vec::new(), 0);
    for (index, part) in text.split('@').enumerate() {
        if index > 0 {
            steps.extend((0..mebibytes).map(|_| Step::Send(file.clone())));
            length += mebibytes * MEBI_BYTES;
        }
        steps.push(send(part));
        length += part.len();
    }
    let mut reply = Reply::stream(steps);
    reply.headers = vec![("content-type", "application/json".into())];
    (reply, length)
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_of_images_cost_what_they_report() {
    let files = [r#"{"b64_json":"@"}"#; 10].join(",");
    let text = format!(
        r#"{{"created":1,"data":[{files}],"usage":{{"input_tokens":50,"output_tokens":41600,"total_tokens":41650}}}}"#
    );
    let (reply, length) = with_files(&text, 4);
    let world = world(reply).await;
    let answer = world
        .consult(
            "/v1/images/generations",
            r#"{"model":"real","prompt":"x","n":10}"#,
        )
        .await;
    assert_eq!(answer.body.len(), length);
    let consumed = "images real succeeded input_tokens=50 output_tokens=41600 num_model_requests=1 images=10 source=image.generation";
    assert_eq!(world.consumed_once().await, consumed);
    assert!(world.entries().await[0].amount.0 > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_of_responses_cost_what_they_report() {
    let text = r#"{"object":"response","status":"completed","output":[{"type":"image_generation_call","result":"@"}],"usage":{"input_tokens":100,"output_tokens":20}}"#;
    let world = world(with_files(text, 35).0).await;
    world
        .consult("/v1/responses", r#"{"model":"real","input":"x"}"#)
        .await;
    let consumed =
        "completions real succeeded input_tokens=100 output_tokens=20 num_model_requests=1";
    assert_eq!(world.consumed_once().await, consumed);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_without_usage_do_not_count_base64_as_text() {
    let text = r#"{"object":"response","status":"completed","output":[{"type":"image_generation_call","result":"@"},{"type":"message","content":[{"type":"output_text","text":"12345678"}]}]}"#;
    let world = world(with_files(text, 35).0).await;
    world
        .consult("/v1/responses", r#"{"model":"real","input":"01234567"}"#)
        .await;
    let consumed =
        "completions real succeeded estimated input_tokens=3 output_tokens=2 num_model_requests=1";
    assert_eq!(world.consumed_once().await, consumed);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_of_embeddings_cost_what_they_report() {
    let text = r#"{"object":"list","data":[{"embedding":"@"}],"usage":{"prompt_tokens":500,"total_tokens":500}}"#;
    let world = world(with_files(text, 33).0).await;
    world
        .consult("/v1/embeddings", r#"{"model":"real","input":"x"}"#)
        .await;
    let consumed = "embeddings real succeeded input_tokens=500 num_model_requests=1";
    assert_eq!(world.consumed_once().await, consumed);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_in_one_event_cost_what_they_report() {
    let text = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[{\"type\":\"web_search_call\"},{\"type\":\"image_generation_call\",\"result\":\"@\"}],\"usage\":{\"input_tokens\":100,\"output_tokens\":20}}}\n\n";
    let (mut reply, length) = with_files(text, 20);
    reply.headers = vec![("content-type", "text/event-stream".into())];
    let world = world(reply).await;
    let body = r#"{"model":"real","input":"x","stream":true}"#;
    let answer = world.consult("/v1/responses", body).await;
    assert_eq!(answer.body.len(), length);
    world.rows(2).await;
    let consumed = [
        "completions real succeeded input_tokens=100 output_tokens=20 num_model_requests=1",
        "web_search_calls real succeeded num_requests=1",
    ];
    assert_eq!(world.consumed().await, consumed);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_not_kept() {
    let (reply, _) = with_files(r#"{"data":[{"b64_json":"@"}],"usage":null}"#, 8);
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let mut reply = reply;
    reply
        .steps
        .insert(8, Step::Gate(std::sync::Arc::clone(&gate)));
    let world = world(reply).await;
    let body = r#"{"model":"real","prompt":"x"}"#;
    let mut request = request(
        Method::POST,
        "/v1/images/generations",
        world.service(),
        body,
    );
    let json = http::HeaderValue::from_static("application/json");
    request.headers_mut().insert("content-type", json);
    let response = world.gateway.handle(request).await;
    let mut body = response.into_body();
    let mut length = 0;
    while length < 4 * MEBI_BYTES {
        let frame = http_body_util::BodyExt::frame(&mut body).await;
        let piece = frame.expect("a frame").expect("a piece").into_data();
        length += piece.expect("data").len();
    }
    assert_eq!(world.gateway.answer_bytes(), 0);
    gate.add_permits(1);
    drop(body);
    let consumed = world.consumed_once().await;
    assert!(consumed.contains("images=1"), "{consumed}");
}
