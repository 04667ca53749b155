//! `/v1/models`: the catalog of models that a key may ask for.

use std::collections::BTreeMap;

use gateway::{Durability, UpstreamConfig};
use http::Method;
use serde_json::{Value, json};

use crate::upstream::{COMPLETION, Reply};
use crate::world::{World, config, request};

/// Starts a world whose names stand for well-known models on two upstreams.
async fn well_known() -> World {
    let upstream = |name: &str, url: String, models: &[&str], aliases: &[(&str, &str)]| {
        let aliases = aliases.iter();
        UpstreamConfig {
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            aliases: aliases
                .map(|(alias, model)| ((*alias).to_owned(), (*model).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            ..config(name, url)
        }
    };
    World::with(Reply::whole(200, COMPLETION), Durability::Batched, |url| {
        let first = upstream(
            "first",
            url.clone(),
            &[
                "real",
                "whisper-1",
                "gpt-5",
                "ft:gpt-4.1-2025-04-14:acme::1",
            ],
            &[("both", "gpt-4o"), ("same", "gpt-4o"), ("half", "gpt-4o")],
        );
        let second = upstream(
            "second",
            url,
            &["gpt-5"],
            &[
                ("both", "real"),
                ("same", "gpt-4o-2024-08-06"),
                ("half", "unheard-of"),
            ],
        );
        vec![first, second]
    })
    .await
}

async fn get(world: &World, path: &str) -> Value {
    let answer = world
        .send(request(Method::GET, path, world.owner(), ""))
        .await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).expect("JSON")
}

fn names(list: &Value, key: &str) -> Vec<String> {
    let models = list.as_array().expect("a list").iter();
    let names = models.map(|model| model[key].as_str().expect("a name").to_owned());
    names.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn configured_models_are_listed_with_what_is_known_of_them() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let model = |id| {
        json!({
            "id": id, "object": "model", "created": 1_767_225_600, "owned_by": "orgplane",
            "context_window": 8_000, "max_output_tokens": 1_000,
            "prices": {"input": "1000", "output": "1000"},
        })
    };
    let answer = world
        .send(request(Method::GET, "/v1/models", world.owner(), ""))
        .await;
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(
        body,
        json!({"object": "list", "data": [model("nick"), model("real")]})
    );
    assert_eq!(
        answer.header("openai-organization"),
        world.organization_id()
    );
    assert_eq!(get(&world, "/v1/models/%6eick").await, model("nick"));
    assert_eq!(get(&world, "/v1/models?limit=1&_=17").await, body);
    assert_eq!(world.ledger().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_has_the_facts_in_which_all_of_its_models_agree() {
    let world = well_known().await;
    let facts = |model: Value| {
        let members = model.as_object().expect("an object").iter();
        let facts = members
            .filter(|(name, _)| !matches!(name.as_str(), "id" | "object" | "created" | "owned_by"));
        facts
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<serde_json::Map<_, _>>()
    };
    let known = json!({
        "context_window": 128_000, "max_output_tokens": 16_384,
        "input_modalities": ["text", "image"], "output_modalities": ["text"],
    });
    for (name, expected) in [("same", known), ("both", json!({})), ("half", json!({}))] {
        let model = get(&world, &format!("/v1/models/{name}")).await;
        assert_eq!(Value::from(facts(model)), expected, "{name}");
    }
    let tuned = get(&world, "/v1/models/ft:gpt-4.1-2025-04-14:acme::1").await;
    assert_eq!(tuned["context_window"], 1_047_576);
}

/// Checks the members that the parser of codex-cli 0.171 requires, and those of earlier versions.
fn assert_complete(model: &Value) {
    for (member, is_right) in [
        ("display_name", model["display_name"] == model["slug"]),
        (
            "supported_reasoning_levels",
            model["supported_reasoning_levels"].is_array(),
        ),
        ("shell_type", model["shell_type"] == "shell_command"),
        ("visibility", model["visibility"] == "list"),
        ("supported_in_api", model["supported_in_api"] == true),
        ("priority", model["priority"].is_u64()),
        ("support_verbosity", model["support_verbosity"] == false),
        (
            "supports_reasoning_summaries",
            model["supports_reasoning_summaries"] == false,
        ),
        (
            "supports_parallel_tool_calls",
            model["supports_parallel_tool_calls"] == false,
        ),
        (
            "truncation_policy",
            model["truncation_policy"] == json!({"mode": "bytes", "limit": 10_000}),
        ),
        (
            "experimental_supported_tools",
            model["experimental_supported_tools"] == json!([]),
        ),
        (
            "base_instructions",
            model["base_instructions"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
        ),
    ] {
        assert!(is_right, "{member} of {model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codex_gets_the_models_that_can_chat_in_its_own_format() {
    let world = well_known().await;
    let path = "/v1/models?client_version=0.171.0";
    let catalog = get(&world, path).await;
    let models = &catalog["models"];
    assert_eq!(
        names(models, "slug"),
        [
            "ft:gpt-4.1-2025-04-14:acme::1",
            "gpt-5",
            "same",
            "both",
            "half",
            "real"
        ],
        "first those that can chat, then those that perhaps can; whisper-1 cannot"
    );
    models
        .as_array()
        .expect("a list")
        .iter()
        .for_each(assert_complete);
    let gpt_5 = &models[1];
    assert_eq!(gpt_5["context_window"], 272_000, "without the output");
    assert_eq!(gpt_5["input_modalities"], json!(["text", "image"]));
    assert_eq!(
        names(&gpt_5["supported_reasoning_levels"], "effort"),
        ["minimal", "low", "medium", "high"]
    );
    assert_eq!(
        models[3]["context_window"],
        Value::Null,
        "of different models"
    );
    world
        .list_models("allow_list", &["gpt-5", "whisper-1"])
        .await;
    let catalog = get(&world, path).await;
    assert_eq!(names(&catalog["models"], "slug"), ["gpt-5"]);
    world.list_models("allow_list", &[]).await;
    assert_eq!(get(&world, path).await, json!({"models": []}));
}
