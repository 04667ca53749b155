//! Requests about one object, or a part of it, which are passed to its upstream.

use base::Result;
use http::Method;
use usage::DurableReservation;

use super::Objects;
use super::ownership::count_files;
use super::repository::{ObjectOwner, UpstreamObject};
use super::request::{ObjectRequest, ObjectResponse};
use super::upstream::{BufferedResponse, PassthroughBody, UpstreamRequest};
use crate::dialect::JSON;
use crate::object_kind::ObjectKind;

impl Objects {
    /// Passes a request to the upstream of the object with this id.
    ///
    /// # Errors
    /// 404: the object is not of the caller's project. 429: a spend limit leaves no room. 502, 504: the upstream's.
    pub(super) async fn retrieve(
        &self,
        request: ObjectRequest<'_>,
        id: &str,
    ) -> Result<ObjectResponse> {
        let owner = ObjectOwner::of(request.caller);
        let kind = request.route.kind;
        let object = self.ownership.check_one(&owner, kind, id).await?;
        let upstream = self.client.upstream_of(&object)?;
        let is_deletion = request.head.method == Method::DELETE && request.route.rest.is_empty();
        if kind.is_state() && !is_deletion {
            return self.pass_state(request, &object, upstream).await;
        }
        let ObjectRequest {
            caller,
            route,
            head,
            body,
            share,
            ..
        } = request;
        let mut spend = None;
        if object.kind == ObjectKind::VectorStore {
            let keeper = Some(object.upstream.as_str());
            self.ownership.check_files(&owner, &body, keeper).await?;
            if is_deletion && object.due_at.is_some() {
                self.record_last_day(&object).await?;
            }
            if head.method == Method::POST {
                spend = match route.rest.as_str() {
                    "/files" | "/file_batches" => {
                        let files = count_files(&body)?;
                        self.reservations.reserve_storage(caller, files).await?
                    }
                    "/search" => {
                        self.reservations.check_not_exhausted(caller)?;
                        None
                    }
                    _ => None,
                };
            }
        }
        let upstream_request = UpstreamRequest::of_client(head, share, body, JSON);
        let is_about_itself = route.rest.is_empty() || route.rest == "/cancel";
        if !is_about_itself {
            let answer = self.client.send(upstream, upstream_request).await;
            self.invalidate(&object, &head.method);
            let answer = answer?;
            if answer.response.status().is_success() {
                // Expires once the ledger has the first day of the new files.
                let _ = spend.map(DurableReservation::keep);
            }
            let response = PassthroughBody::response(answer, share);
            return Ok(ObjectResponse::Passthrough(response));
        }
        let response = self.client.send_buffered(upstream, upstream_request).await;
        self.invalidate(&object, &head.method);
        let response = response?;
        self.follow(&object, &response, is_deletion).await?;
        Ok(ObjectResponse::Buffered(response.into_response()))
    }

    /// Removes from the cache an object that a request may have changed.
    pub(super) fn invalidate(&self, object: &UpstreamObject, method: &Method) {
        if *method != Method::GET {
            self.state.cache.invalidate(object);
        }
    }

    /// Updates the records of an object by the response to a request about the object.
    async fn follow(
        &self,
        object: &UpstreamObject,
        response: &BufferedResponse,
        is_deletion: bool,
    ) -> Result<()> {
        if response.is_gone() {
            return self.forget(object).await;
        }
        if response.is_success() && is_deletion {
            return self.remove(object).await;
        }
        if response.is_success() {
            self.reconcile(object, &response.body).await;
        }
        Ok(())
    }
}
