//! Mixed traffic, and what its clients remember: which requests were answered, and what was acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use poll::ScenarioDelay;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::api::Api;
use crate::dice::Dice;

/// Between an answer and the next request of a client, and after an answer that is no success.
const REQUEST_DELAY: Duration = Duration::from_millis(25);
const FAILURE_DELAY: Duration = Duration::from_millis(100);
/// The longest that an answer may take, whatever happens.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// The most events of a report.
const MAX_EVENTS: u64 = 4;

/// State shared by all clients.
#[derive(Clone)]
pub struct Traffic(Arc<Shared>);

pub struct Shared {
    admin: Api,
    application: Api,
    project: String,
    dice: Dice,
    next: AtomicU64,
    is_over: AtomicBool,
    /// True while the model server sends garbage.
    garbage: Arc<AtomicBool>,
    record: Mutex<Record>,
}

/// Acknowledgements recorded by the clients.
#[derive(Default)]
pub struct Record {
    /// The ids of the requests to the gateway that were answered with 200, each with whether the answer came to its end.
    pub answered: Vec<(String, bool)>,
    /// The names of projects: acknowledged or not.
    pub projects: BTreeMap<String, bool>,
    /// The ids of reported events: acknowledged or not.
    pub events: BTreeMap<String, bool>,
    /// The number of answers by client and status.
    pub statuses: BTreeMap<(&'static str, u16), usize>,
    /// Violations that no server may commit.
    pub wrong: Vec<String>,
}

impl std::ops::Deref for Traffic {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Traffic {
    pub fn new(
        admin: Api,
        application: Api,
        project: String,
        dice: Dice,
        garbage: Arc<AtomicBool>,
    ) -> Self {
        Self(Arc::new(Shared {
            admin,
            application,
            project,
            dice,
            next: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            garbage,
            record: Mutex::default(),
        }))
    }

    /// Starts every client.
    pub fn start(&self) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for streams in [false, true, false, true] {
            let body = json!({"model": "cheap", "stream": streams, "max_tokens": 5,
                              "messages": [{"role": "user", "content": "Hello"}]});
            clients.spawn(self.clone().ask("chat", "/chat/completions", body));
        }
        let body = json!({"model": "cheap", "max_output_tokens": 5, "input": "Hello"});
        clients.spawn(self.clone().ask("responses", "/responses", body));
        let body = json!({"model": "cheap", "input": "Hello"});
        clients.spawn(self.clone().ask("embeddings", "/embeddings", body));
        clients.spawn(self.clone().report());
        clients.spawn(self.clone().report());
        clients.spawn(self.clone().administer());
        clients.spawn(self.clone().read());
        clients
    }

    /// Lets every client end after the answer that it waits for.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// The administrator.
    pub fn admin(&self) -> &Api {
        &self.admin
    }

    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks a model again and again.
    async fn ask(self, client: &'static str, path: &'static str, body: Value) {
        while !self.is_over.load(Ordering::SeqCst) {
            let request = self.application.request(Method::POST, path).json(&body);
            let Some(response) = self.send(client, request).await else {
                continue;
            };
            let status = response.status().as_u16();
            let id = response.headers().get("x-request-id").cloned();
            let whole = timeout(REQUEST_TIMEOUT, response.bytes()).await;
            if status == 200 {
                let id = id.expect("each answer names its request");
                let id = id.to_str().expect("visible ASCII").to_owned();
                if whole.is_err() {
                    let wrong = format!("{client}: {id} did not end");
                    self.record().wrong.push(wrong);
                }
                self.record()
                    .answered
                    .push((id, matches!(whole, Ok(Ok(_)))));
            }
            self.pause(status).await;
        }
    }

    /// Reports usage again and again.
    async fn report(self) {
        while !self.is_over.load(Ordering::SeqCst) {
            let events: Vec<String> = (0..=self.dice.below(MAX_EVENTS))
                .map(|_| format!("evt_{}", self.next.fetch_add(1, Ordering::SeqCst)))
                .collect();
            let now = crate::chaos::now();
            let body: Vec<Value> = events
                .iter()
                .map(|id| {
                    json!({"id": id, "timestamp": now, "type": "completions", "project_id": self.project,
                           "model": "cheap", "input_tokens": 3, "output_tokens": 5})
                })
                .collect();
            let path = "/organization/usage/events";
            let request = self.admin.request(Method::POST, path).json(&body);
            let accepted = self.acknowledged("ingest", request).await;
            let is_taken = accepted["accepted"] == json!(events.len());
            for id in events {
                self.record().events.insert(id, is_taken);
            }
        }
    }

    /// Makes projects again and again.
    async fn administer(self) {
        while !self.is_over.load(Ordering::SeqCst) {
            self.make_project().await;
        }
    }

    /// Makes a project; true if that was acknowledged.
    pub async fn make_project(&self) -> bool {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let name = format!("{number} {}", "x".repeat(150));
        let path = "/organization/projects";
        let body = json!({"name": name});
        let request = self.admin.request(Method::POST, path).json(&body);
        let made = self.acknowledged("admin", request).await;
        let is_made = made["name"] == json!(name);
        self.record().projects.insert(name, is_made);
        is_made
    }

    /// Reads reports and lists again and again.
    async fn read(self) {
        let paths = [
            "/organization/usage/completions?start_time=",
            "/organization/costs?start_time=",
            "/organization/projects?limit=100&x=",
        ];
        while !self.is_over.load(Ordering::SeqCst) {
            let path = match self.dice.word(&paths) {
                list if list.contains("projects") => "/organization/projects?limit=100".to_owned(),
                report => format!("{report}{}", crate::chaos::now() - 86_400),
            };
            let request = self.admin.request(Method::GET, &path);
            self.acknowledged("reports", request).await;
        }
    }

    /// Sends a request; the answer if it is a success, else null.
    async fn acknowledged(&self, client: &'static str, request: reqwest::RequestBuilder) -> Value {
        let Some(response) = self.send(client, request).await else {
            return Value::Null;
        };
        let status = response.status().as_u16();
        let answer = response.json().await.unwrap_or(Value::Null);
        self.pause(status).await;
        if status == 200 { answer } else { Value::Null }
    }

    /// Sends a request, and judges the status of its answer.
    async fn send(
        &self,
        client: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Option<Response> {
        let is_gateway = ["chat", "responses", "embeddings"].contains(&client);
        let had_garbage = self.garbage.load(Ordering::SeqCst);
        let response = match timeout(REQUEST_TIMEOUT, request.send()).await {
            Ok(Ok(response)) => response,
            // An answer whose first bytes are of no use breaks off before anything of it is sent.
            Ok(Err(_)) if is_gateway && (had_garbage || self.garbage.load(Ordering::SeqCst)) => {
                *self.record().statuses.entry((client, 0)).or_default() += 1;
                ScenarioDelay(FAILURE_DELAY).elapse().await;
                return None;
            }
            Ok(Err(error)) => {
                let wrong = format!("{client}: no answer: {error:?}");
                self.record().wrong.push(wrong);
                ScenarioDelay(FAILURE_DELAY).elapse().await;
                return None;
            }
            Err(_) => {
                let wrong = format!("{client}: no answer in time");
                self.record().wrong.push(wrong);
                return None;
            }
        };
        let status = response.status().as_u16();
        *self.record().statuses.entry((client, status)).or_default() += 1;
        let is_right = match status {
            200 | 503 => true,
            // What the model server says, or what it does not say.
            429 | 500 | 502 | 504 | 999 => is_gateway,
            _ => false,
        };
        if !is_right {
            let wrong = format!("{client}: {status}");
            self.record().wrong.push(wrong);
        }
        Some(response)
    }

    async fn pause(&self, status: u16) {
        let pause = if status == 200 {
            REQUEST_DELAY
        } else {
            FAILURE_DELAY
        };
        ScenarioDelay(pause).elapse().await;
    }
}
