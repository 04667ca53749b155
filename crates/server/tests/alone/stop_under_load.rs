//! A stop while answers are under way, again and again: each answer that has begun is a row of the ledger, once, and the
//! process is gone in time.

use std::time::Duration;

use poll::ScenarioDelay;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::api::Api;
use crate::dice::Dice;
use crate::installation::Installation;
use crate::machine;
use crate::model_stub::{FLOOD, LASTING, ModelStub};

/// The number of stops while all answers can end, and while some of them cannot.
const SHORT_STOP_COUNT: usize = 15;
const LONG_STOP_COUNT: usize = 5;
/// The number of servers that are stopped at the same time.
const CONCURRENT_STOP_COUNT: usize = 5;
/// From the signal to the end of the process.
const MAX_STOP: Duration = Duration::from_secs(25);
/// The longest that the test waits for the end, so that it can say which rows are missing then.
const END_TIMEOUT: Duration = Duration::from_secs(90);
/// The number of lines of its log that are shown of a server that took too long.
const LOG_LINE_COUNT: usize = 5;
/// Longer than any stop, in milliseconds.
const ENDLESS_COUNT: u64 = 120_000;

/// The behaviour of a client once an answer has begun.
#[derive(Clone, Copy)]
enum Client {
    Reads,
    HangsUp,
    DoesNotRead,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s16_every_answer_that_has_begun_is_one_row_after_a_stop() {
    let _machine = machine().await;
    let dice = Dice::thrown();
    let stub = ModelStub::start().await;
    for _ in 0..SHORT_STOP_COUNT / CONCURRENT_STOP_COUNT {
        stop_some(&stub, &dice, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s16_answers_that_are_cut_at_the_deadline_are_rows_too() {
    let _machine = machine().await;
    let dice = Dice::thrown();
    let stub = ModelStub::start().await;
    for _ in 0..LONG_STOP_COUNT / CONCURRENT_STOP_COUNT {
        stop_some(&stub, &dice, true).await;
    }
}

/// Stops several servers, each with answers of its own.
async fn stop_some(stub: &ModelStub, dice: &Dice, with_endless: bool) {
    let mut stops = JoinSet::new();
    for number in 0..CONCURRENT_STOP_COUNT {
        stops.spawn(stop_one(
            stub.setting(&["cheap"]),
            dice.clone(),
            with_endless,
            number,
        ));
    }
    let wrong: Vec<String> = stops.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Begins answers, stops the server, and says what is wrong then.
async fn stop_one(settings: String, dice: Dice, with_endless: bool, number: usize) -> Vec<String> {
    let installation = Installation::new(&settings);
    let (server, admin) = installation.first_serve();
    let (_, key) = admin.application("Patient").await;
    let application = server.api(&key);
    let mut asked = JoinSet::new();
    for (client, content) in requests(&dice, with_endless) {
        asked.spawn(begin(application.clone(), client, content));
    }
    let begun = asked.join_all().await;
    let ids: Vec<String> = begun.iter().map(|(_, response)| id(response)).collect();
    let mut clients = JoinSet::new();
    for (client, response) in begun {
        clients.spawn(go_on(client, response));
    }
    let moment = Duration::from_millis(dice.below(500));
    ScenarioDelay(moment).elapse().await;

    let process = server.process;
    process.terminate();
    let signalled = Instant::now();
    let ended = tokio::task::spawn_blocking(move || process.ended_within(END_TIMEOUT)).await;
    let (took, ended) = (signalled.elapsed(), ended.expect("it ends"));
    clients.abort_all();
    let mut wrong = Vec::new();
    if took > MAX_STOP {
        let log: Vec<&str> = ended.stderr.lines().rev().take(LOG_LINE_COUNT).collect();
        let log = log.into_iter().rev().collect::<Vec<_>>().join("\n");
        wrong.push(format!("server {number} took {took:?} to stop:\n{log}"));
    }
    if ended.code != Some(0) || ended.stderr.contains("panicked") {
        wrong.push(format!("server {number} ended with {ended:?}"));
    }
    wrong.extend(rows_that_are_not(&installation, &ids, number));
    wrong
}

/// Returns requests for answers that end soon, of clients that read them or hang up, and for some that do not end.
fn requests(dice: &Dice, with_endless: bool) -> Vec<(Client, String)> {
    let mut requests = Vec::new();
    for client in [Client::Reads, Client::Reads, Client::Reads, Client::HangsUp] {
        for _ in 0..3 {
            requests.push((client, format!("{LASTING}{}", dice.below(2_000))));
        }
    }
    if with_endless {
        for client in [Client::Reads, Client::Reads, Client::Reads, Client::HangsUp] {
            requests.push((client, format!("{LASTING}{ENDLESS_COUNT}")));
        }
        requests.push((Client::DoesNotRead, FLOOD.to_owned()));
        requests.push((Client::DoesNotRead, FLOOD.to_owned()));
    }
    requests
}

/// Asks for a stream; comes back with its head.
async fn begin(application: Api, client: Client, content: String) -> (Client, Response) {
    let body = json!({"model": "cheap", "stream": true, "messages": [{"role": "user", "content": content}]});
    let request = application.request(Method::POST, "/chat/completions");
    let response = request.json(&body).send().await.expect("an answer");
    if response.status() != 200 {
        panic!("refused: {}", response.text().await.expect("a body"));
    }
    (client, response)
}

fn id(response: &Response) -> String {
    let id = response.headers()["x-request-id"].to_str();
    id.expect("visible ASCII").to_owned()
}

async fn go_on(client: Client, mut response: Response) {
    match client {
        // To the end, whatever it is.
        Client::Reads => while let Ok(Some(_)) = response.chunk().await {},
        Client::HangsUp => drop(response),
        Client::DoesNotRead => {
            std::future::pending::<()>().await;
            drop(response);
        }
    }
}

/// Compares the rows of the ledger with the answers: there is one for each, and no other.
fn rows_that_are_not(installation: &Installation, ids: &[String], number: usize) -> Vec<String> {
    let exported = installation.run(&["usage", "export", "--format", "ndjson"]);
    let rows: Vec<Value> = exported
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let count = |id: &String| {
        let is_it = |row: &&Value| {
            row["id"]
                .as_str()
                .is_some_and(|found| found.contains(id.as_str()))
        };
        rows.iter().filter(is_it).count()
    };
    let missing = ids.iter().filter(|id| count(id) == 0).count();
    let doubled = ids.iter().filter(|id| count(id) > 1).count();
    let mut wrong = Vec::new();
    if missing > 0 || doubled > 0 || rows.len() != ids.len() {
        wrong.push(format!(
            "server {number}: {} answers have begun, {} rows: {missing} are missing, {doubled} are there twice",
            ids.len(),
            rows.len()
        ));
    }
    let verified = installation.run(&["usage", "verify"]);
    if verified.code != Some(0) {
        wrong.push(format!("server {number}: {verified:?}"));
    }
    wrong
}
