//! Creation of objects at an upstream: the owner is recorded before the client gets the id, or the object is deleted again.

use std::ops::Range;
use std::sync::Arc;

use access::LimitField;
use base::time::SECONDS_PER_HOUR;
use base::{Error, Result, UnixTime, without_mark};
use bytes::{Bytes, BytesMut};
use http::{Method, Response, StatusCode};
use proxy::Target;
use usage::{DurableReservation, QueuePermit};

use super::Objects;
use super::batch_input::BatchInput;
use super::batch_policy::{check_policy, check_prompt_caches};
use super::containers::{memory_in, session_event};
use super::reconcile::BATCH_POLL_SECONDS;
use super::repository::{ObjectOwner, UpstreamObject};
use super::request::ObjectRequest;
use super::upstream::{BufferedResponse, UpstreamRequest};
use crate::caller::Caller;
use crate::dialect::{Fields, JSON, form_type, read_form};
use crate::limits::{Amounts, RateLimitReservation, RateLimitStatus, RequestedAmounts};
use crate::object_kind::ObjectKind;
use crate::offload::offload;
use crate::permission_rules::permission_at;
use crate::policy::ProjectPolicy;

/// The purpose of files that are the input of a batch.
pub(super) const BATCH_PURPOSE: &str = "batch";

/// An object that is to be created.
pub(super) struct NewObject {
    pub(super) owner: ObjectOwner,
    pub(super) kind: ObjectKind,
    pub(super) purpose: String,
    pub(super) work: Option<String>,
    /// Time of the first poll, if there is to be one.
    pub(super) due_at: Option<UnixTime>,
    pub(super) bytes: Option<i64>,
    /// Rate limit reservation, refunded if the object is not created.
    pub(super) limits: Option<RateLimitReservation>,
    /// Spend reservation, released if the object is not created.
    pub(super) spend: Option<DurableReservation>,
    /// Permit for the event of a session that begins with the object.
    pub(super) session: Option<NewSession>,
}

/// A session that begins with a container.
pub(super) struct NewSession {
    /// Permit for the session's event.
    pub(super) permit: QueuePermit,
    /// The memory that the request asks for.
    pub(super) memory: Option<String>,
}

impl NewObject {
    /// Returns an object that is not polled and reserves nothing.
    pub(super) fn new(owner: ObjectOwner, kind: ObjectKind) -> Self {
        Self {
            owner,
            kind,
            purpose: String::new(),
            work: None,
            due_at: None,
            bytes: None,
            limits: None,
            spend: None,
            session: None,
        }
    }
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
            expires_at: None,
            bytes: new.bytes,
        };
        self.record(&object, target).await?;
        if let Some(session) = new.session {
            // Written soon, whether or not that is waited for.
            let memory = session.memory.or_else(|| memory_in(&response.body));
            let event = session_event(&object, memory, self.client.billing_of(&object));
            drop(session.permit.record(event));
        }
        if let Some(spend) = &spend
            && object.kind == ObjectKind::Batch
        {
            self.reservations.bind(spend, &object).await;
        }
        Ok(response)
    }

    /// Records the owner of a new object; deletes the object if that fails.
    pub(super) async fn record(&self, object: &UpstreamObject, target: Target) -> Result<()> {
        let (noun, id, upstream) = (object.kind.noun(), &object.id, &object.upstream);
        match self.repository.add(object).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::error!(
                    upstream,
                    id,
                    "upstream answered with a {noun} of another project"
                );
                let message = "The model server's answer is not about something new.";
                Err(Error::upstream(message))
            }
            Err(error) => {
                tracing::error!(upstream, id, %error, "failed to record owner of {noun}; deleting upstream object");
                self.delete(object, target).await;
                let message = format!("The {noun} could not be kept. Try again in a second.");
                Err(Error::overloaded(message, 1))
            }
        }
    }

    /// Deletes an object without an owner. Batches and uploads cannot be deleted, and are cancelled.
    pub(super) async fn delete(&self, object: &UpstreamObject, target: Target) {
        let request = match object.kind {
            ObjectKind::Batch | ObjectKind::Upload => {
                UpstreamRequest::of_gateway(Method::POST, object, "/cancel")
            }
            // It expires with its upload.
            ObjectKind::UploadPart => return,
            _ => UpstreamRequest::of_gateway(Method::DELETE, object, ""),
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
        check_purpose(&purpose)?;
        let work = if purpose == BATCH_PURPOSE {
            let message = "file is missing: send one with the requests of the batch.";
            let missing = || Error::invalid("file", message);
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
            purpose,
            work,
            ..NewObject::new(ObjectOwner::of(request.caller), ObjectKind::File)
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
        let files = self.ownership.check_files(&owner, &body, None).await?;
        let keeper = files.upstream.and_then(|name| self.client.0.by_name(&name));
        let target = keeper.unwrap_or(storage);
        let spend =
            self.reservations
                .reserve_storage(caller, files.max_bytes, target.billing().uplift);
        let new = NewObject {
            // By then its first files have been added.
            due_at: Some(self.clock.now().plus(SECONDS_PER_HOUR)),
            spend: spend.await?,
            ..NewObject::new(owner, ObjectKind::VectorStore)
        };
        let upstream_request = UpstreamRequest::of_client(request.head, request.share, body, JSON);
        self.create(new, target, upstream_request).await
    }

    /// Creates a batch at the upstream that keeps its input file.
    ///
    /// # Errors
    /// 404: the file is not of the caller's project. 400: the file is not the input of such a batch. 403: the project may not
    /// send its requests. 429: a limit leaves no room.
    pub(super) async fn create_batch(
        self: &Arc<Self>,
        request: ObjectRequest<'_>,
    ) -> Result<Response<Bytes>> {
        let (caller, head, body) = (request.caller, request.head, request.body);
        let fields = Fields::of_request(&head.headers, &body, &["input_file_id", "endpoint"])?;
        let missing = |name| Error::invalid(name, format!("{name} is missing."));
        let file_id = fields.text("input_file_id")?;
        let file_id = file_id.ok_or_else(|| missing("input_file_id"))?;
        let endpoint = fields.text("endpoint")?;
        let endpoint = endpoint.ok_or_else(|| missing("endpoint"))?;
        let owner = ObjectOwner::of(caller);
        let file = self.ownership.check_one(&owner, ObjectKind::File, &file_id);
        let file = file.await.map_err(|error| error.about("input_file_id"))?;
        let mut input = self.batch_input(&file).await?;
        if endpoint.strip_prefix("/v1") != Some(input.path.as_ref()) {
            let message = format!(
                "The requests of the file '{file_id}' are for /v1{}.",
                input.path
            );
            return Err(Error::invalid("endpoint", message));
        }
        let needs = permission_at(&Method::POST, &input.path);
        caller.require(needs.ok_or_else(|| Error::unknown_path(&endpoint))?)?;
        let target = self.client.upstream_of(&file)?;
        if !self.client.0.serves_at(&target, &input.model) {
            return Err(Error::model_not_found(&input.model));
        }
        let policy = ProjectPolicy::of(caller);
        check_policy(&policy, &input)?;
        check_prompt_caches(&policy, &input, &target, &self.rate_limits.facts)?;
        let keeper = Some(file.upstream.as_str());
        let refs = &input.object_refs;
        self.ownership
            .check_refs(&owner, refs, keeper, true)
            .await?;
        let now = self.clock.now();
        let uplift = target.billing().uplift;
        let reserving = self
            .reservations
            .reserve_batch(caller, &mut input, now, uplift);
        let spend = reserving.await?;
        let limits = self
            .reserve_tokens(caller, &input, request.rate_limit_status)
            .await?;
        let new = NewObject {
            work: Some(input.to_text()?),
            due_at: Some(now.plus(BATCH_POLL_SECONDS)),
            limits: Some(limits),
            spend,
            ..NewObject::new(owner, ObjectKind::Batch)
        };
        let upstream_request = UpstreamRequest::of_client(head, request.share, body, JSON);
        self.create(new, target, upstream_request).await
    }

    /// Returns the requests of the file that is the input of a batch.
    async fn batch_input(&self, file: &UpstreamObject) -> Result<BatchInput> {
        let about = |error: Error| error.about("input_file_id");
        match BatchInput::of_text(file.work.as_deref()) {
            Some(input) => Ok(input),
            None if file.work.is_none() && file.purpose == BATCH_PURPOSE => {
                self.read_batch_file(file).await.map_err(about)
            }
            None => {
                let id = &file.id;
                let message = format!("The file '{id}' was not uploaded with purpose=batch.");
                Err(Error::invalid("input_file_id", message))
            }
        }
    }

    /// Reserves the input tokens of a batch within the daily limit of the project.
    async fn reserve_tokens(
        &self,
        caller: &Caller,
        input: &BatchInput,
        status: &mut RateLimitStatus,
    ) -> Result<RateLimitReservation> {
        let names = self.rate_limits.names(caller, &input.model, &[]);
        let tokens = LimitField::BatchInputTokensPerDay;
        let requested = RequestedAmounts::from(Amounts::default().with(tokens, input.tokens));
        let (reserved, reported) = self
            .rate_limits
            .reserve(&caller.project, names.as_slice(), &requested)
            .await;
        *status = reported;
        reserved
    }
}

/// Checks the purpose of a file.
///
/// # Errors
/// 400: the purpose cannot be recorded.
pub(super) fn check_purpose(purpose: &str) -> Result<()> {
    if !purpose.contains('\0') {
        return Ok(());
    }
    let message = "purpose must not contain a NUL character.";
    Err(Error::invalid("purpose", message))
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
