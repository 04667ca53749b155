//! The client's side of a WebSocket connection, and the ends that it can come to.

use std::future::pending;
use std::time::Duration;

use base::{BudgetPermit, Error};
use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::{Interval, MissedTickBehavior, interval_at, timeout};
use websocket::{Incoming, ReceiveError, WebSocket};

use super::ErrorEvent;
use crate::request_body::{self, MAX_REQUEST_BYTES};

/// The interval between two pings, which keep the connection open across routers and tell that the client is there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// The most pings in a row that a client may leave unanswered.
const MAX_UNANSWERED_PINGS: u32 = 2;
/// The longest time for sending the error that ends a connection.
const LAST_EVENT_TIMEOUT: Duration = Duration::from_secs(1);

/// The reason for which a connection ends.
#[derive(Debug)]
pub(crate) struct SessionEnd {
    /// The code of the close frame (RFC 6455, section 7.4).
    code: u16,
    reason: &'static str,
    /// The error that the client gets as an event before.
    error: Option<Error>,
}

/// Reason why an event was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The client has hung up.
    Gone,
    /// The client has accepted nothing for too long.
    Stalled,
}

/// The client's side of a connection.
pub(crate) struct ClientSocket {
    socket: WebSocket<TokioIo<Upgraded>>,
    /// The message that has come ahead of its turn. No further one is read until it is taken.
    pending: Option<Bytes>,
    pings: Interval,
    unanswered_pings: u32,
    /// The longest time for which the client may accept nothing.
    idle_timeout: Duration,
}

impl SessionEnd {
    fn new(code: u16, reason: &'static str, error: Option<Error>) -> Self {
        Self {
            code,
            reason,
            error,
        }
    }

    /// Returns the end of a connection that the client has closed or lost.
    pub(crate) fn closed() -> Self {
        Self::new(1000, "", None)
    }

    /// Returns the end of a connection whose client accepts nothing.
    pub(crate) fn stalled() -> Self {
        Self::new(1008, "client idle timeout", None)
    }

    /// Returns the end of a connection whose key is not valid any more.
    pub(crate) fn unauthorized(error: Error) -> Self {
        Self::new(1008, "API key not valid", Some(error))
    }

    /// Returns the end of a connection whose key was revoked.
    pub(crate) fn revoked() -> Self {
        let message =
            "The API key was revoked, or lost its permission, while the connection was open.";
        Self::unauthorized(Error::unauthenticated(message))
    }

    /// Returns the end of a connection of a server that stops.
    pub(crate) fn going_away() -> Self {
        Self::new(1001, "server is stopping", None)
    }

    /// Returns the end of a connection on which nothing was asked for too long.
    pub(crate) fn idle() -> Self {
        Self::new(1001, "idle timeout", None)
    }

    /// Returns the end of a connection that is as old as one may be.
    pub(crate) fn expired() -> Self {
        let message = "A connection lasts at most 60 minutes. Open a new one.";
        let error = Error::refused("websocket_connection_limit_reached", message);
        Self::new(1001, "connection limit reached", Some(error))
    }

    /// Returns the end of a connection after a failure on this side, which the client has been told.
    pub(crate) fn failed() -> Self {
        Self::new(1011, "response failed", None)
    }

    /// Returns this end without an event.
    pub(crate) fn silently(self) -> Self {
        Self {
            error: None,
            ..self
        }
    }

    /// Returns the code of the close frame.
    pub(crate) fn code(&self) -> u16 {
        self.code
    }
}

impl From<ReceiveError> for SessionEnd {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Closed(_) => Self::closed(),
            ReceiveError::TooLong => {
                let error = Error::too_large(MAX_REQUEST_BYTES);
                Self::new(1009, "message too long", Some(error))
            }
            ReceiveError::NoMemory(exhausted) => {
                let error = request_body::refusal(exhausted);
                Self::new(1013, "no memory for the message", Some(error))
            }
            ReceiveError::Invalid => Self::new(1002, "invalid frame", None),
        }
    }
}

impl From<Unsent> for SessionEnd {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Gone => Self::closed(),
            Unsent::Stalled => Self::stalled(),
        }
    }
}

impl ClientSocket {
    /// Returns the client's side of an upgraded connection. Messages are charged to `memory`, an empty permit. A client may
    /// accept nothing for `idle_timeout`.
    pub(crate) async fn new(
        connection: Upgraded,
        memory: BudgetPermit,
        idle_timeout: Duration,
    ) -> Self {
        let connection = TokioIo::new(connection);
        let first = tokio::time::Instant::now() + PING_INTERVAL;
        let mut pings = interval_at(first, PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            socket: WebSocket::server(connection, memory, MAX_REQUEST_BYTES).await,
            pending: None,
            pings,
            unanswered_pings: 0,
            idle_timeout,
        }
    }

    /// Waits for the next message. Cancel-safe.
    ///
    /// # Errors
    /// The connection is to end.
    pub(crate) async fn next(&mut self) -> Result<Bytes, SessionEnd> {
        match self.pending.take() {
            Some(message) => Ok(message),
            None => self.receive().await,
        }
    }

    /// Reads at most one message ahead, and returns once the connection is to end. Cancel-safe.
    pub(crate) async fn read_ahead(&mut self) -> SessionEnd {
        loop {
            if self.pending.is_some() {
                return pending().await;
            }
            match self.receive().await {
                Ok(message) => self.pending = Some(message),
                Err(end) => return end,
            }
        }
    }

    async fn receive(&mut self) -> Result<Bytes, SessionEnd> {
        loop {
            let received = tokio::select! {
                biased;
                received = self.socket.receive() => received?,
                _ = self.pings.tick() => {
                    if self.unanswered_pings >= MAX_UNANSWERED_PINGS {
                        return Err(SessionEnd::closed());
                    }
                    self.unanswered_pings += 1;
                    self.socket.ping().await.map_err(|_| SessionEnd::closed())?;
                    continue;
                }
            };
            self.unanswered_pings = 0;
            match received {
                Incoming::Text(message) => return Ok(message),
                Incoming::Control => {}
                Incoming::Binary => {
                    let message = "Messages must be text, and this one was binary.";
                    let error = Error::refused("binary_message", message);
                    return Err(SessionEnd::new(1003, "binary message", Some(error)));
                }
            }
        }
    }

    /// Sends an event. A call that is cancelled has broken the connection, which can then only be closed.
    ///
    /// # Errors
    /// The client has hung up, or accepts nothing.
    pub(crate) async fn send(&mut self, event: Bytes) -> Result<(), Unsent> {
        let sent = timeout(self.idle_timeout, self.socket.send_text(event)).await;
        sent.map_err(|_| Unsent::Stalled)?.map_err(|_| Unsent::Gone)
    }

    /// Closes the connection.
    pub(crate) async fn close(mut self, end: SessionEnd) {
        if let Some(error) = &end.error {
            let event = ErrorEvent::of_connection(error).text();
            // The connection ends in any case.
            let _ = timeout(LAST_EVENT_TIMEOUT, self.send(event)).await;
        }
        self.socket.close(end.code, end.reason).await;
    }
}
