//! Somebody with a key, who calls a server over HTTP.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

/// Clones share their connections.
#[derive(Clone)]
pub struct Api {
    http: Client,
    /// Base URL of the API: `http://127.0.0.1:…/v1`.
    pub base: String,
    pub key: String,
}

/// The time for which a connection is kept without a request: less than servers keep it. A test that waits for a command does not
/// notice that its server has closed a connection meanwhile.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that trusts no proxy of the environment.
pub fn http() -> Client {
    let builder = Client::builder().no_proxy().pool_idle_timeout(IDLE_TIMEOUT);
    builder.build().expect("a client without TLS")
}

impl Api {
    pub fn new(address: &str, key: &str) -> Self {
        Self {
            http: http(),
            base: format!("{address}/v1"),
            key: key.to_owned(),
        }
    }

    /// A request to a path below `/v1`, with the key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.key)
    }

    /// Sends JSON; the status and the answer, unless the connection broke.
    pub async fn try_post(&self, path: &str, body: &Value) -> reqwest::Result<(u16, Value)> {
        let response = self.request(Method::POST, path).json(body).send().await?;
        let status = response.status().as_u16();
        Ok((status, response.json().await?))
    }

    /// Sends JSON, which must be accepted.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> impl Future<Output = Value> {
        let request = self.request(Method::POST, path).json(body);
        succeed(path.to_owned(), request)
    }

    /// Reads, which must be allowed.
    pub fn get(&self, path: &str) -> impl Future<Output = Value> {
        succeed(path.to_owned(), self.request(Method::GET, path))
    }

    /// Reads a list page by page, a hundred to a page. `path` has a query already.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page = self.get(&format!("{path}&limit=100{cursor}")).await;
            items.append(page["data"].as_array_mut().expect("a list"));
            if page["has_more"] == false {
                return items;
            }
            cursor = format!("&after={}", page["last_id"].as_str().expect("a cursor"));
        }
    }
}

async fn succeed(path: String, request: RequestBuilder) -> Value {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(status, 200, "{path}: {body}");
    body
}

impl Api {
    /// As an administrator, makes a project and in it a service account: the project's id and the account's key.
    pub async fn application(&self, name: &str) -> (String, String) {
        let body = serde_json::json!({"name": name});
        let project = self.post("/organization/projects", &body).await;
        let project = project["id"].as_str().expect("an id");
        let path = format!("/organization/projects/{project}/service_accounts");
        let account = self.post(&path, &body).await;
        let key = account["api_key"]["value"].as_str().expect("a key");
        (project.to_owned(), key.to_owned())
    }

    /// With a project's key: true if the project or its organization has spent all that it may.
    pub async fn has_spent_all(&self) -> bool {
        let body = serde_json::json!({"model": "gpt-5", "messages": [{"role": "user", "content": "Hello."}]});
        let sent = self.try_post("/chat/completions", &body).await;
        let (status, answer) = sent.expect("an answer");
        status == 429 && answer["error"]["code"] == "insufficient_quota"
    }
}
