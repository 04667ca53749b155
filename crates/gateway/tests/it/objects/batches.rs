//! Batches: created from files of the project, within its policy; their output files belong to the project.

use serde_json::{Value, json};

use super::{batch_of, line, not_found, world};

/// The tokens of the messages of [`line`].
const TOKENS_PER_LINE: i64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_its_projects_alone() {
    let (world, shelf) = world().await;
    let file = world.file(world.service(), "batch", &line("{}")).await;
    shelf.asked();
    let foreign = world
        .make("/v1/batches", world.other(), &batch_of(&file))
        .await;
    assert_eq!(foreign.refusal(), not_found(json!("input_file_id")));
    assert!(shelf.asked().is_empty());
    let batch = world
        .make("/v1/batches", world.service(), &batch_of(&file))
        .await
        .id();
    let (path, cancel) = (
        format!("/v1/batches/{batch}"),
        format!("/v1/batches/{batch}/cancel"),
    );
    assert_eq!(
        world.get(&path, world.service()).await.json()["status"],
        "validating"
    );
    assert_eq!(
        world.page("/v1/batches", world.service()).await,
        (vec![batch.clone()], false)
    );
    shelf.asked();
    assert_eq!(
        world.get(&path, world.other()).await.refusal(),
        not_found(Value::Null)
    );
    let answer = world.make(&cancel, world.other(), &json!({})).await;
    assert_eq!(answer.refusal(), not_found(Value::Null));
    assert_eq!(
        world.page("/v1/batches", world.other()).await,
        (vec![], false)
    );
    assert!(shelf.asked().is_empty());
    let answer = world.make(&cancel, world.service(), &json!({})).await;
    assert_eq!(answer.json()["status"], "cancelling");
    assert_eq!(shelf.asked(), [format!("POST {cancel}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_has_made_is_its_projects() {
    let (world, shelf) = world().await;
    let batch = world.batch(world.service()).await;
    let output = shelf.finish(&batch, "the answers", json!({}));
    let content = format!("/v1/files/{output}/content");
    assert_eq!(
        world.get(&content, world.service()).await.status,
        404,
        "not known yet"
    );
    let told = world
        .get(&format!("/v1/batches/{batch}"), world.service())
        .await
        .json();
    assert_eq!(told["output_file_id"], json!(output));
    assert_eq!(
        world.get(&content, world.service()).await.body,
        "the answers"
    );
    assert_eq!(world.get(&content, world.other()).await.status, 404);
    let (files, _) = world
        .page("/v1/files?purpose=batch_output", world.service())
        .await;
    assert_eq!(files, std::slice::from_ref(&output));
    let again = world
        .make("/v1/batches", world.service(), &batch_of(&output))
        .await;
    let refused = (400, json!("input_file_id"), json!("invalid_value"));
    assert_eq!(again.refusal(), refused, "an output is no input");
    assert_eq!(
        world
            .delete(&format!("/v1/files/{output}"), world.service())
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_may_ask_for_what_its_project_may_call() {
    let (world, shelf) = world().await;
    let plain = world.file(world.service(), "batch", &line("{}")).await;
    let tools = r#"{"tools":[{"type":"function"},{"type":"mcp"}]}"#;
    let tools = world
        .file(
            world.service(),
            "batch",
            &format!("{}\n{}", line("{}"), line(tools)),
        )
        .await;
    let nick = world
        .file(world.service(), "batch", &line(r#"{"model":"nick"}"#))
        .await;
    let stranger = world
        .file(world.service(), "batch", &line(r#"{"model":"stranger"}"#))
        .await;
    let create = |file: &str| {
        let body = batch_of(file);
        let world = &world;
        async move { world.make("/v1/batches", world.service(), &body).await }
    };
    let unknown = (404, json!("model"), json!("model_not_found"));
    assert_eq!(create(&stranger).await.refusal(), unknown);
    // The file passes as it is, so the model server must know the name.
    assert_eq!(create(&nick).await.refusal(), unknown);
    for file in [&plain, &tools] {
        assert_eq!(create(file).await.status, 200);
    }
    world.enable_tools(&["mcp"], false).await;
    shelf.asked();
    let refused = create(&tools).await;
    let no_tool = (
        403,
        json!("input_file_id"),
        json!("hosted_tool_not_enabled"),
    );
    assert_eq!(refused.refusal(), no_tool);
    assert!(refused.message().contains("mcp"));
    assert_eq!(create(&plain).await.status, 200);
    world.list_models("deny_list", &["real"]).await;
    let refused = (403, json!("model"), json!("model_not_found"));
    assert_eq!(create(&plain).await.refusal(), refused);
    assert_eq!(shelf.asked().len(), 1, "what is refused is not passed on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_may_ask_for_the_service_tiers_of_its_project() {
    let (world, shelf) = world().await;
    let upload = async |lines: &str| world.file(world.service(), "batch", lines).await;
    let plain = upload(&line(r#"{"service_tier":"auto"}"#)).await;
    let flex = format!("{}\n{}", line("{}"), line(r#"{"service_tier":"flex"}"#));
    let flex = upload(&flex).await;
    let create = async |file: &str| {
        let body = batch_of(file);
        world.make("/v1/batches", world.service(), &body).await
    };
    for file in [&plain, &flex] {
        assert_eq!(create(file).await.status, 200);
    }
    let settings = json!({"default": "fast", "enabled_tiers": ["fast"]});
    world.set("service_tier_settings", settings).await;
    shelf.asked();
    let refused = create(&flex).await;
    let no_tier = (
        403,
        json!("input_file_id"),
        json!("service_tier_not_enabled"),
    );
    assert_eq!(refused.refusal(), no_tier);
    assert!(refused.message().contains("'flex'"));
    assert!(shelf.asked().is_empty(), "what is refused is not passed on");
    assert_eq!(create(&plain).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_needs_is_named() {
    let (world, shelf) = world().await;
    let file = world.file(world.service(), "batch", &line("{}")).await;
    let other = world.file(world.service(), "user_data", &line("{}")).await;
    shelf.asked();
    for (body, param) in [
        (json!({"endpoint": "/v1/chat/completions"}), "input_file_id"),
        (
            json!({"input_file_id": 7, "endpoint": "/v1/chat/completions"}),
            "input_file_id",
        ),
        (json!({"input_file_id": file}), "endpoint"),
        (
            json!({"input_file_id": file, "endpoint": "/v1/embeddings"}),
            "endpoint",
        ),
        (batch_of(&other), "input_file_id"),
    ] {
        let answer = world.make("/v1/batches", world.service(), &body).await;
        let (status, named, _) = answer.refusal();
        assert_eq!((status, named), (400, json!(param)), "{body}");
    }
    assert!(shelf.asked().is_empty());
    let gone = world.get("/v1/batches/batch_none", world.service()).await;
    assert_eq!(gone.refusal(), not_found(Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_takes_its_input_tokens_of_the_days_limit() {
    let (world, shelf) = world().await;
    let file = world.file(world.service(), "batch", &line("{}")).await;
    world.limit("real", "batch_1_day_max_input_tokens", 0).await;
    let create = async || {
        let body = batch_of(&file);
        world.make("/v1/batches", world.service(), &body).await
    };
    let refused = create().await;
    let reached = (429, Value::Null, json!("rate_limit_exceeded"));
    assert_eq!(refused.refusal(), reached);
    let message = refused.message();
    let limit =
        format!("batch input tokens per day: Limit 0, Used 0, Requested {TOKENS_PER_LINE}.");
    assert!(message.contains(&limit), "{message}");
    world.limit("real", "batch_1_day_max_input_tokens", 8).await;
    shelf.asked();
    assert_eq!(create().await.status, 200);
    // What the upstream does not take is given back.
    shelf.state().refuses = true;
    assert_eq!(create().await.status, 400);
    shelf.state().refuses = false;
    assert_eq!(create().await.status, 200);
    let refused = create().await;
    assert_eq!(refused.refusal(), reached);
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(shelf.asked().len(), 3, "what is refused is not passed on");
    let input = world.file(world.other(), "batch", &line("{}")).await;
    let other = world
        .make("/v1/batches", world.other(), &batch_of(&input))
        .await;
    assert_eq!(other.status, 200, "another project has its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_needs_room_for_its_input_in_the_months_spend() {
    let (world, shelf) = world().await;
    let file = world.file(world.service(), "batch", &line("{}")).await;
    shelf.asked();
    let create = async || {
        let body = batch_of(&file);
        world.make("/v1/batches", world.service(), &body).await
    };
    world.limit_project_spend(Some(1)).await;
    let reached = (429, Value::Null, json!("insufficient_quota"));
    assert_eq!(create().await.refusal(), reached);
    assert!(shelf.asked().is_empty(), "what is refused is not passed on");
    world.limit_project_spend(Some(1000)).await;
    assert_eq!(create().await.status, 200);
}
