//! The stages of a request about objects that upstreams keep: authenticate → charge the quota → serve.

use std::sync::Arc;

use base::Result;
use bytes::Bytes;
use http::{Method, Response};

use super::{Pipeline, RequestContext};
use crate::caller::Caller;
use crate::dialect::check_json;
use crate::objects::{ObjectRequest, ObjectResponse, ObjectRoute, PartBody};
use crate::request_body::{self, MAX_PART_FORM_BYTES, RequestBody};
use crate::response_body::Body;

impl Pipeline {
    /// Serves a request about objects.
    pub(super) async fn serve_object(
        &self,
        route: ObjectRoute,
        context: &mut RequestContext,
        body: impl RequestBody,
    ) -> Result<Response<Body>> {
        if route.is_part() {
            context.max_body_bytes = MAX_PART_FORM_BYTES;
        }
        let caller = self.authenticate(context).await?;
        let storage = self.objects.client.storage()?;
        self.auth.record_use(&caller);
        let method = &context.head.method;
        if !route.is_release(method) {
            self.rate_limits.check_not_zero(&caller)?;
        }
        let share = self.objects.charge(&caller, &route, method).await?;
        context.quota_share = Arc::new(share);
        if route.is_part() {
            return Box::pin(self.serve_part(route, context, &caller, body)).await;
        }
        let body = match context.head.method {
            Method::POST => {
                let memory = self.flow.body(&caller)?;
                let body = request_body::read(&context.head.headers, body, memory).await?;
                if route.takes_form(&context.head.headers) {
                    body
                } else {
                    check_json(&context.head.headers)?;
                    request_body::json_text(&body)
                }
            }
            _ => Bytes::new(),
        };
        route.check_query(&context.head.method, context.head.uri.query())?;
        let (caller, registration) = self.authenticate_again(context, &caller)?;
        let request = object_request(&caller, &route, context, body);
        let serving = Box::pin(self.objects.serve(request, storage));
        // A creation continues in the background if it is revoked or the client hangs up.
        Ok(match registration.unless_revoked(serving).await?? {
            ObjectResponse::Buffered(response) => response.map(Body::from),
            ObjectResponse::Passthrough(response) => {
                response.map(|body| Body::passthrough(body, registration))
            }
        })
    }

    /// Serves a request that adds a part to an upload. The part passes to the upstream while it comes, as long as the key is
    /// not revoked.
    async fn serve_part(
        &self,
        route: ObjectRoute,
        context: &mut RequestContext,
        caller: &Caller,
        body: impl RequestBody,
    ) -> Result<Response<Body>> {
        route.check_query(&context.head.method, context.head.uri.query())?;
        let body = PartBody::new(&context.head.headers, body)?;
        let (caller, registration) = self.authenticate_again(context, caller)?;
        let request = object_request(&caller, &route, context, Bytes::new());
        let serving = Box::pin(self.objects.add_part(request, body));
        let response = registration.unless_revoked(serving).await??;
        Ok(response.map(Body::from))
    }
}

/// Returns a request about objects by a caller.
fn object_request<'a>(
    caller: &'a Caller,
    route: &'a ObjectRoute,
    context: &'a mut RequestContext,
    body: Bytes,
) -> ObjectRequest<'a> {
    ObjectRequest {
        caller,
        route,
        head: &context.head,
        body,
        share: &context.quota_share,
        rate_limit_status: &mut context.rate_limit_status,
    }
}
