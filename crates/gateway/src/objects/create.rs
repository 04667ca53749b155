//! Creation of objects at an upstream: the owner is recorded before the client gets the id, or the object is deleted again.

use std::ops::Range;
use std::sync::Arc;

use base::time::SECONDS_PER_HOUR;
use base::{Error, Result, UnixTime, without_mark};
use bytes::{Bytes, BytesMut};
use http::{Method, Response, StatusCode};
use proxy::Target;
use usage::DurableReservation;

use super::Objects;
use super::batch_input::BatchInput;
use super::ownership::count_files;
use super::repository::{ObjectOwner, UpstreamObject};
use super::request::ObjectRequest;
use super::upstream::{BufferedResponse, UpstreamRequest};
use crate::dialect::{JSON, form_type, read_form};
use crate::limits::RateLimitReservation;
use crate::object_kind::ObjectKind;
use crate::offload::offload;

/// The purpose of files that are the input of a batch.
const BATCH_PURPOSE: &str = "batch";

/// An object that is to be created.
pub(super) struct NewObject {
    pub(super) owner: ObjectOwner,
    pub(super) kind: ObjectKind,
    pub(super) purpose: String,
    pub(super) work: Option<String>,
    /// Time of the first poll, if there is to be one.
    pub(super) due_at: Option<UnixTime>,
    /// Rate limit reservation, refunded if the object is not created.
    pub(super) limits: Option<RateLimitReservation>,
    /// Spend reservation, released if the object is not created.
    pub(super) spend: Option<DurableReservation>,
}

impl Objects {
    /// Creates an object at an upstream. Continues after the client has hung up, so that no object is left without an owner.
    ///
    /// # Errors
    /// 503: the owner could not be recorded, or too many objects are being created. 502, 504: the upstream's.
    pub(super) async fn create(
        self: &Arc<Self>,
        new: NewObject,
        target: Target,
        request: UpstreamRequest,
    ) -> Result<Response<Bytes>> {
        let objects = Arc::clone(self);
        let share = Arc::clone(&request.share);
        let creation = async move {
            let created = objects.create_now(new, target, request).await;
            // Held until the object is recorded, so that the quota counts it the whole time.
            drop(share);
            created
        };
        let response = self.drains.finish(creation).await?;
        response.map(BufferedResponse::into_response)
    }

    async fn create_now(
        &self,
        new: NewObject,
        target: Target,
        request: UpstreamRequest,
    ) -> Result<BufferedResponse> {
        let sent = self.client.send_buffered(target.clone(), request).await;
        let may_exist = match &sent {
            Ok(response) => response.is_success(),
            Err(error) => error.status == StatusCode::GATEWAY_TIMEOUT,
        };
        if may_exist && let Some(limits) = new.limits {
            limits.forfeit();
        }
        // The reservation of an object that may exist unrecorded stays until it expires.
        let spend = new.spend.filter(|_| may_exist);
        let spend = spend.map(DurableReservation::keep);
        let response = sent?;
        if !response.is_success() {
            return Ok(response);
        }
        let object = UpstreamObject {
            owner: new.owner,
            kind: new.kind,
            id: response.id()?,
            upstream: target.upstream_name().to_owned(),
            purpose: new.purpose,
            created_at: self.clock.now_milliseconds(),
            work: new.work,
            due_at: new.due_at,
        };
        self.record(&object, target).await?;
        if let Some(spend) = &spend
            && object.kind == ObjectKind::Batch
        {
            self.reservations.bind(spend, &object).await;
        }
        Ok(response)
    }

    /// Records the owner of a new object; deletes the object if that fails.
    async fn record(&self, object: &UpstreamObject, target: Target) -> Result<()> {
        let (noun, id, upstream) = (object.kind.noun(), &object.id, &object.upstream);
        match self.repository.add(object).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::error!(
                    upstream,
                    id,
                    "upstream answered with a {noun} of another project"
                );
                Err(Error::upstream(
                    "The model server's answer is not about something new.",
                ))
            }
            Err(error) => {
                tracing::error!(upstream, id, %error, "failed to record owner of {noun}; deleting upstream object");
                self.delete(object, target).await;
                let message = format!("The {noun} could not be kept. Try again in a second.");
                Err(Error::overloaded(message, 1))
            }
        }
    }

    /// Deletes an object without an owner. A batch cannot be deleted, and is cancelled.
    async fn delete(&self, object: &UpstreamObject, target: Target) {
        let request = match object.kind {
            ObjectKind::Batch => UpstreamRequest::of_gateway(Method::POST, object, "/cancel"),
            ObjectKind::File | ObjectKind::VectorStore => {
                UpstreamRequest::of_gateway(Method::DELETE, object, "")
            }
        };
        let (id, upstream) = (&object.id, &object.upstream);
        match self.client.send_buffered(target, request).await {
            Ok(response) if response.is_success() => {}
            Ok(response) => {
                let status = response.head.status;
                tracing::error!(upstream, id, %status, "failed to delete orphaned upstream object");
            }
            Err(error) => {
                tracing::error!(upstream, id, %error, "failed to delete orphaned upstream object");
            }
        }
    }

    /// Creates a file. The input of a batch is validated before, and forwarded without a byte order mark, which not every
    /// model server skips.
    pub(super) async fn upload(
        self: &Arc<Self>,
        request: ObjectRequest<'_>,
        target: Target,
    ) -> Result<Response<Bytes>> {
        let (headers, mut body) = (&request.head.headers, request.body);
        let fields = read_form(headers, &body, &["purpose", "file"])?;
        let purpose = fields.text("purpose")?.unwrap_or_default();
        if purpose.contains('\0') {
            let message = "purpose must not contain a NUL character.";
            return Err(Error::invalid("purpose", message));
        }
        let work = if purpose == BATCH_PURPOSE {
            let missing = || {
                Error::invalid(
                    "file",
                    "file is missing: send one with the requests of the batch.",
                )
            };
            let place = fields.range(fields.get("file").ok_or_else(missing)?);
            let text = without_mark(&body[place.clone()]).len();
            let (mark, file) = (place.end - text, body.slice(place.end - text..place.end));
            body = cut(&body, place.start..mark);
            // Reading a large file takes a moment, which other requests must not wait for.
            Some(offload(move || BatchInput::read(&file)).await??.to_text()?)
        } else {
            None
        };
        let new = NewObject {
            owner: ObjectOwner::of(request.caller),
            kind: ObjectKind::File,
            purpose,
            work,
            due_at: None,
            limits: None,
            spend: None,
        };
        let content_type = form_type(headers)?;
        let upstream_request =
            UpstreamRequest::of_client(request.head, request.share, body, content_type);
        self.create(new, target, upstream_request).await
    }

    /// Creates a vector store, at the upstream that keeps its first files, or at `storage` if it has none.
    pub(super) async fn create_vector_store(
        self: &Arc<Self>,
        request: ObjectRequest<'_>,
        storage: Target,
    ) -> Result<Response<Bytes>> {
        let (caller, body) = (request.caller, request.body);
        let owner = ObjectOwner::of(caller);
        let target = match self.ownership.check_files(&owner, &body, None).await? {
            None => storage,
            Some(upstream) => self.client.0.by_name(&upstream).unwrap_or(storage),
        };
        let files = count_files(&body)?;
        let new = NewObject {
            owner,
            kind: ObjectKind::VectorStore,
            purpose: String::new(),
            work: None,
            // By then its first files have been added.
            due_at: Some(self.clock.now().plus(SECONDS_PER_HOUR)),
            limits: None,
            spend: self.reservations.reserve_storage(caller, files).await?,
        };
        let upstream_request = UpstreamRequest::of_client(request.head, request.share, body, JSON);
        self.create(new, target, upstream_request).await
    }
}

/// Returns a body without a range of its bytes. An empty range copies nothing.
fn cut(body: &Bytes, range: Range<usize>) -> Bytes {
    if range.is_empty() {
        return body.clone();
    }
    let mut rest = BytesMut::with_capacity(body.len() - range.len());
    rest.extend_from_slice(&body[..range.start]);
    rest.extend_from_slice(&body[range.end..]);
    rest.freeze()
}
