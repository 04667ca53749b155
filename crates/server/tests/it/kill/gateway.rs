//! With `durability = "strict"`, an answer that was received to its end is in the ledger, whatever happens next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::lost::lost_sums;
use super::{kill_after, text};
use crate::api::Api;
use crate::dice::Dice;
use crate::installation::Installation;
use crate::model_server::{ModelServer, PRICES};
use crate::reports::{self, Sums, now};

/// Minimum number of responses received over all rounds.
const MIN_RECEIVED: usize = 300;
const CALLER_COUNT: usize = 8;
/// Usage reported by the model server for each request.
pub(super) const INPUT_TOKEN_COUNT: i64 = 1_201;
pub(super) const OUTPUT_TOKEN_COUNT: i64 = 353;

/// Responses recorded by the callers.
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
    let (_, key) = admin.application("Relentless").await;

    let calls = Calls::default();
    let mut running = Some(server);
    while calls.received() < MIN_RECEIVED {
        let server = running.take().unwrap_or_else(|| installation.serve());
        let until = calls.received() + 40 + dice.below(40) as usize;
        let mut callers = JoinSet::new();
        for number in 0..CALLER_COUNT {
            let streams = number % 2 == 0;
            callers.spawn(calls.clone().call_until_cut_off(server.api(&key), streams));
        }
        let moment = Duration::from_micros(dice.below(20_000));
        kill_after(server, callers, || calls.received() >= until, moment).await;
    }

    let server = installation.serve();
    every_answer_is_in_the_ledger(&server.api(&admin.key), &calls, &installation).await;
    server.stop();
}

async fn every_answer_is_in_the_ledger(admin: &Api, calls: &Calls, installation: &Installation) {
    let usage = reports::usage(admin).await;
    let lost = lost_sums(installation);
    let rows = usage.requests - lost.requests;
    let mut metered = Sums {
        requests: rows,
        input: rows * INPUT_TOKEN_COUNT,
        cached: 0,
        output: rows * OUTPUT_TOKEN_COUNT,
    };
    metered += lost;
    assert_eq!(usage, metered, "each row is what the model server reported");
    assert_eq!(
        reports::cost(admin).await,
        usage.cost(PRICES[0].nano_dollars)
    );
    let (received, begun) = (calls.received(), calls.begun.load(Ordering::SeqCst));
    assert!(
        (received..=begun).contains(&(usage.requests as usize)),
        "{rows} rows, of {begun} requests, of which {received} were answered"
    );

    calls.are_in_the_ledger(installation, 0);
}

impl Calls {
    pub(super) fn received(&self) -> usize {
        self.received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// The ids of requests are those of their rows: the ledger has one row for each answer that was received after the
    /// first `seen`. They are from the last hour.
    pub(super) fn are_in_the_ledger(&self, installation: &Installation, seen: usize) {
        let received = self.received.lock();
        let received = received.unwrap_or_else(PoisonError::into_inner).clone();
        let since = (now() - 3_600).to_string();
        let exported = installation.run(&["usage", "export", "--from", &since]);
        assert_eq!(exported.code, Some(0), "{exported:?}");
        let mut rows = BTreeMap::new();
        for line in exported.stdout.lines() {
            let row: Value = serde_json::from_str(line).expect("a line of JSON");
            *rows.entry(text(&row["id"])).or_insert(0) += 1;
        }
        for id in &received[seen..] {
            assert_eq!(rows.get(id), Some(&1), "{id} was answered");
        }
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

/// Sends a request, reads the response to its end and returns the id of the request.
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
