//! Keys and certificates that change while the gateway runs.

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
use crate::world::{Answer, World, config};

const MODEL: &str = r#"{"model":"real"}"#;

/// A model server that takes one key, and all that it was shown.
#[derive(Clone)]
struct Lock {
    takes: Arc<Mutex<String>>,
    shown: Arc<Mutex<Vec<String>>>,
}

impl Lock {
    /// Starts the server; an upstream without a key for it.
    async fn start(takes: &str) -> (Self, UpstreamConfig) {
        let lock = Self {
            takes: Arc::new(Mutex::new(takes.to_owned())),
            shown: Arc::default(),
        };
        let door = lock.clone();
        let address = serve(move |request: Request<Incoming>| {
            let shown = request.headers()["authorization"].to_str().expect("text");
            let shown = shown.trim_start_matches("Bearer ").to_owned();
            let takes = door.takes.lock().expect("a lock").clone();
            door.shown.lock().expect("a lock").push(shown.clone());
            async move {
                let (status, text) = if takes == "*" || shown == takes {
                    (200, COMPLETION)
                } else {
                    (401, r#"{"error":{"message":"Incorrect API key provided"}}"#)
                };
                let response = Response::builder().status(status);
                let response = response.header("content-type", "application/json");
                response.body(Full::from(text)).expect("a response")
            }
        })
        .await;
        (lock, config("locked", format!("http://{address}/v1")))
    }

    fn takes(&self, key: &str) {
        key.clone_into(&mut self.takes.lock().expect("a lock"));
    }

    fn shown(&self) -> Vec<String> {
        self.shown.lock().expect("a lock").clone()
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

/// Replaces a file as agents do, in one step.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("written");
    std::fs::rename(&new, path).expect("renamed");
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Asks until an answer is as it should be.
async fn until(world: &World, is_good: impl Fn(&Answer) -> bool) {
    for _ in 0..600 {
        if is_good(&world.chat(MODEL).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it does not happen");
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_key_rotation_costs_no_request() {
    let directory = directory();
    let path = file(&directory, "sk-old\n");
    let (lock, upstream) = Lock::start("sk-old").await;
    let key = UpstreamKey::of_file(&path).expect("a key");
    let world = world(upstream, key).await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    lock.takes("sk-new");
    replace(&path, "sk-new\n");
    assert_eq!(world.chat(MODEL).await.status, 200, "at once");
    assert_eq!(world.chat(MODEL).await.status, 200);
    let shown = lock.shown();
    let tries = shown.iter().filter(|key| *key == "sk-old").count();
    assert!(tries <= 2, "{shown:?}");
    for row in world.rows(3).await {
        assert_eq!(row.sums(), ("succeeded", false, Some(11), Some(7), Some(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_key_rotation_is_seen_before_the_old_key_ends() {
    let directory = directory();
    let path = file(&directory, "sk-old");
    let (lock, upstream) = Lock::start("*").await;
    let key = UpstreamKey::of_file(&path).expect("a key");
    let world = world(upstream, key).await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    replace(&path, "sk-new");
    until(&world, |_| lock.shown().contains(&"sk-new".to_owned())).await;
    // A file that holds no key, or is not there, leaves the key in use.
    for change in [
        |path: &Path| replace(path, "\n"),
        |path: &Path| {
            std::fs::remove_file(path).expect("removed");
        },
    ] {
        change(&path);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(world.chat(MODEL).await.status, 200);
        assert_eq!(lock.shown().last().map(String::as_str), Some("sk-new"));
    }
    replace(&path, "sk-newest");
    until(&world, |_| lock.shown().contains(&"sk-newest".to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_key_rotation_that_does_not_help_is_502_without_a_leak() {
    let directory = directory();
    let path = file(&directory, "sk-wrong");
    let (lock, upstream) = Lock::start("sk-right").await;
    let key = UpstreamKey::of_file(&path).expect("a key");
    let world = world(upstream, key).await;
    for _ in 0..3 {
        let answer = world.chat(MODEL).await;
        assert_eq!(answer.status, 502);
        assert!(!format!("{answer:?}").contains("sk-wrong"));
    }
    assert_eq!(lock.shown().len(), 3, "the same key is not tried twice");
}

/// A command that prints what is in `key`, and notes each run in `runs`.
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
async fn upstream_key_rotation_asks_a_command_anew_after_a_refusal_but_not_each_time() {
    let directory = directory();
    let path = file(&directory, "sk-old\n");
    let (lock, upstream) = Lock::start("sk-old").await;
    let key = UpstreamKey::of_command(&command(&directory)).await;
    let world = world(upstream, key.expect("a key")).await;
    for _ in 0..3 {
        assert_eq!(world.chat(MODEL).await.status, 200);
    }
    assert_eq!(runs(&directory), 1);
    lock.takes("sk-new");
    replace(&path, "sk-new\n");
    assert_eq!(world.chat(MODEL).await.status, 200);
    assert_eq!(runs(&directory), 2);
    lock.takes("sk-unheard-of");
    for _ in 0..10 {
        assert_eq!(world.chat(MODEL).await.status, 502);
    }
    assert!(runs(&directory) <= 4, "ten refusals are not ten programs");
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_key_rotation_asks_a_command_anew_before_the_key_ends() {
    let directory = directory();
    let path = file(&directory, "sk-old\n5\n");
    let (lock, upstream) = Lock::start("*").await;
    let key = UpstreamKey::of_command(&command(&directory)).await;
    let world = world(upstream, key.expect("a key")).await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    replace(&path, "sk-new\n3600\n");
    until(&world, |_| lock.shown().contains(&"sk-new".to_owned())).await;
    assert_eq!(runs(&directory), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_key_rotation_takes_certificates_along() {
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
    assert_ne!(world.chat(MODEL).await.status, 200, "nobody knows it yet");
    replace(&path, "no certificate");
    replace(&path, &roots);
    until(&world, |answer| answer.status == 200).await;
}
