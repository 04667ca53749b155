//! A WebSocket connection of a client. Each message is a request that passes the whole pipeline, with the settings of its moment;
//! one response runs at a time.

use std::future::pending;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use base::ids::Id;
use base::{Error, Result};
use bodies::Capture;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use prometheus::IntGauge;
use proxy::{Target, UpstreamSocket};
use tokio::select;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use usage::Outcome;
use websocket::Incoming;

use super::{Pipeline, RequestContext};
use crate::caller::Caller;
use crate::dialect::{Call, RESPONSES, RefusedMessage, SocketMessage};
use crate::in_flight::InFlightRequest;
use crate::metered_answer::FailedRequest;
use crate::permission_rules::permission_of;
use crate::socket::{
    ClientSocket, ErrorEvent, Relay, Relayed, ResponseIds, SessionEnd, SocketAnswer,
};
use crate::upstreams::ForwardFailure;
use crate::watchdog::Registration;

/// The longest time for which a connection stays open; a running response may end after it.
const MAX_CONNECTION_TIME: Duration = Duration::from_secs(60 * 60);
/// The longest time for which a connection stays open without a message.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// The longest event of an upstream, in bytes.
const MAX_EVENT_BYTES: usize = 32 * 1024 * 1024;

/// A connection of a client.
pub(super) struct SocketSession {
    pipeline: Arc<Pipeline>,
    /// Head of the request for the connection.
    head: Parts,
    caller: Caller,
    registration: Registration,
    /// The connection to the upstream of the last response.
    upstream: Option<UpstreamSocket>,
    response_ids: ResponseIds,
}

/// An admitted request, on its way to an upstream.
struct AdmittedCall {
    call: Box<Call>,
    plan: Vec<Target>,
    request: InFlightRequest,
    capture: Option<Capture>,
}

/// A message without a response.
enum Unanswered {
    /// The message is refused; the connection stays open.
    Refused(RefusedMessage),
    /// The connection is to end.
    Ended(SessionEnd),
}

impl From<RefusedMessage> for Unanswered {
    fn from(refused: RefusedMessage) -> Self {
        Self::Refused(refused)
    }
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        Self::Refused(error.into())
    }
}

impl From<SessionEnd> for Unanswered {
    fn from(end: SessionEnd) -> Self {
        Self::Ended(end)
    }
}

impl SocketSession {
    /// Returns the session of a connection that was asked for with this head.
    pub(super) fn new(
        pipeline: Arc<Pipeline>,
        (head, caller): (Parts, Caller),
        registration: Registration,
    ) -> Self {
        Self {
            pipeline,
            head,
            caller,
            registration,
            upstream: None,
            response_ids: ResponseIds::default(),
        }
    }

    /// Serves the connection to its end, which is after the running response once `stopping` is cancelled. Dropped, a running
    /// response is drained.
    pub(super) async fn run(mut self, mut client: ClientSocket, stopping: &CancellationToken) {
        let sockets = self.pipeline.metrics.sockets.clone();
        sockets.inc();
        let open = OpenSocket(sockets);
        let end = self.serve(&mut client, stopping).await;
        tracing::debug!(
            api_key = self.caller.key.id.as_str(),
            code = end.code(),
            "websocket connection closed"
        );
        let upstream = self.upstream.take();
        let closing = async {
            if let Some(upstream) = upstream {
                upstream.close().await;
            }
        };
        tokio::join!(client.close(end), closing);
        drop(open);
    }

    async fn serve(
        &mut self,
        client: &mut ClientSocket,
        stopping: &CancellationToken,
    ) -> SessionEnd {
        let expiry = Instant::now() + MAX_CONNECTION_TIME;
        loop {
            let message = select! {
                biased;
                () = self.registration.revoked() => return SessionEnd::revoked(),
                () = stopping.cancelled() => return SessionEnd::going_away(),
                () = sleep_until(expiry) => return SessionEnd::expired(),
                () = sleep_until(Instant::now() + IDLE_TIMEOUT) => return SessionEnd::idle(),
                () = until_useless(&mut self.upstream) => {
                    self.upstream = None;
                    continue;
                }
                message = client.next() => message,
            };
            let answered = match message {
                Ok(message) => self.answer(client, message).await,
                Err(end) => return end,
            };
            if let Err(end) = answered {
                return end;
            }
        }
    }

    /// Answers a message by the events of a response, or by an error.
    async fn answer(
        &mut self,
        client: &mut ClientSocket,
        message: Bytes,
    ) -> Result<(), SessionEnd> {
        let mut context = self.pipeline.context(self.head.clone());
        context.observer.set_endpoint(RESPONSES.path);
        context.observer.set_key(&self.caller.key);
        let refused = match Box::pin(self.respond(&mut context, client, message)).await {
            Ok(()) => return Ok(()),
            Err(Unanswered::Ended(end)) => return Err(end),
            Err(Unanswered::Refused(refused)) => refused,
        };
        context.observer.finish(&context.id, Err(&refused.error));
        let event = ErrorEvent {
            error: &refused.error,
            request: Some(&context.id),
            stream_id: refused.stream_id.as_deref(),
            rate_limit_status: context.rate_limit_status,
        };
        Ok(client.send(event.text()).await?)
    }

    /// Takes a message through the pipeline. The checks have the order of [`Pipeline::serve_model`].
    async fn respond(
        &mut self,
        context: &mut RequestContext,
        client: &mut ClientSocket,
        message: Bytes,
    ) -> Result<(), Unanswered> {
        let pipeline = Arc::clone(&self.pipeline);
        let needs = permission_of(&self.head)?;
        let caller = pipeline
            .auth
            .authenticate_again(&self.caller, &self.head, needs);
        let caller = caller.map_err(|error| {
            context.observer.finish(&context.id, Err(&error));
            SessionEnd::unauthorized(error)
        })?;
        pipeline.rate_limits.check_not_zero(&caller)?;
        pipeline.budget.check_not_reached(&caller)?;
        let (call, stream_id) = match SocketMessage::read(message).await? {
            SocketMessage::Create { call, stream_id } => (call, stream_id),
            SocketMessage::Processed => {
                // Nothing was asked for.
                context
                    .observer
                    .finish(&context.id, Ok(http::StatusCode::OK));
                return Ok(());
            }
        };
        let in_lane = |error| RefusedMessage {
            error,
            stream_id: stream_id.clone(),
        };
        let admitted = self.admit(context, caller, call).await?.map_err(in_lane)?;
        let AdmittedCall {
            call,
            plan,
            request,
            capture,
        } = admitted;
        let (answer, body) = match self.open(context, &call, &plan, request).await? {
            Ok(opened) => opened,
            Err(failed) => {
                let failed = pipeline.forwarder.fail(failed, capture).await;
                return Err(in_lane(failed).into());
            }
        };
        // The memory of the message is released once the upstream has it.
        drop((call, plan));
        let relay = Relay {
            client,
            registration: &self.registration,
            response_ids: &mut self.response_ids,
            drains: &pipeline.forwarder.drains,
            durability: pipeline.forwarder.durability,
            request: &context.id,
            stream_id: stream_id.as_deref(),
            capture: capture.map(|capture| capture.answered(200)),
        };
        match relay.run(answer, body).await {
            Relayed::Complete(upstream) => {
                self.upstream = Some(upstream);
                Ok(())
            }
            Relayed::Ended(end) => Err(end.into()),
        }
    }

    /// Checks and admits a request. The outer error means that the key was revoked meanwhile.
    async fn admit(
        &self,
        context: &mut RequestContext,
        caller: Caller,
        mut call: Box<Call>,
    ) -> Result<Result<AdmittedCall>, SessionEnd> {
        context.observer.set_model(&call.model);
        call.accept_responses(|id| self.response_ids.contains(id));
        let admitted = async {
            let affinity = || call.affinity(caller.project.id.as_str());
            let forwarder = &self.pipeline.forwarder;
            let plan = forwarder.websocket_plan(&call.model, affinity)?;
            let checked = (&RESPONSES, &mut *call);
            let admitted = self
                .pipeline
                .check_and_admit(context, caller, checked, plan);
            let (request, capture, plan) = admitted.await?;
            Ok(AdmittedCall {
                call,
                plan,
                request,
                capture,
            })
        };
        self.unless_revoked(admitted).await
    }

    /// Returns the response to come, and the body to ask for it. The outer error means that the key was revoked meanwhile.
    async fn open(
        &mut self,
        context: &mut RequestContext,
        call: &Call,
        plan: &[Target],
        mut request: InFlightRequest,
    ) -> Result<Result<(SocketAnswer, Bytes), Box<FailedRequest>>, SessionEnd> {
        let mut headers = take(&mut context.head.headers);
        request.observer.forward(&mut headers);
        let connected = match self.connect(headers, plan).await {
            Ok(connected) => connected,
            Err(end) => {
                drop(request.fail(&ForwardFailure::unsent(
                    Error::internal(),
                    Outcome::ClientGone,
                )));
                return Err(end);
            }
        };
        let (upstream, target) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                let failure = ForwardFailure::unsent(error, Outcome::UpstreamFailed);
                request.observer.fail(&failure.error);
                let recorded = request.fail(&failure);
                return Ok(Err(Box::new(FailedRequest { failure, recorded })));
            }
        };
        let body = call.body_at(&target, false);
        Ok(Ok((
            SocketAnswer::new(upstream, &target.model, request),
            body,
        )))
    }

    /// Returns the open connection if that leads to an upstream of the plan, else a new one, and its target in the plan. The
    /// outer error means that the key was revoked meanwhile.
    async fn connect(
        &mut self,
        headers: HeaderMap,
        plan: &[Target],
    ) -> Result<Result<(UpstreamSocket, Target)>, SessionEnd> {
        let with_target = |upstream: UpstreamSocket| {
            let target = upstream.target_of(plan)?.clone();
            Some((upstream, target))
        };
        if let Some(open) = self.upstream.take().and_then(with_target) {
            return Ok(Ok(open));
        }
        let connecting = async {
            let memory = self.pipeline.flow.answer(&self.caller)?;
            let upstreams = &self.pipeline.forwarder.upstreams;
            let path = RESPONSES.path;
            let bounds = (memory, MAX_EVENT_BYTES);
            let connected = upstreams
                .connect_websocket(plan, path, headers, bounds)
                .await;
            let upstream = connected.map_err(|error| ForwardFailure::from(error).error)?;
            with_target(upstream).ok_or_else(Error::internal)
        };
        Box::pin(self.unless_revoked(connecting)).await
    }

    /// Waits for `work`, which is dropped if the key is revoked in the meantime.
    async fn unless_revoked<F: Future>(&self, work: F) -> Result<F::Output, SessionEnd> {
        let done = self.registration.unless_revoked(work).await;
        done.map_err(SessionEnd::unauthorized)
    }
}

/// Open connection, counted until it is dropped.
struct OpenSocket(IntGauge);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Waits until the idle connection to an upstream is of no further use: it has ended, or brings an event that nobody asked for.
async fn until_useless(upstream: &mut Option<UpstreamSocket>) {
    let Some(upstream) = upstream else {
        return pending().await;
    };
    while let Ok(Incoming::Control) = upstream.receive().await {}
}
