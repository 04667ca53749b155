//! State of models' answers: the creation of conversations, and requests about what is stored, which pass to its upstream.

use std::sync::Arc;

use base::{Error, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use proxy::Target;

use super::Objects;
use super::create::NewObject;
use super::ownership::unknown_owner;
use super::repository::{ObjectOwner, UpstreamObject};
use super::request::{ObjectRequest, ObjectResponse, item_cursors};
use super::upstream::{PassthroughBody, UpstreamRequest, is_gone};
use crate::caller::Caller;
use crate::dialect::{ItemBody, JSON};
use crate::object_kind::ObjectKind;
use crate::offload::offload;
use crate::policy::ProjectPolicy;
use crate::state_recording::StateExpiry;

/// The shortest body that is parsed on another thread.
const MIN_OFFLOAD_BYTES: usize = 256 * 1024;

impl Objects {
    /// Creates a conversation, at the upstream that keeps what its first items name, or at `storage` if they name nothing.
    ///
    /// # Errors
    /// Those of [`Self::check_items`].
    pub(super) async fn create_conversation(
        self: &Arc<Self>,
        request: ObjectRequest<'_>,
        storage: Target,
    ) -> Result<Response<Bytes>> {
        let ObjectRequest {
            caller, head, body, ..
        } = request;
        let upstream = self.check_items(caller, &head.headers, &body, None).await?;
        let target = match upstream {
            None => storage,
            Some(upstream) => self.client.0.by_name(&upstream).unwrap_or(storage),
        };
        let new = NewObject::new(ObjectOwner::of(caller), ObjectKind::Conversation);
        let upstream_request = UpstreamRequest::of_client(head, request.share, body, JSON);
        self.create(new, target, upstream_request).await
    }

    /// Passes a request about state, other than its deletion, to its upstream. Items in the answer are recorded, so that other
    /// requests can name them. Nothing is metered but the end of a response in the background: the usage of any other response is
    /// recorded when it is made.
    ///
    /// # Errors
    /// Those of [`Self::check_items`]. 502, 504: the upstream's.
    pub(super) async fn pass_state(
        self: &Arc<Self>,
        request: ObjectRequest<'_>,
        object: &UpstreamObject,
        target: Target,
    ) -> Result<ObjectResponse> {
        let ObjectRequest {
            caller,
            route,
            head,
            body,
            share,
            ..
        } = request;
        if head.method == Method::POST && !route.is_release(&head.method) {
            let keeper = Some(object.upstream.as_str());
            let headers = &head.headers;
            self.check_items(caller, headers, &body, keeper).await?;
        }
        if let Some(item) = route.item() {
            let owner = ObjectOwner::of(caller);
            let kind = ObjectKind::ResponseItem;
            self.ownership.check_one(&owner, kind, item).await?;
        }
        let lists_items = route.lists_items(&head.method);
        if lists_items {
            self.check_cursors(caller, head.uri.query()).await?;
        }
        let is_whole = route.rest.is_empty() || route.rest == "/cancel";
        let followed = is_whole.then(|| self.follow_response(object)).flatten();
        let mut upstream_request = UpstreamRequest::of_client(head, share, body, JSON);
        if lists_items || followed.is_some() {
            upstream_request = upstream_request.uncompressed();
        }
        let answer = self.client.send(target.clone(), upstream_request).await;
        self.invalidate(object, &head.method);
        let answer = answer?;
        let (status, headers) = (answer.response.status(), answer.response.headers());
        if route.rest.is_empty() && is_gone(status, headers) {
            self.forget(object).await?;
        }
        let mut response = PassthroughBody::response(answer, share);
        if lists_items && status.is_success() {
            let expiry = StateExpiry::At(object.expires_at);
            let recording = self.state_recorder.begin(caller, &target, expiry);
            response.body_mut().record_items(recording);
        }
        if let Some(followed) = followed.filter(|_| status.is_success()) {
            response.body_mut().follow(followed);
        }
        Ok(ObjectResponse::Passthrough(response))
    }

    /// Checks the cursors of a list of items, which name items of the caller's project: every list that it has got was recorded.
    ///
    /// # Errors
    /// 400 naming the parameter: its item is not of the caller's project.
    async fn check_cursors(&self, caller: &Caller, query: Option<&str>) -> Result<()> {
        let owner = ObjectOwner::of(caller);
        for (param, id) in item_cursors(query) {
            let kind = ObjectKind::ResponseItem;
            let checked = self.ownership.check_one(&owner, kind, &id).await;
            checked.map_err(|error| match error.status {
                StatusCode::NOT_FOUND => not_in_list(param, &id),
                _ => error,
            })?;
        }
        Ok(())
    }

    /// Checks a body whose items or metadata an upstream will store, and returns the upstream that keeps what it names.
    ///
    /// # Errors
    /// 400: the project has zero data retention, the body is ambiguous, or an object is kept by another upstream than
    /// `upstream`. 403: a hosted tool or a model is not allowed. 404: an object is not of the caller's project.
    pub(super) async fn check_items(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        body: &Bytes,
        upstream: Option<&str>,
    ) -> Result<Option<String>> {
        let policy = ProjectPolicy::of(caller);
        if policy.has_zero_retention() {
            let message = "The model server would keep what is sent, and the project has zero data retention.";
            return Err(Error::refused("zero_data_retention", message));
        }
        if body.is_empty() {
            return Ok(upstream.map(str::to_owned));
        }
        let items = read(headers, body).await?;
        policy.check_items(&items)?;
        if let Some(name) = items.unowned_ref {
            return Err(unknown_owner(name));
        }
        let owner = ObjectOwner::of(caller);
        let refs = self
            .ownership
            .check_refs(&owner, &items.object_refs, upstream, true);
        refs.await
    }
}

/// Returns the refusal of a cursor.
fn not_in_list(param: &'static str, id: &str) -> Error {
    let shown = base::shown(id);
    let message = format!("{param} must be the id of an item of the list, which '{shown}' is not.");
    Error::invalid(param, message)
}

/// Reads a body. A long one is parsed on another thread, so that it delays no other request.
async fn read(headers: &HeaderMap, body: &Bytes) -> Result<ItemBody> {
    if body.len() < MIN_OFFLOAD_BYTES {
        return ItemBody::read(headers, body);
    }
    let (headers, body) = (headers.clone(), body.clone());
    offload(move || ItemBody::read(&headers, &body)).await?
}
