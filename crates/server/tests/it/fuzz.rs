//! What our own OpenAPI document allows and forbids, made up at random by schemathesis: every answer is one that the document
//! describes, and none is an error of ours. `cargo xtask fuzz` runs it at length.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{Api, http};
use crate::authority::Authority;
use crate::installation::{Installation, Server};
use crate::mail_server::{MailServer, free_port, settings, token};
use crate::model_server::prepared;

/// After how many requests the fuzz goes on in another organization, which it has not used up yet.
const REQUESTS_OF_ONE: u64 = 2_500;
/// How many people are invited into each organization, and how many of them come.
const INVITED: usize = 24;
const COMING: usize = 12;
/// How many certificates each organization may upload.
const CERTIFICATES: usize = 40;

/// How many operations a short fuzz may leave without a success; a long one leaves none.
const UNREACHED: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_the_document_leads_to_breaks_it() {
    let requests = number("ORGPLANE_TEST_FUZZ_REQUESTS", 1_000);
    let port = free_port();
    let mail_server = MailServer::start(port);
    let installation = Installation::new(&settings(port));
    let (server, _) = installation.first_serve();
    let mut organizations = Vec::new();
    for index in 0..requests.div_ceil(REQUESTS_OF_ONE) {
        let admin = found(&installation, &server, index);
        organizations.push(furnish(&admin, &mail_server, index).await);
    }
    let is_long = requests >= 10_000;
    let document = installation.directory().join("openapi.json");
    let printed = installation.run(&["openapi"]);
    std::fs::write(&document, printed.stdout).expect("a file in our directory");
    let plan = json!({
        "address": server.address, "document": document, "requests": requests,
        "seed": number("ORGPLANE_TEST_FUZZ_SEED", 1), "organizations": organizations,
        "phases": if is_long { "coverage,fuzzing,stateful" } else { "fuzzing" },
        "unreached": if is_long { 0 } else { UNREACHED },
    });
    fuzz(&installation, &plan);
    let ended = server.stop();
    assert!(!ended.stderr.contains("ERROR"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_document_is_served_to_anybody() {
    let installation = Installation::new("");
    let (server, _) = installation.first_serve();
    let address = format!("{}/openapi.json", server.address);
    let answer = http().get(address).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let served: Value = answer.json().await.expect("JSON");
    let printed = installation.run(&["openapi"]).stdout;
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(served, printed);
    server.stop();
}

pub fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect(variable))
}

/// Adds an organization, and waits until the server knows it.
fn found(installation: &Installation, server: &Server, index: u64) -> Api {
    let (name, owner) = (
        format!("Fuzzed {index}"),
        format!("owner{index}@acme.example"),
    );
    let words = ["org", "create", "--name", &name, "--owner-email", &owner];
    let printed = installation.run(&words).stdout;
    let key = printed
        .lines()
        .find_map(|line| line.strip_prefix("Admin key (shown only now): "));
    server.api(key.unwrap_or_else(|| panic!("no key: {printed}")))
}

/// People, invitations and certificates, which nobody makes up.
async fn furnish(admin: &Api, mail_server: &MailServer, index: u64) -> Value {
    let before = mail_server.mails().len();
    for person in 0..INVITED {
        let invite = json!({"email": format!("p{person}.{index}@acme.example"), "role": "reader"});
        admin.post("/organization/invites", &invite).await;
    }
    let started = Instant::now();
    while mail_server.mails().len() < before + INVITED {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "mails are missing"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut tokens: Vec<_> = mail_server
        .mails()
        .split_off(before)
        .iter()
        .map(token)
        .collect();
    for (person, token) in tokens.drain(..COMING).enumerate() {
        let body = json!({"token": token, "name": format!("Person {person}")});
        admin.post("/organization/invites/accept", &body).await;
    }
    let certificates: Vec<_> = (0..CERTIFICATES)
        .map(|_| Authority::new("Acme").pem())
        .collect();
    json!({"key": admin.key, "tokens": tokens, "certificates": certificates})
}

#[expect(
    clippy::print_stdout,
    reason = "the summary is what somebody who runs it at length wants to see"
)]
fn fuzz(installation: &Installation, plan: &Value) {
    let file = installation.directory().join("plan.json");
    std::fs::write(&file, plan.to_string()).expect("a file in our directory");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/run.py");
    let finished = Command::new(prepared("ORGPLANE_TEST_FUZZER"))
        .arg(script)
        .arg(&file)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("Python runs");
    println!("{}", String::from_utf8_lossy(&finished.stdout));
    let complained = String::from_utf8_lossy(&finished.stderr);
    assert!(finished.status.success(), "{complained}");
}
