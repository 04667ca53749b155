//! TCP listener: accepts connections, limits them, and shuts them down gracefully.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base::LogSampler;
use gateway::PeerCertificates;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::activity::Activity;
use crate::client_address::TrustedProxies;
use crate::connection::{Connection, ConnectionPermits, Peer, Phase, RequestService};
use crate::connection_limiter::ConnectionLimiter;
use crate::descriptors;
use crate::shutdown::Shutdown;
use crate::tls::Tls;
use crate::write_timeout::WriteTimeout;

/// Default of `[server] max_connections_per_address`.
pub(crate) const DEFAULT_CONNECTIONS_PER_ADDRESS: usize = 1_024;
/// Pause after a failed `accept`.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// A bound listener.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    /// Proxies that pass on the certificates of their clients in headers.
    proxies: Vec<IpNet>,
    /// Proxies that pass on the addresses of their clients in headers.
    trusted_proxies: TrustedProxies,
    /// Maximum number of open connections per client.
    per_address: usize,
}

/// Outcome of a graceful shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownOutcome {
    /// All requests were answered.
    Cleanly,
    /// Some requests were aborted at the deadline.
    AtDeadline,
}

impl Server {
    /// Binds `address`; port 0 selects a free port.
    ///
    /// # Errors
    /// The address is in use, or does not belong to this machine.
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

    /// Serves TLS with these certificates; plain HTTP if `None`.
    #[must_use]
    pub fn secured(self, tls: Option<Tls>) -> Self {
        let tls = tls.map(Arc::new);
        Self { tls, ..self }
    }

    /// Sets the proxies that are trusted to pass on client certificates.
    #[must_use]
    pub fn behind(self, proxies: Vec<IpNet>) -> Self {
        Self { proxies, ..self }
    }

    /// Limits the open connections of each client to `per_address`. `trusted_proxies`, which connect for many
    /// clients, are exempt and trusted to pass on the client address.
    #[must_use]
    pub fn bounded(self, per_address: usize, trusted_proxies: Vec<IpNet>) -> Self {
        let trusted_proxies = TrustedProxies::new(trusted_proxies);
        Self {
            per_address,
            trusted_proxies,
            ..self
        }
    }

    /// Returns the bound address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base URL of the listener.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Serves requests with `service` until `stop` is requested, then waits for running requests; those still running
    /// at the deadline are aborted.
    pub async fn run(self, service: impl RequestService, stop: &Shutdown) -> ShutdownOutcome {
        let (phase, following) = watch::channel(Phase::Serving);
        let tasks = TaskTracker::new();
        let places = Arc::new(Semaphore::new(descriptors::max_connections()));
        let door = AcceptGate {
            addresses: ConnectionLimiter::new(self.per_address),
            refused: LogSampler::start(),
            failed: LogSampler::start(),
        };
        let _following = self.tls.as_ref().map(|tls| tls.follow());
        loop {
            let permits = Arc::clone(&places).acquire_owned();
            let accepted = async { (permits.await, self.listener.accept().await) };
            let (permits, accepted) = tokio::select! {
                () = stop.asked() => break,
                accepted = accepted => accepted,
            };
            let Ok(permits) = permits else { break };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    door.failed(&error);
                    tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
                    continue;
                }
            };
            let Some((activity, permits, peer)) = self.admit(&door, peer.ip(), permits) else {
                continue;
            };
            let connection = Connection {
                service: service.clone(),
                phase: following.clone(),
                tasks: tasks.clone(),
                activity,
                peer,
                permits,
            };
            self.take(stream, connection);
        }
        drop(self.listener);
        drop(following);
        tasks.close();
        phase.send_replace(Phase::Stopping);
        tokio::select! {
            biased;
            () = tasks.wait() => return ShutdownOutcome::Cleanly,
            () = stop.requests_end() => {}
        }
        phase.send_replace(Phase::Cut);
        if !stop.cut(tasks.wait()).await {
            tracing::error!("connections not closed in time; usage of open requests not recorded");
        }
        ShutdownOutcome::AtDeadline
    }

    /// Admits a connection. Returns `None` if its client has too many open connections, all of them busy.
    fn admit(
        &self,
        door: &AcceptGate,
        address: IpAddr,
        of_server: OwnedSemaphorePermit,
    ) -> Option<(Arc<Activity>, ConnectionPermits, Peer)> {
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
        let permits = ConnectionPermits {
            of_server,
            of_address,
        };
        Some((activity, permits, peer))
    }

    /// Spawns the task that serves a connection.
    fn take(&self, stream: TcpStream, connection: Connection<impl RequestService>) {
        let peer = connection.peer.address;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "failed to set TCP_NODELAY");
        }
        let tls = self.tls.clone();
        connection.tasks.clone().spawn(async move {
            let ended = match tls {
                None => connection.serve(WriteTimeout::new(stream)).await,
                Some(tls) => connection.secure(stream, &tls).await,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, %peer, "connection failed");
            }
        });
    }
}

/// Limits and sampled logs of new connections.
struct AcceptGate {
    addresses: ConnectionLimiter,
    refused: LogSampler,
    failed: LogSampler,
}

impl AcceptGate {
    /// Logs a connection refused by the per-address limit, once per interval.
    fn refused(&self, address: IpAddr) {
        if let Some(left_out) = self.refused.admit() {
            tracing::warn!(
                %address, left_out,
                "connection refused: server.max_connections_per_address reached"
            );
        }
    }

    /// Logs a failed `accept`, once per interval; usually the process is out of file descriptors.
    fn failed(&self, error: &std::io::Error) {
        if let Some(left_out) = self.failed.admit() {
            tracing::warn!(%error, left_out, "failed to accept connection");
        }
    }
}
