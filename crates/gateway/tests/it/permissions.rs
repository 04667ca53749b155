//! Policy of a project: the models and hosted tools that it may use.

use http::Method;
use serde_json::Value;

use crate::upstream::{COMPLETION, Reply};
use crate::world::{Answer, World, request};

async fn world() -> World {
    World::start(Reply::whole(200, COMPLETION)).await
}

/// Returns the status, the param and the code of a refusal.
fn refusal(answer: &Answer) -> (u16, Value, Value) {
    let [_, _, param, code] = answer.error();
    (answer.status.as_u16(), param, code)
}

async fn status(world: &World, path: &str, body: &str) -> u16 {
    let answer = world
        .send(request(Method::POST, path, world.service(), body))
        .await;
    answer.status.as_u16()
}

/// Returns the models that are listed for the key.
async fn listed(world: &World) -> Vec<String> {
    let answer = world
        .send(request(Method::GET, "/v1/models", world.service(), ""))
        .await;
    let list: Value = serde_json::from_str(&answer.body).expect("a list");
    let names = list["data"].as_array().into_iter().flatten();
    names
        .filter_map(|model| Some(model["id"].as_str()?.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_models_is_about_the_names_that_clients_ask_for() {
    let world = world().await;
    assert_eq!(listed(&world).await, ["nick", "real"]);
    let project = format!("'{}'", world.project);
    for (mode, allowed) in [("allow_list", "real"), ("deny_list", "nick")] {
        world.list_models(mode, &["real", "unheard-of"]).await;
        assert_eq!(listed(&world).await, [allowed]);
        for model in ["real", "nick"] {
            let chat = world.chat(&format!(r#"{{"model":"{model}"}}"#)).await;
            let path = format!("/v1/models/{model}");
            let read = world
                .send(request(Method::GET, &path, world.service(), ""))
                .await;
            if model == allowed {
                assert_eq!([chat.status, read.status], [200, 200]);
                continue;
            }
            for answer in [chat, read] {
                let refused = (403, "model".into(), "model_not_found".into());
                assert_eq!(refusal(&answer), refused);
                let message = answer.error()[0].to_string();
                assert!(
                    message.contains(&project) && message.contains(model),
                    "{message}"
                );
            }
        }
        assert_eq!(world.chat(r#"{"model":"unheard-of"}"#).await.status, 404);
    }
    world.list_models("allow_list", &[]).await;
    assert!(listed(&world).await.is_empty());
    world.unset("model_permissions").await;
    assert_eq!(listed(&world).await, ["nick", "real"]);
    assert_eq!(
        world.rows(2).await.len(),
        2,
        "what is refused is not in the ledger"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosted_tool_that_is_not_enabled_is_refused_wherever_it_is_asked_for() {
    let world = world().await;
    let asks = [
        (
            "/v1/responses",
            r#"{"model":"real","input":"x","tools":[{"type":"mcp"}]}"#,
        ),
        (
            "/v1/chat/completions",
            r#"{"model":"real","tools":[{"type":"mcp"}]}"#,
        ),
        (
            "/v1/chat/completions",
            r#"{"model":"real","web_search_options":{}}"#,
        ),
    ];
    for (path, body) in asks {
        assert_eq!(status(&world, path, body).await, 200, "{body}");
    }
    world.enable_tools(&["web_search", "mcp"], false).await;
    for (path, body) in asks {
        let answer = world
            .send(request(Method::POST, path, world.service(), body))
            .await;
        let refused = (403, "tools".into(), "hosted_tool_not_enabled".into());
        assert_eq!(refusal(&answer), refused, "{body}");
        let message = answer.error()[0].to_string();
        let tool = if body.contains("mcp") {
            "mcp"
        } else {
            "web_search"
        };
        assert!(
            message.contains(tool) && message.contains(&world.project),
            "{message}"
        );
    }
    let others =
        r#"{"model":"real","input":"x","tools":[{"type":"file_search"},{"type":"function"}]}"#;
    assert_eq!(status(&world, "/v1/responses", others).await, 200);
    let unclear = r#"{"model":"real","input":"x","tools":[{"type":"function","type":"mcp"}]}"#;
    assert_eq!(status(&world, "/v1/responses", unclear).await, 400);
    world.enable_tools(&["web_search", "mcp"], true).await;
    for (path, body) in asks {
        assert_eq!(status(&world, path, body).await, 200, "{body}");
    }
    world.rows(asks.len() * 2 + 1).await;
}
