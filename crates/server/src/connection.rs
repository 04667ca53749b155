//! A connection: its handshake, its requests, and its end.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::response::Response;
use base::Error;
use gateway::PeerCertificates;
use http::{HeaderValue, Request, Version, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;
use tower::{Service, service_fn};

use crate::activity::{Activity, FIRST_REQUEST_TIMEOUT, UnderWay};
use crate::addresses::Counted;
use crate::client_address::{ClientAddress, TrustedProxies};
use crate::opening::Opening;
use crate::patience::Patience;
use crate::serve::Answers;
use crate::streams::{Delivery, Streams};
use crate::tls::{Accepted, Tls};
use crate::write_timeout::WriteTimeout;

/// The time that a client has to send a request's head, over HTTP/1 counted from the end of the request before.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// The most bytes of a request's head that are read. It may have 100 headers, as hyper has it unless told otherwise: told,
/// it makes room for them anew for each request.
const HEAD_BYTES: usize = 64 * 1024;
/// The most requests that are under way at once on a connection over HTTP/2.
const MAX_STREAMS: u32 = 128;
/// The most bytes of an answer that wait for a client over HTTP/2 to open its window.
const MAX_SEND_BUFFER_BYTES: usize = 128 * 1024;
/// The time between two pings of a connection over HTTP/2, and the time that the client has to answer one.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// The time that a connection which is closing may stay open without a request under way.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// The headers that make a request a part of a trace.
const TRACE_HEADERS: [&str; 2] = ["traceparent", "tracestate"];

#[cfg(test)]
mod tests;

/// The phases of a server's life, as its connections see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Requests are answered.
    Serving,
    /// Connections end with the requests that are under way.
    Stopping,
    /// Connections are dropped.
    Cut,
}

/// A connection with the service that answers its requests.
pub(crate) struct Connection<A> {
    pub(crate) service: A,
    pub(crate) phase: watch::Receiver<Phase>,
    /// All tasks of connections and of their requests.
    pub(crate) tasks: TaskTracker,
    pub(crate) activity: Arc<Activity>,
    pub(crate) peer: Peer,
    pub(crate) place: Place,
}

/// The other end of a connection.
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) proxies: TrustedProxies,
    /// The certificates that the peer may speak of, if it is a proxy which may.
    pub(crate) certificates: Option<PeerCertificates>,
}

/// The places that a connection takes while it is open.
pub(crate) struct Place {
    #[expect(dead_code, reason = "given back when the connection ends")]
    pub(crate) of_server: OwnedSemaphorePermit,
    /// None for trusted proxies, which speak for many.
    #[expect(dead_code, reason = "given back when the connection ends")]
    pub(crate) of_address: Option<Counted>,
}

impl<A: Answers> Connection<A> {
    /// Shakes hands, which a stop does not wait for, then answers. A client that speaks plain HTTP is told to use HTTPS.
    pub(crate) async fn secure(mut self, stream: TcpStream, tls: &Tls) -> Result<(), BoxError> {
        let accepted = tokio::select! {
            biased;
            () = reaches(&mut self.phase, Phase::Stopping) => return Ok(()),
            accepted = tls.accept(stream) => accepted,
        };
        match accepted {
            Accepted::Secure(stream, certificates) => {
                self.peer.certificates.get_or_insert(certificates);
                self.serve(*stream).await
            }
            Accepted::Plain(stream) => {
                self.peer.certificates = None;
                let connection = self.with(service_fn(https_required));
                connection.serve(WriteTimeout::new(stream)).await
            }
            Accepted::Broken(error) => Err(error.into()),
        }
    }

    /// Returns the connection with another service.
    fn with<B: Answers>(self, service: B) -> Connection<B> {
        Connection {
            service,
            phase: self.phase,
            tasks: self.tasks,
            activity: self.activity,
            peer: self.peer,
            place: self.place,
        }
    }

    /// Answers its requests until it ends, is idle for too long, or the server stops. Dropping the connection is how a stop
    /// cuts it off: what its requests consumed is settled then.
    pub(crate) async fn serve<S>(self, stream: S) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Self {
            service,
            mut phase,
            tasks,
            activity,
            peer,
            place: _place,
        } = self;
        let builder = builder(Streams::new(tasks, Arc::clone(&activity)));
        let stream = TokioIo::new(Opening::new(stream, HEAD_TIME, Arc::clone(&activity)));
        let requests = Requests {
            service,
            peer: Arc::new(peer),
            activity: Arc::clone(&activity),
        };
        let connection = builder.serve_connection(stream, TowerToHyperService::new(requests));
        let mut connection = pin!(connection);
        let check = sleep(FIRST_REQUEST_TIMEOUT);
        tokio::pin!(check);
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => return ended,
                () = reaches(&mut phase, Phase::Stopping) => break,
                () = activity.evicted() => break,
                () = check.as_mut() => match activity.time_left() {
                    Some(left) => check.as_mut().reset(Instant::now() + left),
                    None => break,
                },
            }
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            ended = connection => ended,
            () = reaches(&mut phase, Phase::Cut) => Ok(()),
            // Over HTTP/1, hyper closes it as soon as the answer is out.
            () = unused(&activity), if activity.is_http2() => Ok(()),
        }
    }
}

/// Resolves when a connection that is closing has had no request under way for a while.
async fn unused(activity: &Activity) {
    loop {
        sleep(CLOSE_TIMEOUT).await;
        if activity.idle().is_some_and(|idle| idle >= CLOSE_TIMEOUT) {
            return;
        }
    }
}

fn builder(streams: Streams) -> Builder<Streams> {
    let mut builder = Builder::new(streams);
    builder
        .http1()
        .timer(Patience::new(HEAD_TIME))
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_header_list_size(HEAD_BYTES as u32)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .max_concurrent_streams(MAX_STREAMS);
    builder
}

/// The service of a connection: tells requests where they come from, and counts them.
#[derive(Clone)]
struct Requests<A> {
    service: A,
    peer: Arc<Peer>,
    activity: Arc<Activity>,
}

impl<A: Answers> Service<Request<Incoming>> for Requests<A> {
    type Response = http::Response<Delivery>;
    type Error = Infallible;
    type Future = Answering<A::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        self.peer.introduce(&mut request);
        let is_http2 = request.version() == Version::HTTP_2;
        Answering {
            // Over HTTP/2, the task of the request counts.
            under_way: (!is_http2).then(|| self.activity.request()),
            answer: self.service.call(request),
        }
    }
}

/// A request that is being answered.
struct Answering<F> {
    answer: F,
    under_way: Option<UnderWay>,
}

impl<F: Future<Output = Result<Response, Infallible>> + Unpin> Future for Answering<F> {
    type Output = Result<http::Response<Delivery>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(response) = task::ready!(Pin::new(&mut self.answer).poll(context));
        let under_way = self.under_way.take();
        Poll::Ready(Ok(response.map(|body| Delivery::new(body, under_way))))
    }
}

impl Peer {
    /// Adds to a request where it comes from.
    fn introduce(&self, request: &mut Request<Incoming>) {
        if let Some(certificates) = &self.certificates {
            request.extensions_mut().insert(certificates.clone());
        }
        let address = if self.proxies.contains(self.address) {
            self.proxies.client(self.address, request.headers())
        } else {
            // Whoever is no proxy of ours has no say in what is traced, here or at an upstream.
            for name in TRACE_HEADERS {
                request.headers_mut().remove(name);
            }
            self.address
        };
        request.extensions_mut().insert(ClientAddress(address));
    }
}

/// Resolves once the server is in `phase` or beyond.
async fn reaches(now: &mut watch::Receiver<Phase>, phase: Phase) {
    if now.wait_for(|now| *now >= phase).await.is_err() {
        // The server is gone without a stop, and its runtime with it.
        pending::<()>().await;
    }
}

fn https_required(_: Request<Incoming>) -> Ready<Result<Response, Infallible>> {
    let message = "This server speaks HTTPS, and this request came over plain HTTP. Send it to an address with https://.";
    let mut response: Response = Error::refused("https_required", message).response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    ready(Ok(response))
}
