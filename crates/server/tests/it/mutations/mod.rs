//! Requests for every route, altered in every way that comes to mind: none is answered with an error of ours, none makes
//! the server panic, fall silent or grow. `cargo xtask fuzz-mutations` sends many more.

mod alter;
mod example;
mod ids;
mod parts;
mod routes;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::api::Api;
use crate::dice::Dice;
use crate::fuzz::number;
use crate::installation::{Installation, Server};
use crate::mail_server::{MailServer, free_port, join, settings};
use crate::model_stub::ModelStub;
use crate::wire::{NoAnswer, Wire, WireAnswer};
use example::Examples;
use ids::Ids;
use routes::{Caller, Draft};

/// The number of connections that send at the same time.
const CONNECTION_COUNT: u64 = 8;
/// The longest that an answer may take, on a machine that is busy with other tests too.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two looks at the memory that the server occupies.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);
/// The most memory that the server may occupy meanwhile. Most of it are SQLite's caches, of 32 MiB for each connection.
const MAX_RESIDENT_BYTES: u64 = 512 * 1024 * 1024;
/// The number of findings that are shown.
const MAX_SHOWN: usize = 10;

/// State that all connections share: the server, the ids, and the answers so far.
struct Fuzz {
    seed: u64,
    requests: u64,
    next: AtomicU64,
    address: String,
    document: Value,
    ids: Ids,
    administrator: String,
    application: String,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    statuses: BTreeMap<u16, u64>,
    findings: Vec<String>,
    /// The number of requests that succeeded, by route.
    succeeded: BTreeMap<usize, u64>,
    slowest: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s22_no_mutation_of_a_request_breaks_the_server() {
    let requests = number("ORGPLANE_TEST_MUTATIONS", 5_000);
    let seed = number("ORGPLANE_TEST_MUTATIONS_SEED", 1);
    let port = free_port();
    let mail_server = MailServer::start(port);
    let stub = ModelStub::start().await;
    let prices = "[[price]]\nmodel = \"cheap\"\neffective = \"2026-01-01\"\ninput = \"0.001\"\noutput = \"0.001\"\n";
    let installation =
        Installation::new(&(settings(port) + &stub.setting(&["cheap", "dear"]) + prices));
    let (server, admin) = installation.first_serve();
    let fuzz = Arc::new(Fuzz {
        seed,
        requests,
        next: AtomicU64::new(0),
        address: server.address.clone(),
        document: admin_document(&installation),
        ids: furnish(&admin, &mail_server).await,
        application: application_elsewhere(&installation, &server).await,
        administrator: admin.key.clone(),
        seen: Mutex::default(),
    });
    let connections = (0..CONNECTION_COUNT).map(|_| tokio::spawn(Arc::clone(&fuzz).send_all()));
    let connections: Vec<_> = connections.collect();
    let mut most_resident = 0;
    for mut connection in connections {
        loop {
            most_resident = most_resident.max(server.process.resident_bytes());
            if let Ok(ended) = timeout(SAMPLE_INTERVAL, &mut connection).await {
                ended.expect("no panic");
                break;
            }
        }
    }
    fuzz.keys_still_work(&server).await;
    let ended = server.stop();
    fuzz.judge(&ended.stderr, most_resident);
}

fn admin_document(installation: &Installation) -> Value {
    let printed = installation.run(&["openapi"]).stdout;
    serde_json::from_str(&printed).expect("JSON")
}

/// People, a project and what is in it, which stay; and more of each, which need not.
async fn furnish(admin: &Api, mail_server: &MailServer) -> Ids {
    let mut ids = Ids::default();
    let names: Vec<String> = (0..10).map(|number| format!("Person{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    join(admin, mail_server, &names).await;
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    for (number, user) in admin
        .all("/organization/users?limit=100")
        .await
        .iter()
        .enumerate()
    {
        match user["role"] == "owner" {
            true => {}
            false if number % 2 == 0 => ids.spare("user_id", &text(&user["id"])),
            false => ids.last("user_id", &text(&user["id"])),
        }
    }
    for name in ["One", "Two"] {
        let (project, _) = admin.application(name).await;
        ids.last("project_id", &project);
        let account = format!("/organization/projects/{project}/service_accounts");
        let account = admin.post(&account, &json!({"name": name})).await;
        ids.last("service_account_id", &text(&account["id"]));
        let group = admin
            .post("/organization/groups", &json!({"name": name}))
            .await;
        ids.last("group_id", &text(&group["id"]));
    }
    ids.last("role_id", "role_organization_reader");
    ids.last("role_id", "role_project_viewer");
    ids.last("rate_limit_id", "rl-cheap");
    ids
}

/// A key for models, in an organization whose settings no request changes.
async fn application_elsewhere(installation: &Installation, server: &Server) -> String {
    let words = [
        "org",
        "create",
        "--name",
        "Calm",
        "--owner-email",
        "calm@acme.example",
    ];
    let printed = installation.run(&words).stdout;
    let key = printed
        .lines()
        .find_map(|line| line.strip_prefix("Admin key (shown only now): "));
    let admin = server.api(key.expect("a key"));
    let (project, key) = admin.application("Calm").await;
    let limit = json!({"max_requests_per_1_minute": 1_000_000, "max_requests_per_1_day": 1_000_000_000, "max_tokens_per_1_minute": 1_000_000_000});
    let path = format!("/organization/projects/{project}/rate_limits/rl-cheap");
    admin.post(&path, &limit).await;
    key
}

impl Fuzz {
    async fn send_all(self: Arc<Self>) {
        let mut wire = Wire::to(&self.address);
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.requests {
                return;
            }
            // Each request follows from the seed and its number.
            let dice = Dice::seeded(self.seed.wrapping_mul(1 << 32).wrapping_add(number));
            let examples = Examples {
                document: &self.document,
                ids: &self.ids,
                dice: &dice,
            };
            let route = routes::any(&self.document, &dice);
            let mut draft = routes::draft(route, &examples);
            for _ in 0..dice.below(4) {
                alter::alter(&mut draft, &dice);
            }
            let bytes = alter::written(&draft, self.key(&draft), &dice);
            let started = tokio::time::Instant::now();
            let outcome = wire.exchange(&bytes, REQUEST_TIMEOUT).await;
            self.see(number, route, &draft, &bytes, outcome, started.elapsed());
        }
    }

    fn key(&self, draft: &Draft) -> Option<&str> {
        match draft.caller {
            Caller::Administrator => Some(&self.administrator),
            Caller::Application => Some(&self.application),
            Caller::Nobody => None,
        }
    }

    fn see(
        &self,
        number: u64,
        route: usize,
        draft: &Draft,
        bytes: &[u8],
        outcome: Result<WireAnswer, NoAnswer>,
        took: Duration,
    ) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.slowest = seen.slowest.max(took);
        let wrong = match outcome {
            Ok(answer) => {
                *seen.statuses.entry(answer.status).or_default() += 1;
                if answer.status == 200 {
                    *seen.succeeded.entry(route).or_default() += 1;
                    if draft.method == "POST" {
                        self.ids.learn(&draft.path, &answer.body);
                    }
                }
                let own_key_fails = answer.status == 401
                    && draft.caller != Caller::Nobody
                    && !draft
                        .headers
                        .iter()
                        .any(|(name, _)| name.starts_with("openai-"));
                (answer.status >= 500 || own_key_fails)
                    .then(|| format!("{} {}", answer.status, answer.text()))
            }
            Err(reason) => Some(format!("{reason}")),
        };
        if let Some(wrong) = wrong {
            let shown = &bytes[..bytes.len().min(4_000)];
            let request = shown.escape_ascii();
            seen.findings
                .push(format!("request {number}: {wrong}\n{request}"));
        }
    }

    /// Checks that the mutations have not removed the objects that later requests need; otherwise these would prove
    /// nothing.
    async fn keys_still_work(&self, server: &Server) {
        server
            .api(&self.administrator)
            .get("/organization/projects")
            .await;
        server.api(&self.application).get("/models").await;
    }

    #[expect(
        clippy::print_stdout,
        reason = "the summary is what somebody who runs it at length wants to see"
    )]
    fn judge(&self, log: &str, most_resident: u64) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let routes = routes::count(&self.document);
        println!(
            "{} requests with seed {}: {:?}; {} of {routes} routes succeeded; slowest {:?}; at most {} MiB",
            self.requests,
            self.seed,
            seen.statuses,
            seen.succeeded.len(),
            seen.slowest,
            most_resident / 1024 / 1024
        );
        let shown: Vec<_> = seen
            .findings
            .iter()
            .take(MAX_SHOWN)
            .map(String::as_str)
            .collect();
        assert!(
            seen.findings.is_empty(),
            "{} findings:\n{}",
            seen.findings.len(),
            shown.join("\n\n")
        );
        let bad = |line: &&str| line.contains("panicked") || line.contains("ERROR");
        assert_eq!(log.lines().find(bad), None);
        assert!(most_resident <= MAX_RESIDENT_BYTES, "{most_resident} bytes");
        let succeeded: u64 = seen.succeeded.values().sum();
        assert!(
            succeeded * 8 >= self.requests,
            "only {succeeded} succeeded: most were never looked into"
        );
        assert!(
            seen.succeeded.len() * 10 >= routes * 8,
            "routes are missing: {:?}",
            seen.succeeded
        );
    }
}
