//! The listener: accepts connections, bounds what each may do, and stops gracefully.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::BoxError;
use axum::response::Response;
use base::Error;
use gateway::PeerCertificates;
use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt, service_fn};

use crate::opening::Opening;
use crate::patience::Patience;
use crate::tls::{Accepted, Tls};

/// How many connections are open at the most; further ones wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 16_384;
/// How long a client may take to send a request's head, and be idle before it.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How much of a request's head is read, in bytes. It may have 100 headers, as hyper has it unless told otherwise: told,
/// it makes room for them anew for each request.
const HEAD_BYTES: usize = 64 * 1024;

/// A bound listener.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    /// Who may say in headers which certificates its clients have shown.
    proxies: Vec<IpNet>,
}

/// How a server came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every request was answered to its end.
    Cleanly,
    /// Some were cut off at the deadline.
    AtDeadline,
}

impl Server {
    /// Binds `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            tls: None,
            proxies: Vec::new(),
        })
    }

    /// The same over TLS, if any; without it, it speaks plain HTTP.
    #[must_use]
    pub fn secured(self, tls: Option<Tls>) -> Self {
        let tls = tls.map(Arc::new);
        Self { tls, ..self }
    }

    /// The same behind these proxies, which are trusted to say which certificates their clients have shown.
    #[must_use]
    pub fn behind(self, proxies: Vec<IpNet>) -> Self {
        Self { proxies, ..self }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as clients are told.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Lets `service` answer until `stop` resolves, then finishes what is under way within `deadline`.
    pub async fn run(
        self,
        service: impl Answers,
        stop: impl Future<Output = ()>,
        deadline: Duration,
    ) -> Stopped {
        let graceful = GracefulShutdown::new();
        let stopping = CancellationToken::new();
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let _following = self.tls.as_ref().map(|tls| tls.follow());
        tokio::pin!(stop);
        loop {
            let place = Arc::clone(&places).acquire_owned();
            let accepted = async { (place.await, self.listener.accept().await) };
            let (place, accepted) = tokio::select! {
                () = &mut stop => break,
                accepted = accepted => accepted,
            };
            match (place, accepted) {
                (Ok(place), Ok((stream, peer))) => {
                    let connection = Connection {
                        service: service.clone(),
                        watcher: graceful.watcher(),
                        stopping: stopping.clone(),
                        place,
                    };
                    self.take(stream, peer, connection);
                }
                (_, Err(error)) => {
                    // Out of file descriptors, most likely: a pause lets connections end.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                (Err(_), Ok(_)) => break,
            }
        }
        drop(self.listener);
        stopping.cancel();
        match tokio::time::timeout(deadline, graceful.shutdown()).await {
            Ok(()) => Stopped::Cleanly,
            Err(_) => Stopped::AtDeadline,
        }
    }

    /// Serves a connection in a task of its own.
    fn take(&self, stream: TcpStream, peer: SocketAddr, connection: Connection<impl Answers>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "TCP_NODELAY");
        }
        let address = peer.ip().to_canonical();
        let is_proxy = self.proxies.iter().any(|proxy| proxy.contains(&address));
        let of_proxy = is_proxy.then(PeerCertificates::of_proxy);
        let tls = self.tls.clone();
        tokio::spawn(async move {
            let ended = match tls {
                None => connection.serve(stream, of_proxy).await,
                Some(tls) => connection.secure(stream, &tls, of_proxy).await,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, %peer, "a connection broke");
            }
        });
    }
}

/// What answers the requests that come in: each clone those of one connection.
pub trait Answers:
    Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + 'static
{
}

impl<S> Answers for S where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + 'static
{
}

/// What a connection is served with.
struct Connection<A> {
    service: A,
    watcher: Watcher,
    /// Cancelled when the server stops.
    stopping: CancellationToken,
    place: OwnedSemaphorePermit,
}

impl<A: Answers> Connection<A> {
    /// Shakes hands first; a stop does not wait for that. Who speaks plain HTTP is told of it.
    async fn secure(
        self,
        stream: TcpStream,
        tls: &Tls,
        of_proxy: Option<PeerCertificates>,
    ) -> Result<(), BoxError> {
        let stopping = self.stopping.clone();
        match stopping.run_until_cancelled(tls.accept(stream)).await {
            None => Ok(()),
            Some(Accepted::Secure(stream, certificates)) => {
                self.serve(*stream, of_proxy.or(Some(certificates))).await
            }
            Some(Accepted::Plain(stream)) => {
                let service = service_fn(https_required);
                self.with(service).serve(stream, None).await
            }
            Some(Accepted::Broken(error)) => Err(error.into()),
        }
    }

    /// The same with another service.
    fn with<B: Answers>(self, service: B) -> Connection<B> {
        Connection {
            service,
            watcher: self.watcher,
            stopping: self.stopping,
            place: self.place,
        }
    }

    /// Answers its requests.
    async fn serve<S>(
        self,
        stream: S,
        certificates: Option<PeerCertificates>,
    ) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service = self.service.map_request(move |mut request: Request<_>| {
            if let Some(certificates) = &certificates {
                request.extensions_mut().insert(certificates.clone());
            }
            request
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(Patience::new(HEAD_TIME))
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_BYTES as u32)
            .max_concurrent_streams(256);
        let stream = TokioIo::new(Opening::new(stream, HEAD_TIME));
        let connection = builder.serve_connection(stream, TowerToHyperService::new(service));
        let ended = self.watcher.watch(connection.into_owned()).await;
        drop(self.place);
        ended
    }
}

async fn https_required(_: Request<Incoming>) -> Result<Response, Infallible> {
    let message = "This server speaks HTTPS, and this request came over plain HTTP. Send it to an address with https://.";
    let mut response: Response = Error::refused("https_required", message).response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    Ok(response)
}

/// Resolves when the process is asked to stop: SIGTERM, or SIGINT from a terminal. Asks count from this call on, not only
/// once it is awaited.
pub(crate) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
