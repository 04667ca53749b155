//! Records of stored answers: at which upstream they are, how long they last, and what happens without them.

use serde_json::{Value, json};
use store::sql;

use super::storage_server::StorageServer;
use super::{Durability, keeper, world};
use crate::upstream::{COMPLETION, Reply};
use crate::world::World;

const DAY_SECONDS: i64 = 86_400;

/// Starts a gateway with two upstreams that store objects. The second alone serves the model `other`.
async fn world_of_two() -> (World, [StorageServer; 2]) {
    let shelves = [StorageServer::start().await, StorageServer::start().await];
    // Ids of two accounts differ.
    shelves[1].state().made = 500;
    let mut first = keeper(shelves[0].base_url());
    first.models = vec!["real".into()];
    let mut second = keeper(shelves[1].base_url());
    second.name = "second".into();
    second.models.push("other".into());
    let reply = Reply::whole(200, COMPLETION);
    let world = World::with(reply, Durability::Batched, |_| vec![first, second]).await;
    (world, shelves)
}

/// Returns the id of a response that this upstream has made. Requests with one `prompt_cache_key` stay at one upstream.
async fn response_at(world: &World, shelves: &[StorageServer; 2], shelf: usize) -> String {
    shelves[shelf].asked();
    for key in 0..100 {
        let more = json!({"prompt_cache_key": key.to_string()});
        let id = world.respond(world.service(), &more).await.id();
        if !shelves[shelf].asked().is_empty() {
            return id;
        }
    }
    panic!("no request goes to the upstream {shelf}")
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_to_the_upstream_that_has_what_they_name() {
    let (world, shelves) = world_of_two().await;
    let service = world.service();
    let mut made = Vec::new();
    for shelf in [0, 1] {
        made.push((response_at(&world, &shelves, shelf).await, shelf));
    }
    for shelf in &shelves {
        shelf.asked();
    }
    for (id, shelf) in &made {
        for _ in 0..3 {
            let more = json!({"previous_response_id": id});
            assert_eq!(world.respond(service, &more).await.status, 200);
        }
        let path = format!("/v1/responses/{id}");
        assert_eq!(world.get(&path, service).await.status, 200);
        assert_eq!(shelves[*shelf].asked().len(), 4);
        assert!(shelves[1 - shelf].asked().is_empty());
    }
    let item = world
        .get(&format!("/v1/responses/{}/input_items", made[1].0), service)
        .await;
    let item = item.json()["data"][0]["id"].clone();
    let both = json!({"previous_response_id": made[0].0, "input": [{"type": "item_reference", "id": item}]});
    let refused = world.respond(service, &both).await.refusal();
    assert_eq!(refused, (400, json!("input"), json!("invalid_value")));
    let elsewhere = json!({"previous_response_id": made[0].0, "model": "other"});
    let refused = world.respond(service, &elsewhere).await.refusal();
    assert_eq!(refused, (400, json!("model"), json!("invalid_value")));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_objects_are_kept_by_the_first_upstream_that_stores() {
    let (world, shelves) = world_of_two().await;
    let conversation = world.conversation(world.service()).await;
    world.file(world.service(), "user_data", "x").await;
    let more = json!({"conversation": conversation});
    for _ in 0..2 {
        assert_eq!(world.respond(world.service(), &more).await.status, 200);
    }
    assert_eq!(shelves[0].asked().len(), 4);
    assert!(shelves[1].asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_recorded_breaks_off_and_is_deleted() {
    for stream in [false, true] {
        let (world, shelf) = world().await;
        let rename = sql!("ALTER TABLE stored_objects RENAME TO elsewhere");
        world.change(rename).await;
        let answer = world
            .respond(world.service(), &json!({"stream": stream}))
            .await;
        assert!(answer.is_broken, "{}", answer.body);
        assert!(!answer.body.contains("response.completed"));
        poll::until("the response is deleted", async || {
            let state = shelf.state();
            !state
                .objects
                .values()
                .any(|object| object["object"] == "response")
        })
        .await;
        let asked = shelf.asked();
        assert_eq!(asked.len(), 2, "{asked:?}");
        assert!(asked[1].starts_with("DELETE /v1/responses/"), "{asked:?}");
        assert_eq!(
            world.row().await.sums(),
            ("succeeded", false, Some(11), Some(7), Some(1))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_answers_expire_after_thirty_days_and_conversations_do_not() {
    let (world, shelf) = world().await;
    let service = world.service();
    let answer = world.respond(service, &json!({})).await.json();
    let completion = world.completion(service, &json!({})).await.id();
    let conversation = world.conversation(service).await;
    let within = json!({"conversation": conversation});
    let within = world.respond(service, &within).await.json();
    world.clock.advance(30 * DAY_SECONDS);
    shelf.asked();
    for (more, status) in [
        (json!({"previous_response_id": answer["id"]}), 404),
        (json!({"input": [{"id": answer["output"][0]["id"]}]}), 404),
        (json!({"previous_response_id": within["id"]}), 404),
        (json!({"input": [{"id": within["output"][0]["id"]}]}), 200),
        (json!({"conversation": conversation, "store": false}), 200),
    ] {
        assert_eq!(world.respond(service, &more).await.status, status, "{more}");
    }
    let path = format!("/v1/chat/completions/{completion}");
    assert_eq!(world.get(&path, service).await.status, 404);
    let ids = async || {
        let ids = sql!("SELECT id FROM stored_objects");
        let mut read = world.store.read().await.expect("a read");
        let ids: Vec<String> = read.fetch_all(ids, |row| row.get("id")).await.expect("ids");
        ids
    };
    let before = ids().await;
    world.gateway.poll_objects().await;
    let after = ids().await;
    let is_kept = |id: &Value| after.iter().any(|kept| id == kept);
    assert!(before.len() > after.len() && !is_kept(&answer["id"]));
    assert!(is_kept(&json!(conversation)) && is_kept(&within["output"][0]["id"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_state_that_is_only_named_counts_under_a_spend_limit() {
    let (world, shelf) = world().await;
    let service = world.service();
    let response = world.response(service).await;
    let conversation = world.conversation(service).await;
    world.limit_spend(Some(500)).await;
    shelf.asked();
    for more in [
        json!({"previous_response_id": response, "max_output_tokens": 1}),
        json!({"conversation": conversation, "max_output_tokens": 1}),
    ] {
        let refused = world.respond(service, &more).await.refusal();
        let quota = json!("insufficient_quota");
        assert_eq!(refused, (429, Value::Null, quota), "{more}");
    }
    assert!(shelf.asked().is_empty(), "nothing is passed on");
}
