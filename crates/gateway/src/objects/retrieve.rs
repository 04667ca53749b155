//! Requests about one object, or a part of it, which are passed to its upstream.

use std::sync::Arc;

use base::Result;
use http::Method;
use usage::DurableReservation;

use super::cache::ObjectCache;
use super::ownership::{Ownership, count_files};
use super::reconcile::Reconciler;
use super::repository::{ObjectOwner, UpstreamObject};
use super::request::{ObjectRequest, ObjectResponse};
use super::reservations::ObjectReservations;
use super::upstream::{BufferedResponse, ObjectClient, PassthroughBody, UpstreamRequest};
use crate::dialect::JSON;
use crate::object_kind::ObjectKind;

/// Serves requests about one object.
pub(super) struct Retriever {
    pub(super) ownership: Arc<Ownership>,
    pub(super) client: ObjectClient,
    pub(super) reservations: Arc<ObjectReservations>,
    pub(super) reconciler: Arc<Reconciler>,
    pub(super) cache: Arc<ObjectCache>,
}

impl Retriever {
    /// Passes a request to the upstream of the object with this id.
    ///
    /// # Errors
    /// 404: the object is not of the caller's project. 429: a spend limit leaves no room. 502, 504: the upstream's.
    pub(super) async fn serve(
        &self,
        request: ObjectRequest<'_>,
        id: &str,
    ) -> Result<ObjectResponse> {
        let ObjectRequest {
            caller,
            route,
            head,
            body,
            share,
            ..
        } = request;
        let owner = ObjectOwner::of(caller);
        let object = self.ownership.check_one(&owner, route.kind, id).await?;
        let upstream = self.client.upstream_of(&object)?;
        let mut spend = None;
        let is_deletion = head.method == Method::DELETE && route.rest.is_empty();
        if object.kind == ObjectKind::VectorStore {
            let keeper = Some(object.upstream.as_str());
            self.ownership.check_files(&owner, &body, keeper).await?;
            if is_deletion && object.due_at.is_some() {
                self.reconciler.record_last_day(&object).await?;
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
        let content_type = (!body.is_empty()).then_some(JSON);
        let upstream_request = UpstreamRequest::of_client(head, share, body, content_type);
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
        self.reconcile(&object, &response, is_deletion).await?;
        Ok(ObjectResponse::Buffered(response.into_response()))
    }

    /// Removes from the cache an object that a request may have changed.
    fn invalidate(&self, object: &UpstreamObject, method: &Method) {
        if *method != Method::GET {
            self.cache.invalidate(object);
        }
    }

    async fn reconcile(
        &self,
        object: &UpstreamObject,
        response: &BufferedResponse,
        is_deletion: bool,
    ) -> Result<()> {
        if response.is_gone() {
            return self.reconciler.forget(object).await;
        }
        if response.is_success() && is_deletion {
            return self.reconciler.remove(object).await;
        }
        if response.is_success() {
            self.reconciler.reconcile(object, &response.body).await;
        }
        Ok(())
    }
}
