//! The table of `docs/troubleshooting.md` that says what zero data retention does at each surface, row by row.

use std::collections::BTreeSet;

use base::UnixTime;
use base::ids::{Id, ProjectId};
use gateway::{ApiFormat, Durability, UpstreamConfig};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use super::storage_server::StorageServer;
use super::{keeper, line, upload};
use crate::upstream::{COMPLETION, Reply};
use crate::websockets::harness::{SocketWorld, response};
use crate::world::{Answer, World, config, request};

const PAGE: &str = include_str!("../../../../../docs/troubleshooting.md");
/// The heading above the table.
const HEADING: &str = "### Zero data retention by surface\n";
/// Effects of zero data retention in the table.
const SET: &str = "set";
const REFUSED: &str = "refused";
const FORWARDED: &str = "forwarded";
const NOT_STORED: &str = "not stored";

/// Returns the surfaces of the table, each with the effect.
fn rows() -> Vec<(&'static str, &'static str)> {
    let (_, section) = PAGE.split_once(HEADING).expect("the heading");
    let lines = section.lines().skip_while(|line| !line.starts_with("|"));
    let lines = lines.take_while(|line| line.starts_with("|")).skip(2);
    let cells = lines.map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        (
            cells.next().expect("a surface"),
            cells.next().expect("an effect"),
        )
    });
    cells.collect()
}

/// A project with zero data retention, and what it has stored before.
struct Surface {
    world: World,
    shelf: StorageServer,
    file: String,
    input: String,
    stored_input: String,
    response: String,
    conversation: String,
    completion: String,
}

impl Surface {
    async fn start() -> Self {
        let shelf = StorageServer::start().await;
        let base_url = shelf.base_url();
        let upstreams = |_| {
            let models = ["real", "gpt-5.4", "gpt-5.6"];
            vec![UpstreamConfig {
                models: models.map(str::to_owned).to_vec(),
                ..keeper(base_url)
            }]
        };
        let reply = Reply::whole(200, COMPLETION);
        let world = World::with(reply, Durability::Batched, upstreams).await;
        let service = world.service();
        let file = world.file(service, "user_data", "x").await;
        let input = world.file(service, "batch", &line("{}")).await;
        let stored = line(r#"{"store":true}"#);
        let stored_input = world.file(service, "batch", &stored).await;
        let body = json!({"model": "real", "input": "x"});
        let response = world.make("/v1/responses", service, &body).await.id();
        let conversation = world
            .make("/v1/conversations", service, &json!({}))
            .await
            .id();
        let body = json!({"model": "real", "messages": [], "store": true});
        let completion = world
            .make("/v1/chat/completions", service, &body)
            .await
            .id();
        world.retain("zero_data_retention").await;
        shelf.asked();
        Self {
            file,
            input,
            stored_input,
            response,
            conversation,
            completion,
            shelf,
            world,
        }
    }

    /// Returns the effect on a request.
    async fn send(&self, request: Request<Full<bytes::Bytes>>, sent: &str) -> &'static str {
        let answer = self.world.send(request).await;
        let asked = std::mem::take(&mut self.shelf.state().asked);
        effect(&answer, asked.last().map(|(_, body)| &body[..]), sent)
    }

    async fn post(&self, path: &str, body: Value) -> &'static str {
        let sent = body.to_string();
        let request = request(Method::POST, path, self.world.service(), &sent);
        self.send(request, &sent).await
    }

    async fn get(&self, path: String) -> &'static str {
        let request = request(Method::GET, &path, self.world.service(), "");
        self.send(request, "").await
    }
}

/// Returns the effect on a request with the body `sent`, by its answer and by what the model server got.
fn effect(answer: &Answer, got: Option<&[u8]>, sent: &str) -> &'static str {
    match got {
        None => {
            assert_eq!(answer.status, 400, "{}", answer.body);
            let [message, _, param, code] = answer.error();
            let is_refusal = message.to_string().contains("zero data retention");
            // What no deployment offers is refused with any setting.
            assert!(is_refusal || param == "background", "{message} {code}");
            REFUSED
        }
        Some(got) if got == sent.as_bytes() => FORWARDED,
        Some(_) => SET,
    }
}

/// Returns the effect on a request to a model server that stores nothing for projects.
async fn plain(format: ApiFormat, path: &str, body: &str) -> &'static str {
    let upstreams = |url| {
        vec![UpstreamConfig {
            format,
            ..config("local", url)
        }]
    };
    let reply = Reply::whole(200, COMPLETION);
    let world = World::with(reply, Durability::Batched, upstreams).await;
    world.retain("zero_data_retention").await;
    let mut request = request(Method::POST, path, world.service(), body);
    if let Some(body) = body.strip_prefix("--x\r\n") {
        assert!(body.ends_with("--x--\r\n"));
        let kind = HeaderValue::from_static("multipart/form-data; boundary=x");
        request.headers_mut().insert("content-type", kind);
    }
    let answer = world.send(request).await;
    let asked = world.upstream.asked().pop();
    effect(&answer, asked.as_ref().map(|asked| &asked.body[..]), body)
}

/// Declares a test for each row of the table: its name, the surface, and how the effect is found.
macro_rules! surfaces {
    ($($name:ident: $row:literal, |$surface:ident| $effect:expr;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let $surface = Surface::start().await;
                let found = $effect;
                assert!(rows().contains(&($row, found)), "the table has no row '{} | {found}'", $row);
            }
        )*

        #[test]
        fn every_row_of_the_table_has_a_test() {
            let tested = BTreeSet::from([$($row),*]);
            let written = rows();
            let rows: BTreeSet<&str> = written.iter().map(|(surface, _)| *surface).collect();
            assert_eq!(rows, tested);
            assert_eq!(rows.len(), written.len(), "a surface has one row");
        }
    };
}

surfaces! {
    responses_are_not_stored: "`store` of `/v1/responses`, set or not",
        |it| it.post("/v1/responses", json!({"model": "real", "input": "x"})).await;
    chat_completions_are_not_stored: "`store` of `/v1/chat/completions`",
        |it| it.post("/v1/chat/completions", json!({"model": "real", "messages": [], "store": true})).await;
    compactions_are_not_stored: "`store` of `/v1/responses/compact`",
        |it| it.post("/v1/responses/compact", json!({"model": "real", "store": true})).await;
    messages_over_websocket_are_not_stored: "`response.create` over WebSocket",
        |_it| {
            let sockets = SocketWorld::start(response()).await;
            sockets.world.retain("zero_data_retention").await;
            let mut client = sockets.connect().await;
            client.ask().await;
            client.response().await;
            let got = sockets.upstream.asked().pop().expect("a message");
            let got: Value = serde_json::from_str(&got).expect("JSON");
            if got["store"] == false { SET } else { FORWARDED }
        };
    background_is_refused: "`background: true`",
        |it| it.post("/v1/responses", json!({"model": "real", "input": "x", "background": true})).await;
    conversation_is_refused: "`conversation`",
        |it| it.post("/v1/responses", json!({"model": "real", "conversation": it.conversation})).await;
    new_conversations_are_refused: "`POST /v1/conversations`",
        |it| it.post("/v1/conversations", json!({})).await;
    items_are_refused: "`POST /v1/conversations/{id}/items`",
        |it| it.post(&format!("/v1/conversations/{}/items", it.conversation), json!({"items": []})).await;
    metadata_of_conversations_is_refused: "`POST /v1/conversations/{id}`",
        |it| it.post(&format!("/v1/conversations/{}", it.conversation), json!({"metadata": {}})).await;
    metadata_of_completions_is_refused: "`POST /v1/chat/completions/{id}`",
        |it| it.post(&format!("/v1/chat/completions/{}", it.completion), json!({"metadata": {}})).await;
    earlier_responses_are_read: "reading and deleting what was stored before",
        |it| {
            let found = it.get(format!("/v1/responses/{}", it.response)).await;
            assert_eq!(it.get(format!("/v1/conversations/{}", it.conversation)).await, found);
            let path = format!("/v1/chat/completions/{}", it.completion);
            let answer = it.world.delete(&path, it.world.service()).await;
            assert_eq!(answer.status, 200);
            found
        };
    earlier_responses_are_continued: "`previous_response_id`",
        |it| {
            let body = json!({"model": "real", "store": false, "previous_response_id": it.response});
            it.post("/v1/responses", body).await
        };
    prompt_caches_are_in_memory: "`prompt_cache_retention`, absent or null",
        |it| it.post("/v1/chat/completions", json!({"model": "gpt-5.4", "messages": []})).await;
    prompt_caches_of_a_day_are_refused: "`prompt_cache_retention` other than `in_memory`",
        |it| {
            let body = json!({"model": "gpt-5.4", "prompt_cache_retention": "24h"});
            it.post("/v1/chat/completions", body).await
        };
    models_with_other_caches_are_refused: "models with prompt caches of 24 hours only, `prompt_cache_options` included",
        |it| {
            let body = json!({"model": "gpt-5.6", "prompt_cache_options": {"ttl": "12h"}});
            it.post("/v1/chat/completions", body).await
        };
    unknown_prompt_caches_are_left: "prompt caches of models without facts",
        |it| it.post("/v1/chat/completions", json!({"model": "real", "messages": []})).await;
    files_are_kept: "`/v1/files`",
        |it| {
            let asked = upload(it.world.service(), "user_data", "x");
            let sent = "--xx\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n\
                        --xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\
                        Content-Type: application/octet-stream\r\n\r\nx\r\n--xx--\r\n";
            it.send(asked, sent).await
        };
    uploads_are_kept: "`/v1/uploads`",
        |it| it.post("/v1/uploads", json!({"filename": "x", "purpose": "user_data", "bytes": 1})).await;
    vector_stores_are_kept: "`/v1/vector_stores`",
        |it| it.post("/v1/vector_stores", json!({"file_ids": [it.file]})).await;
    batches_are_kept: "`/v1/batches`, input and output",
        |it| it.post("/v1/batches", super::batch_of(&it.input)).await;
    stored_lines_are_refused: "lines of batches that would be stored",
        |it| it.post("/v1/batches", super::batch_of(&it.stored_input)).await;
    containers_are_kept: "`/v1/containers`",
        |it| it.post("/v1/containers", json!({"name": "x"})).await;
    containers_of_tools_are_kept: "containers of hosted tools, `container: {\"type\": \"auto\"}` included",
        |it| {
            let tools = json!([{"type": "code_interpreter", "container": {"type": "auto"}}]);
            it.post("/v1/responses", json!({"model": "real", "store": false, "tools": tools})).await
        };
    messages_are_forwarded: "`/v1/messages`, `cache_control` included",
        |_it| {
            let cached = r#"{"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"1h"}}"#;
            let body = format!(
                r#"{{"model":"real","max_tokens":5,"messages":[{{"role":"user","content":[{cached}]}}]}}"#
            );
            plain(ApiFormat::Anthropic, "/v1/messages", &body).await
        };
    images_and_audio_are_forwarded: "images and audio",
        |_it| {
            let body = r#"{"model":"real","prompt":"x"}"#;
            let found = plain(ApiFormat::OpenAi, "/v1/images/generations", body).await;
            let body = r#"{"model":"real","input":"x","voice":"alloy"}"#;
            assert_eq!(plain(ApiFormat::OpenAi, "/v1/audio/speech", body).await, found);
            let form = "--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nreal\r\n--x--\r\n";
            assert_eq!(plain(ApiFormat::OpenAi, "/v1/audio/transcriptions", form).await, found);
            found
        };
    other_models_are_forwarded: "embeddings, moderations, decisions, `/v1/completions`",
        |_it| {
            let found = plain(ApiFormat::OpenAi, "/v1/embeddings", r#"{"model":"real","input":"x"}"#).await;
            for path in ["/v1/moderations", "/v1/completions"] {
                let body = r#"{"model":"real","input":"x"}"#;
                assert_eq!(plain(ApiFormat::OpenAi, path, body).await, found, "{path}");
            }
            found
        };
    bodies_are_not_stored: "stored bodies of this deployment",
        |_it| {
            let mut world = World::keeping(Reply::whole(200, COMPLETION)).await;
            world.retain("zero_data_retention").await;
            assert_eq!(world.chat(r#"{"model":"real"}"#).await.status, 200);
            world.rows(1).await;
            world.keeper.take().expect("a writer").stop().await;
            let project = ProjectId::from_text(world.project.clone());
            let list = bodies::list(world.store.usage(), &project, UnixTime(0), 10).await;
            if list.expect("a list").is_empty() { NOT_STORED } else { FORWARDED }
        };
}
