//! Rotation of API keys and CA certificates of upstreams while the gateway runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::{CaCertificates, Durability, UpstreamConfig, UpstreamKey};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tempfile::TempDir;

use crate::tls::authority;
use crate::upstream::{COMPLETION, Reply, Upstream, serve};
use crate::world::{World, config};

/// Time longer than the interval at which key files are checked.
const CHECK_DELAY: Duration = Duration::from_millis(2_500);
const MODEL: &str = r#"{"model":"real"}"#;

/// Model server that accepts one API key, or every one if that is `*`, and records the keys of its requests.
#[derive(Clone)]
struct KeyedServer {
    accepted: Arc<Mutex<String>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl KeyedServer {
    /// Starts the server. Returns the configuration of an upstream for it, without a key.
    async fn start(accepted: &str) -> (Self, UpstreamConfig) {
        let server = Self {
            accepted: Arc::new(Mutex::new(accepted.to_owned())),
            seen: Arc::default(),
        };
        let state = server.clone();
        let address = serve(move |request: Request<Incoming>| {
            let key = request.headers()["authorization"].to_str().expect("text");
            let key = key.trim_start_matches("Bearer ").to_owned();
            let accepted = state.accepted.lock().expect("a lock").clone();
            let (status, text) = if accepted == "*" || key == accepted {
                (200, COMPLETION)
            } else {
                (401, r#"{"error":{"message":"Incorrect API key provided"}}"#)
            };
            state.seen.lock().expect("a lock").push(key);
            async move {
                let response = Response::builder().status(status);
                let response = response.header("content-type", "application/json");
                response.body(Full::from(text)).expect("a response")
            }
        })
        .await;
        (server, config("keyed", format!("http://{address}/v1")))
    }

    fn accept(&self, key: &str) {
        key.clone_into(&mut self.accepted.lock().expect("a lock"));
    }

    fn seen_keys(&self) -> Vec<String> {
        self.seen.lock().expect("a lock").clone()
    }
}

async fn world(upstream: UpstreamConfig, key: UpstreamKey) -> World {
    let upstreams = |_| {
        vec![UpstreamConfig {
            api_key: Some(key),
            ..upstream
        }]
    };
    World::with(Reply::events(), Durability::Batched, upstreams).await
}

fn file(directory: &TempDir, text: &str) -> PathBuf {
    let path = directory.path().join("key");
    std::fs::write(&path, text).expect("written");
    path
}

/// Replaces a file atomically, as agents that rotate secrets do.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("written");
    std::fs::rename(&new, path).expect("renamed");
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Sends requests until the server has seen `key`.
async fn until_seen(world: &World, server: &KeyedServer, key: &str) {
    poll::until(&format!("a request with {key}"), async || {
        world.chat(MODEL).await;
        server.seen_keys().iter().any(|seen| seen == key)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_key_rotation_costs_no_request() {
    let directory = directory();
    let path = file(&directory, "sk-old\n");
    let (server, upstream) = KeyedServer::start("sk-old").await;
    let key = UpstreamKey::of_file(&path).expect("a key");
    let world = world(upstream, key).await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    server.accept("sk-new");
    replace(&path, "sk-new\n");
    assert_eq!(world.chat(MODEL).await.status, 200, "at once");
    assert_eq!(world.chat(MODEL).await.status, 200);
    let seen = server.seen_keys();
    let tries = seen.iter().filter(|key| *key == "sk-old").count();
    assert!(tries <= 2, "{seen:?}");
    for row in world.rows(3).await {
        assert_eq!(row.sums(), ("succeeded", false, Some(11), Some(7), Some(1)));
    }
}

#[tokio::test]
async fn upstream_key_rotation_is_noticed_before_a_rejection() {
    let directory = directory();
    let path = file(&directory, "sk-old");
    let (server, upstream) = KeyedServer::start("*").await;
    let key = UpstreamKey::of_file(&path).expect("a key");
    let world = world(upstream, key).await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    replace(&path, "sk-new");
    poll::advance(CHECK_DELAY).await;
    until_seen(&world, &server, "sk-new").await;
    // The key stays in use while its file is empty or missing.
    for change in [
        |path: &Path| replace(path, "\n"),
        |path: &Path| {
            std::fs::remove_file(path).expect("removed");
        },
    ] {
        change(&path);
        poll::advance(CHECK_DELAY).await;
        assert_eq!(world.chat(MODEL).await.status, 200);
        assert_eq!(
            server.seen_keys().last().map(String::as_str),
            Some("sk-new")
        );
    }
    replace(&path, "sk-newest");
    poll::advance(CHECK_DELAY).await;
    until_seen(&world, &server, "sk-newest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_key_rotation_without_a_valid_key_is_502_without_a_leak() {
    let directory = directory();
    let path = file(&directory, "sk-wrong");
    let (server, upstream) = KeyedServer::start("sk-right").await;
    let key = UpstreamKey::of_file(&path).expect("a key");
    let world = world(upstream, key).await;
    for _ in 0..3 {
        let answer = world.chat(MODEL).await;
        assert_eq!(answer.status, 502);
        assert!(!format!("{answer:?}").contains("sk-wrong"));
    }
    assert_eq!(
        server.seen_keys().len(),
        3,
        "the same key is not tried twice"
    );
}

/// Returns a command that prints the file `key`, and adds a line to the file `runs`.
fn command(directory: &TempDir) -> Vec<String> {
    let script = format!(
        "echo run >> {0}/runs; cat {0}/key",
        directory.path().display()
    );
    ["sh", "-c", &script].map(str::to_owned).to_vec()
}

fn runs(directory: &TempDir) -> usize {
    let text = std::fs::read_to_string(directory.path().join("runs"));
    text.unwrap_or_default().lines().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_key_rotation_runs_a_command_after_rejections_but_not_after_each() {
    let directory = directory();
    let path = file(&directory, "sk-old\n");
    let (server, upstream) = KeyedServer::start("sk-old").await;
    let key = UpstreamKey::of_command(&command(&directory)).await;
    let world = world(upstream, key.expect("a key")).await;
    for _ in 0..3 {
        assert_eq!(world.chat(MODEL).await.status, 200);
    }
    assert_eq!(runs(&directory), 1);
    server.accept("sk-new");
    replace(&path, "sk-new\n");
    assert_eq!(world.chat(MODEL).await.status, 200);
    assert_eq!(runs(&directory), 2);
    server.accept("sk-unheard-of");
    for _ in 0..10 {
        assert_eq!(world.chat(MODEL).await.status, 502);
    }
    assert!(runs(&directory) <= 4, "ten refusals are not ten programs");
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_key_rotation_runs_a_command_before_the_key_expires() {
    let directory = directory();
    let path = file(&directory, "sk-old\n5\n");
    let (server, upstream) = KeyedServer::start("*").await;
    let key = UpstreamKey::of_command(&command(&directory)).await;
    let world = world(upstream, key.expect("a key")).await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    replace(&path, "sk-new\n3600\n");
    until_seen(&world, &server, "sk-new").await;
    assert_eq!(runs(&directory), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_key_rotation_reloads_ca_certificates_too() {
    let directory = directory();
    let path = directory.path().join("ca.pem");
    let start = async |address, (roots, acceptor): (Vec<u8>, _)| {
        let upstream = Upstream::at(address, Reply::whole(200, COMPLETION), Some(acceptor));
        (upstream.await, String::from_utf8(roots).expect("PEM"))
    };
    let anywhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let (upstream, roots) = start(anywhere, authority(&[])).await;
    std::fs::write(&path, roots).expect("written");
    let (address, file) = (upstream.address, path.clone());
    let world = World::with(Reply::events(), Durability::Batched, |_| {
        vec![UpstreamConfig {
            ca_certificates: Some(CaCertificates::File(file)),
            ..config("secure", format!("https://{address}/v1"))
        }]
    })
    .await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    upstream.stop().await;
    let (_upstream, roots) = start(address, authority(&[])).await;
    assert_ne!(
        world.chat(MODEL).await.status,
        200,
        "the new authority is not trusted yet"
    );
    replace(&path, "no certificate");
    replace(&path, &roots);
    let is_answered = async || world.chat(MODEL).await.status == 200;
    poll::until("the new authority is trusted", is_answered).await;
}
