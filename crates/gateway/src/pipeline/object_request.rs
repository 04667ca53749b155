//! The stages of a request about objects that upstreams keep: authenticate → charge the quota → serve.

use std::sync::Arc;

use base::{Permission, Result};
use bytes::Bytes;
use http::{Method, Response};

use super::{Pipeline, RequestContext};
use crate::dialect::check_json;
use crate::object_kind::ObjectKind;
use crate::objects::{ObjectRequest, ObjectResponse, ObjectRoute};
use crate::request_body::{self, RequestBody};
use crate::response_body::Body;

impl Pipeline {
    /// Serves a request about objects.
    pub(super) async fn serve_object(
        &self,
        route: ObjectRoute,
        context: &mut RequestContext,
        body: impl RequestBody,
    ) -> Result<Response<Body>> {
        let needs = Permission::ModelRequest;
        let caller = self.authenticate(context, needs).await?;
        let storage = self.objects.client.storage()?;
        self.auth.record_use(&caller);
        let method = &context.head.method;
        if !route.is_release(method) {
            self.rate_limits.check_not_zero(&caller)?;
        }
        let share = self.objects.charge(&caller, &route, method).await?;
        context.quota_share = Arc::new(share);
        let body = match context.head.method {
            Method::POST => {
                let memory = self.flow.body(&caller)?;
                let body = request_body::read(&context.head.headers, body, memory).await?;
                if route.kind == ObjectKind::File {
                    // A form.
                    body
                } else {
                    check_json(&context.head.headers)?;
                    request_body::json_text(&body)
                }
            }
            _ => Bytes::new(),
        };
        route.check_query(&context.head.method, context.head.uri.query())?;
        let (caller, registration) = self.authenticate_again(context, &caller, needs)?;
        let request = ObjectRequest {
            caller: &caller,
            route: &route,
            head: &context.head,
            body,
            share: &context.quota_share,
            rate_limit_status: &mut context.rate_limit_status,
        };
        let serving = Box::pin(self.objects.serve(request, storage));
        // A creation continues in the background if it is revoked or the client hangs up.
        Ok(match registration.unless_revoked(serving).await?? {
            ObjectResponse::Buffered(response) => response.map(Body::from),
            ObjectResponse::Passthrough(response) => {
                response.map(|body| Body::passthrough(body, registration))
            }
        })
    }
}
