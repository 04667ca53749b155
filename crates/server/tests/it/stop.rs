//! A stop in order: what is under way is finished and in the ledger, and nothing new is taken on.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::api::Api;
use crate::installation::{Installation, Server};
use crate::model_server::{ModelServer, PRICES};
use crate::reports::{self, Sums};

/// Usage reported by the model server for a response that takes 1.5 seconds.
const SLOW: Sums = Sums {
    requests: 1,
    input: 7,
    cached: 0,
    output: 19,
};

/// A server with an application, on an installation that outlives it.
pub async fn serve(model_server: &ModelServer) -> (Installation, Server, Api, Api) {
    let installation = Installation::new(&model_server.settings());
    let (server, admin) = installation.first_serve();
    let (_, key) = admin.application("Patient").await;
    let application = server.api(&key);
    (installation, server, admin, application)
}

/// Asks for a slow stream; comes back with its first piece.
pub async fn begin_slowly(application: &Api) -> (Response, String) {
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
    let address = server.address.trim_start_matches("http://");
    poll::until_blocking("new connections are refused", || {
        std::net::TcpStream::connect(address).is_err()
    });
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

/// A model server of our own: each answer is a stream whose first event comes at once, and which ends when it is told.
struct Endless {
    address: std::net::SocketAddr,
    end: tokio::sync::watch::Sender<bool>,
}

impl Endless {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("bound");
        let (end, ended) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer_without_end(stream, ended.clone()));
            }
        });
        Self { address, end }
    }

    /// Settings of an installation that forwards to it.
    fn settings(&self) -> String {
        let address = self.address;
        format!(
            "[[upstream]]\nname = \"endless\"\nbase_url = \"http://{address}/v1\"\nmodels = [\"endless\"]\n"
        )
    }
}

async fn answer_without_end(
    mut stream: tokio::net::TcpStream,
    mut ended: tokio::sync::watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one two three\"}}]}\n\n";
    stream
        .write_all(format!("{head}{event}").as_bytes())
        .await?;
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":19,\"total_tokens\":26}}\n\ndata: [DONE]\n\n";
    if ended.wait_for(|ended| *ended).await.is_ok() {
        stream.write_all(usage.as_bytes()).await?;
    }
    Ok(())
}

/// An installation in front of an endless model server, with this many seconds for a stop.
struct Long {
    endless: Endless,
    installation: Installation,
    server: Server,
    admin: Api,
    application: Api,
}

impl Long {
    async fn start(stop_timeout: u64) -> Self {
        let endless = Endless::start().await;
        let stop = format!("[server]\nstop_timeout_seconds = {stop_timeout}\n");
        let installation = Installation::new(&(stop + &endless.settings()));
        let (server, admin) = installation.first_serve();
        let (_, key) = admin.application("Long").await;
        let application = server.api(&key);
        Self {
            endless,
            installation,
            server,
            admin,
            application,
        }
    }

    /// Begins this many streams, one after the other.
    async fn begin(&self, streams: usize) -> Vec<Response> {
        let mut begun = Vec::new();
        for _ in 0..streams {
            let body = json!({"model": "endless", "stream": true, "messages": [{"role": "user", "content": "Go on."}]});
            let request = self.application.request(Method::POST, "/chat/completions");
            let response = request.json(&body).send().await.expect("an answer");
            assert_eq!(response.status(), 200);
            begun.push(response);
        }
        begun
    }

    /// The requests that are in the ledger after a restart.
    async fn requests_after_restart(installation: &Installation, admin: &Api) -> i64 {
        let server = installation.serve();
        let requests = reports::usage(&server.api(&admin.key)).await.requests;
        server.stop();
        requests
    }
}

/// Reads a stream until it ends, well or not.
async fn read_on(mut response: Response) -> bool {
    loop {
        match response.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s16_streams_that_a_stop_cuts_off_are_in_the_ledger() {
    let long = Long::start(1).await;
    // Some are read, some are not, and some were hung up on.
    let mut streams = long.begin(8).await;
    drop(streams.split_off(6));
    let reading = tokio::spawn(read_on(streams.remove(0)));
    let watch = tokio::time::Instant::now();
    long.server.process.terminate();
    let ended = long.server.process.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(watch.elapsed() < Duration::from_secs(10), "{ended:?}");
    for loss in ["not recorded", "usage is lost"] {
        assert!(!ended.stderr.contains(loss), "{ended:?}");
    }
    assert!(ended.stderr.contains("requests aborted"), "{ended:?}");
    assert!(!reading.await.expect("read"), "the stream was cut");
    let requests = Long::requests_after_restart(&long.installation, &long.admin).await;
    assert_eq!(requests, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s16_streams_that_end_in_time_are_whole() {
    let long = Long::start(20).await;
    let streams = long.begin(3).await;
    long.server.process.terminate();
    long.server.process.wait_for_log("server stopping");
    long.endless.end.send_replace(true);
    for stream in streams {
        assert!(read_on(stream).await, "the stream ends well");
    }
    let ended = long.server.process.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("aborted"), "{ended:?}");
    let requests = Long::requests_after_restart(&long.installation, &long.admin).await;
    assert_eq!(requests, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s16_a_second_signal_ends_the_process_at_once_and_its_code_says_so() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let long = Long::start(20).await;
        let _streams = long.begin(4).await;
        long.server.process.terminate();
        long.server.process.wait_for_log("server stopping");
        let watch = tokio::time::Instant::now();
        long.server.process.signal(signal);
        let ended = long.server.process.ended();
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(watch.elapsed() < Duration::from_secs(5), "{ended:?}");
        let requests = Long::requests_after_restart(&long.installation, &long.admin).await;
        assert_eq!(requests, 4);
    }
}
