//! The peers of a server over WebSocket: a model server whose responses are told apart by their usage, and a client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base::{Budget, BudgetLimits, BudgetPermit};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming as IncomingBody;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use websocket::{Incoming, WebSocket};

/// The model that is served.
pub(super) const MODEL: &str = "spoken";
/// The key of every handshake.
const HANDSHAKE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const MAX_MESSAGE_BYTES: usize = 1 << 20;

fn memory() -> BudgetPermit {
    let budget = Budget::new(BudgetLimits::shared(1 << 40));
    budget.take("test", None, 0).expect("room for nothing")
}

/// Model server over WebSocket. The response with the number n has n input tokens and an output token.
pub(super) struct SocketModelServer {
    address: SocketAddr,
    made: Arc<AtomicI64>,
}

impl SocketModelServer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let made = Arc::<AtomicI64>::default();
        let counter = Arc::clone(&made);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&counter)));
            }
        });
        Self { address, made }
    }

    /// Settings of an upstream that stores responses.
    pub(super) fn settings(&self) -> String {
        format!(
            "[[upstream]]\nname = \"sockets\"\nbase_url = \"http://{}/v1\"\nmodels = [\"{MODEL}\"]\n\
             websocket = true\nstores = true\n",
            self.address
        )
    }

    /// Number of responses that were begun.
    pub(super) fn made(&self) -> i64 {
        self.made.load(Ordering::SeqCst)
    }
}

async fn serve(connection: TcpStream, made: Arc<AtomicI64>) {
    let service = service_fn(move |mut request: Request<IncomingBody>| {
        let upgrade = hyper::upgrade::on(&mut request);
        let made = Arc::clone(&made);
        tokio::spawn(async move {
            if let Ok(connection) = upgrade.await {
                let socket =
                    WebSocket::server(TokioIo::new(connection), memory(), MAX_MESSAGE_BYTES);
                answer_all(socket.await, &made).await;
            }
        });
        let key = request.headers()["sec-websocket-key"].as_bytes();
        let response = Response::builder()
            .status(101)
            .header("upgrade", "websocket")
            .header("connection", "Upgrade")
            .header("sec-websocket-accept", websocket::accept_key(key))
            .body(Full::new(Bytes::new()));
        std::future::ready(Ok::<_, Infallible>(response.expect("a response")))
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(connection), service);
    // The gateway may be killed at any time.
    let _ = connection.with_upgrades().await;
}

/// Answers each message by a response of two events, until the gateway is gone.
async fn answer_all(
    mut socket: WebSocket<TokioIo<hyper::upgrade::Upgraded>>,
    made: &Arc<AtomicI64>,
) {
    while let Ok(received) = socket.receive().await {
        if !matches!(received, Incoming::Text(_)) {
            continue;
        }
        let number = made.fetch_add(1, Ordering::SeqCst) + 1;
        let event = |status: &str, usage: Value| {
            let response = json!({"id": format!("resp_{number}"), "status": status, "output": [], "usage": usage});
            let event = json!({"type": format!("response.{status}"), "response": response});
            Bytes::from(
                event
                    .to_string()
                    .replace("response.in_progress", "response.created"),
            )
        };
        let usage = json!({"input_tokens": number, "output_tokens": 1});
        for event in [event("in_progress", Value::Null), event("completed", usage)] {
            if socket.send_text(event).await.is_err() {
                return;
            }
        }
    }
}

/// The server is gone.
#[derive(Debug)]
pub(super) struct CutOff;

/// Client of a connection to the server.
pub(super) struct SocketClient(WebSocket<TcpStream>);

impl SocketClient {
    /// Connects to the server at `address`, `http://127.0.0.1:…`.
    pub(super) async fn connect(address: &str, key: &str) -> Result<Self, CutOff> {
        let address = address.trim_start_matches("http://");
        let connected = TcpStream::connect(address).await;
        let mut stream = connected.map_err(|_| CutOff)?;
        let head = format!(
            "GET /v1/responses HTTP/1.1\r\nhost: {address}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {HANDSHAKE_KEY}\r\nauthorization: Bearer {key}\r\n\r\n"
        );
        stream
            .write_all(head.as_bytes())
            .await
            .map_err(|_| CutOff)?;
        let mut received = Vec::new();
        let end = loop {
            let end = received.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            match stream.read_buf(&mut received).await {
                Ok(1..) => {}
                _ => return Err(CutOff),
            }
        };
        let rest = received.split_off(end);
        let head = String::from_utf8_lossy(&received);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let socket = WebSocket::client(stream, rest, memory(), MAX_MESSAGE_BYTES);
        Ok(Self(socket.await))
    }

    /// Asks for a response, which may continue an earlier one.
    pub(super) async fn ask(&mut self, previous: Option<i64>) -> Result<(), CutOff> {
        let mut message = json!({"type": "response.create", "model": MODEL, "input": "Hello."});
        if let Some(previous) = previous {
            message["previous_response_id"] = json!(format!("resp_{previous}"));
        }
        let sent = self.0.send_text(message.to_string().into()).await;
        sent.map_err(|_| CutOff)
    }

    /// Returns the next event.
    pub(super) async fn event(&mut self) -> Result<Value, CutOff> {
        loop {
            match self.0.receive().await {
                Ok(Incoming::Text(text)) => {
                    let event: Value = serde_json::from_slice(&text).expect("JSON");
                    assert_ne!(event["type"], "error", "{event}");
                    return Ok(event);
                }
                Ok(_) => {}
                Err(_) => return Err(CutOff),
            }
        }
    }

    /// Reads a response to its end, and returns its number.
    pub(super) async fn response(&mut self) -> Result<i64, CutOff> {
        loop {
            let event = self.event().await?;
            if event["type"] == "response.completed" {
                let number = &event["response"]["usage"]["input_tokens"];
                return Ok(number.as_i64().expect("a number"));
            }
        }
    }
}
