//! The listener: accepts connections, bounds what each may do, and stops gracefully.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::response::Response;
use gateway::PeerCertificates;
use http::Request;
use hyper::body::Incoming;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::connection::{Connection, Phase};
use crate::stop::Stop;
use crate::tls::Tls;

/// How many connections are open at the most; further ones wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 16_384;
/// How long a client may take to send a request's head, and be idle before it.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(30);
/// How much of a request's head is read, in bytes. It may have 100 headers, as hyper has it unless told otherwise: told,
/// it makes room for them anew for each request.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;

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

    /// Lets `service` answer until `stop` is asked for, then finishes what is under way; what has not ended at the stop's
    /// deadline is cut off.
    pub async fn run(self, service: impl Answers, stop: &Stop) -> Stopped {
        let (phase, following) = watch::channel(Phase::Serving);
        let tasks = TaskTracker::new();
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let _following = self.tls.as_ref().map(|tls| tls.follow());
        loop {
            let place = Arc::clone(&places).acquire_owned();
            let accepted = async { (place.await, self.listener.accept().await) };
            let (place, accepted) = tokio::select! {
                () = stop.asked() => break,
                accepted = accepted => accepted,
            };
            match (place, accepted) {
                (Ok(place), Ok((stream, peer))) => {
                    let connection = Connection {
                        service: service.clone(),
                        phase: following.clone(),
                        tasks: tasks.clone(),
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
        drop(following);
        tasks.close();
        phase.send_replace(Phase::Stopping);
        tokio::select! {
            biased;
            () = tasks.wait() => return Stopped::Cleanly,
            () = stop.requests_end() => {}
        }
        phase.send_replace(Phase::Cut);
        if !stop.cut(tasks.wait()).await {
            tracing::error!(
                "connections were not closed in time: the usage of their requests is not recorded"
            );
        }
        Stopped::AtDeadline
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
        connection.tasks.clone().spawn(async move {
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
