//! Prompt caches of batches under zero data retention: their lines are forwarded as they are.

use serde_json::json;
use store::sql;

use super::storage_server::StorageServer;
use super::{batch_of, keeper, line};
use crate::upstream::{COMPLETION, Reply};
use crate::world::World;
use gateway::{Durability, UpstreamConfig};

async fn start(has_zero_data_retention: bool) -> (World, StorageServer) {
    let shelf = StorageServer::start().await;
    let base_url = shelf.base_url();
    let upstreams = |_| {
        let models = ["real", "gpt-5.4", "gpt-5.5"];
        vec![UpstreamConfig {
            models: models.map(str::to_owned).to_vec(),
            zero_data_retention: has_zero_data_retention,
            ..keeper(base_url)
        }]
    };
    let world = World::with(
        Reply::whole(200, COMPLETION),
        Durability::Batched,
        upstreams,
    )
    .await;
    (world, shelf)
}

/// Lines of a file, and the line that is refused with the words of the refusal, if one is.
type BatchFile = (
    &'static [&'static str],
    Option<(&'static str, &'static str)>,
);

/// Files of batches.
const FILES: [BatchFile; 8] = [
    (
        &[r#"{"model":"gpt-5.4","prompt_cache_retention":"in_memory"}"#],
        None,
    ),
    (&[r#"{"model":"real"}"#, r#"{"model":"real"}"#], None),
    (
        &[
            r#"{"model":"gpt-5.4","prompt_cache_retention":"in_memory"}"#,
            r#"{"model":"gpt-5.4"}"#,
        ],
        Some((
            "line 2 ",
            "must say \"prompt_cache_retention\": \"in_memory\"",
        )),
    ),
    (
        &[r#"{"model":"gpt-5.4","prompt_cache_retention":"in-memory"}"#],
        Some(("line 1 ", "\"in_memory\"")),
    ),
    (
        &[r#"{"model":"gpt-5.4","prompt_cache_retention":"2\u0034h"}"#],
        Some(("Line 1 ", "prompt_cache_retention must be")),
    ),
    (
        &[
            r#"{"model":"real"}"#,
            r#"{"model":"real","prompt_cache_retention":"24h"}"#,
        ],
        Some(("Line 2 ", "prompt_cache_retention must be")),
    ),
    (
        &[r#"{"model":"gpt-5.5"}"#],
        Some(("Line 1 ", "'gpt-5.5' has only")),
    ),
    (
        &[r#"{"model":"gpt-5.5","prompt_cache_retention":"in_memory"}"#],
        Some(("Line 1 ", "'gpt-5.5' has only")),
    ),
];

async fn files(world: &World) -> Vec<String> {
    let mut files = Vec::new();
    for (lines, _) in FILES {
        let lines: Vec<String> = lines.iter().map(|body| line(body)).collect();
        files.push(
            world
                .file(world.service(), "batch", &lines.join("\n"))
                .await,
        );
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_batch_ask_for_prompt_caches_in_memory_under_zero_data_retention() {
    let (world, shelf) = start(false).await;
    let files = files(&world).await;
    let create = async |file: &str| {
        world
            .make("/v1/batches", world.service(), &batch_of(file))
            .await
    };
    for file in &files {
        assert_eq!(
            create(file).await.status,
            200,
            "without zero data retention"
        );
    }
    world.retain("zero_data_retention").await;
    shelf.asked();
    for (file, (lines, refused)) in files.iter().zip(FILES) {
        let answer = create(file).await;
        let Some((line, words)) = refused else {
            assert_eq!(answer.status, 200, "{lines:?}: {}", answer.body);
            continue;
        };
        let expected = (400, json!("input_file_id"), json!("invalid_value"));
        assert_eq!(answer.refusal(), expected, "{lines:?}");
        let message = answer.message();
        assert!(
            message.contains(line) && message.contains(words),
            "{message}"
        );
        assert!(message.contains("zero data retention"), "{message}");
    }
    assert_eq!(shelf.asked().len(), 2, "what is refused is not passed on");
    // An older version has written nothing of prompt caches when a file was uploaded.
    let unknown =
        sql!("UPDATE stored_objects SET work = REPLACE(work, '\"prompt_caches\"', '\"before\"')");
    world.change(unknown).await;
    let answer = create(&files[0]).await;
    assert_eq!(answer.status, 400);
    assert!(answer.message().contains("upload it again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_with_zero_data_retention_takes_every_line() {
    let (world, _shelf) = start(true).await;
    world.retain("zero_data_retention").await;
    for file in files(&world).await {
        let answer = world
            .make("/v1/batches", world.service(), &batch_of(&file))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}
