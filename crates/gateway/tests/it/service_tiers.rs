//! Service tiers of a project: the tier of requests that name none, and the tiers that may be asked for.

use http::Method;
use serde_json::{Value, json};

use crate::upstream::{COMPLETION, Reply};
use crate::world::{Answer, World, request};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

async fn world() -> World {
    World::start(Reply::whole(200, COMPLETION)).await
}

async fn post(world: &World, path: &str, body: &str) -> Answer {
    world
        .send(request(Method::POST, path, world.service(), body))
        .await
}

/// Sends a request, and returns the body that the upstream has got.
async fn forwarded(world: &World, path: &str, body: &str) -> String {
    let before = world.upstream.asked().len();
    let answer = post(world, path, body).await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.body);
    let body = world.upstream.asked().swap_remove(before).body;
    String::from_utf8(body.to_vec()).expect("text")
}

/// Returns the status, the param and the code of a refusal.
fn refusal(answer: &Answer) -> (u16, Value, Value) {
    let [_, _, param, code] = answer.error();
    (answer.status.as_u16(), param, code)
}

#[tokio::test(flavor = "multi_thread")]
async fn request_without_a_tier_is_forwarded_in_the_default_tier_of_its_project() {
    let world = world().await;
    // A request, and the same with the tiers `priority` and `scale`.
    let cases = [
        (
            r#"{"model":"real"}"#,
            r#"{"model":"real","service_tier":"TIER"}"#,
        ),
        (
            r#" { "model" : "nick" , "messages":[]} "#,
            r#" { "model" : "real","service_tier":"TIER" , "messages":[]} "#,
        ),
        (
            r#"{"service_tier": "auto" ,"model":"real"}"#,
            r#"{"service_tier": "TIER" ,"model":"real"}"#,
        ),
        (
            r#"{"model":"real","s\u0065rvice_tier":"\u0061uto"}"#,
            r#"{"model":"real","s\u0065rvice_tier":"TIER"}"#,
        ),
        (
            r#"{"service_tier":null,"model":"nick"}"#,
            r#"{"service_tier":"TIER","model":"real"}"#,
        ),
    ];
    let named = [
        r#"{"model":"real","service_tier":"default"}"#,
        r#"{"model":"real","service_tier":"flex"}"#,
        r#"{"model":"real","service_tier":"fast"}"#,
        r#"{"model":"real","metadata":{"service_tier":"auto"},"service_tier":"ultrafast"}"#,
    ];
    for (tier, word) in [("standard", ""), ("fast", "priority"), ("scale", "scale")] {
        let settings = json!({"default": tier, "enabled_tiers": "all"});
        world.set("service_tier_settings", settings).await;
        for path in [CHAT, RESPONSES] {
            for (body, in_tier) in cases {
                let expected = match word {
                    "" => body.replace("nick", "real"),
                    word => in_tier.replace("TIER", word),
                };
                assert_eq!(forwarded(&world, path, body).await, expected, "{tier}");
            }
            for body in named {
                assert_eq!(forwarded(&world, path, body).await, body, "{tier}");
            }
        }
        let other = r#"{"model":"real","input":"x"}"#;
        assert_eq!(forwarded(&world, "/v1/embeddings", other).await, other);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn default_tier_is_set_beside_the_other_edits_and_metered_as_answered() {
    let world = world().await;
    world.retain("zero_data_retention").await;
    let settings = json!({"default": "fast"});
    world.set("service_tier_settings", settings).await;
    let body = forwarded(&world, RESPONSES, r#"{"model":"nick","input":"x"}"#).await;
    let edited = r#"{"model":"real","store":false,"service_tier":"priority","input":"x"}"#;
    assert_eq!(body, edited);
    // The answer says that it was served in the default tier after all.
    let consumed = world.consumed_once().await;
    assert!(consumed.ends_with("service_tier=default"), "{consumed}");
    let stream = r#"{"stream":true,"model":"nick","store":true}"#;
    let edited = r#"{"stream":true,"stream_options":{"include_usage":true},"model":"real","service_tier":"priority","store":false}"#;
    assert_eq!(forwarded(&world, CHAT, stream).await, edited);
}

#[tokio::test(flavor = "multi_thread")]
async fn tier_that_is_not_enabled_is_refused_and_not_forwarded() {
    let world = world().await;
    let asks = |word: &str| format!(r#"{{"model":"real","service_tier":{word}}}"#);
    let words = [
        "\"flex\"",
        "\"fl\\u0065x\"",
        "\"fast\"",
        "\"priority\"",
        "\"ultrafast\"",
        "\"scale\"",
        "\"Flex\"",
        "\"turbo\"",
    ];
    for word in words {
        assert_eq!(post(&world, CHAT, &asks(word)).await.status, 200, "{word}");
    }
    for (enabled, allowed) in [
        (json!([]), &[][..]),
        (json!(["fast"]), &["\"fast\"", "\"priority\""]),
        (
            json!(["ultrafast", "flex"]),
            &["\"flex\"", "\"fl\\u0065x\"", "\"ultrafast\""],
        ),
    ] {
        let settings = json!({"enabled_tiers": enabled});
        world.set("service_tier_settings", settings).await;
        let before = world.upstream.asked().len();
        for path in [CHAT, RESPONSES] {
            for word in words.iter().filter(|word| !allowed.contains(word)) {
                let answer = post(&world, path, &asks(word)).await;
                let refused = (
                    403,
                    "service_tier".into(),
                    "service_tier_not_enabled".into(),
                );
                assert_eq!(refusal(&answer), refused, "{word}");
                let message = answer.error()[0].to_string();
                for part in [&world.project, "service_tier_settings"] {
                    assert!(message.contains(part), "{message}");
                }
            }
        }
        assert_eq!(world.upstream.asked().len(), before);
        for word in allowed.iter().chain(&["\"default\"", "\"auto\"", "null"]) {
            assert_eq!(post(&world, CHAT, &asks(word)).await.status, 200, "{word}");
        }
    }
    let settings = json!({"default": "scale"});
    world.set("service_tier_settings", settings).await;
    assert_eq!(post(&world, CHAT, &asks("\"scale\"")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tier_that_servers_could_read_differently_is_refused() {
    let world = world().await;
    for body in [
        r#"{"model":"real","service_tier":["flex"]}"#,
        r#"{"model":"real","service_tier":7}"#,
        r#"{"model":"real","service_tier":"auto","service_tier":"flex"}"#,
        r#"{"model":"real","service_tier":"auto","s\u0065rvice_tier":"flex"}"#,
        r#"{"model":"real","Service_Tier":"flex"}"#,
    ] {
        for path in [CHAT, RESPONSES] {
            assert_eq!(post(&world, path, body).await.status, 400, "{body}");
        }
    }
    assert!(world.upstream.asked().is_empty());
}
