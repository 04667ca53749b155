//! A differential fuzz of the gateway's checks against the parsers of servers: each request that is forwarded is read by
//! them, and none finds in it what the project may not do. `cargo xtask fuzz-requests` sends many more.

mod bodies;
mod case;
mod forms;
mod projects;
mod readers;
mod text;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::dice::Dice;
use crate::fuzz::number;
use crate::installation::Installation;
use crate::model_stub::{ModelStub, Received};
use crate::wire::{Wire, WireAnswer};
use case::Case;
use projects::Project;
use readers::{Forwarded, Readers};

/// The number of connections, each with projects and readers of its own.
const CONNECTION_COUNT: u64 = 2;
/// The number of requests that a connection sends before those that were forwarded are read.
const ROUND_LEN: usize = 200;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The number of kinds of findings that are shown, each with its shortest request.
const MAX_SHOWN: usize = 16;

#[derive(Default)]
struct Seen {
    sent: u64,
    forwarded: u64,
    /// By what is wrong: how often, and the shortest request.
    findings: BTreeMap<String, (u64, String)>,
}

/// A connection, and the requests that it sends.
struct Sender {
    wire: Wire,
    stub: Arc<ModelStub>,
    projects: Vec<Project>,
    readers: Readers,
    seen: Arc<Mutex<Seen>>,
    seed: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s15_no_reader_finds_in_a_forwarded_request_what_is_forbidden() {
    let requests = number("ORGPLANE_TEST_DIFFERENTIAL", 2_000);
    let seed = number("ORGPLANE_TEST_DIFFERENTIAL_SEED", 1);
    let stub = Arc::new(ModelStub::start().await);
    let settings = stub.setting(&["cheap", "dear"]) + projects::PRICES;
    let installation = Installation::new(&settings);
    let (server, admin) = installation.first_serve();
    let seen = Arc::<Mutex<Seen>>::default();
    let mut senders = Vec::new();
    for connection in 0..CONNECTION_COUNT {
        let projects = projects::make(&admin, &server, &format!("Restricted {connection}")).await;
        senders.push(Sender {
            wire: Wire::to(&server.address),
            stub: Arc::clone(&stub),
            projects,
            readers: Readers::start(),
            seen: Arc::clone(&seen),
            seed,
        });
    }
    stub.remember();
    let mut tasks = Vec::new();
    for (first, sender) in (0..).zip(senders) {
        let numbers = (first..requests).step_by(CONNECTION_COUNT as usize);
        tasks.push(tokio::spawn(sender.send(numbers.collect())));
    }
    for task in tasks {
        task.await.expect("it ends");
    }
    server.stop();
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    judge(&seen, requests, seed);
}

impl Sender {
    async fn send(mut self, numbers: Vec<u64>) {
        for round in numbers.chunks(ROUND_LEN) {
            let mut forwarded = Vec::new();
            for number in round {
                // Each request follows from the seed and its number.
                let dice = Dice::seeded(self.seed.wrapping_mul(1 << 32).wrapping_add(*number));
                self.send_one(*number, &dice, &mut forwarded).await;
            }
            let readers = &mut self.readers;
            let findings = tokio::task::block_in_place(|| readers.findings(&forwarded));
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.sent += round.len() as u64;
            seen.forwarded += forwarded.len() as u64;
            for (request, findings) in forwarded.iter().zip(findings) {
                for finding in findings {
                    seen.find(request.kind, &finding, request.number, &request.sent);
                }
            }
        }
    }

    async fn send_one(&mut self, number: u64, dice: &Dice, forwarded: &mut Vec<Forwarded>) {
        let project = dice.below(self.projects.len() as u64) as usize;
        let case = Case::new(&self.projects[project], dice);
        let key = self.projects[project].key.clone();
        let sent = request(&case.target, &key, &case.form.content_type, &case.form.body);
        let mut answer = self.exchange(&sent).await;
        let mut received = self.stub.take(&answer.body);
        if let Some(endpoint) = case.endpoint.filter(|_| received.is_some()) {
            // What lines say is of consequence once a batch is made of them.
            answer = self.make_batch(&answer, endpoint, &key).await;
            received = received.filter(|_| self.stub.take(&answer.body).is_some());
        }
        let project = &self.projects[project];
        if let Some(received) = received {
            forwarded.push(Forwarded {
                kind: case.kind,
                policy: project.policy(answer.header("x-ratelimit-remaining-tokens")),
                received,
                number,
                sent,
            });
        } else if case.is_plain && !(case.kind == "batch" && answer.status == 429) {
            let reason = format!(
                "a plain {} is refused: {} {}",
                case.kind,
                answer.status,
                answer.text()
            );
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.find(case.kind, &reason, number, &sent);
        }
    }

    async fn exchange(&mut self, sent: &[u8]) -> WireAnswer {
        let answer = self.wire.exchange(sent, REQUEST_TIMEOUT).await;
        answer.unwrap_or_else(|reason| panic!("{reason}: {}", sent.escape_ascii()))
    }

    async fn make_batch(&mut self, file: &WireAnswer, endpoint: &str, key: &str) -> WireAnswer {
        let file: serde_json::Value = serde_json::from_slice(&file.body).unwrap_or_default();
        let body = serde_json::json!({"input_file_id": file["id"], "endpoint": endpoint, "completion_window": "24h"});
        let sent = request(
            "/batches",
            key,
            "application/json",
            body.to_string().as_bytes(),
        );
        self.exchange(&sent).await
    }
}

impl Seen {
    /// Counts a finding under what is common to all of its kind.
    fn find(&mut self, kind: &str, finding: &str, number: u64, sent: &[u8]) {
        let words = finding.split(|c: char| !c.is_ascii_lowercase());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).take(2).collect();
        let kind = format!("{kind}: {}", words.join(" "));
        let request = format!("{finding}\nrequest {number}: {}", sent.escape_ascii());
        let (count, shortest) = self.findings.entry(kind).or_default();
        *count += 1;
        if shortest.is_empty() || request.len() < shortest.len() {
            *shortest = request;
        }
    }
}

/// The bytes of the upload of a small file.
pub fn upload_of(purpose: &str, key: &str) -> Vec<u8> {
    let form = forms::upload(purpose, b"{}", &Dice::seeded(0));
    request("/files", key, &form.content_type, &form.body)
}

/// The bytes of a request.
fn request(target: &str, key: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /v1{target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: {content_type}\r\n\
         content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[expect(
    clippy::print_stdout,
    reason = "the summary is what somebody who runs it at length wants to see"
)]
fn judge(seen: &Seen, requests: u64, seed: u64) {
    let (sent, forwarded) = (seen.sent, seen.forwarded);
    println!(
        "{sent} requests with seed {seed}: {forwarded} forwarded, {} kinds of findings",
        seen.findings.len()
    );
    let mut findings: Vec<_> = seen.findings.iter().collect();
    findings.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    let shown = findings.iter().take(MAX_SHOWN);
    let shown: Vec<String> = shown
        .map(|(_, (count, request))| format!("{count} times: {request}"))
        .collect();
    assert!(
        findings.is_empty(),
        "{} kinds of findings:\n{}",
        findings.len(),
        shown.join("\n\n")
    );
    assert_eq!(sent, requests);
    assert!(
        forwarded * 5 >= sent,
        "only {forwarded} were forwarded: the others show nothing"
    );
}

/// The kind, target, content type and body of a request, and the start of what is found in it.
type KnownCase = (String, String, String, String, Option<String>);

#[test]
fn the_readers_find_what_is_forbidden() {
    let cases: Vec<KnownCase> = serde_json::from_str(include_str!("cases.json")).expect("cases");
    let requests: Vec<Forwarded> = cases.iter().map(forwarded).collect();
    for ((.., body, expected), findings) in cases.iter().zip(Readers::start().findings(&requests)) {
        match expected {
            None => assert_eq!(findings, Vec::<String>::new(), "{body}"),
            Some(expected) => {
                let is_found = findings.iter().any(|it| it.contains(expected));
                assert!(is_found, "{body}: {findings:?}");
            }
        }
    }
}

fn forwarded((kind, target, content_type, body, _): &KnownCase) -> Forwarded {
    let kinds = ["json", "form", "batch"];
    let kind = kinds.into_iter().find(|it| it == kind);
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", content_type.parse().expect("a header"));
    Forwarded {
        kind: kind.expect("a kind"),
        received: Received {
            target: format!("/v1{target}"),
            headers,
            body: body.clone().into_bytes(),
        },
        policy: serde_json::json!({
            "models": ["cheap"], "tokens": 100, "images": 10, "foreign": ["file-x"], "zero_retention": true,
        }),
        number: 0,
        sent: Vec::new(),
    }
}
