//! Files, uploads, batches, vector stores, containers and stored answers of two projects that share an upstream's account.

mod background;
mod background_ends;
mod background_spend;
mod background_streams;
mod batch_answers;
mod batch_prices;
mod batches;
mod containers;
mod every_place;
mod files;
mod guessed_ids;
mod lists;
mod metering;
mod newer_schema;
mod nul_characters;
mod ownership;
mod prompt_caches;
mod quota;
mod reported_usage;
mod reservations;
mod response_containers;
mod scopes;
mod state;
mod state_answers;
mod state_records;
mod state_streams;
mod storage_server;
mod upload_parts;
mod uploads;
mod vector_stores;
mod zero_retention;

use bytes::Bytes;
use gateway::{Durability, UpstreamConfig, UpstreamKey};
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::upstream::{COMPLETION, Reply};
use crate::world::{Answer, World, config, request};
use storage_server::StorageServer;

/// The upstream's API key.
const KEY: &str = "sk-account";

/// Starts a gateway whose upstream keeps objects.
async fn world() -> (World, StorageServer) {
    let shelf = StorageServer::start().await;
    let base_url = shelf.base_url();
    let reply = Reply::whole(200, COMPLETION);
    let world = World::with(reply, Durability::Batched, |_| vec![keeper(base_url)]).await;
    (world, shelf)
}

fn keeper(base_url: String) -> UpstreamConfig {
    let mut keeper = config("keeper", base_url);
    keeper.api_key = Some(UpstreamKey::new(KEY.into()));
    keeper.stores = true;
    keeper
}

impl World {
    async fn call(&self, method: Method, path: &str, key: &str, body: &str) -> Answer {
        self.send(request(method, path, key, body)).await
    }

    async fn get(&self, path: &str, key: &str) -> Answer {
        self.call(Method::GET, path, key, "").await
    }

    async fn make(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, key, &body.to_string()).await
    }

    async fn delete(&self, path: &str, key: &str) -> Answer {
        self.call(Method::DELETE, path, key, "").await
    }

    /// Uploads a file.
    async fn upload(&self, key: &str, purpose: &str, content: &str) -> Answer {
        self.send(upload(key, purpose, content)).await
    }

    /// Uploads a file and returns its id.
    async fn file(&self, key: &str, purpose: &str, content: &str) -> String {
        self.upload(key, purpose, content).await.id()
    }

    /// Creates a batch of one request and returns its id.
    async fn batch(&self, key: &str) -> String {
        let file = self.file(key, "batch", &line("{}")).await;
        self.make("/v1/batches", key, &batch_of(&file)).await.id()
    }

    /// Returns the ids on a page, and true if there are more; the page must name the first and the last.
    async fn page(&self, path: &str, key: &str) -> (Vec<String>, bool) {
        let list = self.get(path, key).await.json();
        assert_eq!(list["object"], "list", "{list}");
        let data = list["data"].as_array().expect("data");
        let ids: Vec<String> = data.iter().map(id_of).collect();
        let end = |end: Option<&String>| end.map_or(Value::Null, |id| json!(id));
        assert_eq!(list["first_id"], end(ids.first()));
        assert_eq!(list["last_id"], end(ids.last()));
        (ids, list["has_more"].as_bool().expect("has_more"))
    }
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).expect(&self.body)
    }

    fn id(&self) -> String {
        id_of(&self.json())
    }

    /// Returns the status, the param and the code of a refusal.
    fn refusal(&self) -> (u16, Value, Value) {
        let [_, _, param, code] = self.error();
        (self.status.as_u16(), param, code)
    }

    fn message(&self) -> String {
        self.error()[0].as_str().expect("a message").to_owned()
    }
}

fn id_of(object: &Value) -> String {
    object["id"].as_str().expect("an id").to_owned()
}

fn upload(key: &str, purpose: &str, content: &str) -> http::Request<Full<Bytes>> {
    let body = format!(
        "--xx\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n\
         --xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n{content}\r\n--xx--\r\n"
    );
    let mut request = request(Method::POST, "/v1/files", key, &body);
    let kind = http::HeaderValue::from_static("multipart/form-data; boundary=xx");
    request.headers_mut().insert("content-type", kind);
    request
}

/// Returns the line of a batch, with further members of its body.
fn line(more: &str) -> String {
    let mut body: Value = serde_json::from_str(more).expect("JSON");
    if body.get("model").is_none() {
        body["model"] = json!("real");
    }
    body["messages"] = json!("0123456789");
    json!({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body})
        .to_string()
}

fn batch_of(file: &str) -> Value {
    json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"})
}

/// Returns the refusal of an object that is not of the caller's project.
fn not_found(param: Value) -> (u16, Value, Value) {
    (404, param, json!("not_found"))
}
