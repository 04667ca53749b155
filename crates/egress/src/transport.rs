//! Transport of a dialed connection: to the destination, to a proxy, or through a tunnel.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Stream of a connection, encrypted if the proxy uses TLS.
pub(crate) type Inner = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Connection to a destination or to a proxy.
pub struct Transport {
    inner: Inner,
    /// True if requests on this connection go to a proxy in absolute form.
    is_forwarded: bool,
}

impl Transport {
    /// Wraps a connection to the destination, or a tunnel to it.
    #[must_use]
    pub fn to_destination(inner: Inner) -> Self {
        Self {
            inner,
            is_forwarded: false,
        }
    }

    /// Wraps a connection to a forwarding proxy.
    pub(crate) fn to_proxy(inner: Inner) -> Self {
        Self {
            inner,
            is_forwarded: true,
        }
    }
}

impl From<TokioIo<TcpStream>> for Transport {
    fn from(stream: TokioIo<TcpStream>) -> Self {
        Self::to_destination(Inner::Http(stream))
    }
}

impl Connection for Transport {
    fn connected(&self) -> Connected {
        self.inner.connected().proxy(self.is_forwarded)
    }
}

impl Read for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl Write for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }
}
