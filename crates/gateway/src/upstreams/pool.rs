//! The connections to one upstream that the next request can use: those in HTTP/1.1 that nobody uses, the one that was used
//! last first, and the one in HTTP/2 that all requests share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use base::time::Stopwatch;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;
use tasks::Task;

use super::line::Line;

/// How long a connection is kept that nobody uses.
const KEEP_IDLE: Duration = Duration::from_secs(60);
/// How often those are looked for, and those that the upstream has closed.
const LOOK: Duration = Duration::from_secs(5);
/// How many connections are kept that nobody uses.
const MAX_IDLE: usize = 512;

/// The connections of one upstream.
#[derive(Default)]
pub(super) struct Pool(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// In the order in which they came free.
    lines: Vec<Line>,
    shared: Option<Shared>,
    /// Whether a task looks after them.
    is_watched: bool,
}

/// A connection in HTTP/2, driven by a task of its own. Clones are the same connection.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) sender: SendRequest<Full<Bytes>>,
    is_used: Arc<AtomicBool>,
    idle: Stopwatch,
}

impl Shared {
    pub(super) fn new(sender: SendRequest<Full<Bytes>>) -> Self {
        Self {
            sender,
            is_used: Arc::default(),
            idle: Stopwatch::start(),
        }
    }

    /// Whether an answer came on it.
    pub(super) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// An answer came on it.
    pub(super) fn answered(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }
}

impl Pool {
    /// A connection that nobody uses.
    pub(super) fn take(&self) -> Option<Line> {
        self.kept().lines.pop()
    }

    /// Keeps a connection that nobody uses any more.
    pub(super) fn put(self: &Arc<Self>, mut line: Line) {
        line.rests();
        let mut kept = self.kept();
        if kept.lines.len() < MAX_IDLE {
            kept.lines.push(line);
            self.watch(&mut kept);
        }
    }

    /// The connection that all share, if there is one.
    pub(super) fn shared(&self) -> Option<Shared> {
        let mut kept = self.kept();
        let shared = kept.shared.as_mut()?;
        if shared.sender.is_closed() {
            kept.shared = None;
            return None;
        }
        shared.idle = Stopwatch::start();
        Some(shared.clone())
    }

    /// Makes `new` the one that all share, unless there is one.
    pub(super) fn share(self: &Arc<Self>, new: Shared) -> Shared {
        if let Some(shared) = self.shared() {
            return shared;
        }
        let mut kept = self.kept();
        kept.shared = Some(new.clone());
        self.watch(&mut kept);
        new
    }

    /// Has a task look after what is kept, until nothing is.
    fn watch(self: &Arc<Self>, kept: &mut Kept) {
        if !std::mem::replace(&mut kept.is_watched, true) {
            let sweeper = Sweeper(Arc::downgrade(self));
            tasks::start("connection pool", |_| sweeper).detach();
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Gives up what is too old, or closed; whether anything is left.
    fn tidy(&mut self) -> bool {
        self.lines
            .retain_mut(|line| line.idle() < KEEP_IDLE && line.is_open());
        let shared = self.shared.take();
        self.shared =
            shared.filter(|shared| shared.idle.elapsed() < KEEP_IDLE && !shared.sender.is_closed());
        self.is_watched = !self.lines.is_empty() || self.shared.is_some();
        self.is_watched
    }
}

/// Gives up connections of a pool that nobody uses.
struct Sweeper(Weak<Pool>);

impl Task for Sweeper {
    async fn run(&mut self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(pool) = self.0.upgrade() else { return };
            if !pool.kept().tidy() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::net::{TcpListener, TcpStream};

    use super::super::connect::Stream;
    use super::*;

    /// A connection, and its other side.
    async fn line() -> (Line, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        let ours = TokioIo::new(ours.expect("a connection"));
        let line = Line::begin(Stream::Http(ours.into()))
            .await
            .expect("a line");
        (line, theirs.expect("a connection").0)
    }

    #[tokio::test]
    async fn the_one_that_was_used_last_comes_first_and_what_is_closed_is_given_up() {
        let pool = Arc::new(Pool::default());
        let mut others = Vec::new();
        for _ in 0..3 {
            let (line, other) = line().await;
            pool.put(line);
            others.push(other);
        }
        drop(others.remove(0));
        while pool.kept().lines.len() == 3 {
            assert!(pool.kept().tidy());
            tokio::task::yield_now().await;
        }
        let mut last = pool.take().expect("a line");
        drop(others.pop());
        while last.is_open() {
            tokio::task::yield_now().await;
        }
        assert!(pool.take().expect("the other one").is_open());
        assert!(pool.take().is_none());
        assert!(!pool.kept().tidy());
    }
}
