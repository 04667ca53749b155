//! Proxies that connect to one address, whatever the requested one, and record the requests.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// HTTP proxy.
pub struct Proxied {
    address: SocketAddr,
    state: ProxyState,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Clone)]
struct ProxyState {
    to: SocketAddr,
    /// Required value of the `proxy-authorization` header.
    required: Option<String>,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

/// Request that a proxy forwarded.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method and request target.
    pub line: String,
    pub host: String,
}

impl Proxied {
    /// Starts a proxy to `to`, which requires these credentials (`user:password`).
    pub async fn start(to: SocketAddr, credentials: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let required = credentials.map(|text| format!("Basic {}", BASE64_STANDARD.encode(text)));
        let state = ProxyState {
            to,
            required,
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let serving = tokio::spawn(serve(listener, state.clone()));
        Self {
            address,
            state,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn url_of(&self, credentials: &str) -> String {
        format!("http://{credentials}@{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().expect("a lock").clone()
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, state: ProxyState) {
    while let Ok((connection, _)) = listener.accept().await {
        state.connections.fetch_add(1, Ordering::SeqCst);
        let state = state.clone();
        let service = service_fn(move |request| {
            let state = state.clone();
            async move { Ok::<_, Infallible>(pass(request, state).await) }
        });
        let serving = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(connection), service)
            .with_upgrades();
        tokio::spawn(serving);
    }
}

type Body = BoxBody<Bytes, hyper::Error>;

fn empty(status: u16) -> Response<Body> {
    let body = Empty::new()
        .map_err(|never: Infallible| match never {})
        .boxed();
    let response = Response::builder().status(status);
    response.body(body).expect("a response")
}

async fn pass(mut request: Request<Incoming>, state: ProxyState) -> Response<Body> {
    let shown = request.headers_mut().remove(PROXY_AUTHORIZATION);
    let shown = shown.map(|value| value.to_str().expect("text").to_owned());
    if state.required.is_some() && shown != state.required {
        return empty(407);
    }
    state.seen.lock().expect("a lock").push(Seen {
        line: format!("{} {}", request.method(), request.uri()),
        host: request.headers()[HOST].to_str().expect("text").to_owned(),
    });
    let mut upstream = TcpStream::connect(state.to).await.expect("a connection");
    if request.method() == Method::CONNECT {
        tokio::spawn(async move {
            let client = hyper::upgrade::on(request).await.expect("a tunnel");
            let mut client = TokioIo::new(client);
            let _ = copy_bidirectional(&mut client, &mut upstream).await;
        });
        return empty(200);
    }
    let path = request.uri().path_and_query().expect("a path").clone();
    *request.uri_mut() = path.into();
    let stream = TokioIo::new(upstream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .expect("a handshake");
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.expect("an answer");
    answer.map(BodyExt::boxed)
}

/// SOCKS5 proxy without authentication.
pub struct Socks {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Socks {
    /// Starts a proxy to `to`.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, to, Arc::clone(&seen)));
            }
        });
        Self {
            address,
            asked,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a lock").clone()
    }
}

/// Serves one connection, as in RFC 1928: no authentication, a request with a host name, then bytes in both directions.
async fn relay(mut client: TcpStream, to: SocketAddr, seen: Arc<Mutex<Vec<String>>>) {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting).await.expect("a greeting");
    let mut methods = vec![0; usize::from(greeting[1])];
    client.read_exact(&mut methods).await.expect("methods");
    client.write_all(&[5, 0]).await.expect("written");
    let mut head = [0; 5];
    client.read_exact(&mut head).await.expect("a request");
    assert_eq!(head[..4], [5, 1, 0, 3], "a connection to a name");
    let mut name = vec![0; usize::from(head[4])];
    client.read_exact(&mut name).await.expect("a name");
    let port = client.read_u16().await.expect("a port");
    let name = String::from_utf8(name).expect("text");
    seen.lock().expect("a lock").push(format!("{name}:{port}"));
    client
        .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        .await
        .expect("written");
    let mut upstream = TcpStream::connect(to).await.expect("a connection");
    let _ = copy_bidirectional(&mut client, &mut upstream).await;
}
