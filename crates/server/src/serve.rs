//! The listener: accepts connections, bounds what each may do, and stops gracefully.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::opening::Opening;

/// How many connections are open at the most; further ones wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 16_384;
/// How long a client may take to send a request's head, and be idle before it.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How much of a request's head is read, in bytes, and how many headers.
const HEAD_BYTES: usize = 64 * 1024;
const MOST_HEADERS: usize = 100;

/// A bound listener.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
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
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `stop` resolves, then finishes what is under way within `deadline`.
    pub async fn run(
        self,
        router: Router,
        stop: impl Future<Output = ()>,
        deadline: Duration,
    ) -> Stopped {
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        tokio::pin!(stop);
        loop {
            let place = Arc::clone(&places).acquire_owned();
            let accepted = async { (place.await, self.listener.accept().await) };
            let (place, accepted) = tokio::select! {
                () = &mut stop => break,
                accepted = accepted => accepted,
            };
            match (place, accepted) {
                (Ok(place), Ok((stream, peer))) => serve(stream, peer, &router, &graceful, place),
                (_, Err(error)) => {
                    // Out of file descriptors, most likely: a pause lets connections end.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                (Err(_), Ok(_)) => break,
            }
        }
        drop(self.listener);
        match tokio::time::timeout(deadline, graceful.shutdown()).await {
            Ok(()) => Stopped::Cleanly,
            Err(_) => Stopped::AtDeadline,
        }
    }
}

fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: &Router,
    graceful: &GracefulShutdown,
    place: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "TCP_NODELAY");
    }
    let service = TowerToHyperService::new(router.clone());
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(MOST_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES as u32)
        .max_concurrent_streams(256);
    let stream = TokioIo::new(Opening::new(stream, HEAD_TIME));
    let connection = builder.serve_connection(stream, service).into_owned();
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, %peer, "a connection broke");
        }
        drop(place);
    });
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
