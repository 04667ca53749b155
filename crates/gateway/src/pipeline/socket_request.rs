//! The request for a WebSocket connection: authenticate → check the handshake → upgrade.

use std::sync::Arc;

use base::Result;
use http::Response;
use http::header::CONTENT_TYPE;
use hyper::upgrade::OnUpgrade;

use super::socket_session::SocketSession;
use super::{Pipeline, RequestContext};
use crate::headers::IDEMPOTENCY_KEY;
use crate::query::no_query;
use crate::response_body::Body;
use crate::socket::{self, ClientSocket, UpgradeSlot};

impl Pipeline {
    /// Serves the request for a WebSocket connection. The connection itself is left in the slot of the listener.
    pub(super) async fn serve_socket(
        self: &Arc<Self>,
        context: &mut RequestContext,
    ) -> Result<Response<Body>> {
        let connection = socket::take_connection(&mut context.head);
        let is_served = self.forwarder.upstreams.has_websocket();
        let Some((connection, slot)) = connection.filter(|_| is_served) else {
            return Ok(socket::refusal());
        };
        context.observer.set_endpoint("/responses");
        self.accept_socket(context, connection, &slot).await
    }

    async fn accept_socket(
        self: &Arc<Self>,
        context: &mut RequestContext,
        connection: OnUpgrade,
        slot: &UpgradeSlot,
    ) -> Result<Response<Body>> {
        let caller = self.authenticate(context).await?;
        no_query(context.head.uri.query())?;
        let response = socket::accept(&context.head.headers)?;
        let permit = self.flow.socket(&caller)?;
        let memory = self.flow.body(&caller)?;
        let (caller, registration) = self.authenticate_again(context, &caller)?;
        let mut head = context.head.clone();
        // Each message is a request of its own, in JSON.
        head.headers.remove(IDEMPOTENCY_KEY);
        head.headers.remove(CONTENT_TYPE);
        let (pipeline, stopping) = (Arc::clone(self), slot.stopping());
        slot.put(async move {
            match connection.await {
                Ok(connection) => {
                    let idle_timeout = pipeline.watchdog.idle_timeout();
                    let client = ClientSocket::new(connection, memory, idle_timeout).await;
                    let session = SocketSession::new(pipeline, (head, caller), registration);
                    Box::pin(session.run(client, &stopping)).await;
                }
                Err(error) => tracing::debug!(%error, "connection was not upgraded"),
            }
            drop(permit);
        });
        Ok(response)
    }
}
