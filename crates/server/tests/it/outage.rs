//! S25: a server whose database is away, full, paused or not its own any more says so, to everybody who asks, and
//! is well again when the database is.

mod disk;
mod files;
mod postgres;

use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::{Api, http};
use crate::installation::{Installation, Server};

/// The time for which is waited until a server has noticed something.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
const PROJECTS: &str = "/organization/projects";

/// A server on a database of its own, and its administrator.
struct World {
    server: Server,
    admin: Api,
    #[expect(dead_code, reason = "its files go with it")]
    installation: Installation,
}

/// Status, `retry-after` and body of an answer.
type Answer = (u16, Option<u64>, Value);

impl World {
    fn start(database: &str) -> Self {
        let installation = Installation::new("");
        let command: Command = installation.command(&["serve", "--database", database]);
        let server = Server::from(command);
        let key = server.process.line("Admin key (shown only now): ");
        let admin = server.api(&key.expect("a first start prints a key"));
        Self {
            server,
            admin,
            installation,
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request = self.admin.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        answer(request).await
    }

    /// Makes a project, or tries to.
    async fn write(&self) -> Answer {
        let body = json!({"name": "x".repeat(200)});
        self.ask(Method::POST, PROJECTS, Some(&body)).await
    }

    async fn read(&self) -> Answer {
        self.ask(Method::GET, PROJECTS, None).await
    }

    /// Returns the status of `/readyz`, and the reasons in it.
    async fn readiness(&self) -> (u16, String) {
        let request = http().get(format!("{}/readyz", self.server.address));
        let (status, _, body) = answer(request).await;
        (status, body["reasons"].to_string())
    }

    /// Waits until the server says that it is not ready for this reason.
    async fn not_ready(&self, reason: &str) {
        let started = Instant::now();
        loop {
            let (status, reasons) = self.readiness().await;
            if status == 503 && reasons.contains(reason) {
                return;
            }
            assert!(started.elapsed() < WAIT_TIMEOUT, "{status}: {reasons}");
        }
    }

    /// Waits until the server is ready, reads and writes.
    async fn is_well(&self) {
        let started = Instant::now();
        loop {
            let (status, reasons) = self.readiness().await;
            let answers = [status, self.read().await.0, self.write().await.0];
            if answers == [200; 3] {
                return;
            }
            assert!(started.elapsed() < WAIT_TIMEOUT, "{answers:?}: {reasons}");
        }
    }

    /// Lines of the log with this word.
    fn lines(&self, word: &str) -> usize {
        let log = self.server.process.stderr();
        log.lines().filter(|line| line.contains(word)).count()
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let retry = response.headers().get("retry-after");
    let retry = retry.and_then(|value| value.to_str().ok()?.parse().ok());
    (status, retry, response.json().await.expect("JSON"))
}

/// The answer while the database is away.
#[track_caller]
fn is_unavailable((status, retry, body): &Answer) {
    assert_eq!(*status, 503, "{body}");
    assert!(retry.is_some_and(|seconds| seconds > 0), "{body}");
    assert_eq!(body["error"]["type"], "server_error", "{body}");
}
