//! Numbers in every spelling, and text in every member.

use gateway::{Durability, UpstreamConfig};
use http::Method;
use serde_json::json;

use super::{form, world};
use crate::upstream::{COMPLETION, Reply};
use crate::world::{World, config, request};

#[tokio::test(flavor = "multi_thread")]
async fn number_spellings_reserve_as_much_as_plain_numbers() {
    let world = world().await;
    world.limit_spend(Some(10_000)).await;
    // A hundred dollars buy a hundred thousand tokens.
    let paths = [
        ("/v1/chat/completions", "max_tokens"),
        ("/v1/chat/completions", "max_completion_tokens"),
        ("/v1/chat/completions", "n_predict"),
        ("/v1/completions", "max_tokens"),
        ("/v1/responses", "max_output_tokens"),
    ];
    for (path, name) in paths {
        for (value, status) in [
            ("900000", 429),
            ("9e5", 429),
            ("900000.0", 429),
            ("9000.00e2", 429),
            ("\"900000\"", 429),
            ("\" 900000.0 \"", 429),
            ("1e3", 200),
            ("null", 200),
            ("-1", 400),
            ("0", 400),
            ("1.5", 400),
            ("true", 400),
            ("[900000]", 400),
            ("\"many\"", 400),
            ("1e15", 400),
        ] {
            let body = format!(r#"{{"model":"real","{name}":{value}}}"#);
            let answer = world
                .send(request(Method::POST, path, world.service(), &body))
                .await;
            assert_eq!(
                answer.status, status,
                "{path} {name} {value}: {}",
                answer.body
            );
            if status == 400 {
                assert_eq!(answer.error()[2], json!(name), "{value}");
            }
        }
    }
    for (path, member) in [
        ("/v1/chat/completions", r#""n":90.0"#),
        ("/v1/chat/completions", r#""n":"90""#),
        ("/v1/completions", r#""best_of":9e1"#),
    ] {
        let body = format!(r#"{{"model":"real","max_tokens":2000,{member}}}"#);
        let answer = world
            .send(request(Method::POST, path, world.service(), &body))
            .await;
        assert_eq!(answer.status, 429, "{member}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn number_spellings_of_forms_count_by_their_value() {
    let world = World::with(Reply::whole(200, COMPLETION), Durability::Batched, |url| {
        let models = vec!["dall-e-2".to_owned()];
        vec![UpstreamConfig {
            models,
            ..config("local", url)
        }]
    })
    .await;
    world.limit("dall-e-2", "max_images_per_1_minute", 10).await;
    for (n, status) in [
        (" 100", 429),
        ("1e2", 429),
        ("100.0", 429),
        ("", 400),
        ("-1", 400),
        ("1.0", 200),
    ] {
        let parts = [
            ("name=\"model\"", "dall-e-2"),
            ("name=\"prompt\"", "p"),
            ("name=\"n\"", n),
        ];
        let answer = world
            .send(form(world.service(), "/v1/images/edits", &parts))
            .await;
        assert_eq!(answer.status, status, "{n}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_text_beside_the_messages_counts() {
    let world = world().await;
    world.limit("real", "max_tokens_per_1_minute", 5_000).await;
    let text = "word ".repeat(10_000);
    for body in [
        json!({"model": "real", "max_tokens": 1, "functions": [{"name": "f", "description": text}]}),
        json!({"model": "real", "max_tokens": 1, "response_format": {"type": "json_schema", "json_schema": {"schema": {"description": text}}}}),
        json!({"model": "real", "max_tokens": 1, "prediction": {"type": "content", "content": text}}),
        json!({"model": "real", "max_tokens": 1, "messages": [{"role": "user", "content": format!("x;base64,{}", "y".repeat(50_000))}]}),
        json!({"model": "real", "max_tokens": 1, "messages": format!("data:image/png;base64,{}", "y".repeat(50_000))}),
        json!({"model": "real", "max_tokens": 1, "messages": [1, text]}),
    ] {
        let answer = world.chat(&body.to_string()).await;
        assert_eq!(answer.status, 429, "{}", &body.to_string()[..80]);
    }
    let image = format!("data:image/png;base64,{}", "y".repeat(50_000));
    let image = json!({"model": "real", "max_tokens": 1, "messages": [{"content": [{"type": "image_url", "image_url": {"url": image}}]}]});
    assert_eq!(
        world.chat(&image.to_string()).await.status,
        200,
        "a file is none of it"
    );
}
