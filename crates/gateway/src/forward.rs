//! Forwarding: an admitted request goes to an upstream, and the answer is relayed to the client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use base::{Error, Result};
use bodies::Capture;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderMap, Method, Response};
use proxy::{Affinity, ApiFormat, ForwardRequest, Target, Upstreams};

use crate::dialect::Call;
use crate::drain::{AwaitedAnswer, Drains};
use crate::headers;
use crate::in_flight::InFlightRequest;
use crate::metered_answer::{self, FailedRequest, MeteredAnswer};
use crate::options::Durability;
use crate::relayed_body::RelayedBody;
use crate::upstreams::ForwardFailure;

/// The stage that forwards requests and relays their answers.
pub(crate) struct Forwarder {
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) drains: Drains,
    pub(crate) durability: Durability,
}

impl Forwarder {
    /// Returns the upstreams that serve a model in this format, in the order in which they are tried; at least one. `affinity`
    /// is called only where there is a choice.
    ///
    /// # Errors
    /// 404: no upstream of the format serves the model.
    pub(crate) fn plan(
        &self,
        format: ApiFormat,
        model: &str,
        affinity: impl FnOnce() -> Option<Affinity>,
    ) -> Result<Vec<Target>> {
        let plan = self.upstreams.plan(format, model, affinity);
        let plan = plan.filter(|plan| !plan.is_empty());
        plan.ok_or_else(|| self.not_served(format, model))
    }

    fn not_served(&self, format: ApiFormat, model: &str) -> Error {
        let (other, place) = match format {
            ApiFormat::OpenAi => (ApiFormat::Anthropic, "at /v1/messages only"),
            ApiFormat::Anthropic => (ApiFormat::OpenAi, "not at /v1/messages"),
        };
        let error = Error::model_not_found(model);
        if !self.upstreams.serves(other, model) {
            return error;
        }
        let shown = base::shown(model);
        let message = format!(
            "The model '{shown}' is served {place}: its model server speaks another format, and requests are not translated."
        );
        Error {
            message: message.into(),
            ..error
        }
    }

    /// Returns the upstreams that serve a model over WebSocket, in the order in which they are tried; at least one.
    ///
    /// # Errors
    /// 404: no upstream serves the model. 400: none that does speaks WebSocket.
    pub(crate) fn websocket_plan(
        &self,
        model: &str,
        affinity: impl FnOnce() -> Option<Affinity>,
    ) -> Result<Vec<Target>> {
        let plan = self.upstreams.websocket_plan(model, affinity);
        let plan = plan.ok_or_else(|| Error::model_not_found(model))?;
        if plan.is_empty() {
            let shown = base::shown(model);
            let message = format!(
                "The model '{shown}' is not served over WebSocket. Send POST /v1/responses over HTTP instead."
            );
            return Err(Error::refused("websocket_unavailable", message).about("model"));
        }
        Ok(plan)
    }

    /// Sends a request to the first upstream of the plan that answers.
    pub(crate) fn forward(
        &self,
        mut headers: HeaderMap,
        query: Option<String>,
        call: Box<Call>,
        plan: Vec<Target>,
        mut request: InFlightRequest,
    ) -> PendingAnswer {
        headers.insert(CONTENT_TYPE, call.content_type.clone());
        request.observer.forward(&mut headers);
        let forwarded = ForwardRequest {
            method: Method::POST,
            path: request.dialect.path.into(),
            query,
            headers,
            can_ask_for_usage: call.can_ask_for_usage(),
        };
        let hides_usage = call.hides_usage;
        let upstreams = Arc::clone(&self.upstreams);
        let answer = async move {
            let body = |target: &Target, asks: bool| call.body_at(target, asks).into();
            let sent = upstreams.send(plan, forwarded, body).await;
            sent.map_err(ForwardFailure::from)
        };
        PendingAnswer {
            waiting: Some((Box::pin(answer), request)),
            hides_usage,
            drains: self.drains.clone(),
        }
    }

    /// Relays an answer as it comes.
    pub(crate) fn relay(
        &self,
        (head, answer): (Parts, MeteredAnswer),
        capture: Option<Capture>,
    ) -> Response<RelayedBody> {
        let (changes_length, is_decoded) = (answer.changes_length(), answer.is_decoded());
        let capture = capture.map(|capture| capture.answered(head.status.as_u16()));
        let mut response = Response::new(RelayedBody {
            answer: Some(answer),
            durability: self.durability,
            drains: self.drains.clone(),
            recorded: None,
            state_recorded: None,
            pending: Bytes::new(),
            capture,
        });
        *response.status_mut() = head.status;
        *response.headers_mut() = headers::to_client(head.headers, changes_length);
        if is_decoded {
            response.headers_mut().remove(CONTENT_ENCODING);
        }
        response
    }

    /// Returns the error of a request that has no answer, once the request is in the ledger if that is required.
    pub(crate) async fn fail(&self, failed: Box<FailedRequest>, capture: Option<Capture>) -> Error {
        let FailedRequest { failure, recorded } = *failed;
        if let Some(capture) = capture {
            capture.failed(failure.error.status.as_u16());
        }
        if self.durability == Durability::Strict
            && let Some(recorded) = recorded
            && let Err(error) = recorded.await
        {
            return error;
        }
        failure.error
    }
}

/// A forwarded request that waits for its answer. Dropped because the client hung up, the wait goes on in the background.
pub(crate) struct PendingAnswer {
    /// `None` once the answer has come.
    waiting: Option<(AwaitedAnswer, InFlightRequest)>,
    hides_usage: bool,
    drains: Drains,
}

impl Future for PendingAnswer {
    type Output = Result<(Parts, MeteredAnswer), Box<FailedRequest>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (answer, _) = self.waiting.as_mut().expect("not polled after completion");
        let answered = ready!(answer.as_mut().poll(context));
        let (_, request) = self.waiting.take().expect("present above");
        Poll::Ready(metered_answer::begin(answered, request, self.hides_usage))
    }
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        if let Some((answer, request)) = self.waiting.take() {
            self.drains.wait_for(answer, request, self.hides_usage);
        }
    }
}
