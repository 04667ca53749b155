//! Clients and model servers that speak WebSocket, and a listener of the gateway that upgrades connections.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base::{Budget, BudgetLimits, BudgetPermit};
use bytes::Bytes;
use gateway::{Durability, Gateway, PeerCertificates, UpgradeSlot, UpstreamConfig};
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming as IncomingBody;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use websocket::{Incoming, ReceiveError, WebSocket};

use crate::upstream::{COMPLETION, Reply};
use crate::world::{Bounds, World, config};

const MAX_BYTES: usize = 100 * 1024 * 1024;
/// The key of every handshake.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

pub const CREATED: &str =
    r#"{"type":"response.created","response":{"id":"resp_1","status":"in_progress"}}"#;
pub const DELTA: &str = r#"{"type":"response.output_text.delta","delta":"Hello there"}"#;
/// The last event, with a usage of 11 + 7 tokens.
pub const COMPLETED: &str = r#"{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[],"usage":{"input_tokens":11,"output_tokens":7,"total_tokens":18}}}"#;

fn memory() -> BudgetPermit {
    let budget = Budget::new(BudgetLimits::shared(1 << 40));
    let permit = budget.take("test", None, 0);
    permit.expect("nothing is always there")
}

/// The answer to every request over HTTP.
const RESPONSE: &str = r#"{"id":"resp_http","object":"response","status":"completed","output":[],"usage":{"input_tokens":11,"output_tokens":7,"total_tokens":18}}"#;

/// Step of a model server after a message.
#[derive(Clone)]
pub enum SocketStep {
    Send(String),
    /// Waits until the test adds a permit.
    Gate(Arc<Semaphore>),
    /// Drops the connection.
    Die,
}

pub fn event(text: &str) -> SocketStep {
    SocketStep::Send(text.to_owned())
}

/// Returns the steps of a whole response.
pub fn response() -> Vec<SocketStep> {
    [CREATED, DELTA, COMPLETED].map(event).to_vec()
}

/// Returns the steps of a response whose last event waits for the gate.
pub fn gated(gate: &Arc<Semaphore>) -> Vec<SocketStep> {
    vec![
        event(CREATED),
        event(DELTA),
        SocketStep::Gate(Arc::clone(gate)),
        event(COMPLETED),
    ]
}

/// Model server that speaks WebSocket.
#[derive(Clone)]
pub struct SocketUpstream {
    pub address: SocketAddr,
    state: Arc<UpstreamState>,
}

#[derive(Default)]
struct UpstreamState {
    steps: Mutex<Vec<SocketStep>>,
    handshakes: Mutex<Vec<HeaderMap>>,
    messages: Mutex<Vec<String>>,
    /// Method and path of each request over HTTP.
    requests: Mutex<Vec<String>>,
    /// Connections that have ended.
    ended: Mutex<usize>,
}

impl SocketUpstream {
    /// Starts a server that answers each message by these steps.
    pub async fn start(steps: Vec<SocketStep>) -> Self {
        Self::listen(steps, None).await
    }

    /// Starts a server like [`Self::start`] that speaks TLS.
    pub async fn secure(steps: Vec<SocketStep>, tls: TlsAcceptor) -> Self {
        Self::listen(steps, Some(tls)).await
    }

    async fn listen(steps: Vec<SocketStep>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(UpstreamState {
            steps: Mutex::new(steps),
            ..UpstreamState::default()
        });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (serving, tls) = (Arc::clone(&serving), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve_upstream(connection, serving).await,
                        Some(tls) => match tls.accept(connection).await {
                            Ok(connection) => serve_upstream(connection, serving).await,
                            // The gateway does not trust the certificate.
                            Err(_) => *serving.ended.lock().expect("a lock") += 1,
                        },
                    }
                });
            }
        });
        Self { address, state }
    }

    pub fn replies(&self, steps: Vec<SocketStep>) {
        *self.state.steps.lock().expect("a lock") = steps;
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Returns the messages that have come.
    pub fn asked(&self) -> Vec<String> {
        self.state.messages.lock().expect("a lock").clone()
    }

    /// Returns the method and the path of each request over HTTP.
    pub fn requested(&self) -> Vec<String> {
        self.state.requests.lock().expect("a lock").clone()
    }

    /// Returns the headers of each handshake.
    pub fn handshakes(&self) -> Vec<HeaderMap> {
        self.state.handshakes.lock().expect("a lock").clone()
    }

    /// Returns the number of connections that have ended.
    pub fn ended(&self) -> usize {
        *self.state.ended.lock().expect("a lock")
    }
}

async fn serve_upstream(
    connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    state: Arc<UpstreamState>,
) {
    let service = service_fn(move |mut request: Request<IncomingBody>| {
        let state = Arc::clone(&state);
        let Some(key) = request.headers().get("sec-websocket-key").cloned() else {
            let asked = format!("{} {}", request.method(), request.uri().path());
            state.requests.lock().expect("a lock").push(asked);
            let response = Response::new(Full::new(Bytes::from_static(RESPONSE.as_bytes())));
            return ready(Ok::<_, Infallible>(response));
        };
        let mut handshakes = state.handshakes.lock().expect("a lock");
        handshakes.push(request.headers().clone());
        drop(handshakes);
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Ok(connection) = upgrade.await {
                let socket = WebSocket::server(TokioIo::new(connection), memory(), MAX_BYTES);
                play(socket.await, &state).await;
                *state.ended.lock().expect("a lock") += 1;
            }
        });
        let response = Response::builder()
            .status(101)
            .header("upgrade", "websocket")
            .header("connection", "Upgrade")
            .header(
                "sec-websocket-accept",
                websocket::accept_key(key.as_bytes()),
            )
            .body(Full::new(Bytes::new()));
        ready(Ok(response.expect("a response")))
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades()
        .await;
}

async fn play(
    mut socket: WebSocket<TokioIo<hyper::upgrade::Upgraded>>,
    state: &Arc<UpstreamState>,
) {
    loop {
        match socket.receive().await {
            Ok(Incoming::Text(text)) => {
                let text = String::from_utf8(text.to_vec()).expect("text");
                state.messages.lock().expect("a lock").push(text);
            }
            Ok(_) => continue,
            Err(_) => return,
        }
        let steps = state.steps.lock().expect("a lock").clone();
        for step in steps {
            match step {
                SocketStep::Send(text) => {
                    if socket.send_text(text.into()).await.is_err() {
                        return;
                    }
                }
                SocketStep::Gate(gate) => gate.acquire().await.expect("a gate").forget(),
                SocketStep::Die => return,
            }
        }
    }
}

/// Returns the configuration of an upstream that speaks WebSocket.
pub fn socket_config(name: &str, base_url: String) -> UpstreamConfig {
    UpstreamConfig {
        websocket: true,
        ..config(name, base_url)
    }
}

/// Returns the configuration of an upstream that speaks WebSocket and stores responses.
pub fn storing_config(name: &str, base_url: String) -> UpstreamConfig {
    UpstreamConfig {
        stores: true,
        ..socket_config(name, base_url)
    }
}

/// A world whose gateway accepts WebSocket connections, and its model server.
pub struct SocketWorld {
    pub world: World,
    pub upstream: SocketUpstream,
    pub listener: Listener,
}

impl SocketWorld {
    pub async fn start(steps: Vec<SocketStep>) -> Self {
        Self::bounded(steps, Bounds::default()).await
    }

    pub async fn bounded(steps: Vec<SocketStep>, bounds: Bounds) -> Self {
        let upstream = SocketUpstream::start(steps).await;
        let base_url = upstream.base_url();
        let upstreams = |_| vec![socket_config("sockets", base_url)];
        let world = World::bounded(Reply::whole(200, COMPLETION), upstreams, bounds).await;
        Self::around(world, upstream).await
    }

    /// Starts a world like [`Self::start`] whose ends of responses are durable.
    pub async fn strict(steps: Vec<SocketStep>) -> Self {
        let upstream = SocketUpstream::start(steps).await;
        let base_url = upstream.base_url();
        let upstreams = |_| vec![socket_config("sockets", base_url)];
        let world = World::with(Reply::whole(200, COMPLETION), Durability::Strict, upstreams).await;
        Self::around(world, upstream).await
    }

    /// Starts a world like [`Self::start`] whose upstream stores responses.
    pub async fn storing(steps: Vec<SocketStep>) -> Self {
        let upstream = SocketUpstream::start(steps).await;
        let config = storing_config("sockets", upstream.base_url());
        let reply = Reply::whole(200, COMPLETION);
        let world = World::bounded(reply, |_| vec![config], Bounds::default()).await;
        Self::around(world, upstream).await
    }

    pub async fn around(world: World, upstream: SocketUpstream) -> Self {
        let listener = Listener::start(&world.gateway).await;
        Self {
            world,
            upstream,
            listener,
        }
    }

    /// Connects with the service account's key.
    pub async fn connect(&self) -> Client {
        self.connect_with(self.world.service()).await
    }

    pub async fn connect_with(&self, key: &str) -> Client {
        let connected = Client::connect(self.listener.address, key, "").await;
        connected.expect("a connection")
    }
}

/// Listener of a gateway.
pub struct Listener {
    pub address: SocketAddr,
    slots: Arc<Mutex<Vec<UpgradeSlot>>>,
}

impl Listener {
    pub async fn start(gateway: &Gateway) -> Self {
        Self::start_for(gateway, None).await
    }

    /// Starts a listener whose clients present these certificates.
    pub async fn start_for(gateway: &Gateway, peer: Option<PeerCertificates>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let slots = Arc::<Mutex<Vec<UpgradeSlot>>>::default();
        let (gateway, opened) = (gateway.clone(), Arc::clone(&slots));
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let slot = UpgradeSlot::default();
                opened.lock().expect("a lock").push(slot.clone());
                let gateway = gateway.clone();
                tokio::spawn(serve_gateway(connection, gateway, slot, peer.clone()));
            }
        });
        Self { address, slots }
    }

    /// Asks all connections to end.
    pub fn stop(&self) {
        for slot in self.slots.lock().expect("a lock").iter() {
            slot.stop();
        }
    }
}

async fn serve_gateway(
    connection: TcpStream,
    gateway: Gateway,
    slot: UpgradeSlot,
    peer: Option<PeerCertificates>,
) {
    let own = slot.clone();
    let service = service_fn(move |mut request: Request<IncomingBody>| {
        request.extensions_mut().insert(own.clone());
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.clone());
        }
        let gateway = gateway.clone();
        async move { Ok::<_, Infallible>(gateway.handle(request).await) }
    });
    let serving = http1::Builder::new().serve_connection(TokioIo::new(connection), service);
    let _ = serving.with_upgrades().await;
    if let Some(work) = slot.take() {
        work.await;
    }
}

/// Client of a connection.
pub struct Client(WebSocket<TcpStream>);

impl Client {
    /// Connects with a key and further lines of the head.
    ///
    /// # Errors
    /// The response, if it does not switch protocols.
    pub async fn connect(address: SocketAddr, key: &str, lines: &str) -> Result<Self, String> {
        let lines = format!(
            "connection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n{lines}"
        );
        let (stream, head, rest) = shake_hands(address, key, &lines).await;
        if !head.starts_with("HTTP/1.1 101 ") {
            return Err(head + &String::from_utf8_lossy(&rest));
        }
        assert!(
            head.to_ascii_lowercase()
                .contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
            "{head}"
        );
        Ok(Self(
            WebSocket::client(stream, rest, memory(), MAX_BYTES).await,
        ))
    }

    /// Sends `response.create` with these members.
    pub async fn create(&mut self, mut members: Value) {
        members["type"] = json!("response.create");
        self.send(&members.to_string()).await;
    }

    /// Asks for a response of the model `real`.
    pub async fn ask(&mut self) {
        self.create(json!({"model": "real", "input": "Hi"})).await;
    }

    pub async fn send(&mut self, text: &str) {
        let text = Bytes::copy_from_slice(text.as_bytes());
        self.0.send_text(text).await.expect("sent");
    }

    /// Sends a message that the server may refuse before its end.
    pub async fn try_send(&mut self, text: Bytes) {
        let _ = self.0.send_text(text).await;
    }

    /// Returns the next event.
    pub async fn event(&mut self) -> Value {
        match self.next().await {
            Ok(event) => event,
            Err(error) => panic!("an event: {error:?}"),
        }
    }

    async fn next(&mut self) -> Result<Value, ReceiveError> {
        loop {
            if let Incoming::Text(text) = self.0.receive().await? {
                return Ok(serde_json::from_slice(&text).expect("JSON"));
            }
        }
    }

    /// Returns the types of the events until the last one of a response.
    pub async fn response(&mut self) -> Vec<String> {
        let mut types = Vec::new();
        loop {
            let event = self.event().await;
            let event_type = event["type"].as_str().expect("a type").to_owned();
            let is_last = matches!(event_type.as_str(), "response.completed" | "error");
            types.push(event_type);
            if is_last {
                return types;
            }
        }
    }

    /// Returns the status, the code and the parameter of the error that comes next.
    pub async fn error(&mut self) -> (u64, Value, Value) {
        let event = self.event().await;
        assert_eq!(event["type"], "error", "{event}");
        let status = event["status"].as_u64().expect("a status");
        let error = &event["error"];
        assert!(error["message"].is_string(), "{event}");
        (status, error["code"].clone(), error["param"].clone())
    }

    /// Waits for the end of the connection, and returns its code. Events before are passed over.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.next().await {
                Ok(_) => {}
                Err(ReceiveError::Closed(code)) => return code,
                Err(error) => panic!("closed: {error:?}"),
            }
        }
    }

    pub async fn close(self) {
        self.0.close(1000, "").await;
    }
}

/// Sends a request for a connection with these further lines of its head. Returns the head of the response, and what came
/// behind it.
pub async fn shake_hands(
    address: SocketAddr,
    key: &str,
    lines: &str,
) -> (TcpStream, String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = format!(
        "GET /v1/responses HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nauthorization: Bearer {key}\r\n{lines}\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("a request");
    let mut received = Vec::new();
    loop {
        let end = received.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let rest = received.split_off(end + 4);
            let head = String::from_utf8(received).expect("text");
            if !head.starts_with("HTTP/1.1 101 ") {
                // The rest is the body of a refusal.
                let mut body = rest;
                while !body.ends_with(b"}") {
                    stream.read_buf(&mut body).await.expect("a body");
                }
                return (stream, head, body);
            }
            return (stream, head, rest);
        }
        let length = stream.read_buf(&mut received).await.expect("a response");
        assert!(length > 0, "{received:?}");
    }
}
