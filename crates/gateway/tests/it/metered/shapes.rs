//! Usage under all names and in all members that model servers have for it.

use super::*;

/// The outcome with its marks, and the input, output, cached and cache-write tokens.
async fn read(usage: &str) -> (bool, [Option<i64>; 4]) {
    let whole = format!(
        r#"{{"choices":[{{"message":{{"content":"01234567"}},"finish_reason":"stop","logprobs":{{"x":NaN,"y":-Infinity}}}}],"service_tier":null,"usage":{usage},"other":Infinity}}"#
    );
    let world = world(Reply::whole(200, &whole)).await;
    let body = r#"{"model":"real","messages":[{"role":"user","content":"0123456789"}]}"#;
    world.consult(CHAT, body).await;
    let row = world.rows(1).await.remove(0);
    assert_eq!(row.outcome, "succeeded");
    let quantities = world.entries().await[0].event.quantities;
    let metrics = [
        Metric::InputTokens,
        Metric::OutputTokens,
        Metric::InputCachedTokens,
        Metric::InputCacheWriteTokens,
    ];
    (row.estimated, metrics.map(|metric| quantities.get(metric)))
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_read_in_every_public_format() {
    for (usage, expected) in [
        (
            r#"{"prompt_tokens":100,"completion_tokens":40,"prompt_tokens_details":{"cached_tokens":60,"x":NaN}}"#,
            [Some(100), Some(40), Some(60), None],
        ),
        (
            r#"{"prompt_tokens":100.0,"completion_tokens":4e1,"cached_tokens":60}"#,
            [Some(100), Some(40), Some(60), None],
        ),
        (
            r#"{"prompt_tokens":"100","completion_tokens":"40","prompt_cache_hit_tokens":60,"prompt_cache_miss_tokens":40}"#,
            [Some(100), Some(40), Some(60), None],
        ),
        (
            r#"{"prompt_tokens":100,"completion_tokens":40,"total_tokens":140,"cache_read_input_tokens":60,"cache_creation_input_tokens":10}"#,
            [Some(100), Some(40), Some(60), Some(10)],
        ),
        (
            r#"{"input_tokens":30,"output_tokens":40,"cache_read_input_tokens":60,"cache_creation_input_tokens":10}"#,
            [Some(100), Some(40), Some(60), Some(10)],
        ),
        (
            r#"{"prompt_tokens":100,"completion_tokens":10,"total_tokens":140,"completion_tokens_details":{"reasoning_tokens":30}}"#,
            [Some(100), Some(40), None, None],
        ),
        (
            r#"{"prompt_tokens":100,"completion_tokens":40,"total_tokens":140,"reasoning_tokens":30}"#,
            [Some(100), Some(40), None, None],
        ),
        (
            r#"{"prompt_tokens":100,"total_tokens":140,"cost":NaN}"#,
            [Some(100), Some(40), None, None],
        ),
    ] {
        assert_eq!(read(usage).await, (false, expected), "{usage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_half_of_the_usage_is_estimated_and_marked_so() {
    // The messages have 44 bytes, and the answer has 8.
    for (usage, expected) in [
        (r#"{"prompt_tokens":100}"#, [Some(100), Some(2)]),
        (
            r#"{"prompt_tokens":100,"completion_tokens":null}"#,
            [Some(100), Some(2)],
        ),
        (
            r#"{"prompt_tokens":100,"completion_tokens":NaN}"#,
            [Some(100), Some(2)],
        ),
        (
            r#"{"prompt_tokens":100,"completion_tokens":1e15}"#,
            [Some(100), Some(2)],
        ),
        (r#"{"completion_tokens":40}"#, [Some(10), Some(40)]),
        (
            r#"{"prompt_tokens":-1,"completion_tokens":40}"#,
            [Some(10), Some(40)],
        ),
        (r#"{"total_tokens":140}"#, [Some(10), Some(2)]),
        ("{}", [Some(10), Some(2)]),
        ("NaN", [Some(10), Some(2)]),
        ("null", [Some(10), Some(2)]),
    ] {
        let (estimated, quantities) = read(usage).await;
        assert_eq!(
            (estimated, &quantities[..2]),
            (true, &expected[..]),
            "{usage}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_read_from_the_members_of_other_servers() {
    let groq = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"prompt_tokens":11,"completion_tokens":7}}}"#;
    let [text, _, _, done] = chat_events();
    let world = world(Reply::stream(vec![send(
        &[&*text, &event(groq), &done].concat(),
    )]))
    .await;
    world.consult(CHAT, STREAM).await;
    let reported =
        "completions real succeeded input_tokens=11 output_tokens=7 num_model_requests=1";
    assert_eq!(world.consumed_once().await, reported);
}
