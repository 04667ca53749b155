//! Requests about one object, or a part of it, which are passed to its upstream.

use std::sync::Arc;

use base::Result;
use http::Method;
use usage::DurableReservation;

use super::Objects;
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
        self: &Arc<Self>,
        request: ObjectRequest<'_>,
        id: &str,
    ) -> Result<ObjectResponse> {
        let (caller, route, head) = (request.caller, request.route, request.head);
        let owner = ObjectOwner::of(caller);
        let object = self.ownership.check_one(&owner, route.kind, id).await?;
        let upstream = self.client.upstream_of(&object)?;
        let (mut spend, mut content_type) = (None, JSON);
        let is_deletion = head.method == Method::DELETE && route.rest.is_empty();
        if object.kind.is_state() && !is_deletion {
            return self.pass_state(request, &object, upstream).await;
        }
        if object.kind == ObjectKind::Response {
            self.end_response(&object).await?;
        }
        if object.kind == ObjectKind::VectorStore {
            if is_deletion && object.due_at.is_some() {
                self.record_last_day(&object).await?;
            }
            spend = self.check_vector_store(&object, &request).await?;
        }
        if object.kind == ObjectKind::Container && head.method == Method::POST {
            content_type = self.check_container_file(&object, &request).await?;
        }
        let (share, body) = (request.share, request.body);
        let upstream_request = UpstreamRequest::of_client(head, share, body, content_type);
        if route.is_passthrough() {
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
        let ends = is_deletion || object.kind == ObjectKind::Upload;
        self.follow(&object, &response, ends).await?;
        Ok(ObjectResponse::Buffered(response.into_response()))
    }

    /// Checks the files that a request about a vector store names, and reserves what they may cost.
    async fn check_vector_store(
        &self,
        object: &UpstreamObject,
        request: &ObjectRequest<'_>,
    ) -> Result<Option<DurableReservation>> {
        let (caller, owner, body) = (request.caller, &object.owner, &request.body);
        let keeper = Some(object.upstream.as_str());
        let files = self.ownership.check_files(owner, body, keeper).await?;
        if request.head.method != Method::POST {
            return Ok(None);
        }
        match request.route.rest.as_str() {
            "/files" | "/file_batches" => {
                let uplift = self.client.billing_of(object).uplift;
                let (reservations, bytes) = (&self.reservations, files.max_bytes);
                reservations.reserve_storage(caller, bytes, uplift).await
            }
            "/search" => {
                self.reservations.check_not_exhausted(caller)?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Removes from the cache an object that a request may have changed.
    pub(super) fn invalidate(&self, object: &UpstreamObject, method: &Method) {
        if *method != Method::GET {
            self.state.cache.invalidate(object);
        }
    }

    /// Updates the records of an object by the response to a request about the object, which ends with success if `ends`.
    async fn follow(
        &self,
        object: &UpstreamObject,
        response: &BufferedResponse,
        ends: bool,
    ) -> Result<()> {
        if response.is_gone() {
            return self.forget(object).await;
        }
        if response.is_success() && ends {
            return self.remove(object).await;
        }
        if response.is_success() {
            self.reconcile(object, &response.body).await;
        }
        Ok(())
    }
}
