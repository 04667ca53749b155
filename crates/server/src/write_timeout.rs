//! Write timeout of a connection: reset if the client accepts no byte for [`WRITE_TIMEOUT`] while data waits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Maximum time without progress of a write.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Stream whose writes fail with `TimedOut` after [`WRITE_TIMEOUT`] without progress.
pub(crate) struct WriteTimeout<S> {
    stream: S,
    /// Timer, created for the first blocked write.
    timer: Option<Pin<Box<Sleep>>>,
    /// True if the last write is blocked.
    is_blocked: bool,
}

impl<S> WriteTimeout<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            timer: None,
            is_blocked: false,
        }
    }

    /// Returns the result of a write, or an error after too long without progress.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_blocked = false;
            return written;
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        if !std::mem::replace(&mut self.is_blocked, true) {
            timer.as_mut().reset(Instant::now() + WRITE_TIMEOUT);
        }
        timer.as_mut().poll(context).map(|()| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client takes nothing",
            ))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn s12_a_client_that_takes_nothing_is_given_up() {
        let (mut client, server) = tokio::io::duplex(16);
        let mut server = WriteTimeout::new(server);
        server.write_all(&[0; 16]).await.expect("there is room");
        // However long nothing waits, nothing is wrong.
        sleep(WRITE_TIMEOUT * 10).await;
        let began = Instant::now();
        let error = server.write_all(&[0; 16]).await.expect_err("no room");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), WRITE_TIMEOUT);
        client.read_exact(&mut [0; 16]).await.expect("what came");
    }

    #[tokio::test(start_paused = true)]
    async fn s12_a_slow_client_is_not_given_up() {
        let (mut client, server) = tokio::io::duplex(16);
        let mut server = WriteTimeout::new(server);
        let reading = tokio::spawn(async move {
            for _ in 0..10 {
                sleep(WRITE_TIMEOUT / 2).await;
                client.read_exact(&mut [0; 8]).await.expect("bytes");
            }
        });
        let began = Instant::now();
        server.write_all(&[0; 80]).await.expect("all is taken");
        assert!(began.elapsed() > WRITE_TIMEOUT * 3);
        reading.await.expect("all was read");
    }
}
