//! Scripted model server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use poll::ScenarioDelay;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Step of an answer.
#[derive(Clone)]
pub enum Step {
    Send(Bytes),
    Wait(Duration),
    /// Waits until the test adds a permit.
    Gate(Arc<Semaphore>),
    Die,
}

/// Script of an answer.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub before_head: Vec<Step>,
    pub steps: Vec<Step>,
}

/// Request that the server has received.
#[derive(Clone)]
pub struct Asked {
    pub path: String,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Model server that serves until it is dropped.
pub struct Upstream {
    pub address: SocketAddr,
    state: ServerState,
    end: CancellationToken,
    serving: AbortOnDropHandle<()>,
}

/// Script of the server, and the record of its requests.
#[derive(Clone)]
struct ServerState {
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
    reply: Arc<Mutex<Reply>>,
}

pub fn send(text: &str) -> Step {
    Step::Send(Bytes::copy_from_slice(text.as_bytes()))
}

/// Chat completion with a usage of 11 + 7 tokens.
pub const COMPLETION: &str = r#"{"id":"c","object":"chat.completion","model":"real","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,"prompt_tokens_details":{"cached_tokens":4}},"service_tier":"default"}"#;

/// Events of a stream with the same content and usage as [`COMPLETION`].
pub const EVENTS: [&str; 4] = [
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" there\"}}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}}\n\n",
    "data: [DONE]\n\n",
];

impl Reply {
    /// Returns an answer of known length.
    pub fn whole(status: u16, text: &str) -> Self {
        Self {
            status,
            headers: vec![
                ("content-type", "application/json".into()),
                ("content-length", text.len().to_string()),
            ],
            before_head: Vec::new(),
            steps: vec![send(text)],
        }
    }

    pub fn stream(steps: Vec<Step>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "text/event-stream; charset=utf-8".into())],
            before_head: Vec::new(),
            steps,
        }
    }

    pub fn events() -> Self {
        Self::stream(EVENTS.iter().map(|event| send(event)).collect())
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn after(mut self, step: Step) -> Self {
        self.before_head.push(step);
        self
    }
}

impl Upstream {
    pub async fn start(reply: Reply) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), reply, None).await
    }

    /// Starts a server at this address, over TLS if there is an acceptor.
    pub async fn at(address: SocketAddr, reply: Reply, tls: Option<TlsAcceptor>) -> Self {
        let address = reserve(address);
        let listener = TcpListener::bind(address).await.expect("a port");
        let state = ServerState {
            asked: Arc::default(),
            connections: Arc::default(),
            reply: Arc::new(Mutex::new(reply)),
        };
        let end = CancellationToken::new();
        let serving = accept(listener, state.clone(), tls, end.clone());
        let serving = AbortOnDropHandle::new(tokio::spawn(serving));
        Self {
            address,
            state,
            end,
            serving,
        }
    }

    /// Closes all connections and the listener.
    pub async fn stop(self) {
        self.end.cancel();
        self.serving.await.expect("it ends");
    }

    pub fn replies(&self, reply: Reply) {
        *self.state.reply.lock().expect("a lock") = reply;
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().expect("a lock").clone()
    }

    /// Returns the number of connections that were made to the server.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

async fn accept(
    listener: TcpListener,
    state: ServerState,
    tls: Option<TlsAcceptor>,
    end: CancellationToken,
) {
    let mut connections = JoinSet::new();
    while let Some(Ok((connection, _))) = end.run_until_cancelled(listener.accept()).await {
        connection.set_nodelay(true).expect("a connection");
        state.connections.fetch_add(1, Ordering::SeqCst);
        connections.spawn(serve_connection(connection, state.clone(), tls.clone()));
    }
    connections.shutdown().await;
}

async fn serve_connection(connection: TcpStream, state: ServerState, tls: Option<TlsAcceptor>) {
    match tls {
        None => speak(connection, state).await,
        Some(tls) => {
            if let Ok(connection) = tls.accept(connection).await {
                speak(connection, state).await;
            }
        }
    }
}

/// Serves a connection in HTTP/1.1 or HTTP/2, as the client begins.
async fn speak(
    connection: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    state: ServerState,
) {
    let service = service_fn(move |request| answer(request, state.clone()));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().half_close(true);
    let _ = builder
        .serve_connection(TokioIo::new(connection), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    state: ServerState,
) -> Result<Response<Steps>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    state.asked.lock().expect("a lock").push(Asked {
        path: head.uri.path_and_query().expect("a path").to_string(),
        version: head.version,
        headers: head.headers,
        body,
    });
    let reply = state.reply.lock().expect("a lock").clone();
    for step in reply.before_head {
        match step {
            Step::Send(_) => {}
            Step::Wait(time) => ScenarioDelay(time).elapse().await,
            Step::Gate(gate) => gate.acquire().await.expect("a gate").forget(),
            Step::Die => return Err(std::io::Error::other("told to die")),
        }
    }
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(run(reply.steps, sender));
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Steps(receiver)).expect("a response"))
}

type Piece = Result<Bytes, std::io::Error>;

async fn run(steps: Vec<Step>, sender: mpsc::Sender<Piece>) {
    for step in steps {
        match step {
            Step::Send(piece) => {
                if sender.send(Ok(piece)).await.is_err() {
                    return;
                }
            }
            Step::Wait(time) => ScenarioDelay(time).elapse().await,
            Step::Gate(gate) => gate.acquire().await.expect("a gate").forget(),
            Step::Die => {
                let _ = sender.send(Err(std::io::Error::other("told to die"))).await;
                return;
            }
        }
    }
}

struct Steps(mpsc::Receiver<Piece>);

impl http_body::Body for Steps {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// Reserves a port until the end of the process, so that no other test gets it. A bound socket that does not listen lets
/// another one listen on the same port by its number.
fn reserve(address: SocketAddr) -> SocketAddr {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.bind(address).expect("a port");
    let address = socket.local_addr().expect("an address");
    std::mem::forget(socket);
    address
}

/// Returns the base URL of an upstream that refuses connections.
pub fn nobody() -> String {
    let address = reserve(SocketAddr::from(([127, 0, 0, 1], 0)));
    format!("http://{address}/v1")
}

/// Serves `handler` on a port until the test ends. Returns the address.
pub async fn serve<B, F>(
    handler: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> SocketAddr
where
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let handler = handler.clone();
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(connection), service);
            tokio::spawn(serving);
        }
    });
    address
}
