//! Batches: created from files of the project, within its policy; their output files belong to the project.

use serde_json::{Value, json};

use super::{batch_of, line, not_found, world};
use crate::world::{OTHER, SERVICE};

/// The tokens of the messages of [`line`].
const TOKENS_PER_LINE: i64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_its_projects_alone() {
    let (world, shelf) = world().await;
    let file = world.file(SERVICE, "batch", &line("{}")).await;
    shelf.asked();
    let foreign = world.make("/v1/batches", OTHER, &batch_of(&file)).await;
    assert_eq!(foreign.refusal(), not_found(json!("input_file_id")));
    assert!(shelf.asked().is_empty());
    let batch = world
        .make("/v1/batches", SERVICE, &batch_of(&file))
        .await
        .id();
    let (path, cancel) = (
        format!("/v1/batches/{batch}"),
        format!("/v1/batches/{batch}/cancel"),
    );
    assert_eq!(
        world.get(&path, SERVICE).await.json()["status"],
        "validating"
    );
    assert_eq!(
        world.page("/v1/batches", SERVICE).await,
        (vec![batch.clone()], false)
    );
    shelf.asked();
    assert_eq!(
        world.get(&path, OTHER).await.refusal(),
        not_found(Value::Null)
    );
    let answer = world.make(&cancel, OTHER, &json!({})).await;
    assert_eq!(answer.refusal(), not_found(Value::Null));
    assert_eq!(world.page("/v1/batches", OTHER).await, (vec![], false));
    assert!(shelf.asked().is_empty());
    let answer = world.make(&cancel, SERVICE, &json!({})).await;
    assert_eq!(answer.json()["status"], "cancelling");
    assert_eq!(shelf.asked(), [format!("POST {cancel}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_has_made_is_its_projects() {
    let (world, shelf) = world().await;
    let batch = world.batch(SERVICE).await;
    let output = shelf.finish(&batch, "the answers", json!({}));
    let content = format!("/v1/files/{output}/content");
    assert_eq!(
        world.get(&content, SERVICE).await.status,
        404,
        "not known yet"
    );
    let told = world
        .get(&format!("/v1/batches/{batch}"), SERVICE)
        .await
        .json();
    assert_eq!(told["output_file_id"], json!(output));
    assert_eq!(world.get(&content, SERVICE).await.body, "the answers");
    assert_eq!(world.get(&content, OTHER).await.status, 404);
    let (files, _) = world.page("/v1/files?purpose=batch_output", SERVICE).await;
    assert_eq!(files, std::slice::from_ref(&output));
    let again = world.make("/v1/batches", SERVICE, &batch_of(&output)).await;
    let refused = (400, json!("input_file_id"), json!("invalid_value"));
    assert_eq!(again.refusal(), refused, "an output is no input");
    assert_eq!(
        world
            .delete(&format!("/v1/files/{output}"), SERVICE)
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_may_ask_for_what_its_project_may_call() {
    let (world, shelf) = world().await;
    let plain = world.file(SERVICE, "batch", &line("{}")).await;
    let tools = r#"{"tools":[{"type":"function"},{"type":"mcp"}]}"#;
    let tools = world
        .file(
            SERVICE,
            "batch",
            &format!("{}\n{}", line("{}"), line(tools)),
        )
        .await;
    let nick = world
        .file(SERVICE, "batch", &line(r#"{"model":"nick"}"#))
        .await;
    let stranger = world
        .file(SERVICE, "batch", &line(r#"{"model":"stranger"}"#))
        .await;
    let create = |file: &str| {
        let body = batch_of(file);
        let world = &world;
        async move { world.make("/v1/batches", SERVICE, &body).await }
    };
    let unknown = (404, json!("model"), json!("model_not_found"));
    assert_eq!(create(&stranger).await.refusal(), unknown);
    // The file passes as it is, so the model server must know the name.
    assert_eq!(create(&nick).await.refusal(), unknown);
    for file in [&plain, &tools] {
        assert_eq!(create(file).await.status, 200);
    }
    world
        .change(&[
            "INSERT INTO hosted_tool_permissions (organization_id, project_id, file_search, web_search,
                                                  image_generation, mcp, code_interpreter)
             VALUES ('org-1', 'proj_1', TRUE, TRUE, TRUE, FALSE, TRUE)",
        ])
        .await;
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
    world
        .change(&[
            "INSERT INTO model_permissions (organization_id, project_id, mode, model_ids)
                   VALUES ('org-1', 'proj_1', 'deny_list', '[\"real\"]')",
        ])
        .await;
    let refused = (403, json!("model"), json!("model_not_found"));
    assert_eq!(create(&plain).await.refusal(), refused);
    assert_eq!(shelf.asked().len(), 1, "what is refused is not passed on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_needs_is_named() {
    let (world, shelf) = world().await;
    let file = world.file(SERVICE, "batch", &line("{}")).await;
    let other = world.file(SERVICE, "user_data", &line("{}")).await;
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
        let answer = world.make("/v1/batches", SERVICE, &body).await;
        let (status, named, _) = answer.refusal();
        assert_eq!((status, named), (400, json!(param)), "{body}");
    }
    assert!(shelf.asked().is_empty());
    let gone = world.get("/v1/batches/batch_none", SERVICE).await;
    assert_eq!(gone.refusal(), not_found(Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_takes_its_input_tokens_of_the_days_limit() {
    let (world, shelf) = world().await;
    let file = world.file(SERVICE, "batch", &line("{}")).await;
    world
        .change(&[
            "INSERT INTO rate_limits (organization_id, project_id, model, batch_1_day_max_input_tokens)
             VALUES ('org-1', 'proj_1', 'real', 0)",
        ])
        .await;
    let create = async || {
        let body = batch_of(&file);
        world.make("/v1/batches", SERVICE, &body).await
    };
    let refused = create().await;
    let reached = (429, Value::Null, json!("rate_limit_exceeded"));
    assert_eq!(refused.refusal(), reached);
    let message = refused.message();
    let limit =
        format!("batch input tokens per day: Limit 0, Used 0, Requested {TOKENS_PER_LINE}.");
    assert!(message.contains(&limit), "{message}");
    world
        .change(&["UPDATE rate_limits SET batch_1_day_max_input_tokens = 8"])
        .await;
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
    let input = world.file(OTHER, "batch", &line("{}")).await;
    let other = world.make("/v1/batches", OTHER, &batch_of(&input)).await;
    assert_eq!(other.status, 200, "another project has its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_needs_room_for_its_input_in_the_months_spend() {
    let (world, shelf) = world().await;
    let file = world.file(SERVICE, "batch", &line("{}")).await;
    shelf.asked();
    let create = async || {
        let body = batch_of(&file);
        world.make("/v1/batches", SERVICE, &body).await
    };
    let limit = "INSERT INTO spend_limits (organization_id, project_id, threshold_amount) VALUES ('org-1', 'proj_1', 0)";
    world.change(&[limit]).await;
    let reached = (429, Value::Null, json!("insufficient_quota"));
    assert_eq!(create().await.refusal(), reached);
    assert!(shelf.asked().is_empty(), "what is refused is not passed on");
    world
        .change(&["UPDATE spend_limits SET threshold_amount = 1000"])
        .await;
    assert_eq!(create().await.status, 200);
}
