//! The secret: a wrong one is refused, and one may take the place of another.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::api::Api;
use crate::installation::{Installation, Server};

const NEW: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const REHASH_TIMEOUT: Duration = Duration::from_secs(30);

/// True unless the key is refused as unknown.
async fn is_known(server: &Server, key: &str) -> bool {
    let api: Api = server.api(key);
    let path = if key.starts_with("sk-admin-") {
        "/organization/projects"
    } else {
        "/models"
    };
    let answer = api.request(Method::GET, path).send().await;
    answer.expect("an answer").status() != 401
}

fn secret(installation: &Installation) -> String {
    let text = std::fs::read_to_string(installation.secret_file());
    text.expect("the secret file").trim().to_owned()
}

fn set_secret(installation: &Installation, text: &str) {
    std::fs::write(installation.secret_file(), text).expect("the secret file");
}

/// Starts the server, which must refuse its secret.
#[track_caller]
fn is_refused(installation: &Installation) {
    for words in [
        &["serve"][..],
        &[
            "org",
            "create",
            "--name",
            "N",
            "--owner-email",
            "a@b.example",
        ],
    ] {
        let ended = installation.run(words);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("another secret"), "{ended:?}");
        assert!(ended.stderr.contains("orgplane.secret"), "{ended:?}");
        assert!(!ended.stderr.contains(NEW), "{ended:?}");
    }
}

#[tokio::test]
async fn low_secret_check_another_secret_is_refused_at_the_start() {
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    server.stop();
    let old = secret(&installation);
    set_secret(&installation, NEW);
    is_refused(&installation);
    set_secret(&installation, &format!("{NEW}\n{}", "f".repeat(64)));
    is_refused(&installation);
    set_secret(&installation, &old);
    let server = installation.serve();
    assert!(is_known(&server, &admin.key).await);
    server.stop();
}

#[tokio::test]
async fn low_two_secrets_keys_go_over_as_they_are_used() {
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    let (_, used) = admin.application("Used").await;
    let (_, unused) = admin.application("Unused").await;
    server.stop();
    let old = secret(&installation);

    set_secret(&installation, &format!("{NEW}\n{old}\n"));
    let server = installation.serve();
    let keys = [admin.key.as_str(), used.as_str()];
    let moved = |server: &Server| {
        let log = server.process.stderr();
        let lines = log.lines();
        lines
            .filter(|line| line.contains("keys hashed with the current secret"))
            .count()
    };
    for (index, key) in keys.iter().enumerate() {
        let started = Instant::now();
        // Known before it went over, meanwhile and after.
        while moved(&server) <= index {
            assert!(is_known(&server, key).await);
            assert!(
                started.elapsed() < REHASH_TIMEOUT,
                "{}",
                server.process.stderr()
            );
        }
        assert!(is_known(&server, key).await);
    }
    let body = json!({"name": "Made meanwhile"});
    let made = server.api(&admin.key);
    let made = made.post("/organization/admin_api_keys", &body).await;
    let made = made["value"].as_str().expect("a key").to_owned();
    server.stop();

    set_secret(&installation, NEW);
    let server = installation.serve();
    for key in [admin.key.as_str(), used.as_str(), made.as_str()] {
        assert!(is_known(&server, key).await);
    }
    assert!(!is_known(&server, &unused).await);
    server.stop();
    set_secret(&installation, &old);
    is_refused(&installation);
}

#[tokio::test]
async fn secret_rotation_keeps_used_keys_and_finishing_it_drops_unused_ones() {
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    let (_, unused) = admin.application("Unused").await;
    server.stop();
    let old = secret(&installation);
    let ended = installation.run(&["secret", "rotate", "--finish"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("no previous secret"), "{ended:?}");

    let ended = installation.run(&["secret", "rotate"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let rotated = secret(&installation);
    let (new, previous) = rotated.split_once('\n').expect("two lines");
    assert_eq!(previous, old);
    assert!(new != old && !ended.stdout.contains(new), "{ended:?}");
    let mode = std::fs::metadata(installation.secret_file()).expect("the secret file");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let ended = installation.run(&["secret", "rotate"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("--finish"), "{ended:?}");
    assert_eq!(secret(&installation), rotated);

    let server = installation.serve();
    let started = Instant::now();
    while !server
        .process
        .stderr()
        .contains("keys hashed with the current secret")
    {
        assert!(is_known(&server, &admin.key).await);
        assert!(
            started.elapsed() < REHASH_TIMEOUT,
            "{}",
            server.process.stderr()
        );
    }
    server.stop();
    let ended = installation.run(&["secret", "rotate", "--finish"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(secret(&installation), new);
    let server = installation.serve();
    assert!(is_known(&server, &admin.key).await);
    assert!(!is_known(&server, &unused).await);
    server.stop();
}
