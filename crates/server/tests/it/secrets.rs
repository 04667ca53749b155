//! No secret is where it does not belong: in the log at its loudest, in the database's files, in a dump.

use std::path::PathBuf;
use std::process::Command;

use reqwest::Method;
use serde_json::json;

use crate::api::Api;
use crate::installation::{Installation, Server};
use crate::model_server::{ModelServer, PRICES};

const UPSTREAM_KEY: &str = "the-key-that-the-model-server-wants";
const WRONG_KEY: &str = "sk-admin-of-somebody-elses-installation";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_logged_or_kept() {
    let model_server = ModelServer::start();
    let settings = model_server.settings();
    let settings = settings.replace("[[upstream]]", "[[upstream]]\napi_key_env = \"MODEL_KEY\"");
    let installation = Installation::new(&settings);
    let mut command = installation.command(&["serve"]);
    command
        .env("RUST_LOG", "trace")
        .env("MODEL_KEY", UPSTREAM_KEY);
    let server = Server::from(command);
    let key = server.process.line("Admin key (shown only now): ");
    let admin = server.api(&key.expect("a first start prints a key"));
    let mut secrets = use_keys(&admin, &server).await;
    let file = std::fs::read_to_string(installation.secret_file());
    secrets.push(file.expect("the secret file").trim().to_owned());
    secrets.push(UPSTREAM_KEY.to_owned());

    let while_running = kept(&installation);
    let ended = server.stop();
    let kept = [while_running, kept(&installation)].concat();
    assert!(ended.stderr.contains("TRACE"), "the log is at its loudest");
    assert!(contains(&kept, b"Application"), "the dump has what is kept");
    assert_eq!(ended.stdout.matches(&secrets[0]).count(), 1, "shown once");
    let printed = ended.stdout.replacen(&secrets[0], "", 1);
    for secret in &secrets {
        // Also without its prefix, which is public.
        let random = secret.rsplit('-').next().unwrap_or(secret);
        let random = if random.len() < 20 { secret } else { random };
        for (place, text) in [("the log", &ended.stderr), ("stdout", &printed)] {
            assert!(
                !text.contains(random),
                "{place} has {secret}: {}",
                around(text, random)
            );
        }
        assert!(
            !contains(&kept, random.as_bytes()),
            "the database has {secret}"
        );
    }
    let pepper = bytes_of(&secrets[secrets.len() - 2]);
    assert!(!contains(&kept, &pepper), "the database has the pepper");
}

/// Makes and uses keys of every kind; gives them back, the admin's first.
async fn use_keys(admin: &Api, server: &Server) -> Vec<String> {
    let (project, key) = admin.application("Application").await;
    let body = json!({"name": "Second", "expires_in_seconds": 3_600});
    let second = admin.post("/organization/admin_api_keys", &body).await;
    let owner = second["owner"]["id"].as_str().expect("an owner");
    let path = format!("/organization/projects/{project}/api_keys");
    let users = admin
        .post(&path, &json!({"name": "A person's", "user_id": owner}))
        .await;
    let value = |made: &serde_json::Value| made["value"].as_str().expect("a key").to_owned();
    let keys = [key, value(&users)];
    for (key, streams) in keys.iter().zip([true, false]) {
        let body = json!({
            "model": PRICES[0].model, "stream": streams,
            "messages": [{"role": "user", "content": "Say hello."}],
        });
        let application = server.api(key);
        let request = application
            .request(Method::POST, "/chat/completions")
            .json(&body);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.bytes().await.expect("to its end");
        let (status, _) = application
            .try_post(&path, &json!({}))
            .await
            .expect("an answer");
        assert_eq!(status, 403, "a project key does not administer");
    }
    for path in ["/organization/projects", "/chat/completions"] {
        let wrong = server.api(WRONG_KEY).try_post(path, &json!({})).await;
        assert_eq!(wrong.expect("an answer").0, 401);
    }
    let [application, users] = keys;
    vec![
        admin.key.clone(),
        application,
        users,
        value(&second),
        WRONG_KEY.to_owned(),
    ]
}

/// Every byte of the database: its files, or a dump of it.
fn kept(installation: &Installation) -> Vec<u8> {
    let url = installation.database_url();
    if !url.starts_with("sqlite:") {
        let mut dump = Command::new("pg_dump");
        dump.arg("--dbname").arg(url);
        let dump = dump.output().expect("pg_dump is there; it comes with psql");
        assert!(
            dump.status.success(),
            "{}",
            String::from_utf8_lossy(&dump.stderr)
        );
        return dump.stdout;
    }
    let entries = std::fs::read_dir(installation.directory()).expect("our directory");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let is_database = |file: &PathBuf| file.to_string_lossy().contains(".db");
    let databases = files.filter(is_database);
    databases
        .flat_map(|file| std::fs::read(file).expect("readable"))
        .collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The line that has `part`.
fn around<'text>(text: &'text str, part: &str) -> &'text str {
    text.lines()
        .find(|line| line.contains(part))
        .unwrap_or_default()
}

/// The bytes that hexadecimal digits stand for.
fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2);
    let byte = |start: usize| u8::from_str_radix(&digits[start..start + 2], 16);
    pairs
        .map(|start| byte(start).expect("hexadecimal digits"))
        .collect()
}
