//! Batches that are being made when the server is killed: together they never pass the limit of their organization.

use std::time::Duration;

use poll::ScenarioDelay;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::Api;
use crate::dice::Dice;
use crate::installation::Installation;
use crate::model_server::{ModelServer, PRICES};

/// A batch may write 100,000 tokens at 10 dollars for a million, so 19 and what they read have room in 20 dollars.
const MAX_TOKENS: i64 = 100_000;
const CENT_LIMIT: i64 = 2_000;
const FITTING_COUNT: usize = 19;
const MAKER_COUNT: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_batches_pass_no_limit_after_kill_9() {
    let dice = Dice::thrown();
    let model_server = ModelServer::start();
    let upstream = model_server.upstream("/v1", &[PRICES[0].model]);
    let settings = upstream + "stores = true\n" + &PRICES[0].setting();
    let installation = Installation::new(&settings);
    let (server, admin) = installation.first_serve();
    let (_, key) = admin.application("Batches").await;
    let limit = json!({"threshold_amount": CENT_LIMIT, "currency": "USD", "interval": "month"});
    admin.post("/organization/spend_limit", &limit).await;
    let file = upload(&server.api(&key)).await;

    let (mut made, mut kills) = (0, 0);
    let mut running = Some(server);
    loop {
        let server = running.take().unwrap_or_else(|| installation.serve());
        let mut makers = JoinSet::new();
        for _ in 0..MAKER_COUNT {
            makers.spawn(make(server.api(&key), file.clone()));
        }
        let moment = Duration::from_micros(20_000 + dice.below(30_000));
        ScenarioDelay(moment).elapse().await;
        if kills < 3 {
            server.process.kill();
            kills += 1;
            made += makers.join_all().await.iter().sum::<usize>();
            continue;
        }
        made += makers.join_all().await.iter().sum::<usize>();
        server.stop();
        break;
    }
    // Each kill may leave what its makers were at, which is reserved for until that expires.
    let least = FITTING_COUNT - kills * MAKER_COUNT;
    assert!((least..=FITTING_COUNT).contains(&made), "{made} were made");
}

/// Uploads the input of a batch, of one request; its id.
async fn upload(application: &Api) -> String {
    let request = json!({"model": PRICES[0].model, "max_tokens": MAX_TOKENS, "messages": []});
    let line =
        json!({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": request});
    let body = format!(
        "--xx\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
         --xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n{line}\r\n--xx--\r\n"
    );
    let request = application.request(Method::POST, "/files");
    let request = request.header("content-type", "multipart/form-data; boundary=xx");
    let answer = request.body(body).send().await.expect("an answer");
    let file: Value = answer.json().await.expect("JSON");
    file["id"].as_str().expect("an id").to_owned()
}

/// Makes batches until the server is gone, or refuses one for the limit's sake; how many.
async fn make(application: Api, file: String) -> usize {
    let body = json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let mut made = 0;
    loop {
        let Ok((status, answer)) = application.try_post("/batches", &body).await else {
            return made;
        };
        match status {
            200 => made += 1,
            429 => {
                assert_eq!(answer["error"]["code"], "insufficient_quota", "{answer}");
                return made;
            }
            _ => panic!("{status}: {answer}"),
        }
    }
}
