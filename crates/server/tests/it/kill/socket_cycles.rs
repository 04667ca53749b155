//! `kill -9` at random moments while responses come over WebSocket, cycle after cycle: with `durability = "strict"`, a response that
//! was received to its end is in the ledger, once, and can be continued. A client that hangs up leaves at most one row.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::kill_after;
use super::socket_peers::{CutOff, MODEL, SocketClient, SocketModelServer};
use crate::dice::Dice;
use crate::installation::{Installation, Server};
use crate::reports::now;

/// Number of cycles, unless `ORGPLANE_TEST_KILL_CYCLES` is set.
const DEFAULT_CYCLES: usize = 4;
const CALLER_COUNT: usize = 6;
/// Number of responses that are received before a kill.
const RESPONSE_COUNT: usize = 40;

/// Numbers of the responses that were received to their end. Clones share them.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<i64>>>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_response_over_websocket_is_in_the_ledger_once_after_every_kill_9() {
    let cycles = std::env::var("ORGPLANE_TEST_KILL_CYCLES").ok();
    let cycles = cycles.map_or(DEFAULT_CYCLES, |cycles| cycles.parse().expect("a number"));
    let dice = Dice::thrown();
    let model_server = SocketModelServer::start().await;
    let settings = format!(
        "[metering]\ndurability = \"strict\"\n{}[[price]]\nmodel = \"{MODEL}\"\neffective = \"2026-01-01\"\n\
         input = \"1.25\"\noutput = \"10.00\"\n",
        model_server.settings()
    );
    let installation = Installation::new(&settings);
    let (server, admin) = installation.first_serve();
    let (_, key) = admin.application("Talkative").await;
    let received = Received::default();
    let mut running = Some(server);
    for _ in 0..cycles {
        let server = running.take().unwrap_or_else(|| installation.serve());
        let until = received.get().len() + RESPONSE_COUNT + dice.below(20) as usize;
        let mut callers = JoinSet::new();
        for number in 0..CALLER_COUNT {
            let (received, address) = (received.clone(), server.address.clone());
            let (key, hangs_up) = (key.clone(), number % 3 == 0);
            callers.spawn(async move {
                // The kill ends it.
                let Err(CutOff) = received.call(&address, &key, hangs_up).await;
            });
        }
        let moment = Duration::from_micros(dice.below(20_000));
        kill_after(server, callers, || received.get().len() >= until, moment).await;
        let server = installation.serve();
        is_whole(&installation, &received, model_server.made());
        received.last_is_continued(&server, &key).await;
        running = Some(server);
    }
    running.expect("a server").stop();
}

/// After a restart, the ledger has a row for each response that was received, and no two for any.
fn is_whole(installation: &Installation, received: &Received, made: i64) {
    let ended = installation.run(&["usage", "verify"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let since = (now() - 3_600).to_string();
    let exported = installation.run(&["usage", "export", "--from", &since]);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let mut rows = BTreeMap::new();
    for line in exported.stdout.lines() {
        let row: Value = serde_json::from_str(line).expect("a line of JSON");
        if row["outcome"] == "node_lost" {
            continue;
        }
        assert_eq!(
            row["output_tokens"],
            json!(1),
            "as the model server reported: {row}"
        );
        *rows.entry(row["input_tokens"].as_i64()).or_insert(0) += 1;
    }
    for (number, count) in &rows {
        let is_made = number.is_some_and(|number| (1..=made).contains(&number));
        assert!(is_made && *count == 1, "{number:?} has {count} rows");
    }
    for number in received.get().iter() {
        assert!(rows.contains_key(&Some(*number)), "{number} was received");
    }
}

impl Received {
    fn get(&self) -> MutexGuard<'_, Vec<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks again and again until the server is gone: a response to its end, the one after it, and, if it `hangs_up`, one whose
    /// client leaves after the first event.
    async fn call(
        &self,
        address: &str,
        key: &str,
        hangs_up: bool,
    ) -> Result<std::convert::Infallible, CutOff> {
        loop {
            let mut client = SocketClient::connect(address, key).await?;
            for _ in 0..3 {
                client.ask(None).await?;
                let number = client.response().await?;
                self.get().push(number);
                client.ask(Some(number)).await?;
                let number = client.response().await?;
                self.get().push(number);
            }
            if hangs_up {
                client.ask(None).await?;
                client.event().await?;
            }
        }
    }

    /// The response that was received last before the kill can be continued on a new connection.
    async fn last_is_continued(&self, server: &Server, key: &str) {
        let last = self.get().last().copied();
        let mut client = SocketClient::connect(&server.address, key).await;
        let client = client.as_mut().expect("a connection");
        client.ask(last).await.expect("sent");
        let number = client.response().await.expect("a response");
        self.get().push(number);
    }
}
