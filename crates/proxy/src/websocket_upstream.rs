//! WebSocket connections to upstreams: the handshake, with failover until one upstream accepts, and the connection after it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use base::BudgetPermit;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming as IncomingBody;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use websocket::{Incoming, ReceiveError, SendError as SocketSendError, WebSocket};

use crate::affinity::Affinity;
use crate::circuit_breaker::FailureKind;
use crate::client::{RequestTarget, SendError};
use crate::connector::Stream;
use crate::credentials::Credential;
use crate::format::ApiFormat;
use crate::forward::{ForwardError, unreachable};
use crate::request_body::HttpBody;
use crate::response::ResponseDeadline;
use crate::upstream::{ForwardRequest, Upstream, is_unexpected};
use crate::upstreams::{Target, Upstreams};

/// Maximum time from a connection to the end of its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// Code with which a connection to an upstream is closed.
const NORMAL_CLOSURE_STATUS: u16 = 1000;

/// WebSocket connection to an upstream.
pub struct UpstreamSocket {
    socket: WebSocket<TokioIo<Stream>>,
    upstream: Arc<Upstream>,
}

/// Stream of an accepted handshake, with the bytes that came behind its response.
type AcceptedStream = (Stream, Bytes);

/// Outcome of a handshake.
#[expect(
    clippy::large_enum_variant,
    reason = "lives for one handshake and is taken apart at once"
)]
enum Handshake {
    Accepted(AcceptedStream),
    Refused(Response<IncomingBody>),
}

impl UpstreamSocket {
    /// Returns the target of the plan that this connection leads to.
    #[must_use]
    pub fn target_of<'a>(&self, plan: &'a [Target]) -> Option<&'a Target> {
        let mut targets = plan.iter();
        targets.find(|target| Arc::ptr_eq(&target.upstream, &self.upstream))
    }

    /// Returns the name of the upstream.
    #[must_use]
    pub fn upstream_name(&self) -> &str {
        &self.upstream.name
    }

    /// Returns the upstream, with its name for the model of a request.
    #[must_use]
    pub fn target(&self, model: &Arc<str>) -> Target {
        Target {
            upstream: Arc::clone(&self.upstream),
            model: Arc::clone(model),
        }
    }

    /// Returns the deadline of a response that the upstream is asked for now.
    #[must_use]
    pub fn deadline(&self) -> ResponseDeadline {
        ResponseDeadline::begin(&self.upstream)
    }

    /// Sends a text message, which must be UTF-8.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn send_text(&mut self, text: Bytes) -> Result<(), SocketSendError> {
        self.socket.send_text(text).await
    }

    /// Waits for the next message or control frame. Cancel-safe.
    ///
    /// # Errors
    /// Nothing more will come.
    pub async fn receive(&mut self) -> Result<Incoming, ReceiveError> {
        self.socket.receive().await
    }

    /// Closes the connection.
    pub async fn close(self) {
        self.socket.close(NORMAL_CLOSURE_STATUS, "").await;
    }
}

impl Upstreams {
    /// True if an upstream accepts WebSocket connections.
    #[must_use]
    pub fn has_websocket(&self) -> bool {
        self.all.iter().any(|upstream| upstream.has_websocket)
    }

    /// Returns the targets that serve `model` over WebSocket, in the order of [`Upstreams::plan`]. `None` if no upstream serves
    /// the model.
    #[must_use]
    pub fn websocket_plan(
        &self,
        model: &str,
        affinity: impl FnOnce() -> Option<Affinity>,
    ) -> Option<Vec<Target>> {
        let mut plan = self.plan(ApiFormat::OpenAi, model, affinity)?;
        plan.retain(|target| target.upstream.has_websocket);
        Some(plan)
    }

    /// Makes a WebSocket connection for `path`, below the base URL, to the first target of the plan that accepts one. The
    /// upstream gets an allow-list of `headers`. Messages are charged to `memory`, an empty permit, and have at most
    /// `max_message_bytes`.
    ///
    /// # Errors
    /// The last target's, or an earlier one's that says more. No upstream has been asked for anything then.
    pub async fn connect_websocket(
        &self,
        plan: &[Target],
        path: &'static str,
        headers: HeaderMap,
        (memory, max_message_bytes): (BudgetPermit, usize),
    ) -> Result<UpstreamSocket, ForwardError> {
        let mut request = ForwardRequest {
            method: Method::GET,
            path: path.into(),
            query: None,
            headers,
            can_ask_for_usage: false,
        };
        request.headers.remove(CONTENT_TYPE);
        request.headers.remove(ACCEPT);
        let mut fallback = unreachable(plan);
        for target in plan {
            let upstream = &target.upstream;
            match connect(upstream, &request).await {
                Ok((stream, received)) => {
                    let (stream, received) = (TokioIo::new(stream), received.to_vec());
                    let socket = WebSocket::client(stream, received, memory, max_message_bytes);
                    return Ok(UpstreamSocket {
                        socket: socket.await,
                        upstream: Arc::clone(upstream),
                    });
                }
                Err(ForwardError::ResourceExhaustion) => {
                    return Err(ForwardError::ResourceExhaustion);
                }
                Err(ForwardError::Unreachable) => {}
                Err(error) => fallback = error,
            }
        }
        Err(fallback)
    }
}

/// Connects to one upstream, and once more with another key if it rejects the key and there is another.
async fn connect(
    upstream: &Upstream,
    request: &ForwardRequest,
) -> Result<AcceptedStream, ForwardError> {
    let mut key = upstream.credentials.current();
    let mut handshake = shake_hands(upstream, request, &key).await?;
    if let Handshake::Refused(response) = &handshake
        && response.status() == StatusCode::UNAUTHORIZED
        && let Some(newer) = upstream.credentials.replace_rejected(&key).await
    {
        key = newer;
        handshake = shake_hands(upstream, request, &key).await?;
    }
    match handshake {
        Handshake::Accepted(stream) => {
            upstream.record_alive();
            key.record_accepted();
            Ok(stream)
        }
        Handshake::Refused(response) => Err(refusal(upstream, request, &response)),
    }
}

/// Records a refused handshake, and returns its error.
fn refusal(
    upstream: &Upstream,
    request: &ForwardRequest,
    response: &Response<IncomingBody>,
) -> ForwardError {
    let (status, name) = (response.status(), upstream.name.as_str());
    upstream.record_response(response, &request.path);
    match status {
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            tracing::error!(upstream = name, %status, "upstream rejected the gateway's API key");
            ForwardError::KeyRejected
        }
        _ if status.is_redirection() => ForwardError::Redirect,
        _ => {
            tracing::warn!(upstream = name, %status, "upstream refused a WebSocket connection");
            if is_unexpected(status) || status.is_success() {
                return ForwardError::UnexpectedStatus;
            }
            ForwardError::SocketRefused(status)
        }
    }
}

/// Makes a connection and sends the handshake with this key.
async fn shake_hands(
    upstream: &Upstream,
    request: &ForwardRequest,
    key: &Credential,
) -> Result<Handshake, ForwardError> {
    let failed = |error: SendError| {
        upstream.record_send_error(&error);
        match &error {
            _ if error.is_resource_exhaustion() => ForwardError::ResourceExhaustion,
            SendError::Connect(_) => ForwardError::Unreachable,
            SendError::Http { .. } => ForwardError::BrokenOff,
        }
    };
    let stream = upstream.client.connector.connect_http1().await;
    let stream = stream.map_err(|error| failed(SendError::Connect(error)))?;
    let socket_key = websocket::new_key().ok_or(ForwardError::ResourceExhaustion)?;
    let request = handshake_request(upstream, request, key, &socket_key)?;
    let handshake = exchange(stream, request, &socket_key);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(handshake)) => Ok(handshake),
        Ok(Err(error)) => Err(failed(SendError::Http {
            error,
            is_reused: false,
        })),
        Err(_) => {
            let reason = "no response to a WebSocket handshake in time";
            upstream.record_failure(FailureKind::Response, reason);
            Err(ForwardError::TimedOut)
        }
    }
}

fn handshake_request(
    upstream: &Upstream,
    request: &ForwardRequest,
    key: &Credential,
    socket_key: &str,
) -> Result<Request<HttpBody>, ForwardError> {
    let attempt = upstream.attempt_request(request, Bytes::new().into());
    let attempt = attempt.ok_or(ForwardError::InvalidQuery)?;
    let mut request = upstream.http_request(&attempt, key, RequestTarget::Origin);
    let headers = request.headers_mut();
    headers.remove(ACCEPT_ENCODING);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    let socket_key = HeaderValue::try_from(socket_key).map_err(|_| ForwardError::InvalidQuery)?;
    headers.insert(SEC_WEBSOCKET_KEY, socket_key);
    Ok(request)
}

/// Sends a handshake, and takes the stream out of HTTP if the upstream accepts.
async fn exchange(
    stream: Stream,
    request: Request<HttpBody>,
    socket_key: &str,
) -> hyper::Result<Handshake> {
    let (mut sender, mut driver) = http1::handshake(stream).await?;
    let mut has_ended = false;
    let response = {
        let mut response = pin!(sender.send_request(request));
        poll_fn(|context| {
            if !has_ended {
                has_ended = Pin::new(&mut driver).poll(context).is_ready();
            }
            response.as_mut().poll(context)
        })
        .await?
    };
    if !websocket::is_accepted(&response, socket_key) {
        return Ok(Handshake::Refused(response));
    }
    if !has_ended {
        // The driver ends once the stream belongs to no request any more.
        Pin::new(&mut driver).await?;
    }
    let parts = driver.into_parts();
    Ok(Handshake::Accepted((parts.io, parts.read_buf)))
}
