//! A model server that does as it is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

/// What it does after the head of its answer.
#[derive(Clone)]
pub enum Step {
    Send(Bytes),
    Wait(Duration),
    /// Goes on when the test opens the gate.
    Gate(Arc<Semaphore>),
    Die,
}

/// What it answers.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub before_head: Vec<Step>,
    pub steps: Vec<Step>,
}

/// What it was asked.
#[derive(Clone)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

pub struct Upstream {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    reply: Arc<Mutex<Reply>>,
}

pub fn send(text: &str) -> Step {
    Step::Send(Bytes::copy_from_slice(text.as_bytes()))
}

/// A completion that cost 11 + 7 tokens.
pub const COMPLETION: &str = r#"{"id":"c","object":"chat.completion","model":"real","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,"prompt_tokens_details":{"cached_tokens":4}},"service_tier":"default"}"#;

/// The same as a stream, one event after the other.
pub const EVENTS: [&str; 4] = [
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" there\"}}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}}\n\n",
    "data: [DONE]\n\n",
];

impl Reply {
    /// A whole answer of known length.
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
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let upstream = Self {
            address: listener.local_addr().expect("an address"),
            asked: Arc::default(),
            reply: Arc::new(Mutex::new(reply)),
        };
        let (asked, reply) = (Arc::clone(&upstream.asked), Arc::clone(&upstream.reply));
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                connection.set_nodelay(true).expect("a connection");
                let (asked, reply) = (Arc::clone(&asked), Arc::clone(&reply));
                let service = service_fn(move |request| {
                    answer(request, Arc::clone(&asked), Arc::clone(&reply))
                });
                let serving = hyper::server::conn::http1::Builder::new()
                    .half_close(true)
                    .serve_connection(TokioIo::new(connection), service);
                tokio::spawn(serving);
            }
        });
        upstream
    }

    pub fn replies(&self, reply: Reply) {
        *self.reply.lock().expect("a lock") = reply;
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("a lock").clone()
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

async fn answer(
    request: Request<Incoming>,
    asked: Arc<Mutex<Vec<Asked>>>,
    reply: Arc<Mutex<Reply>>,
) -> Result<Response<Steps>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    asked.lock().expect("a lock").push(Asked {
        path: head.uri.to_string(),
        headers: head.headers,
        body,
    });
    let reply = reply.lock().expect("a lock").clone();
    for step in reply.before_head {
        match step {
            Step::Send(_) => {}
            Step::Wait(time) => tokio::time::sleep(time).await,
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
            Step::Wait(time) => tokio::time::sleep(time).await,
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

/// The address of a port that nobody listens on.
pub async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    format!("http://{address}/v1")
}

/// Serves `handler` on a port until the test ends; its address.
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
