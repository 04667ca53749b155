//! Responses in the background while the server is killed: each whose id a client got is in the ledger once, whoever asks for it
//! and whenever.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::StreamExt;
use poll::ScenarioDelay;
use reqwest::Method;
use serde_json::{Value, json};
use store::{Store, sql};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::gateway::{INPUT_TOKEN_COUNT, OUTPUT_TOKEN_COUNT};
use super::{kill_after, text};
use crate::api::Api;
use crate::dice::Dice;
use crate::installation::Installation;
use crate::reports::{self, Sums, now};

/// Name of the model that answers in the background.
const MODEL: &str = "unhurried";
/// Number of rounds; each kills the server.
const ROUND_COUNT: usize = 4;
const CALLER_COUNT: usize = 6;
/// Delay until a response has ended.
const RESPONSE_DELAY: Duration = Duration::from_millis(150);

/// Model server in the test's own process, which makes responses in the background, and the responses that clients know of.
#[derive(Clone)]
pub(super) struct BackgroundCalls {
    address: SocketAddr,
    pub(super) begun: Arc<AtomicUsize>,
    /// The ids of the requests, and of their responses, that clients got.
    received: Arc<Mutex<Vec<(String, String)>>>,
}

/// The times at which responses were begun.
type Responses = Arc<Mutex<HashMap<String, Instant>>>;

/// Use that a client makes of a response.
#[derive(Clone, Copy)]
enum Use {
    /// Asks for it once, and does not come back.
    Leave,
    /// Asks for it until it has ended.
    Fetch,
    /// Takes its events to the end.
    Stream,
    /// Hangs up after the first event.
    HangUp,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_in_the_background_is_metered_once_after_kill_9() {
    let dice = Dice::thrown();
    let calls = BackgroundCalls::start().await;
    let installation = Installation::new(&calls.settings());
    let (server, admin) = installation.first_serve();
    let (_, application) = admin.application("Unhurried").await;
    let mut running = Some(server);
    let mut seen = 0;
    for _ in 0..ROUND_COUNT {
        let server = running.take().unwrap_or_else(|| installation.serve());
        let mut callers = JoinSet::new();
        for _ in 0..CALLER_COUNT {
            let api = server.api(&application);
            callers.spawn(calls.clone().call_until_cut_off(api));
        }
        let until = seen + 10 + dice.below(20) as usize;
        let moment = Duration::from_micros(dice.below(200_000));
        kill_after(server, callers, || calls.received() >= until, moment).await;
        let server = installation.serve();
        let api = server.api(&application);
        calls.are_in_the_ledger(&installation, &api, seen).await;
        seen = calls.received();
        running = Some(server);
    }
    let server = running.expect("a server");
    let usage = reports::usage(&server.api(&admin.key)).await;
    let rows = usage.requests;
    let metered = Sums {
        requests: rows,
        input: rows * INPUT_TOKEN_COUNT,
        cached: 0,
        output: rows * OUTPUT_TOKEN_COUNT,
    };
    assert_eq!(usage, metered, "each row is what the model server reported");
    let begun = calls.begun.load(Ordering::SeqCst);
    assert!((seen..=begun).contains(&usize::try_from(rows).expect("some")));
    let verified = installation.run(&["usage", "verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    server.stop();
}

impl BackgroundCalls {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new()
            .route("/v1/responses", post(create))
            .route("/v1/responses/{id}", get(retrieve))
            .with_state(Responses::default());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            begun: Arc::default(),
            received: Arc::default(),
        }
    }

    /// Settings for an installation that forwards to the server.
    pub(super) fn settings(&self) -> String {
        format!(
            "[[upstream]]\nname = \"background\"\nbase_url = \"http://{}/v1\"\nmodels = [\"{MODEL}\"]\nstores = true\n\
             [[price]]\nmodel = \"{MODEL}\"\neffective = \"2026-01-01\"\n\
             input = \"1.25\"\ncached_input = \"0.125\"\noutput = \"10.00\"\n",
            self.address
        )
    }

    pub(super) fn received(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, String)>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for responses until the server is gone.
    pub(super) async fn call_until_cut_off(self, application: Api) {
        for how in [Use::Leave, Use::Fetch, Use::Stream, Use::HangUp]
            .into_iter()
            .cycle()
        {
            self.begun.fetch_add(1, Ordering::SeqCst);
            if self.call(&application, how).await.is_err() {
                return;
            }
        }
    }

    async fn call(&self, application: &Api, how: Use) -> reqwest::Result<()> {
        let streams = matches!(how, Use::Stream | Use::HangUp);
        let body = json!({"model": MODEL, "input": "Say hello.", "background": true, "stream": streams,
                          "max_output_tokens": 1_000});
        let request = application.request(Method::POST, "/responses").json(&body);
        let mut response = request.send().await?;
        assert_eq!(response.status(), 200);
        let request = response.headers().get("x-request-id").cloned();
        let request = request.expect("each answer names its request");
        let request = request.to_str().expect("visible ASCII").to_owned();
        if !streams {
            let answer: Value = response.json().await?;
            let id = text(&answer["id"]);
            self.lock().push((request, id.clone()));
            if matches!(how, Use::Fetch) {
                fetch(application, &id).await?;
            }
            return Ok(());
        }
        let mut events = String::new();
        let mut is_known = false;
        while let Some(piece) = response.chunk().await? {
            events.push_str(&String::from_utf8_lossy(&piece));
            if let Some((first, _)) = events.split_once("\n\n").filter(|_| !is_known) {
                let first = first.strip_prefix("data: ").expect("data");
                let first: Value = serde_json::from_str(first).expect("JSON");
                self.lock()
                    .push((request.clone(), text(&first["response"]["id"])));
                is_known = true;
            }
            if is_known && matches!(how, Use::HangUp) {
                return Ok(());
            }
        }
        assert!(events.contains("response.completed"), "{events}");
        Ok(())
    }

    /// Waits until every response that the installation has recorded is metered; those that clients got after the first `seen` are
    /// in the ledger once. They are from the last hour.
    pub(super) async fn are_in_the_ledger(
        &self,
        installation: &Installation,
        application: &Api,
        seen: usize,
    ) {
        let received = self.lock()[seen..].to_vec();
        for (_, response) in &received {
            fetch(application, response).await.expect("an answer");
        }
        let database = Store::open(&installation.database_url()).await;
        let database = database.expect("the database");
        poll::until("every response is metered", async || {
            let unmetered = sql!(
                "SELECT COUNT(*) AS count FROM stored_objects WHERE kind = 'response' AND due_at IS NOT NULL"
            );
            let mut read = database.read().await.expect("a read");
            let unmetered = read.fetch_one(unmetered, |row| row.get::<i64>("count"));
            unmetered.await.expect("a count") == 0
        })
        .await;
        let since = (now() - 3_600).to_string();
        let exported = installation.run(&["usage", "export", "--from", &since]);
        assert_eq!(exported.code, Some(0), "{exported:?}");
        let mut rows = BTreeMap::new();
        for line in exported.stdout.lines() {
            let row: Value = serde_json::from_str(line).expect("a line of JSON");
            *rows.entry(text(&row["id"])).or_insert(0) += 1;
        }
        for (request, response) in &received {
            assert_eq!(rows.get(request), Some(&1), "{response} was received");
        }
    }
}

/// Asks for a response until it has ended.
async fn fetch(application: &Api, response: &str) -> reqwest::Result<()> {
    loop {
        let request = application.request(Method::GET, &format!("/responses/{response}"));
        let answer = request.send().await?;
        assert_eq!(answer.status(), 200, "{response}");
        let answer: Value = answer.json().await?;
        if answer["status"] == "completed" {
            return Ok(());
        }
        ScenarioDelay(RESPONSE_DELAY).elapse().await;
    }
}

/// Begins a response.
fn create(State(responses): State<Responses>, body: Bytes) -> Ready<Response> {
    let body = String::from_utf8(body.into()).expect("UTF-8");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["background"], true);
    let id = {
        let mut responses = responses.lock().unwrap_or_else(PoisonError::into_inner);
        let id = format!("resp_{}", responses.len());
        responses.insert(id.clone(), Instant::now());
        id
    };
    let created = described(&id, "queued");
    if body["stream"] != true {
        return ready(answer("application/json", Body::from(created.to_string())));
    }
    let event = |name: &str, response: Value| {
        let event = json!({"type": name, "response": response});
        Bytes::from(format!("data: {event}\n\n"))
    };
    let created = event("response.created", created);
    let completed = event("response.completed", described(&id, "completed"));
    let rest = futures_util::stream::once(async move {
        ScenarioDelay(RESPONSE_DELAY).elapse().await;
        Ok::<_, Infallible>(completed)
    });
    let events = futures_util::stream::iter([Ok(created)]).chain(rest);
    ready(answer("text/event-stream", Body::from_stream(events)))
}

fn retrieve(State(responses): State<Responses>, Path(id): Path<String>) -> Ready<Response> {
    let responses = responses.lock().unwrap_or_else(PoisonError::into_inner);
    let has_ended = responses[&id].elapsed() >= RESPONSE_DELAY;
    let status = if has_ended {
        "completed"
    } else {
        "in_progress"
    };
    let response = described(&id, status).to_string();
    ready(answer("application/json", Body::from(response)))
}

fn answer(content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    let content_type = http::HeaderValue::from_static(content_type);
    response.headers_mut().insert("content-type", content_type);
    response
}

fn described(id: &str, status: &str) -> Value {
    let usage = json!({"input_tokens": INPUT_TOKEN_COUNT, "output_tokens": OUTPUT_TOKEN_COUNT});
    let usage = Some(usage).filter(|_| status == "completed");
    json!({"id": id, "object": "response", "status": status, "background": true, "model": MODEL,
           "output": [], "usage": usage})
}
