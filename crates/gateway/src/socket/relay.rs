//! The relay of a response's events from an upstream to a client: settled once the upstream has sent all usage, drained in the
//! background if the client hangs up before.

use base::Error;
use base::ids::RequestId;
use bodies::Capture;
use bytes::Bytes;
use proxy::UpstreamSocket;
use tokio::select;
use usage::{Outcome, Recorded};

use super::client_socket::{ClientSocket, SessionEnd, Unsent};
use super::{ErrorEvent, ResponseIds, SocketAnswer};
use crate::drain::Drains;
use crate::limits::RateLimitStatus;
use crate::options::Durability;
use crate::watchdog::Registration;

/// The relay of one response.
pub(crate) struct Relay<'a> {
    pub(crate) client: &'a mut ClientSocket,
    pub(crate) registration: &'a Registration,
    pub(crate) response_ids: &'a mut ResponseIds,
    pub(crate) drains: &'a Drains,
    pub(crate) durability: Durability,
    pub(crate) request: &'a RequestId,
    pub(crate) stream_id: Option<&'a str>,
    pub(crate) capture: Option<Capture>,
}

/// The end of a relay.
#[expect(
    clippy::large_enum_variant,
    reason = "returned once for each response and taken apart at once"
)]
pub(crate) enum Relayed {
    /// The response is complete; the connection to the upstream can carry the next one.
    Complete(UpstreamSocket),
    /// The connection of the client is to end.
    Ended(SessionEnd),
}

/// RAII guard of a response that is relayed. Drop drains the rest of the response in the background.
struct RelayedAnswer<'a> {
    /// `None` once the connection was taken out.
    answer: Option<SocketAnswer>,
    drains: &'a Drains,
}

impl RelayedAnswer<'_> {
    fn get(&mut self) -> &mut SocketAnswer {
        self.answer.as_mut().expect("present until the end")
    }
}

impl Drop for RelayedAnswer<'_> {
    fn drop(&mut self) {
        if let Some(mut answer) = self.answer.take()
            && !answer.withdraw()
            && !answer.is_settled()
        {
            self.drains.read_on_socket(answer);
        }
    }
}

impl Relay<'_> {
    /// Sends a request, and relays the events of its response. The client's next message is read ahead, so that a hang-up is
    /// noticed at once.
    pub(crate) async fn run(mut self, answer: SocketAnswer, body: Bytes) -> Relayed {
        let mut answer = RelayedAnswer {
            answer: Some(answer),
            drains: self.drains,
        };
        match self.relay(&mut answer, body).await {
            Ok(()) => {
                let answer = answer.answer.take().expect("present until here");
                Relayed::Complete(answer.into_upstream())
            }
            Err(end) => Relayed::Ended(end),
        }
    }

    async fn relay(
        &mut self,
        answer: &mut RelayedAnswer<'_>,
        body: Bytes,
    ) -> Result<(), SessionEnd> {
        let sent = select! {
            biased;
            () = self.registration.revoked() => return Err(SessionEnd::revoked()),
            end = self.client.read_ahead() => return Err(end),
            sent = answer.get().send(body) => sent,
        };
        if let Err(outcome) = sent {
            return Err(self.fail(answer, outcome).await);
        }
        let mut is_named = false;
        loop {
            let event = select! {
                biased;
                () = self.registration.revoked() => return Err(SessionEnd::revoked()),
                end = self.client.read_ahead() => return Err(end),
                event = answer.get().next() => event,
            };
            let event = match event {
                Ok(event) => event,
                Err(outcome) => return Err(self.fail(answer, outcome).await),
            };
            if !is_named && let Some((id, is_stored)) = answer.get().response_id() {
                is_named = true;
                // A stored response is found by its record, also from other connections.
                if !is_stored {
                    self.response_ids.add(id);
                }
            }
            let is_last = answer.get().is_complete();
            if is_last {
                // The last event would promise that its usage is durable, and that the response can be named.
                self.settle(answer).await?;
            }
            self.send(answer, event).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Sends an event to the client, and captures it. While the client does not accept it, no further one is read.
    async fn send(
        &mut self,
        answer: &mut RelayedAnswer<'_>,
        event: Bytes,
    ) -> Result<(), SessionEnd> {
        if let Some(capture) = &mut self.capture {
            capture.pass(&event);
            capture.pass(&Bytes::from_static(b"\n"));
        }
        let sent = select! {
            biased;
            // Half of an event may have been sent.
            () = self.registration.revoked() => return Err(SessionEnd::revoked().silently()),
            sent = self.client.send(event) => sent,
        };
        if sent == Err(Unsent::Stalled) {
            answer.get().ignore_end();
        }
        sent.map_err(SessionEnd::from)
    }

    /// Settles a complete response, and waits for its records.
    async fn settle(&mut self, answer: &mut RelayedAnswer<'_>) -> Result<(), SessionEnd> {
        let recorded = answer.get().settle(Outcome::Succeeded);
        self.make_durable(recorded).await?;
        if let Some(recorded) = answer.get().take_recorded()
            && recorded.await.is_err()
        {
            let message = "The response could not be recorded, and cannot be continued.";
            return Err(self.break_off(&Error::overloaded(message, 1)).await);
        }
        Ok(())
    }

    /// Tells the client that the response will not be complete.
    async fn fail(&mut self, answer: &mut RelayedAnswer<'_>, outcome: Outcome) -> SessionEnd {
        let (recorded, error) = answer.get().fail(outcome);
        if let Err(end) = self.make_durable(recorded).await {
            return end;
        }
        self.break_off(&error).await
    }

    /// Sends the error that ends a response and its connection.
    async fn break_off(&mut self, error: &Error) -> SessionEnd {
        let event = ErrorEvent {
            error,
            request: Some(self.request),
            stream_id: self.stream_id,
            rate_limit_status: RateLimitStatus::default(),
        };
        match self.client.send(event.text()).await {
            Ok(()) => SessionEnd::failed(),
            Err(unsent) => unsent.into(),
        }
    }

    /// Waits until a record is durable, if that is required.
    async fn make_durable(&mut self, recorded: Option<Recorded>) -> Result<(), SessionEnd> {
        if self.durability == Durability::Strict
            && let Some(recorded) = recorded
            && let Err(error) = recorded.await
        {
            return Err(self.break_off(&error).await);
        }
        Ok(())
    }
}
