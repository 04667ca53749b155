//! Timeout for the detection of the HTTP version: hyper waits for the first bytes without a limit.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::activity::Activity;

/// Connection preface of HTTP/2 (RFC 9113, section 3.4). Any other first bytes mean HTTP/1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Stream whose reads fail with `TimedOut` if the HTTP version is not known in time.
pub(crate) struct ProtocolDetectTimeout<S> {
    stream: S,
    /// Number of preface bytes received so far.
    matched: usize,
    /// Timer of the detection; `None` once the version is known.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Activity of the connection, marked as HTTP/2 once the preface has arrived.
    activity: Arc<Activity>,
}

impl<S> ProtocolDetectTimeout<S> {
    pub(crate) fn new(stream: S, patience: Duration, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            matched: 0,
            deadline: Some(Box::pin(sleep(patience))),
            activity,
        }
    }

    fn look_at(&mut self, bytes: &[u8]) {
        let missing = &PREFACE[self.matched.min(PREFACE.len())..];
        self.matched += bytes.len();
        if bytes.starts_with(missing) {
            self.activity.speaks_http2();
        }
        if bytes.len() >= missing.len() || !missing.starts_with(bytes) {
            self.deadline = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ProtocolDetectTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                if self.deadline.is_some() {
                    self.look_at(&buffer.filled()[before..]);
                }
                Poll::Ready(read)
            }
            Poll::Pending => match &mut self.deadline {
                Some(deadline) => {
                    ready!(deadline.as_mut().poll(context));
                    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
                }
                None => Poll::Pending,
            },
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ProtocolDetectTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
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
