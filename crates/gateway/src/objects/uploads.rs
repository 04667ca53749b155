//! Uploads: files that come in parts, each of which passes through to the upstream without being held in memory.
//!
//! A completed upload becomes a file of the project. An upload cannot be fetched, so nothing but its record tells of it; the
//! poller removes the records of uploads, and of their parts, that have expired.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::time::SECONDS_PER_HOUR;
use base::{Error, Result};
use bytes::Bytes;
use http::Response;
use proxy::{RequestBody, Target};
use serde::Deserialize;

use super::Objects;
use super::batch_file::MAX_BATCH_FILE_BYTES;
use super::create::{BATCH_PURPOSE, NewObject, check_purpose};
use super::part_body::PartBody;
use super::repository::{ObjectOwner, UpstreamObject};
use super::request::ObjectRequest;
use super::upstream::{BufferedResponse, UpstreamRequest};
use crate::dialect::{Fields, JSON, form_type};
use crate::object_kind::{ObjectKind, is_plausible};

/// The time after which an upload expires, in seconds.
const UPLOAD_SECONDS: i64 = SECONDS_PER_HOUR;
/// The maximum size of an upload.
const MAX_UPLOAD_BYTES: i64 = 8 * 1024 * 1024 * 1024;
/// The maximum number of parts of an upload.
const MAX_PARTS: usize = 10_000;

/// An upload as its upstream describes it once it is completed.
#[derive(Deserialize)]
struct CompletedUpload {
    file: CreatedFile,
}

#[derive(Deserialize)]
struct CreatedFile {
    id: String,
    bytes: Option<i64>,
}

impl Objects {
    /// Creates an upload.
    ///
    /// # Errors
    /// 400: a field is missing or invalid. 429: the project may keep no more files.
    pub(super) async fn create_upload(
        self: &Arc<Self>,
        request: ObjectRequest<'_>,
        target: Target,
    ) -> Result<Response<Bytes>> {
        let (head, body) = (request.head, request.body);
        let fields = Fields::of_request(&head.headers, &body, &["purpose", "bytes"])?;
        let missing = || Error::invalid("purpose", "purpose is missing.");
        let purpose = fields.text("purpose")?.ok_or_else(missing)?;
        check_purpose(&purpose)?;
        let most = match &*purpose {
            BATCH_PURPOSE => MAX_BATCH_FILE_BYTES,
            _ => MAX_UPLOAD_BYTES,
        };
        let bytes = fields.get("bytes").unwrap_or_default();
        let bytes = serde_json::from_slice(bytes).ok();
        let bytes = bytes.filter(|bytes| (1..=most).contains(bytes));
        let bytes: i64 = bytes.ok_or_else(|| {
            let message =
                format!("bytes must be the size of the file: a whole number from 1 to {most}.");
            Error::invalid("bytes", message)
        })?;
        let new = NewObject {
            purpose,
            due_at: Some(self.clock.now().plus(UPLOAD_SECONDS)),
            bytes: Some(bytes),
            ..NewObject::new(ObjectOwner::of(request.caller), ObjectKind::Upload)
        };
        let upstream_request = UpstreamRequest::of_client(head, request.share, body, JSON);
        self.create(new, target, upstream_request).await
    }

    /// Passes a part to the upstream of its upload while the part comes.
    ///
    /// # Errors
    /// 404: the upload is not of the caller's project. 400: the form is not one file. 408, 413: the part is too slow or too
    /// long. 502, 504: the upstream's.
    pub(crate) async fn add_part(
        &self,
        request: ObjectRequest<'_>,
        body: PartBody,
    ) -> Result<Response<Bytes>> {
        let id = request.route.id.as_deref().unwrap_or_default();
        let owner = ObjectOwner::of(request.caller);
        let upload = self.ownership.check_one(&owner, ObjectKind::Upload, id);
        let upload = upload.await?;
        let target = self.client.upstream_of(&upload)?;
        let content_type = form_type(&request.head.headers)?;
        let refusal = body.refusal();
        let body = RequestBody::stream(body);
        let (head, share) = (request.head, request.share);
        let upstream_request = UpstreamRequest::of_client(head, share, body, content_type);
        let response = self.client.send_buffered(target, upstream_request).await;
        if let Some(refusal) = refusal.take() {
            return Err(refusal);
        }
        let response = response?;
        if response.is_success() {
            let part = UpstreamObject {
                owner,
                kind: ObjectKind::UploadPart,
                id: response.id()?,
                purpose: String::new(),
                created_at: self.clock.now_milliseconds(),
                bytes: None,
                ..upload
            };
            self.record_part(&part).await?;
        }
        Ok(response.into_response())
    }

    /// Records a part. One that cannot be recorded is never part of a file, and expires with its upload.
    async fn record_part(&self, part: &UpstreamObject) -> Result<()> {
        let (id, upstream) = (&part.id, &part.upstream);
        match self.repository.add(part).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::error!(
                    upstream,
                    id,
                    "upstream answered with a part of another project"
                );
                let message = "The model server's answer is not about something new.";
                Err(Error::upstream(message))
            }
            Err(error) => {
                tracing::error!(upstream, id, %error, "failed to record owner of part");
                let message = "The part could not be kept. Try again in a second.";
                Err(Error::overloaded(message, 1))
            }
        }
    }

    /// Completes an upload: its file becomes one of the project. Continues after the client has hung up, so that no file is
    /// left without an owner.
    ///
    /// # Errors
    /// 404: the upload, or a part, is not of the caller's project. 400: `part_ids` is no list of ids. 503: the owner of the file
    /// could not be recorded.
    pub(super) async fn complete_upload(
        self: &Arc<Self>,
        request: ObjectRequest<'_>,
        id: &str,
    ) -> Result<Response<Bytes>> {
        let (head, body) = (request.head, request.body);
        let owner = ObjectOwner::of(request.caller);
        let upload = self.ownership.check_one(&owner, ObjectKind::Upload, id);
        let upload = upload.await?;
        let parts = part_ids(&body)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let parts = self.ownership.check(&owner, ObjectKind::UploadPart, &parts);
        let parts = parts.await.map_err(|error| error.about("part_ids"))?;
        if let Some(part) = parts.iter().find(|part| part.upstream != upload.upstream) {
            return Err(Error::not_found(part.kind.noun(), &part.id).about("part_ids"));
        }
        let target = self.client.upstream_of(&upload)?;
        let upstream_request = UpstreamRequest::of_client(head, request.share, body, JSON);
        let objects = Arc::clone(self);
        let completion = async move {
            let completed = objects
                .client
                .send_buffered(target.clone(), upstream_request);
            let response = completed.await?;
            if response.is_success() {
                objects.adopt_file(upload, target, &response).await?;
            }
            Ok(response)
        };
        let response: Result<BufferedResponse> = self.drains.finish(completion).await?;
        response.map(BufferedResponse::into_response)
    }

    /// Records the file that an upload has become, in place of the upload.
    async fn adopt_file(
        &self,
        upload: UpstreamObject,
        target: Target,
        response: &BufferedResponse,
    ) -> Result<()> {
        let completed = serde_json::from_slice(&response.body).ok();
        let completed = completed.filter(|it: &CompletedUpload| is_plausible(&it.file.id));
        let CompletedUpload { file } = completed.ok_or_else(|| {
            Error::upstream("The model server's answer has no file that can be used.")
        })?;
        let file = UpstreamObject {
            kind: ObjectKind::File,
            id: file.id,
            created_at: self.clock.now_milliseconds(),
            due_at: None,
            bytes: upload.bytes.max(file.bytes),
            ..upload.clone()
        };
        self.record(&file, target).await?;
        self.repository.remove(&upload).await
    }
}

/// Returns the ids of the parts that the body of a request names.
fn part_ids(body: &[u8]) -> Result<BTreeSet<String>> {
    let fields = Fields::of_json(body, &["part_ids"])?;
    let ids = fields.get("part_ids").unwrap_or_default();
    let ids: Option<Vec<String>> = serde_json::from_slice(ids).ok();
    let ids = ids.filter(|ids| ids.len() <= MAX_PARTS);
    let ids = ids.ok_or_else(|| {
        let message = format!("part_ids must be a list of at most {MAX_PARTS} ids of parts.");
        Error::invalid("part_ids", message)
    })?;
    Ok(ids.into_iter().collect())
}
