//! Ids of every kind in every place that a request has for one: none of another project reaches the upstream.

use gateway::ObjectLimits;
use http::Method;
use serde_json::{Value, json};

use super::quota::bounded;
use super::storage_server::StorageServer;
use super::{batch_of, line, upload};
use crate::world::{Answer, World, request};

/// Starts a gateway whose projects may send any number of requests about objects.
async fn unlimited() -> (World, StorageServer) {
    bounded(ObjectLimits {
        requests_per_minute: 0,
        ..ObjectLimits::default()
    })
    .await
}

/// Ids of one project, one of each kind.
struct Ids {
    file: String,
    batch: String,
    vector_store: String,
    response: String,
    item: String,
    conversation: String,
    completion: String,
}

impl Ids {
    async fn create(world: &World, key: &str) -> Self {
        let body = json!({"model": "real", "input": "x"});
        let response = world.make("/v1/responses", key, &body).await.json();
        let stored = json!({"model": "real", "messages": [], "store": true});
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        Self {
            file: world.file(key, "user_data", "x").await,
            batch: world.batch(key).await,
            vector_store: world.make("/v1/vector_stores", key, &json!({})).await.id(),
            response: text(&response["id"]),
            item: text(&response["output"][0]["id"]),
            conversation: world.make("/v1/conversations", key, &json!({})).await.id(),
            completion: world.make("/v1/chat/completions", key, &stored).await.id(),
        }
    }

    fn all(&self) -> [&str; 7] {
        [
            &self.file,
            &self.batch,
            &self.vector_store,
            &self.response,
            &self.item,
            &self.conversation,
            &self.completion,
        ]
    }
}

/// Returns members that name these ids, with the spellings of `name` and `value`.
fn members(
    ids: &Ids,
    name: impl Fn(&str) -> String,
    value: impl Fn(&str) -> String,
) -> Vec<String> {
    let one = |member: &str, id: &str| format!("{}:{}", name(member), value(id));
    let several = |member: &str, id: &str| format!("{}:[{}]", name(member), value(id));
    let object = |member: &str, id: &str| format!("{}:{{{}}}", name(member), one("id", id));
    let reference = format!("{}:{}", name("type"), value("item_reference"));
    let reasoning = format!("{}:{}", name("type"), value("reasoning"));
    let item = one("id", &ids.item);
    vec![
        one("file_id", &ids.file),
        several("file_ids", &ids.file),
        one("vector_store_id", &ids.vector_store),
        several("vector_store_ids", &ids.vector_store),
        one("previous_response_id", &ids.response),
        one("comparison_response_id", &ids.response),
        one("conversation", &ids.conversation),
        object("conversation", &ids.conversation),
        format!("{item},{reference}"),
        format!("{reference},{item}"),
        format!("{reasoning},{item}"),
    ]
}

/// Returns the text as a JSON string: as it is, with one character escaped, and with all of them.
fn spellings(text: &str) -> [String; 3] {
    let escaped = |count: usize| {
        let escapes = text.chars().take(count);
        let escapes: String = escapes.map(|it| format!("\\u{:04x}", it as u32)).collect();
        let rest: String = text.chars().skip(count).collect();
        format!("\"{escapes}{rest}\"")
    };
    [escaped(0), escaped(1), escaped(text.len())]
}

/// Returns bodies with a member in each place.
fn bodies(member: &str) -> Vec<String> {
    vec![
        format!(r#"{{"model":"real",{member}}}"#),
        format!(r#"{{{member},"model":"real"}}"#),
        format!(r#"{{"model":"real","x":{{{member}}}}}"#),
        format!(r#"{{"model":"real","x":[[{{"y":{{{member}}}}}]]}}"#),
        format!(r#"{{"model":"real","input":[{{{member}}}]}}"#),
        format!(r#"{{"model":"real","input":[{{"role":"user","content":[{{{member}}}]}}]}}"#),
        format!(r#"{{"model":"real","messages":[{{"role":"user","content":[{{{member}}}]}}]}}"#),
        format!(r#"{{"model":"real","tools":[{{"x":{{{member}}}}}]}}"#),
        format!(r#"{{"model":"real","prompt":{{"variables":{{"v":{{{member}}}}}}}}}"#),
        format!(r#"{{"model":"real","items":[{{{member}}}]}}"#),
    ]
}

/// Checks that a request was refused, and that none of these ids has reached the upstream.
fn assert_refused(answer: &Answer, shelf: &StorageServer, foreign: &Ids, what: &str) {
    let status = answer.status.as_u16();
    let is_refused = [400, 404, 405].contains(&status);
    assert!(is_refused, "{what}: {status} {}", answer.body);
    let asked = std::mem::take(&mut shelf.state().asked);
    for (path, body) in &asked {
        let body = String::from_utf8_lossy(body);
        let names = |id: &&str| path.contains(*id) || body.contains(*id);
        assert!(!foreign.all().iter().any(names), "{what}: {path} {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_no_id_of_another_project_passes_in_any_place_of_a_body() {
    let (world, shelf) = unlimited().await;
    let foreign = Ids::create(&world, world.other()).await;
    let own = Ids::create(&world, world.service()).await;
    shelf.asked();
    for spelling in 0..3 {
        let spell = |text: &str| spellings(text)[spelling].clone();
        let plain = |text: &str| spellings(text)[0].clone();
        let spelt = members(&foreign, spell, plain);
        let valued = members(&foreign, plain, spell);
        let twice = members(&own, plain, plain)
            .into_iter()
            .zip(members(&foreign, plain, plain));
        let twice = twice.map(|(own, foreign)| format!("{own},{foreign}"));
        for member in spelt.into_iter().chain(valued).chain(twice) {
            for body in bodies(&member) {
                for path in ["/v1/responses", "/v1/chat/completions", "/v1/conversations"] {
                    let call = request(Method::POST, path, world.service(), &body);
                    let answer = world.send(call).await;
                    assert_refused(&answer, &shelf, &foreign, &format!("{path} {body}"));
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_no_id_of_another_project_passes_in_a_line_of_a_batch() {
    let (world, shelf) = unlimited().await;
    let foreign = Ids::create(&world, world.other()).await;
    let service = world.service();
    let plain = |text: &str| spellings(text)[0].clone();
    shelf.asked();
    for member in members(&foreign, plain, plain) {
        let content = line(&format!(r#"{{"x":{{{member}}}}}"#));
        let uploaded = world.send(upload(service, "batch", &content)).await;
        // The file itself is the project's, and names no more than its lines do.
        shelf.asked();
        let answer = match uploaded.status.as_u16() {
            200 => {
                world
                    .make("/v1/batches", service, &batch_of(&uploaded.id()))
                    .await
            }
            _ => uploaded,
        };
        assert_refused(&answer, &shelf, &foreign, &member);
    }
}

/// Returns paths with the foreign ids in every place and spelling, beside the own ones.
fn paths(own: &Ids, foreign: &Ids) -> Vec<String> {
    let mut paths = Vec::new();
    for (collection, own, id, parts) in [
        ("files", &own.file, &foreign.file, &["", "/content"][..]),
        ("batches", &own.batch, &foreign.batch, &["", "/cancel"]),
        (
            "vector_stores",
            &own.vector_store,
            &foreign.vector_store,
            &["", "/files", "/search", "/file_batches"],
        ),
        (
            "responses",
            &own.response,
            &foreign.response,
            &["", "/cancel", "/input_items"],
        ),
        (
            "conversations",
            &own.conversation,
            &foreign.conversation,
            &["", "/items", "/items/x"],
        ),
        (
            "chat/completions",
            &own.completion,
            &foreign.completion,
            &["", "/messages"],
        ),
    ] {
        let (first, rest) = id.split_at(1);
        let encoded = format!("%{:02x}{rest}", first.as_bytes()[0]);
        for id in [
            id.clone(),
            encoded,
            format!("./{id}"),
            format!("{own}/../{id}"),
            format!("{own}%2f..%2f{id}"),
            format!("{own}/items/../../{id}"),
            format!("/{id}"),
            format!("{id}%00"),
        ] {
            paths.extend(
                parts
                    .iter()
                    .map(|part| format!("/v1/{collection}/{id}{part}")),
            );
        }
    }
    paths.push(format!(
        "/v1/conversations/{}/items/{}",
        own.conversation, foreign.item
    ));
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_no_id_of_another_project_passes_in_any_place_of_a_path() {
    let (world, shelf) = unlimited().await;
    let foreign = Ids::create(&world, world.other()).await;
    let own = Ids::create(&world, world.service()).await;
    shelf.asked();
    for path in &paths(&own, &foreign) {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let body = if method == Method::POST {
                r#"{"query":"x"}"#
            } else {
                ""
            };
            let answer = world
                .call(method.clone(), path, world.service(), body)
                .await;
            assert_refused(&answer, &shelf, &foreign, &format!("{method} {path}"));
        }
    }
}
