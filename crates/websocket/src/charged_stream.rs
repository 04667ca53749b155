//! A byte stream whose received bytes are charged to a budget.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base::{BudgetPermit, Exhausted};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Received bytes that are not charged: the read buffer of a connection holds them in any case.
pub(crate) const FREE_BYTES: u64 = 16 * 1024;
/// The least growth of the permit.
const MIN_GROWTH_BYTES: u64 = 64 * 1024;

/// A byte stream that charges what it receives, until the message that the bytes belong to is complete.
pub(crate) struct ChargedStream<S> {
    stream: S,
    memory: BudgetPermit,
    /// Bytes received since the last complete message.
    received: u64,
    /// Reason for which the stream has stopped to receive.
    exhausted: Option<Exhausted>,
}

impl<S> ChargedStream<S> {
    /// Returns a stream that charges to `memory`, which is empty.
    pub(crate) fn new(stream: S, memory: BudgetPermit) -> Self {
        Self {
            stream,
            memory,
            received: 0,
            exhausted: None,
        }
    }

    /// Moves the charge of a complete message out of the stream.
    pub(crate) fn take_charge(&mut self) -> BudgetPermit {
        self.received = 0;
        self.memory.take_all()
    }

    /// Returns the limit for which the stream has stopped to receive, if there is one.
    pub(crate) fn exhausted(&self) -> Option<Exhausted> {
        self.exhausted
    }

    /// Adds received bytes to the charge.
    fn charge(&mut self, length: usize) -> io::Result<()> {
        self.received = self.received.saturating_add(length as u64);
        let missing = self
            .received
            .saturating_sub(FREE_BYTES)
            .saturating_sub(self.memory.amount());
        if missing == 0 {
            return Ok(());
        }
        let grown = self.memory.grow(missing.max(MIN_GROWTH_BYTES));
        // Near its bound, the permit grows by no more than is needed.
        let grown = grown.or_else(|_| self.memory.grow(missing));
        grown.map_err(|exhausted| {
            self.exhausted = Some(exhausted);
            io::ErrorKind::OutOfMemory.into()
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ChargedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let length = buffer.filled().len() - before;
        Poll::Ready(self.charge(length))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ChargedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
