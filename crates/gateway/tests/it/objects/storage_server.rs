//! A fake upstream that keeps files, uploads, batches, vector stores, containers and the state of answers for one account, as
//! OpenAI's service does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::KEY;
use super::state_answers::events;
use crate::upstream::serve;
use crate::world::START_SECONDS;

pub struct StorageServer {
    address: SocketAddr,
    state: Arc<Mutex<StorageState>>,
}

#[derive(Default)]
pub struct StorageState {
    /// Objects by id.
    pub objects: BTreeMap<String, Value>,
    /// Contents of files and of parts of uploads by id.
    pub contents: BTreeMap<String, Bytes>,
    /// Method and path of every request, with the body.
    pub asked: Vec<(String, Bytes)>,
    /// Query of every request that has one.
    pub queries: Vec<String>,
    /// Id of the next object, if it is not a new one.
    pub next_id: Option<String>,
    /// Gate that the next request waits for.
    pub gate: Option<Arc<Semaphore>>,
    /// True if batches are refused, and responses are not made in the background but at once.
    pub refuses: bool,
    /// True if responses in the background cannot be cancelled.
    pub ignores_cancels: bool,
    /// Memory of new containers, if the server tells it.
    pub container_memory: Option<&'static str>,
    /// Answer of models, if there are any.
    pub response: Option<Value>,
    /// Number of objects that were made, which their ids come from.
    pub made: usize,
}

pub(super) type Answered = Result<Value, (u16, Value)>;

impl StorageServer {
    pub async fn start() -> Self {
        let state: Arc<Mutex<StorageState>> = Arc::default();
        let shared = Arc::clone(&state);
        let address = serve(move |request| answer(request, Arc::clone(&shared))).await;
        Self { address, state }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn state(&self) -> MutexGuard<'_, StorageState> {
        self.state.lock().expect("a lock")
    }

    /// Takes the requests that have come.
    pub fn asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut self.state().asked);
        asked.into_iter().map(|(what, _)| what).collect()
    }

    /// Sets members of an object.
    pub fn set(&self, id: &str, members: Value) {
        let mut state = self.state();
        let object = state
            .objects
            .get_mut(id)
            .expect(id)
            .as_object_mut()
            .expect("an object");
        let Value::Object(members) = members else {
            panic!("no members")
        };
        object.extend(members);
    }

    /// Completes a response that is made in the background, with 11 input and 7 output tokens.
    pub fn complete(&self, response: &str) {
        let usage = json!({"input_tokens": 11, "output_tokens": 7});
        let members = json!({"status": "completed", "completed_at": START_SECONDS, "usage": usage});
        self.set(response, members);
    }

    /// Completes a batch with an output, a line for each answered request.
    pub fn finish(&self, batch: &str, output: &str, members: Value) -> String {
        let file = self
            .state()
            .keep("file", json!({"purpose": "batch_output"}));
        let id = file["id"].as_str().expect("an id").to_owned();
        let content = Bytes::copy_from_slice(output.as_bytes());
        self.state().contents.insert(id.clone(), content);
        let lines = output.lines().count();
        self.set(
            batch,
            json!({"status": "completed", "completed_at": START_SECONDS, "output_file_id": id,
                   "request_counts": {"total": lines, "completed": lines, "failed": 0}}),
        );
        self.set(batch, members);
        id
    }
}

impl StorageState {
    pub(super) fn keep(&mut self, kind: &str, mut object: Value) -> Value {
        self.made += 1;
        // Ids do not grow.
        let number = self.made * 7919 % 1_000_000;
        let id = self
            .next_id
            .take()
            .unwrap_or_else(|| format!("{kind}-{number:06}").replace('.', "_"));
        object["id"] = json!(id);
        object["object"] = json!(kind);
        object["created_at"] = json!(START_SECONDS);
        self.objects.insert(id, object.clone());
        object
    }

    pub(super) fn get(&self, kind: &str, id: &str) -> Answered {
        let object = self
            .objects
            .get(id)
            .filter(|object| object["object"] == kind);
        let message = json!({"error": {"message": "gone", "type": "invalid_request_error", "param": null, "code": null}});
        object.cloned().ok_or((404, message))
    }

    pub(super) fn delete(&mut self, kind: &str, id: &str) -> Answered {
        self.get(kind, id)?;
        self.objects.remove(id);
        Ok(json!({"id": id, "object": format!("{kind}.deleted"), "deleted": true}))
    }

    fn answer(&mut self, method: &Method, path: &str, body: &Bytes) -> Answered {
        let segments: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        let json = || serde_json::from_slice::<Value>(body).unwrap_or_default();
        if let Some(answered) = self.answer_state(method, &segments, &json()) {
            return answered;
        }
        match (method.as_str(), segments.as_slice()) {
            ("POST", ["files"]) => {
                let text = String::from_utf8_lossy(body);
                let parts: Vec<&str> = text.split("\r\n").collect();
                let file = self.keep(
                    "file",
                    json!({"purpose": parts[3], "bytes": parts[8].len()}),
                );
                let content = Bytes::copy_from_slice(parts[8].as_bytes());
                self.contents
                    .insert(file["id"].as_str().expect("an id").into(), content);
                Ok(file)
            }
            ("GET", ["files", id] | ["files", id, "content"]) => self.get("file", id),
            ("DELETE", ["files", id]) => self.delete("file", id),
            ("POST", ["batches"]) if self.refuses => Err((400, json!({"error": "full"}))),
            ("POST", ["batches"]) => {
                let file = json()["input_file_id"].clone();
                self.get("file", file.as_str().expect("a file"))?;
                let counts = json!({"total": 0, "completed": 0, "failed": 0});
                Ok(self.keep("batch", json!({"status": "validating", "input_file_id": file, "request_counts": counts})))
            }
            ("GET", ["batches", id]) => self.get("batch", id),
            ("POST", ["batches", id, "cancel"]) => {
                self.get("batch", id)?;
                self.objects.get_mut(*id).expect("a batch")["status"] = json!("cancelling");
                self.get("batch", id)
            }
            ("POST", ["vector_stores"]) => {
                Ok(self.keep("vector_store", json!({"usage_bytes": 0, "asked": json()})))
            }
            ("GET" | "POST", ["vector_stores", id]) => self.get("vector_store", id),
            ("DELETE", ["vector_stores", id]) => self.delete("vector_store", id),
            (_, ["vector_stores", id, rest @ ..]) => {
                self.get("vector_store", id)?;
                Ok(json!({"object": "about", "of": id, "rest": rest, "asked": json()}))
            }
            ("POST", ["uploads", rest @ ..]) => self.upload(rest, body),
            (_, ["containers", rest @ ..]) => self.container(method, rest, body),
            ("POST", ["responses"]) if self.response.is_some() => {
                Ok(self.response.clone().unwrap_or_default())
            }
            _ => Err((500, json!({"error": "the gateway must not ask this"}))),
        }
    }

    fn upload(&mut self, path: &[&str], body: &Bytes) -> Answered {
        let json = || serde_json::from_slice::<Value>(body).unwrap_or_default();
        let [id, action] = path else {
            let asked = json();
            let upload = json!({"status": "pending", "purpose": asked["purpose"], "bytes": asked["bytes"],
                                "filename": asked["filename"], "expires_at": START_SECONDS + 3600});
            return Ok(self.keep("upload", upload));
        };
        let mut upload = self.get("upload", id)?;
        if upload["status"] != "pending" {
            return Err((
                400,
                json!({"error": {"message": "not pending", "type": "invalid_request_error",
                                             "param": null, "code": null}}),
            ));
        }
        match *action {
            "parts" => {
                let part = self.keep("upload.part", json!({"upload_id": id}));
                let part_id = part["id"].as_str().expect("an id").to_owned();
                self.contents.insert(part_id, only_file(body));
                return Ok(part);
            }
            "cancel" => upload["status"] = json!("cancelled"),
            _ => {
                let mut content = Vec::new();
                for part in json()["part_ids"].as_array().expect("a list") {
                    let part = self.get("upload.part", part.as_str().expect("an id"))?;
                    assert_eq!(part["upload_id"], **id, "a part of the upload");
                    content.extend_from_slice(&self.contents[part["id"].as_str().expect("an id")]);
                }
                let file = json!({"purpose": upload["purpose"], "bytes": content.len(),
                                  "filename": upload["filename"]});
                let file = self.keep("file", file);
                let file_id = file["id"].as_str().expect("an id").to_owned();
                self.contents.insert(file_id, content.into());
                upload["status"] = json!("completed");
                upload["file"] = file;
            }
        }
        self.objects.insert((*id).to_owned(), upload.clone());
        Ok(upload)
    }

    fn container(&mut self, method: &Method, path: &[&str], body: &Bytes) -> Answered {
        let json = || serde_json::from_slice::<Value>(body).unwrap_or_default();
        match (method.as_str(), path) {
            ("POST", []) => {
                let asked = json();
                let mut container =
                    json!({"status": "running", "name": asked["name"], "asked": asked});
                if let Some(memory) = self.container_memory {
                    container["memory_limit"] = json!(memory);
                }
                Ok(self.keep("container", container))
            }
            ("GET", [id]) => self.get("container", id),
            ("DELETE", [id]) => self.delete("container", id),
            (_, [id, "files"]) => {
                self.get("container", id)?;
                let asked = String::from_utf8_lossy(body).into_owned();
                match method.as_str() {
                    "POST" => {
                        let file =
                            json!({"container_id": id, "path": "/mnt/data/x", "asked": asked});
                        Ok(self.keep("container.file", file))
                    }
                    _ => {
                        let mut files = self.objects.values();
                        let files: Vec<&Value> = files
                            .by_ref()
                            .filter(|file| file["container_id"] == **id)
                            .collect();
                        Ok(json!({"object": "list", "data": files, "has_more": false}))
                    }
                }
            }
            (_, [id, "files", file, ..]) => {
                self.get("container", id)?;
                let found = self.get("container.file", file)?;
                if found["container_id"] != **id {
                    return self.get("container.file", "");
                }
                match method.as_str() {
                    "DELETE" => self.delete("container.file", file),
                    _ => Ok(found),
                }
            }
            _ => Err((500, json!({"error": "the gateway must not ask this"}))),
        }
    }
}

/// Returns the file of a form that has nothing else.
fn only_file(form: &Bytes) -> Bytes {
    let find = |text: &[u8]| form.windows(text.len()).position(|window| window == text);
    let start = find(b"\r\n\r\n").expect("headers") + 4;
    let end = form.len() - b"\r\n--xx--\r\n".len();
    form.slice(start..end)
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<StorageState>>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    // Nobody waits for the answer to a body that has broken off.
    let body = body.collect().await.unwrap_or_default().to_bytes();
    assert_eq!(head.headers["authorization"], format!("Bearer {KEY}"));
    assert!(!head.headers.contains_key("idempotency-key"));
    let gate = state.lock().expect("a lock").gate.take();
    if let Some(gate) = gate {
        gate.acquire().await.expect("a gate").forget();
    }
    let mut state = state.lock().expect("a lock");
    let path = head.uri.path();
    state.queries.extend(head.uri.query().map(str::to_owned));
    state
        .asked
        .push((format!("{} {path}", head.method), body.clone()));
    let content = path
        .strip_prefix("/v1/files/")
        .and_then(|rest| rest.strip_suffix("/content"));
    if let Some(id) = content
        && let Some(content) = state.contents.get(id)
        && state.objects.contains_key(id)
    {
        return Response::new(Full::new(content.clone()));
    }
    let (status, answer) = match state.answer(&head.method, path, &body) {
        Ok(answer) => (200, answer),
        Err(refusal) => refusal,
    };
    let is_stream = serde_json::from_slice::<Value>(&body).is_ok_and(|it| it["stream"] == true);
    let (kind, text) = match is_stream && status == 200 {
        true => ("text/event-stream", events(&answer)),
        false => ("application/json", answer.to_string()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    let kind = http::HeaderValue::from_static(kind);
    response.headers_mut().insert("content-type", kind);
    response
}
