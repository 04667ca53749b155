//! The report and the quantities of an answer of each endpoint: reported, counted or estimated.

use super::*;

const SPOKEN: &str = r#""usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":10,"audio_tokens":4},"output_tokens":5}"#;

/// The path, the body (a form if empty), the answer, and the recorded usage.
const TABLE: &[(&str, &str, &str, &str)] = &[
    (
        "/v1/completions",
        r#"{"model":"real","prompt":"01234567"}"#,
        r#"{"choices":[{"text":"Hello"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":4}}}"#,
        "completions real succeeded input_tokens=11 output_tokens=7 num_model_requests=1 input_cached_tokens=4 input_uncached_tokens=7",
    ),
    (
        "/v1/completions",
        r#"{"model":"real","prompt":"01234567"}"#,
        r#"{"choices":[{"text":"Hello"}]}"#,
        "completions real succeeded estimated input_tokens=3 output_tokens=2 num_model_requests=1",
    ),
    (
        "/v1/completions",
        r#"{"model":"real","prompt":[[1,2],[3,4,5]]}"#,
        r#"{"choices":[{"text":"Hello"}]}"#,
        "completions real succeeded estimated input_tokens=5 output_tokens=2 num_model_requests=1",
    ),
    (
        "/v1/responses",
        r#"{"model":"real","input":"01234567"}"#,
        r#"{"status":"completed","service_tier":"flex","output":[],"usage":{"input_tokens":20,"input_tokens_details":{"cached_tokens":8},"output_tokens":6,"output_tokens_details":{"reasoning_tokens":2}}}"#,
        "completions real succeeded input_tokens=20 output_tokens=6 num_model_requests=1 input_cached_tokens=8 input_uncached_tokens=12 service_tier=flex",
    ),
    (
        "/v1/responses",
        r#"{"model":"real","input":"01234567","instructions":"0123"}"#,
        r#"{"status":"completed","text":{"format":{}},"output":[{"content":[{"type":"output_text","text":"Hello"}]}],"usage":null}"#,
        "completions real succeeded estimated input_tokens=4 output_tokens=2 num_model_requests=1",
    ),
    (
        "/v1/responses",
        r#"{"model":"real","input":"0"}"#,
        r#"{"status":"failed","error":{},"output":[],"usage":{"input_tokens":2,"output_tokens":0}}"#,
        "completions real upstream_failed input_tokens=2 output_tokens=0 num_model_requests=1",
    ),
    (
        "/v1/responses/compact",
        r#"{"model":"real","input":[{"role":"user","content":"01234567"}],"instructions":null}"#,
        r#"{"id":"resp_1","object":"response.compaction","created_at":1,"output":[{"type":"message"},{"type":"web_search_call"},{"type":"compaction","encrypted_content":"AAAA"}],"usage":{"input_tokens":139,"input_tokens_details":{"cached_tokens":100},"output_tokens":438,"output_tokens_details":{"reasoning_tokens":64},"total_tokens":577}}"#,
        "completions real succeeded input_tokens=139 output_tokens=438 num_model_requests=1 input_cached_tokens=100 input_uncached_tokens=39",
    ),
    (
        "/v1/responses/compact",
        r#"{"model":"real","input":"01234567"}"#,
        r#"{"object":"response.compaction","output":[]}"#,
        "completions real succeeded estimated input_tokens=3 output_tokens=1 num_model_requests=1",
    ),
    (
        "/v1/responses/input_tokens",
        r#"{"model":"real","input":"01234567","tools":[{"type":"function","name":"f"}]}"#,
        r#"{"object":"response.input_tokens","input_tokens":11}"#,
        "completions real succeeded num_model_requests=0",
    ),
    (
        "/v1/responses/input_tokens",
        r#"{"model":"real","input":"01234567"}"#,
        r#"{"error":{"message":"m","code":"server_error"}}"#,
        "completions real upstream_failed num_model_requests=0",
    ),
    (
        "/v1/embeddings",
        r#"{"model":"real","input":["a","b"]}"#,
        r#"{"object":"list","data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":8,"total_tokens":8,"completion_tokens":0}}"#,
        "embeddings real succeeded input_tokens=8 num_model_requests=1",
    ),
    (
        "/v1/embeddings",
        r#"{"model":"real","input":[[1,2],[3]]}"#,
        r#"{"object":"list","data":[{"embedding":"AAAA"}]}"#,
        "embeddings real succeeded estimated input_tokens=3 num_model_requests=1",
    ),
    (
        "/v1/moderations",
        r#"{"model":"real","input":"0123456789"}"#,
        r#"{"id":"modr","model":"x","results":[]}"#,
        "moderations real succeeded estimated input_tokens=3 num_model_requests=1",
    ),
    (
        "/v1/moderations",
        r#"{"model":"real","input":"0123456789"}"#,
        r#"{"results":[],"usage":{"prompt_tokens":4}}"#,
        "moderations real succeeded input_tokens=4 num_model_requests=1",
    ),
    (
        "/v1/decisions",
        r#"{"model":"real","input":"0123","questions":[{"type":"predicate","instructions":"01234567"}]}"#,
        r#"{"answers":[{"type":"predicate","name":null,"probability":0.25}],"model":"real","usage":{"input_tokens":200,"input_tokens_details":{"cached_tokens":80,"cache_write_tokens":20},"output_tokens":0,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":200}}"#,
        "decisions real succeeded input_tokens=200 output_tokens=0 num_model_requests=1 input_cached_tokens=80 input_cache_write_tokens=20 input_uncached_tokens=100",
    ),
    (
        "/v1/decisions",
        r#"{"model":"real","input":"01234567","questions":[]}"#,
        r#"{"answers":[],"model":"real"}"#,
        "decisions real succeeded estimated input_tokens=3 output_tokens=0 num_model_requests=1",
    ),
    (
        "/v1/images/generations",
        r#"{"model":"real","prompt":"a","n":2,"size":"1024x1792"}"#,
        r#"{"created":1,"data":[{"url":"u"},{"b64_json":"AAAA"}]}"#,
        "images real succeeded num_model_requests=1 images=2 size=1024x1792 source=image.generation",
    ),
    (
        "/v1/images/generations",
        r#"{"model":"real","prompt":"a","size":"auto"}"#,
        r#"{"data":[{"b64_json":"AAAA"}],"size":"1024x1536","usage":{"input_tokens":50,"output_tokens":4000,"input_tokens_details":{"text_tokens":40,"image_tokens":10}}}"#,
        "images real succeeded input_tokens=50 output_tokens=4000 num_model_requests=1 input_text_tokens=40 input_image_tokens=10 images=1 size=1024x1536 source=image.generation",
    ),
    (
        "/v1/images/generations",
        r#"{"model":"real","prompt":"a","n":3}"#,
        "not JSON",
        "images real upstream_failed num_model_requests=0 source=image.generation",
    ),
    (
        "/v1/images/generations",
        r#"{"model":"real","prompt":"a","n":3}"#,
        r#"{"created":1,"usage":{"input_tokens":5,"output_tokens":9}}"#,
        "images real succeeded estimated input_tokens=5 output_tokens=9 num_model_requests=1 images=3 source=image.generation",
    ),
    (
        "/v1/images/edits",
        "",
        r#"{"data":[{"b64_json":"AAAA"}]}"#,
        "images real succeeded num_model_requests=1 images=1 source=image.edit",
    ),
    (
        "/v1/images/variations",
        "",
        r#"{"data":[{"b64_json":"AAAA"},{}]}"#,
        "images real succeeded num_model_requests=1 images=2 source=image.variation",
    ),
    (
        "/v1/audio/speech",
        r#"{"model":"real","input":"h\u00e4l\ud83d\ude00o","voice":"alloy"}"#,
        "any sound",
        "audio_speeches real succeeded estimated input_tokens=6 output_tokens=14 num_model_requests=1 output_audio_tokens=14 characters=5",
    ),
    (
        "/v1/audio/transcriptions",
        "",
        r#"{"text":"Hello","usage":{"type":"duration","seconds":9}}"#,
        "audio_transcriptions real succeeded num_model_requests=1 seconds=9",
    ),
    (
        "/v1/audio/transcriptions",
        "",
        r#"{"text":"Hello","duration":8.47}"#,
        "audio_transcriptions real succeeded num_model_requests=1 seconds=9",
    ),
    (
        "/v1/audio/translations",
        "",
        "just text",
        "audio_transcriptions real succeeded estimated num_model_requests=1 seconds=1",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_is_recorded_in_its_report() {
    let world = World::start(Reply::whole(200, "")).await;
    for (at, (path, body, answer, consumed)) in TABLE.iter().enumerate() {
        world.upstream.replies(Reply::whole(200, answer));
        let parts = super::body(path, "real");
        let body = if body.is_empty() { &parts } else { *body };
        let got = world.post(path, body).await;
        assert_eq!(
            (got.status.as_u16(), got.body.as_str()),
            (200, *answer),
            "{path}"
        );
        world.rows(at + 1).await;
        assert_eq!(world.consumed().await[at], *consumed, "{path} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_of_tokens_takes_a_request_and_no_tokens() {
    let count = r#"{"object":"response.input_tokens","input_tokens":4000}"#;
    let world = World::start(Reply::whole(200, count)).await;
    world.limit("real", "max_tokens_per_1_minute", 10).await;
    world.limit("real", "max_requests_per_1_minute", 2).await;
    world.limit_project_spend(Some(1)).await;
    let long = "one two three ".repeat(1000);
    let body = serde_json::json!({"model": "real", "input": long}).to_string();
    for left in ["1", "0"] {
        let answer = world.post("/v1/responses/input_tokens", &body).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, count));
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), left);
    }
    let answer = world.post("/v1/responses/input_tokens", &body).await;
    assert_eq!(answer.status, 429, "the limit of requests holds");
    world.rows(2).await;
    let consumed = "completions real succeeded num_model_requests=0";
    assert_eq!(world.consumed().await, [consumed, consumed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_obeys_the_settings_of_a_response() {
    let world = World::start(Reply::whole(200, r#"{"output":[]}"#)).await;
    let path = "/v1/responses/compact";
    world.enable_tools(&["web_search"], false).await;
    let tools = r#"{"model":"real","input":"x","tools":[{"type":"web_search"}]}"#;
    let refused = world.post(path, tools).await;
    assert_eq!(refused.error()[3], "hosted_tool_not_enabled");
    world.retain("zero_data_retention").await;
    let stored = r#"{"model":"real","store":true,"input":"x"}"#;
    assert_eq!(world.post(path, stored).await.status, 200);
    let plain = r#"{"model":"real","input":"x"}"#;
    assert_eq!(world.post(path, plain).await.status, 200);
    let asked = world.upstream.asked();
    assert_eq!(asked[0].body, stored.replace("true", "false"));
    assert_eq!(asked[1].body, plain, "no unknown member is added");
    world.list_models("deny_list", &["real"]).await;
    let refused = world.post(path, plain).await;
    assert_eq!(
        (refused.status.as_u16(), refused.error()[3].clone()),
        (403, "model_not_found".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn transcription_that_reports_tokens_is_recorded_in_tokens() {
    let answer = format!("{{\"text\":\"Hello\",{SPOKEN}}}");
    let world = World::start(Reply::whole(200, &answer)).await;
    let path = "/v1/audio/transcriptions";
    world.post(path, &body(path, "real")).await;
    let consumed = "audio_transcriptions real succeeded input_tokens=14 output_tokens=5 num_model_requests=1 input_text_tokens=10 input_audio_tokens=4";
    assert_eq!(world.consumed_once().await, consumed);
}

#[tokio::test(flavor = "multi_thread")]
async fn default_model_of_moderations_is_forwarded_and_recorded() {
    let world = World::with(
        Reply::whole(200, r#"{"results":[]}"#),
        gateway::Durability::Batched,
        |url| {
            let mut config = config("local", url);
            config.models = vec!["omni-moderation-latest".into()];
            config.aliases.clear();
            vec![config]
        },
    )
    .await;
    let answer = world.post("/v1/moderations", r#"{"input":"x"}"#).await;
    assert_eq!(answer.status, 200);
    let asked = r#"{"model":"omni-moderation-latest","input":"x"}"#;
    assert_eq!(world.upstream.asked()[0].body, asked);
    assert_eq!(world.row().await.model, "omni-moderation-latest");
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_is_forwarded_unchanged() {
    let sound: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let pieces = sound
        .chunks(30_000)
        .map(|piece| Step::Send(Bytes::copy_from_slice(piece)));
    let mut reply = Reply::stream(pieces.collect());
    reply.headers = vec![("content-type", "audio/mpeg".into())];
    let world = World::start(reply).await;
    let request = post(
        world.service(),
        "/v1/audio/speech",
        r#"{"model":"real","input":"hello"}"#,
    );
    let response = world.gateway.handle(request).await;
    assert_eq!(response.headers()["content-type"], "audio/mpeg");
    assert!(bytes(response).await == sound);
    let consumed = "audio_speeches real succeeded estimated input_tokens=2 output_tokens=8 num_model_requests=1 output_audio_tokens=8 characters=5";
    assert_eq!(world.consumed_once().await, consumed);
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_audio_costs_nothing() {
    let mut reply = Reply::stream(vec![
        send("aaaa"),
        Step::Wait(Duration::from_millis(50)),
        Step::Die,
    ]);
    reply.headers = vec![("content-type", "audio/mpeg".into())];
    let world = World::start(reply).await;
    let answer = world
        .post("/v1/audio/speech", r#"{"model":"real","input":"hello"}"#)
        .await;
    assert!(answer.is_broken);
    let consumed = "audio_speeches real upstream_failed num_model_requests=0";
    assert_eq!(world.consumed_once().await, consumed);
}
