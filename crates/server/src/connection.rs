//! A client connection: handshake, requests, timeouts and graceful shutdown.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::response::Response;
use base::{ClientAddress, Error};
use gateway::{PeerCertificates, UpgradeSlot};
use http::{HeaderValue, Request, Version, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::{Builder, UpgradeableConnection};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;
use tower::{Service, service_fn};

use crate::activity::{ActiveRequest, Activity, FIRST_REQUEST_TIMEOUT};
use crate::client_address::TrustedProxies;
use crate::connection_limiter::ConnectionPermit;
use crate::protocol_detect::ProtocolDetectTimeout;
use crate::stream_executor::{ResponseBody, StreamExecutor};
use crate::tls::{Handshake, Tls};
use crate::write_timeout::WriteTimeout;

/// Timeout for the head of a request; over HTTP/1 measured from the end of the previous request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum size of a request head, in bytes. The number of headers is limited to 100 by hyper's default; an explicit
/// limit would make hyper allocate for each request.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Maximum number of concurrent streams of an HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// Maximum number of response bytes buffered per HTTP/2 stream.
const MAX_SEND_BUFFER_BYTES: usize = 128 * 1024;
/// Interval between HTTP/2 pings, and timeout for their acknowledgement.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum time that a closing connection stays open without a running request.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers that only trusted proxies may set: W3C trace context, and the origin that the client asked for.
const PROXY_HEADERS: [&str; 4] = [
    "traceparent",
    "tracestate",
    "x-forwarded-host",
    "x-forwarded-proto",
];

#[cfg(test)]
mod tests;

/// Phase of the server, as seen by its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Requests are accepted.
    Serving,
    /// Connections close after their running requests.
    Stopping,
    /// Connections are aborted.
    Cut,
}

/// A connection and the service that answers its requests.
pub(crate) struct Connection<A> {
    pub(crate) service: A,
    pub(crate) phase: watch::Receiver<Phase>,
    /// Tracks the tasks of all connections and requests.
    pub(crate) tasks: TaskTracker,
    pub(crate) activity: Arc<Activity>,
    pub(crate) peer: Peer,
    pub(crate) permits: ConnectionPermits,
}

/// Remote end of a connection.
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) proxies: TrustedProxies,
    /// Client certificates forwarded by the peer, if it is a trusted proxy.
    pub(crate) certificates: Option<PeerCertificates>,
}

/// Permits held while a connection is open.
pub(crate) struct ConnectionPermits {
    #[expect(dead_code, reason = "given back when the connection ends")]
    pub(crate) of_server: OwnedSemaphorePermit,
    /// `None` for trusted proxies, which connect for many clients.
    #[expect(dead_code, reason = "given back when the connection ends")]
    pub(crate) of_address: Option<ConnectionPermit>,
}

impl<A: RequestService> Connection<A> {
    /// Performs the TLS handshake, which a shutdown does not wait for, and serves the connection. Plain HTTP requests
    /// are answered with an error that asks for HTTPS.
    pub(crate) async fn secure(mut self, stream: TcpStream, tls: &Tls) -> Result<(), BoxError> {
        let accepted = tokio::select! {
            biased;
            () = reaches(&mut self.phase, Phase::Stopping) => return Ok(()),
            accepted = tls.accept(stream) => accepted,
        };
        match accepted {
            Handshake::Secure(stream, certificates) => {
                self.peer.certificates.get_or_insert(certificates);
                self.serve(*stream).await
            }
            Handshake::Plain(stream) => {
                self.peer.certificates = None;
                let connection = self.with(service_fn(https_required));
                connection.serve(WriteTimeout::new(stream)).await
            }
            Handshake::Broken(error) => Err(error.into()),
        }
    }

    /// Replaces the service of the connection.
    fn with<B: RequestService>(self, service: B) -> Connection<B> {
        Connection {
            service,
            phase: self.phase,
            tasks: self.tasks,
            activity: self.activity,
            peer: self.peer,
            permits: self.permits,
        }
    }

    /// Serves requests until the connection ends, times out or the server shuts down. Drop aborts the connection;
    /// usage of its running requests is settled then.
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
            permits: _place,
        } = self;
        let builder = builder(StreamExecutor::new(tasks, Arc::clone(&activity)));
        let stream = TokioIo::new(ProtocolDetectTimeout::new(
            stream,
            HEAD_TIMEOUT,
            Arc::clone(&activity),
        ));
        let upgrade = UpgradeSlot::default();
        let requests = Requests {
            service,
            peer: Arc::new(peer),
            activity: Arc::clone(&activity),
            upgrade: upgrade.clone(),
        };
        let requests = TowerToHyperService::new(requests);
        let connection = builder.serve_connection_with_upgrades(stream, requests);
        serve_http(pin!(connection), &mut phase, &activity).await?;
        if let Some(work) = upgrade.take() {
            let _under_way = activity.request();
            serve_upgraded(work, &upgrade, &mut phase).await;
        }
        Ok(())
    }
}

/// HTTP connection that may leave HTTP.
type HttpConnection<'a, S, A> = UpgradeableConnection<
    'a,
    TokioIo<ProtocolDetectTimeout<S>>,
    TowerToHyperService<Requests<A>>,
    StreamExecutor,
>;

/// Serves requests until the connection ends, times out, leaves HTTP or the server shuts down.
async fn serve_http<S, A>(
    mut connection: Pin<&mut HttpConnection<'_, S, A>>,
    phase: &mut watch::Receiver<Phase>,
    activity: &Activity,
) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    A: RequestService,
{
    let check = sleep(FIRST_REQUEST_TIMEOUT);
    tokio::pin!(check);
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = reaches(phase, Phase::Stopping) => break,
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
        () = reaches(phase, Phase::Cut) => Ok(()),
        // Over HTTP/1, hyper closes the connection after the response.
        () = unused(activity), if activity.is_http2() => Ok(()),
    }
}

/// Runs the work of a connection that has left HTTP. Once the server stops, the connection ends after its running response.
async fn serve_upgraded(
    work: impl Future<Output = ()>,
    upgrade: &UpgradeSlot,
    phase: &mut watch::Receiver<Phase>,
) {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        () = work.as_mut() => return,
        () = reaches(phase, Phase::Stopping) => upgrade.stop(),
    }
    tokio::select! {
        biased;
        () = work => {}
        () = reaches(phase, Phase::Cut) => {}
    }
}

/// Alias for the service that answers HTTP requests; one clone per connection.
pub trait RequestService:
    Service<
        Request<Incoming>,
        Response = Response,
        Error = Infallible,
        Future: Send + Unpin + 'static,
    > + Clone
    + Send
    + 'static
{
}

impl<S> RequestService for S where
    S: Service<
            Request<Incoming>,
            Response = Response,
            Error = Infallible,
            Future: Send + Unpin + 'static,
        > + Clone
        + Send
        + 'static
{
}

/// Resolves when a closing connection has had no running request for `CLOSE_TIMEOUT`.
async fn unused(activity: &Activity) {
    loop {
        sleep(CLOSE_TIMEOUT).await;
        if activity.idle().is_some_and(|idle| idle >= CLOSE_TIMEOUT) {
            return;
        }
    }
}

fn builder(streams: StreamExecutor) -> Builder<StreamExecutor> {
    let mut builder = Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .max_concurrent_streams(MAX_STREAMS);
    builder
}

/// Service that adds the client address to requests and counts them.
#[derive(Clone)]
struct Requests<A> {
    service: A,
    peer: Arc<Peer>,
    activity: Arc<Activity>,
    upgrade: UpgradeSlot,
}

impl<A: RequestService> Service<Request<Incoming>> for Requests<A> {
    type Response = http::Response<ResponseBody>;
    type Error = Infallible;
    type Future = Answering<A::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        self.peer.introduce(&mut request);
        let is_http2 = request.version() == Version::HTTP_2;
        if !is_http2 {
            request.extensions_mut().insert(self.upgrade.clone());
        }
        Answering {
            // Over HTTP/2, the task of the stream is counted instead.
            under_way: (!is_http2).then(|| self.activity.request()),
            answer: self.service.call(request),
        }
    }
}

/// Future of a response.
struct Answering<F> {
    answer: F,
    under_way: Option<ActiveRequest>,
}

impl<F: Future<Output = Result<Response, Infallible>> + Unpin> Future for Answering<F> {
    type Output = Result<http::Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(response) = task::ready!(Pin::new(&mut self.answer).poll(context));
        let under_way = self.under_way.take();
        Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, under_way))))
    }
}

impl Peer {
    /// Adds the client address and client certificates to a request.
    fn introduce(&self, request: &mut Request<Incoming>) {
        if let Some(certificates) = &self.certificates {
            request.extensions_mut().insert(certificates.clone());
        }
        let address = if self.proxies.contains(self.address) {
            self.proxies.client(self.address, request.headers())
        } else {
            for name in PROXY_HEADERS {
                request.headers_mut().remove(name);
            }
            self.address
        };
        request.extensions_mut().insert(ClientAddress(address));
    }
}

/// Resolves once the server has reached `phase`.
async fn reaches(now: &mut watch::Receiver<Phase>, phase: Phase) {
    if now.wait_for(|now| *now >= phase).await.is_err() {
        // The server was dropped without a shutdown.
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
