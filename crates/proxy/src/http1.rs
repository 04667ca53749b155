//! HTTP/1.1 connections, each of which carries one request at a time.
//!
//! No task drives such a connection: whoever waits for the response does, so that a response wakes nobody but the client's
//! connection, and bytes from the socket are passed on in the same poll.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};
use std::time::Duration;

use base::time::Stopwatch;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use tokio::task::unconstrained;

use crate::connector::Stream;
use crate::request_body::HttpBody;

/// HTTP/1.1 connection that is driven by its user.
pub(crate) struct Http1Connection(Box<Parts>);

/// Contents of a connection; boxed, so that futures that hold one stay small.
struct Parts {
    sender: SendRequest<HttpBody>,
    /// Driver of the connection; `None` once the connection has ended.
    driver: Option<Connection<Stream, HttpBody>>,
    is_reused: bool,
    idle_since: Stopwatch,
}

impl Http1Connection {
    pub(crate) async fn handshake(stream: Stream) -> hyper::Result<Self> {
        let (sender, driver) = http1::handshake(stream).await?;
        Ok(Self(Box::new(Parts {
            sender,
            driver: Some(driver),
            is_reused: false,
            idle_since: Stopwatch::start(),
        })))
    }

    /// Sends a request and waits for the head of its response. The error returns the request if no byte of it was sent.
    pub(crate) async fn send_request(
        &mut self,
        request: Request<HttpBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<HttpBody>>> {
        let Parts { sender, driver, .. } = &mut *self.0;
        // Only the driver, polled right before, can make this future ready: no waker and no coop budget are needed.
        let mut response = pin!(unconstrained(sender.try_send_request(request)));
        let response = poll_fn(|context| {
            drive(driver, context);
            response.as_mut().poll(&mut noop_context())
        });
        let response = response.await?;
        self.0.is_reused = true;
        Ok(response)
    }

    /// Reads and writes as far as the socket allows. Must be polled while the body of a response is read.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.0.driver, context);
    }

    /// True unless the connection is known to have ended. Does not wait.
    pub(crate) fn is_open(&mut self) -> bool {
        self.drive(&mut noop_context());
        self.0.driver.is_some()
    }

    /// True if the connection can carry the next request. Does not wait.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.is_open() && self.0.sender.is_ready()
    }

    /// True if the connection has carried a response before.
    pub(crate) fn is_reused(&self) -> bool {
        self.0.is_reused
    }

    /// Marks the connection as idle from now on.
    pub(crate) fn set_idle(&mut self) {
        self.0.idle_since = Stopwatch::start();
    }

    /// Returns the time since the connection became idle.
    pub(crate) fn idle_time(&self) -> Duration {
        self.0.idle_since.elapsed()
    }
}

/// Returns a context that wakes nobody.
pub(crate) fn noop_context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Polls the driver, and drops it at the end of the connection, which fails the pending response.
fn drive(driver: &mut Option<Connection<Stream, HttpBody>>, context: &mut Context<'_>) {
    if let Some(open) = driver
        && Pin::new(open).poll(context).is_ready()
    {
        *driver = None;
    }
}
