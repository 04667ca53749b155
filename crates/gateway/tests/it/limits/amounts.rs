//! The amounts that requests take of each limit.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn images_are_limited() {
    let images = r#"{"data":[{"url":"u"},{"url":"u"}]}"#;
    let world = serving("dall-e-3", images).await;
    world.limit("dall-e-3", "max_images_per_1_minute", 5).await;
    let three = r#"{"model":"dall-e-3","prompt":"a","n":3}"#;
    let post = || {
        request(
            Method::POST,
            "/v1/images/generations",
            world.service(),
            three,
        )
    };
    // The request asked for three images, and the answer had two.
    assert_eq!(world.send(post()).await.status, 200);
    assert_eq!(world.send(post()).await.status, 200);
    let words = "images per min (IPM): Limit 5, Used 4, Requested 3.";
    refused(&world.send(post()).await, "requests", words);
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_megabytes_are_limited() {
    let world = serving("whisper-1", r#"{"text":"Hello","duration":9}"#).await;
    world
        .limit("whisper-1", "max_audio_megabytes_per_1_minute", 2)
        .await;
    let sound = "x".repeat(1_000_001);
    let part = "Content-Disposition: form-data; name=";
    let body = format!(
        "--xx\r\n{part}\"model\"\r\n\r\nwhisper-1\r\n--xx\r\n{part}\"file\"\r\n\r\n{sound}\r\n--xx--\r\n"
    );
    let speak = || {
        let mut request = request(
            Method::POST,
            "/v1/audio/transcriptions",
            world.service(),
            &body,
        );
        let kind = HeaderValue::from_static("multipart/form-data; boundary=xx");
        request.headers_mut().insert("content-type", kind);
        request
    };
    assert_eq!(world.send(speak()).await.status, 200);
    let words = "audio megabytes per min: Limit 2, Used 2, Requested 2.";
    refused(&world.send(speak()).await, "requests", words);
}

/// Returns a world with a model of this name and answer.
async fn serving(model: &'static str, answer: &str) -> World {
    let configure = |url| {
        let mut config = config("local", url);
        config.models = vec![model.to_owned()];
        config.aliases = [("nick".to_owned(), model.to_owned())].into();
        vec![config]
    };
    World::with(Reply::whole(200, answer), Durability::Batched, configure).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_counted_by_the_encoding_of_the_model() {
    let answer = r#"{"choices":[{"message":{"content":"The quick brown fox jumps"}}]}"#;
    let world = serving("gpt-4o-mini", answer).await;
    // A thread builds the tokenizer from the start on.
    let body = r#"{"model":"nick","messages":[{"role":"user","content":"你好世界你好世界"}]}"#;
    let mut asked = 0;
    let counted = poll::value("the tokens are counted", async || {
        assert_eq!(world.chat(body).await.status, 200);
        asked += 1;
        let row = world.rows(asked).await.pop().expect("a row");
        assert!(row.estimated);
        (row.output == Some(5)).then_some(row)
    });
    assert_eq!(counted.await.input, Some(14));
}
