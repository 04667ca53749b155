//! Connection pool of one upstream: idle HTTP/1.1 connections, the last used one first, and the HTTP/2 connection that all
//! requests share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use base::time::Stopwatch;
use tasks::Task;

use crate::http1::Http1Connection;
use crate::http2::Http2Connection;

/// Maximum time for which an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time between two passes that drop expired and closed connections.
const REAP_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum number of idle HTTP/1.1 connections; further ones are closed.
const MAX_IDLE_CONNECTIONS: usize = 512;

/// Connections to one upstream.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Connections>);

#[derive(Default)]
struct Connections {
    /// Idle HTTP/1.1 connections, in the order in which they were returned.
    idle: Vec<Http1Connection>,
    shared: Option<Http2Connection>,
    /// True while a [`Reaper`] runs.
    is_reaped: bool,
}

impl Pool {
    /// Takes the idle HTTP/1.1 connection that was used last.
    pub(crate) fn take(&self) -> Option<Http1Connection> {
        self.connections().idle.pop()
    }

    /// Returns an HTTP/1.1 connection to the pool.
    pub(crate) fn put(self: &Arc<Self>, mut connection: Http1Connection) {
        connection.set_idle();
        let mut connections = self.connections();
        if connections.idle.len() < MAX_IDLE_CONNECTIONS {
            connections.idle.push(connection);
            self.start_reaper(&mut connections);
        }
    }

    /// Returns the shared HTTP/2 connection, if one is open.
    pub(crate) fn shared(&self) -> Option<Http2Connection> {
        let mut connections = self.connections();
        let shared = connections.shared.as_mut()?;
        if !shared.is_open() {
            connections.shared = None;
            return None;
        }
        shared.used = Stopwatch::start();
        Some(shared.clone())
    }

    /// Makes `new` the shared HTTP/2 connection, unless there is one; returns the shared one.
    pub(crate) fn share(self: &Arc<Self>, new: Http2Connection) -> Http2Connection {
        if let Some(shared) = self.shared() {
            return shared;
        }
        let mut connections = self.connections();
        connections.shared = Some(new.clone());
        self.start_reaper(&mut connections);
        new
    }

    /// Starts a task that reaps connections until none is left, unless one runs.
    fn start_reaper(self: &Arc<Self>, connections: &mut Connections) {
        if !std::mem::replace(&mut connections.is_reaped, true) {
            let reaper = Reaper(Arc::downgrade(self));
            tasks::start("connection pool", |_| reaper).detach();
        }
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// Drops expired and closed connections. True if any connection is left.
    fn reap(&mut self) -> bool {
        self.idle
            .retain_mut(|connection| connection.idle_time() < IDLE_TIMEOUT && connection.is_open());
        let is_usable =
            |shared: &Http2Connection| shared.used.elapsed() < IDLE_TIMEOUT && shared.is_open();
        self.shared = self.shared.take().filter(is_usable);
        self.is_reaped = !self.idle.is_empty() || self.shared.is_some();
        self.is_reaped
    }
}

/// Task that reaps the connections of a pool.
struct Reaper(Weak<Pool>);

impl Task for Reaper {
    async fn run(&mut self) {
        loop {
            tokio::time::sleep(REAP_INTERVAL).await;
            let Some(pool) = self.0.upgrade() else { return };
            if !pool.connections().reap() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::connector::Stream;

    /// Returns a connection and the upstream's end of its socket.
    async fn connect() -> (Http1Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (client, upstream) = tokio::join!(TcpStream::connect(address), listener.accept());
        let client = TokioIo::new(client.expect("a connection"));
        let connection = Http1Connection::handshake(Stream::Http(client.into()))
            .await
            .expect("a handshake");
        (connection, upstream.expect("a connection").0)
    }

    #[tokio::test]
    async fn last_used_connection_is_taken_first_and_closed_ones_are_reaped() {
        let pool = Arc::new(Pool::default());
        let mut upstream_ends = Vec::new();
        for _ in 0..3 {
            let (connection, upstream_end) = connect().await;
            pool.put(connection);
            upstream_ends.push(upstream_end);
        }
        drop(upstream_ends.remove(0));
        while pool.connections().idle.len() == 3 {
            assert!(pool.connections().reap());
            tokio::task::yield_now().await;
        }
        let mut last = pool.take().expect("a connection");
        drop(upstream_ends.pop());
        while last.is_open() {
            tokio::task::yield_now().await;
        }
        assert!(pool.take().expect("the other one").is_open());
        assert!(pool.take().is_none());
        assert!(!pool.connections().reap());
    }
}
