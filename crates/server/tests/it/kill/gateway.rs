//! With `durability = "strict"`, an answer that was received to its end is in the ledger, whatever happens next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::report;
use crate::api::Api;
use crate::dice::Dice;
use crate::installation::Installation;
use crate::model_server::{ModelServer, PRICES};
use crate::reports::{self, Sums, now};

/// How many answers are received over all rounds, at least.
const RECEIVED: usize = 300;
const CALLERS: usize = 8;
/// What the model server reports for each request.
pub(super) const INPUT: i64 = 1_201;
pub(super) const OUTPUT: i64 = 353;

/// What the callers remember.
#[derive(Clone, Default)]
pub(super) struct Calls {
    /// The ids of the requests whose answers were received to their end.
    received: Arc<Mutex<Vec<String>>>,
    pub(super) begun: Arc<AtomicUsize>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_answer_is_in_the_ledger_after_kill_9() {
    let dice = Dice::thrown();
    let model_server = ModelServer::start();
    let settings = format!(
        "[metering]\ndurability = \"strict\"\n{}",
        model_server.settings()
    );
    let installation = Installation::new(&settings);
    let (server, admin) = installation.first_serve();
    let (project, key) = admin.application("Relentless").await;

    let calls = Calls::default();
    let mut running = Some(server);
    while calls.received() < RECEIVED {
        let server = running.take().unwrap_or_else(|| installation.serve());
        let until = calls.received() + 40 + dice.below(40) as usize;
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let streams = number % 2 == 0;
            callers.spawn(calls.clone().call_until_cut_off(server.api(&key), streams));
        }
        while calls.received() < until && !callers.is_empty() {
            if let Some(ended) = callers.try_join_next() {
                ended.expect("nobody is refused or cut off before the kill");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(dice.below(20_000))).await;
        server.process.kill();
        callers.join_all().await;
    }

    let server = installation.serve();
    every_answer_is_in_the_ledger(&server.api(&admin.key), &calls, &project).await;
    server.stop();
}

async fn every_answer_is_in_the_ledger(admin: &Api, calls: &Calls, project: &str) {
    let usage = reports::usage(admin).await;
    let rows = usage.requests;
    let metered = Sums {
        requests: rows,
        input: rows * INPUT,
        cached: 0,
        output: rows * OUTPUT,
    };
    assert_eq!(usage, metered, "each row is what the model server reported");
    assert_eq!(
        reports::cost(admin).await,
        usage.cost(PRICES[0].nano_dollars)
    );
    let (received, begun) = (calls.received(), calls.begun.load(Ordering::SeqCst));
    assert!(
        (received..=begun).contains(&(rows as usize)),
        "{rows} rows, of {begun} requests, of which {received} were answered"
    );

    calls.are_in_the_ledger(admin, project, 0).await;
    assert_eq!(reports::usage(admin).await, usage);
}

impl Calls {
    pub(super) fn received(&self) -> usize {
        self.received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Those after the first `seen` whose answers were received are known by their ids.
    pub(super) async fn are_in_the_ledger(&self, admin: &Api, project: &str, seen: usize) {
        let received = self.received.lock();
        let received = received.unwrap_or_else(PoisonError::into_inner).clone();
        // The id of a request is that of its event, so an event of the same id is known.
        let event = |id: &String| {
            json!({
                "id": id, "timestamp": now(), "type": "completions", "project_id": project, "model": PRICES[0].model,
                "input_tokens": 1, "output_tokens": 1,
            })
        };
        let events: Vec<Value> = received[seen..].iter().map(event).collect();
        assert_eq!(report(admin, &events).await, (0, events.len() as u64));
    }

    /// Asks again and again until the server is gone.
    pub(super) async fn call_until_cut_off(self, application: Api, streams: bool) {
        loop {
            self.begun.fetch_add(1, Ordering::SeqCst);
            let Ok(id) = call(&application, streams).await else {
                return;
            };
            self.received
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(id);
        }
    }
}

/// One call, received to its end; the request's id.
async fn call(application: &Api, streams: bool) -> reqwest::Result<String> {
    let body = json!({
        "model": PRICES[0].model, "stream": streams, "messages": [{"role": "user", "content": "Say hello."}],
    });
    let request = application
        .request(Method::POST, "/chat/completions")
        .json(&body);
    let response = request.send().await?;
    let status = response.status();
    let id = response.headers().get("x-request-id").cloned();
    let text = response.text().await?;
    let is_whole = if streams {
        text.ends_with("data: [DONE]\n\n")
    } else {
        serde_json::from_str::<Value>(&text).is_ok_and(|answer| answer["usage"].is_object())
    };
    assert!(status.is_success() && is_whole, "{status}: {text}");
    let id = id.expect("each answer names its request");
    Ok(id.to_str().expect("visible ASCII").to_owned())
}
