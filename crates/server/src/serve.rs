//! The listener: accepts connections, bounds what each may do, and stops gracefully.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::response::Response;
use gateway::PeerCertificates;
use http::Request;
use hyper::body::Incoming;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::activity::Activity;
use crate::addresses::Addresses;
use crate::client_address::TrustedProxies;
use crate::connection::{Connection, Peer, Phase, Place};
use crate::descriptors;
use crate::log::Sampled;
use crate::stop::Stop;
use crate::tls::Tls;
use crate::write_timeout::WriteTimeout;

/// The default of the most connections that a client may have open.
pub(crate) const DEFAULT_CONNECTIONS_PER_ADDRESS: usize = 1_024;
/// The time after which it is tried again to accept a connection, when that has failed.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// A bound listener.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    /// Who may say in headers which certificates its clients have shown.
    proxies: Vec<IpNet>,
    /// The proxies that may say in headers which address their clients have.
    trusted_proxies: TrustedProxies,
    /// The most connections that a client may have open.
    per_address: usize,
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
            trusted_proxies: TrustedProxies::default(),
            per_address: DEFAULT_CONNECTIONS_PER_ADDRESS,
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

    /// Bounds the connections of each client to `per_address`. `trusted_proxies`, which speak for many clients, have no
    /// bound of their own, and are trusted to say which address a request comes from.
    #[must_use]
    pub fn bounded(self, per_address: usize, trusted_proxies: Vec<IpNet>) -> Self {
        let trusted_proxies = TrustedProxies::new(trusted_proxies);
        Self {
            per_address,
            trusted_proxies,
            ..self
        }
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
        let places = Arc::new(Semaphore::new(descriptors::max_connections()));
        let door = Door {
            addresses: Addresses::new(self.per_address),
            refused: Sampled::start(),
            failed: Sampled::start(),
        };
        let _following = self.tls.as_ref().map(|tls| tls.follow());
        loop {
            let place = Arc::clone(&places).acquire_owned();
            let accepted = async { (place.await, self.listener.accept().await) };
            let (place, accepted) = tokio::select! {
                () = stop.asked() => break,
                accepted = accepted => accepted,
            };
            let Ok(place) = place else { break };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    door.failed(&error);
                    tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
                    continue;
                }
            };
            let Some((activity, place, peer)) = self.admit(&door, peer.ip(), place) else {
                continue;
            };
            let connection = Connection {
                service: service.clone(),
                phase: following.clone(),
                tasks: tasks.clone(),
                activity,
                peer,
                place,
            };
            self.take(stream, connection);
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

    /// Counts a connection; `None` if its client has too many, all of them busy.
    fn admit(
        &self,
        door: &Door,
        address: IpAddr,
        of_server: OwnedSemaphorePermit,
    ) -> Option<(Arc<Activity>, Place, Peer)> {
        let address = address.to_canonical();
        let activity = Activity::begin();
        let of_address = if self.trusted_proxies.contains(address) {
            None
        } else {
            let counted = door.addresses.admit(address, &activity);
            if counted.is_none() {
                door.refused(address);
            }
            Some(counted?)
        };
        let is_proxy = self.proxies.iter().any(|proxy| proxy.contains(&address));
        let peer = Peer {
            address,
            proxies: self.trusted_proxies.clone(),
            certificates: is_proxy.then(PeerCertificates::of_proxy),
        };
        let place = Place {
            of_server,
            of_address,
        };
        Some((activity, place, peer))
    }

    /// Serves a connection in a task of its own.
    fn take(&self, stream: TcpStream, connection: Connection<impl Answers>) {
        let peer = connection.peer.address;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "TCP_NODELAY");
        }
        let tls = self.tls.clone();
        connection.tasks.clone().spawn(async move {
            let ended = match tls {
                None => connection.serve(WriteTimeout::new(stream)).await,
                Some(tls) => connection.secure(stream, &tls).await,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, %peer, "a connection broke");
            }
        });
    }
}

/// The gate that decides which connections come in.
struct Door {
    addresses: Addresses,
    refused: Sampled,
    failed: Sampled,
}

impl Door {
    /// Logs, once per interval, that a connection was closed for its client has too many.
    fn refused(&self, address: IpAddr) {
        if let Some(left_out) = self.refused.admit() {
            tracing::warn!(
                %address, left_out,
                "connection closed: its address has as many open as server.max_connections_per_address allows"
            );
        }
    }

    /// Logs, once per interval, that no connection could be accepted: out of descriptors, most likely, until some end.
    fn failed(&self, error: &std::io::Error) {
        if let Some(left_out) = self.failed.admit() {
            tracing::warn!(%error, left_out, "connection not accepted");
        }
    }
}

/// A service that answers the requests that come in: each clone those of one connection.
pub trait Answers:
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

impl<S> Answers for S where
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
