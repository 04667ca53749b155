//! A server whose stderr or stdout is gone, full or never read: it answers, meters and stops as ever.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::api::{Api, http};
use crate::installation::{Installation, Server};
use crate::model_stub::ModelStub;
use crate::reports;
use crate::small_disk::Disk;

/// The time for which is waited until something has happened.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
/// More lines than a pipe has room for, at two a request.
const REQUEST_COUNT: usize = 400;

/// A server whose stderr is a file or a pipe.
struct World {
    installation: Installation,
    server: Server,
    admin: Api,
    application: Api,
    _stub: ModelStub,
}

impl World {
    async fn start(database: Option<String>, stderr: &str, level: &str) -> Self {
        let stub = ModelStub::start().await;
        let installation = Installation::new(&stub.setting(&["unpriced"]));
        let database = database.unwrap_or_else(|| installation.database_url());
        let mut command = installation.command(&[]);
        let directory = command.get_current_dir().expect("it has one").to_owned();
        let binary = command.get_program().to_owned();
        command = Command::new("sh");
        let redirect = format!("exec \"$0\" serve --database \"$1\" 2>{stderr}");
        command
            .args(["-c", &redirect])
            .arg(binary)
            .arg(&database)
            .env_clear()
            .env("RUST_LOG", level)
            .current_dir(directory);
        let server = Server::from(command);
        let key = server.process.line("Admin key (shown only now): ");
        let admin = server.api(&key.expect("a first start prints a key"));
        let (project, key) = admin.application("Application").await;
        let limits = json!({"max_requests_per_1_minute": 1_000_000, "max_tokens_per_1_minute": 1_000_000_000});
        let path = format!("/organization/projects/{project}/rate_limits/rl-unpriced");
        admin.post(&path, &limits).await;
        let application = server.api(&key);
        Self {
            installation,
            server,
            admin,
            application,
            _stub: stub,
        }
    }

    /// Sends requests, which are answered.
    async fn ask(&self, requests: usize) {
        let body = json!({"model": "unpriced", "messages": [{"role": "user", "content": "Hello"}]});
        for _ in 0..requests {
            let answer = self.application.try_post("/chat/completions", &body).await;
            let (status, answer) = answer.expect("an answer");
            assert_eq!(status, 200, "{answer}");
        }
    }

    /// Waits until the ledger has so many rows of requests.
    async fn has_rows(&self, rows: usize) {
        let started = Instant::now();
        let start = reports::now() - 86_400;
        let path =
            format!("/organization/usage/completions?bucket_width=1d&start_time={start}&limit=3");
        loop {
            let report = self.admin.get(&path).await;
            let buckets = report["data"].as_array().expect("buckets").iter();
            let found: i64 = buckets
                .filter_map(|bucket| bucket["results"][0]["num_model_requests"].as_i64())
                .sum();
            if found == i64::try_from(rows).expect("few") {
                return;
            }
            assert!(started.elapsed() < WAIT_TIMEOUT, "{found} of {rows}");
        }
    }

    async fn text(&self, path: &str) -> (u16, String) {
        let response = http().get(format!("{}{path}", self.server.address)).send();
        let response = response.await.expect("an answer");
        let status = response.status().as_u16();
        (status, response.text().await.expect("text"))
    }

    async fn is_ready(&self) {
        let started = Instant::now();
        loop {
            let (status, text) = self.text("/readyz").await;
            if status == 200 {
                return;
            }
            assert!(started.elapsed() < WAIT_TIMEOUT, "{text}");
        }
    }

    async fn dropped_lines(&self) -> u64 {
        let (_, metrics) = self.text("/metrics").await;
        let name = "orgplane_log_lines_dropped_total ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.parse().ok())
            .expect("a number")
    }
}

/// A pipe with a name.
fn fifo() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.is_ok_and(|status| status.success()));
    (folder, path)
}

/// Opens a pipe with a name for reading, once somebody writes to it.
fn open(path: PathBuf) -> tokio::task::JoinHandle<File> {
    tokio::task::spawn_blocking(move || File::open(path).expect("the pipe"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_sink_gone_a_reader_that_goes_away_stops_nothing() {
    let (_folder, path) = fifo();
    let reader = open(path.clone());
    let stderr = path.display().to_string();
    let world = World::start(None, &stderr, "info,requests=debug").await;
    drop(reader.await.expect("opened"));
    world.ask(REQUEST_COUNT).await;
    world.has_rows(REQUEST_COUNT).await;
    world.is_ready().await;
    assert!(world.dropped_lines().await >= REQUEST_COUNT as u64);
    world.server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_sink_gone_a_pipe_that_nobody_reads_stops_nothing() {
    let (_folder, path) = fifo();
    let reader = open(path.clone());
    let stderr = path.display().to_string();
    let world = World::start(None, &stderr, "info,requests=debug").await;
    let reader = reader.await.expect("opened");
    world.ask(REQUEST_COUNT).await;
    world.has_rows(REQUEST_COUNT).await;
    world.is_ready().await;
    world.server.stop();
    drop(reader);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_sink_gone_a_closed_stderr_stops_nothing() {
    let world = World::start(None, "&-", "info,requests=debug").await;
    world.ask(20).await;
    world.has_rows(20).await;
    world.is_ready().await;
    world.server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_sink_gone_log_and_database_on_a_full_disk_lose_no_row() {
    // Without the right to mount something there is no small disk to be had.
    let Some(disk) = Disk::new(16) else { return };
    let database = format!("sqlite://{}", disk.path().join("orgplane.db").display());
    let log = disk.path().join("log").display().to_string();
    let world = World::start(Some(database.clone()), &log, "info,requests=debug").await;
    world.ask(1).await;
    world.has_rows(1).await;
    disk.fill();
    world.ask(REQUEST_COUNT).await;
    disk.free();
    world.ask(1).await;
    world.has_rows(REQUEST_COUNT + 2).await;
    world.is_ready().await;
    let verified = world
        .installation
        .run(&["usage", "verify", "--database", &database]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    world.server.stop();
}

#[test]
fn log_sink_gone_commands_end_in_order_when_nobody_reads_what_they_print() {
    let installation = Installation::new("");
    for (redirect, codes) in [
        ("| true", &[0][..]),
        (">&-", &[0, 1]),
        ("2>&- >&-", &[0, 1]),
        (">/dev/full", &[1]),
        ("2>/dev/full >/dev/full", &[1]),
    ] {
        for words in [
            "config show",
            "openapi",
            "--help",
            "migrate",
            "admin:organization:projects --help",
        ] {
            let mut command = installation.command(&[]);
            let directory = command.get_current_dir().expect("it has one").to_owned();
            let binary = command.get_program().to_owned();
            command = Command::new("bash");
            let line = format!("set -o pipefail; \"$0\" {words} {redirect}");
            let ended = command
                .args(["-c", &line])
                .arg(binary)
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .current_dir(directory)
                .output();
            let ended = ended.expect("a shell");
            let stderr = String::from_utf8_lossy(&ended.stderr);
            assert!(!stderr.contains("panicked"), "{words} {redirect}: {stderr}");
            let code = ended.status.code();
            assert!(
                code.is_some_and(|code| codes.contains(&code) || words == "--help"),
                "{words} {redirect}: {code:?} {stderr}"
            );
        }
    }
}
