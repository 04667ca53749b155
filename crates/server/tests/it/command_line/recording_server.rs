//! A server that writes down what it is asked and what it answers, and the binary that asks it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;
use testkit::Server;

use crate::process::{Ended, Process};

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    /// The path with its query, as it came.
    pub address: String,
    pub sent: Bytes,
    pub answered: Bytes,
}

/// The server. It goes with the test.
pub struct RecordingServer {
    pub server: Server,
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl RecordingServer {
    pub async fn start() -> Self {
        let server = Server::start().await;
        let calls = Arc::new(Mutex::new(Vec::new()));
        let watch = {
            let calls = Arc::clone(&calls);
            move |request: Request, next: Next| {
                let calls = Arc::clone(&calls);
                async move { watch(&calls, request, next).await }
            }
        };
        let front = server.http_service();
        let router = Router::new().fallback_service(front).layer(from_fn(watch));
        let listening = orgplane::Server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await;
        let listening = listening.expect("a free port");
        let address = listening.address();
        tokio::spawn(async move {
            listening
                .run(router, &orgplane::Shutdown::within(Duration::ZERO))
                .await
        });
        Self {
            server,
            address,
            calls,
        }
    }

    /// Everything it was asked so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The last thing that it was asked.
    pub fn last_call(&self) -> Call {
        self.calls().pop().expect("it was asked something")
    }

    pub fn default_project(&self) -> String {
        self.server.default_project_id().to_string()
    }

    /// Base URL of the API.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The test's own directory, in which the binary works.
    pub fn directory(&self) -> &Path {
        self.server.database.directory.path()
    }

    /// The binary with these words, and with nothing in its environment.
    pub fn bare(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orgplane"));
        command
            .args(words)
            .env_clear()
            .current_dir(self.directory());
        command
    }

    /// The binary with these words, as an owner of the organization.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.bare(words);
        command.env("OPENAI_BASE_URL", self.base_url()).env(
            "OPENAI_ADMIN_KEY",
            self.server.admin().key.expect("an owner has a key"),
        );
        command
    }

    /// Runs a command, of which the words stand behind `admin:organization:`.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Ended {
        let (resource, rest) = words.split_first().expect("a resource");
        let resource = format!("admin:organization:{resource}");
        Process::start(self.command(&[&[resource.as_str()], rest].concat())).ended()
    }

    /// Runs a command that must succeed.
    #[track_caller]
    pub fn done(&self, words: &[&str]) -> Ended {
        let ended = self.run(words);
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{words:?}: {ended:?}"
        );
        ended
    }

    /// Runs a command, piping `text` into it.
    #[track_caller]
    pub fn piped(&self, words: &[&str], text: &str) -> Ended {
        let (resource, rest) = words.split_first().expect("a resource");
        let resource = format!("admin:organization:{resource}");
        let file = self.directory().join("piped");
        std::fs::write(&file, text).expect("a file in our directory");
        let mut child = self.command(&[&[resource.as_str()], rest].concat());
        // A real pipe: something else writes into it.
        let mut cat = Command::new("cat")
            .arg(file)
            .stdout(Stdio::piped())
            .spawn()
            .expect("cat runs");
        child.stdin(cat.stdout.take().expect("stdout is piped"));
        let output = child.output().expect("the binary runs");
        cat.wait().expect("a child that is ours");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Ended {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Ended {
    /// The id of the object that was shown.
    #[track_caller]
    pub fn id(&self) -> String {
        id(&self.stdout)
    }
}

/// The id of an object.
#[track_caller]
pub fn id(text: &str) -> String {
    let object: Value = serde_json::from_str(text).expect("an object");
    object["id"].as_str().unwrap_or_default().to_owned()
}

/// The words of a line, of which some stand in quotes.
pub fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let parts = parts.flat_map(|(number, part)| match number % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    parts.collect()
}

async fn watch(calls: &Mutex<Vec<Call>>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let sent = body.collect().await.expect("a whole request").to_bytes();
    let (method, address) = (head.method.to_string(), head.uri.to_string());
    let response = next
        .run(Request::from_parts(head, Body::from(sent.clone())))
        .await;
    let (head, body) = response.into_parts();
    let answered = body.collect().await.expect("a whole answer").to_bytes();
    calls
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Call {
            method,
            address,
            sent,
            answered: answered.clone(),
        });
    Response::from_parts(head, Body::from(answered))
}
