//! S19: `orgplane org key`, the way back in, and a first start that shows its key only when everything else is right.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::api::Api;
use crate::installation::{Installation, Server};
use crate::process::{Ended, Process};

const KEYS: &str = "/organization/admin_api_keys";
const BOOTSTRAP: &str = "ORGPLANE_BOOTSTRAP_ADMIN_KEY";

async fn status(api: &Api) -> u16 {
    let answer = api.request(Method::GET, KEYS).send().await;
    answer.expect("an answer").status().as_u16()
}

#[track_caller]
fn key_in(ended: &Ended) -> String {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let keys: Vec<_> = ended.stdout.match_indices("sk-admin-").collect();
    let [(start, _)] = keys[..] else {
        panic!("one key: {ended:?}")
    };
    assert!(!ended.stderr.contains("sk-admin-"), "{ended:?}");
    let key = ended.stdout[start..].split_whitespace().next();
    key.unwrap_or_default().to_owned()
}

#[tokio::test]
async fn s19_an_owner_gets_a_key_on_the_machine_of_the_database_while_a_server_runs() {
    let installation = Installation::new("");
    let (server, first) = installation.first_serve();
    let words = [
        "org",
        "key",
        "--email",
        "OWNER@localhost",
        "--name",
        "Found again",
    ];
    let ended = installation.run(&words);
    let made = Instant::now();
    let again = server.api(&key_in(&ended));
    assert_eq!(status(&again).await, 200);
    assert!(
        made.elapsed() < Duration::from_secs(1),
        "{:?}",
        made.elapsed()
    );
    let keys = again.all(&format!("{KEYS}?")).await;
    let newest = keys.last().expect("two keys");
    assert_eq!((keys.len(), &newest["name"]), (2, &json!("Found again")));
    assert_eq!(newest["expires_at"], json!(null));
    let path = "/organization/audit_logs?event_types[]=api_key.created&";
    let events = first.all(path).await;
    let event = &events[0];
    assert_eq!(event["api_key.created"]["id"], newest["id"]);
    assert_eq!(event["api_key.created"]["user_id"], newest["owner"]["id"]);
    assert_eq!(event["actor"], json!(null), "as all that is done there");
    assert!(event["project"]["id"].is_string(), "{event}");
    // The lost one may go now.
    let lost = keys[0]["id"].as_str().expect("an id");
    let deleted = again.request(Method::DELETE, &format!("{KEYS}/{lost}"));
    assert_eq!(deleted.send().await.expect("an answer").status(), 200);
    assert_eq!(status(&first).await, 401);
    server.stop();
    let verified = installation.run(&["audit", "verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[tokio::test]
async fn s19_a_key_is_made_for_an_owner_of_one_organization_only() {
    let installation = Installation::new("");
    let (server, first) = installation.first_serve();
    let refused = |words: &[&str], reason: &str| {
        let ended = installation.run(&[&["org", "key"], words].concat());
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{ended:?}"
        );
        assert!(ended.stderr.contains(reason), "{ended:?}");
    };
    refused(
        &["--email", "nobody@acme.example"],
        "No user has the address",
    );
    let invite = json!({"email": "rita@acme.example", "role": "reader"});
    let invite = first.post("/organization/invites", &invite).await;
    assert_eq!(invite["role"], "reader");
    refused(&["--email", "rita@acme.example"], "No user has the address");
    // The same person in two organizations.
    for name in ["Beta", "Gamma"] {
        let words = [
            "org",
            "create",
            "--name",
            name,
            "--owner-email",
            "bea@beta.example",
        ];
        assert_eq!(installation.run(&words).code, Some(0));
    }
    refused(&["--email", "bea@beta.example"], "several organizations");
    let other = ["--email", "bea@beta.example", "--organization", "org-none"];
    refused(&other, "in the organization 'org-none'");
    let ended = installation.run(&["org", "key", "--email", "bea@beta.example"]);
    let said = ended.stderr.split_once("say which, ").expect("which").1;
    let organization = said.split(' ').next().expect("an id");
    let words = [
        "org",
        "key",
        "--email",
        "bea@beta.example",
        "--organization",
        organization,
    ];
    let key = key_in(&installation.run(&words));
    assert_eq!(status(&server.api(&key)).await, 200);
    server.stop();
}

#[tokio::test]
async fn s19_a_first_start_that_fails_founds_nothing_and_the_next_one_shows_the_key() {
    let upstream =
        "[[upstream]]\nname = \"u\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodels = [\"m\"]\n";
    let failures = [
        (format!("{upstream}api_key_env = \"NOT_SET\"\n"), "NOT_SET"),
        (format!("{upstream}api_key_file = \"absent\"\n"), "absent"),
        (
            format!("{upstream}ca_file = \"absent.pem\"\n"),
            "absent.pem",
        ),
        (
            "[tls]\ncertificate = \"absent.pem\"\nkey = \"absent.pem\"\n".to_owned(),
            "absent.pem",
        ),
    ];
    let installation = Installation::new("");
    for (settings, reason) in failures {
        installation.configure(&settings);
        let ended = installation.run(&["serve"]);
        assert_eq!(ended.code, Some(1), "{settings}: {ended:?}");
        assert!(ended.stderr.contains(reason), "{settings}: {ended:?}");
        assert!(
            !ended.stdout.contains("First start"),
            "{settings}: {ended:?}"
        );
    }
    installation.configure("");
    let (server, admin) = installation.first_serve();
    assert_eq!(status(&admin).await, 200);
    server.stop();
}

#[tokio::test]
async fn s19_a_bootstrap_key_that_is_ignored_or_weak_is_said_so() {
    let installation = Installation::new("");
    let serve_with = |key: &str| {
        let mut command = installation.command(&["serve"]);
        command.env(BOOTSTRAP, key);
        Server {
            address: String::new(),
            process: Process::start(command),
        }
    };
    let started = |mut server: Server| {
        server.process.wait_for_line("Listening on ");
        let ended = server.stop();
        assert!(!ended.stderr.contains("sk-admin-"), "{ended:?}");
        ended.stderr
    };
    let weak = "sk-admin-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let log = started(serve_with(weak));
    assert!(log.contains("ORGPLANE_BOOTSTRAP_ADMIN_KEY weak"), "{log}");
    let log = started(serve_with(weak));
    assert!(log.contains("the key is valid there already"), "{log}");
    let log = started(serve_with("sk-admin-0123456789abcdef0123456789abcdef"));
    assert!(log.contains("the key is unknown there"), "{log}");
    assert!(log.contains("orgplane org key"), "{log}");
    let other = Installation::new("");
    let mut command = other.command(&["serve"]);
    command.env(BOOTSTRAP, "sk-admin-0123456789abcdef0123456789abcdef");
    let server = Server::from(command);
    let log = server.stop().stderr;
    assert!(!log.contains(BOOTSTRAP), "{log}");
}
