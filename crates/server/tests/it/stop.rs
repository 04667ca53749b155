//! A stop in order: what is under way is finished and in the ledger, and nothing new is taken on.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::json;

use crate::api::Api;
use crate::installation::{Installation, Server};
use crate::model_server::{ModelServer, PRICES};
use crate::reports::{self, Sums};

/// What the model server reports for an answer that takes it a second and a half.
const SLOW: Sums = Sums {
    requests: 1,
    input: 7,
    cached: 0,
    output: 19,
};

/// A server with an application, on an installation that outlives it.
async fn serve(model_server: &ModelServer) -> (Installation, Server, Api, Api) {
    let installation = Installation::new(&model_server.settings());
    let (server, admin) = installation.first_serve();
    let (_, key) = admin.application("Patient").await;
    let application = server.api(&key);
    (installation, server, admin, application)
}

/// Asks for a slow stream; comes back with its first piece.
async fn begin_slowly(application: &Api) -> (Response, String) {
    let body = json!({
        "model": PRICES[0].model, "stream": true, "messages": [{"role": "user", "content": "Answer slowly."}],
    });
    let request = application
        .request(Method::POST, "/chat/completions")
        .json(&body);
    let mut response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let first = response
        .chunk()
        .await
        .expect("a piece")
        .expect("a first one");
    (response, String::from_utf8_lossy(&first).into_owned())
}

/// After a restart, the ledger holds exactly the one request.
async fn assert_metered(installation: &Installation, admin: &Api) {
    let server = installation.serve();
    assert_eq!(reports::usage(&server.api(&admin.key)).await, SLOW);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_under_way_ends_well() {
    let model_server = ModelServer::start();
    let (installation, server, admin, application) = serve(&model_server).await;
    let (mut response, mut text) = begin_slowly(&application).await;
    server.process.terminate();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let address = server.address.trim_start_matches("http://");
    let refused = std::net::TcpStream::connect(address);
    assert!(refused.is_err(), "nothing new is taken on");
    while let Some(piece) = response.chunk().await.expect("the stream goes on") {
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");

    let ended = server.process.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_metered(&installation, &admin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_hung_up_on_is_read_to_its_end() {
    let model_server = ModelServer::start();
    let (installation, server, admin, application) = serve(&model_server).await;
    drop(begin_slowly(&application).await);
    drop(application);
    let ended = server.stop();
    assert!(!ended.stderr.contains("ERROR"), "{ended:?}");
    assert_metered(&installation, &admin).await;
}
