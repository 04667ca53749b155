//! An attack of one project's keys, which do everything at once that costs a server time, memory, connections or places in
//! a queue. Another project, which sends fifty requests a second meanwhile, does not notice.

mod attacks;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use poll::ScenarioDelay;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::api::Api;
use crate::installation::{Installation, Server};
use crate::machine;
use crate::model_stub::ModelStub;
use crate::wire::{Wire, request};
use attacks::Attacker;

const CALM_INTERVAL: Duration = Duration::from_secs(5);
const ATTACK_INTERVAL: Duration = Duration::from_secs(20);
/// Between two requests of the other project, and between two looks at `/healthz`.
const REQUEST_INTERVAL: Duration = Duration::from_millis(20);
const HEALTH_INTERVAL: Duration = Duration::from_millis(100);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The factor by which the slowest of a hundred requests may become slower.
const MAX_SLOWDOWN: u32 = 3;
/// The least that a calm server is taken to need. Attackers, model server and clients share the test's machine with the
/// server, as may other tests: of two or three milliseconds the machine itself makes ten. What the attacks did to a server
/// that they could stop was measured in seconds.
const MIN_CALM: Duration = Duration::from_millis(50);
/// The longest that the slowest of a hundred requests to `/healthz` may take, beyond what it takes a server that nobody attacks: that
/// one is measured at the same time on the same machine, so that what the machine is busy with otherwise decides nothing.
const MAX_HEALTH: Duration = Duration::from_millis(100);
/// The most that a busy machine excuses.
const MAX_NOISE: Duration = Duration::from_millis(500);
/// The most memory that the server may occupy: its budgets for bodies and for answers under way, and what else it needs.
const MAX_RESIDENT_BYTES: u64 = 1024 * 1024 * 1024;
/// The number of files that the attackers list.
const FILE_COUNT: usize = 100;
/// The number of the attackers' keys.
const KEY_COUNT: usize = 4;

/// The measurements of a client: the time of each answer since it was due, and the answers that failed.
#[derive(Default)]
struct Measured {
    times: Vec<Duration>,
    failures: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hostile_tenant_is_not_noticed_by_another_project() {
    let _machine = machine().await;
    raise_descriptors();
    let stub = ModelStub::start().await;
    let installation = Installation::new(&stub.setting(&["cheap"]));
    let (server, admin) = installation.first_serve();
    let other = application(&admin, "Other", 1).await.remove(0);
    let attacker = Attacker {
        server: address(&server),
        from: SocketAddr::from(([127, 0, 0, 2], 0)),
        keys: application(&admin, "Hostile", KEY_COUNT).await,
    };
    fill(&server, &attacker.keys[0]).await;

    let (calm, _) = measure(&server, &other, CALM_INTERVAL).await;
    let aside = Aside::start(&stub).await;
    let attacks = attacker.begin();
    let resident = async {
        let (until, mut most) = (Instant::now() + ATTACK_INTERVAL, 0);
        while Instant::now() < until {
            most = most.max(server.process.resident_bytes());
            ScenarioDelay(HEALTH_INTERVAL).elapse().await;
        }
        most
    };
    let ((attacked, health), (spared, spared_health), most_resident) = tokio::join!(
        measure(&server, &other, ATTACK_INTERVAL),
        measure(&aside.server, &aside.key, ATTACK_INTERVAL),
        resident
    );
    drop(attacks);
    let log = server.process.stderr();
    server.process.kill();
    let calm_p99 = calm.p99().max(spared.p99().min(MAX_NOISE)).max(MIN_CALM);
    let most = Bounds {
        request: calm_p99 * MAX_SLOWDOWN,
        health: MAX_HEALTH + spared_health.p99().min(MAX_NOISE),
    };
    judge(&calm, &attacked, &health, most_resident, &most);
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s12_unread_streams_of_one_key_leave_places_for_other_projects() {
    let _machine = machine().await;
    raise_descriptors();
    let stub = ModelStub::start().await;
    let installation = Installation::new(&stub.setting(&["cheap"]));
    let (server, admin) = installation.first_serve();
    let other = application(&admin, "Other", 1).await.remove(0);
    let attacker = Attacker {
        server: address(&server),
        from: SocketAddr::from(([127, 0, 0, 2], 0)),
        keys: application(&admin, "Hostile", 1).await,
    };
    let streams = attacker.take_all_places().await;
    let body = json!({"model": "cheap", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}]});
    let bytes = request("POST", "/chat/completions", &other, &body.to_string());
    let mut wire = Wire::to(&server.address);
    for _ in 0..20 {
        let answer = wire.exchange(&bytes, REQUEST_TIMEOUT).await;
        let answer = answer.unwrap_or_else(|reason| panic!("{reason}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    drop(streams);
    server.process.kill();
}

/// A server that nobody attacks, on the same machine.
struct Aside {
    server: Server,
    key: String,
    _installation: Installation,
}

impl Aside {
    async fn start(stub: &ModelStub) -> Self {
        let installation = Installation::new(&stub.setting(&["cheap"]));
        let (server, admin) = installation.first_serve();
        let key = application(&admin, "Spared", 1).await.remove(0);
        Self {
            server,
            key,
            _installation: installation,
        }
    }
}

/// The longest that answers may take.
struct Bounds {
    request: Duration,
    health: Duration,
}

/// The clients of this process have as many descriptors as it may have.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("no more than the most");
}

fn address(server: &Server) -> SocketAddr {
    let address = server.address.trim_start_matches("http://");
    address.parse().expect("an address")
}

/// A project whose rate limits are no hindrance, with so many keys.
async fn application(admin: &Api, name: &str, count: usize) -> Vec<String> {
    let (project, key) = admin.application(name).await;
    let limits = json!({"max_requests_per_1_minute": 1_000_000, "max_requests_per_1_day": 1_000_000_000, "max_tokens_per_1_minute": 1_000_000_000});
    let path = format!("/organization/projects/{project}/rate_limits/rl-cheap");
    admin.post(&path, &limits).await;
    let mut keys = vec![key];
    while keys.len() < count {
        let path = format!("/organization/projects/{project}/service_accounts");
        let account = admin.post(&path, &json!({"name": name})).await;
        keys.push(
            account["api_key"]["value"]
                .as_str()
                .expect("a key")
                .to_owned(),
        );
    }
    keys
}

/// Uploads what is listed later, as far as the server lets it.
async fn fill(server: &Server, key: &str) {
    let form = "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n--x\r\n\
                Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n{}\r\n--x--\r\n";
    let length = form.len();
    let upload = format!(
        "POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         content-type: multipart/form-data; boundary=x\r\ncontent-length: {length}\r\n\r\n{form}"
    );
    let mut wire = Wire::to(&server.address);
    for _ in 0..FILE_COUNT {
        let answer = wire.exchange(upload.as_bytes(), REQUEST_TIMEOUT).await;
        assert!(answer.is_ok_and(|answer| answer.status < 500));
    }
}

/// Measures the other project's requests, and those to `/healthz`.
async fn measure(server: &Server, key: &str, span: Duration) -> (Measured, Measured) {
    let body = json!({"model": "cheap", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}]});
    let model = request("POST", "/chat/completions", key, &body.to_string());
    let health = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n".to_vec();
    tokio::join!(
        at_intervals(&server.address, model, REQUEST_INTERVAL, span),
        at_intervals(&server.address, health, HEALTH_INTERVAL, span),
    )
}

/// Sends a request at fixed intervals, however long the answers before it take.
async fn at_intervals(
    address: &str,
    bytes: Vec<u8>,
    interval: Duration,
    span: Duration,
) -> Measured {
    let wires = Arc::new(Mutex::new(Vec::new()));
    let (bytes, start) = (Arc::new(bytes), Instant::now());
    let mut requests = JoinSet::new();
    let mut due = start;
    while due < start + span {
        sleep_until(due).await;
        let (wires, bytes, address) = (Arc::clone(&wires), Arc::clone(&bytes), address.to_owned());
        requests.spawn(async move {
            let kept = wires.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut wire = kept.unwrap_or_else(|| Wire::to(&address));
            let outcome = wire.exchange(&bytes, REQUEST_TIMEOUT).await;
            wires
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(wire);
            let failure = match outcome {
                Ok(answer) if answer.status == 200 => None,
                Ok(answer) => Some(format!("{} {}", answer.status, answer.text())),
                Err(reason) => Some(reason.to_string()),
            };
            (due.elapsed(), failure)
        });
        due += interval;
    }
    let mut measured = Measured::default();
    for (time, failure) in requests.join_all().await {
        measured.times.push(time);
        measured.failures.extend(failure);
    }
    measured.times.sort();
    measured
}

impl Measured {
    /// The time within which 99 of 100 answers came.
    fn p99(&self) -> Duration {
        self.times[self.times.len() * 99 / 100]
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the figures are what somebody who runs it wants to see"
)]
fn judge(
    calm: &Measured,
    attacked: &Measured,
    health: &Measured,
    most_resident: u64,
    most: &Bounds,
) {
    println!(
        "calm p99 {:?}, attacked p99 {:?} ({} of {} failed), /healthz p99 {:?} ({} failed), at most {} MiB",
        calm.p99(),
        attacked.p99(),
        attacked.failures.len(),
        attacked.times.len(),
        health.p99(),
        health.failures.len(),
        most_resident / 1024 / 1024,
    );
    assert_eq!(calm.failures, Vec::<String>::new(), "a calm server answers");
    let mut wrong = Vec::new();
    for (name, measured) in [("requests", attacked), ("/healthz", health)] {
        if let Some(first) = measured.failures.first() {
            wrong.push(format!(
                "{} {name} failed, the first with {first}",
                measured.failures.len()
            ));
        }
    }
    let times = [
        ("requests", attacked.p99(), most.request),
        ("/healthz", health.p99(), most.health),
    ];
    for (name, p99, most) in times {
        if p99 > most {
            wrong.push(format!("p99 of {name} is {p99:?}, more than {most:?}"));
        }
    }
    if most_resident > MAX_RESIDENT_BYTES {
        wrong.push(format!("{} MiB are occupied", most_resident / 1024 / 1024));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
