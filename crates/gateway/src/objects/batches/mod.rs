//! Batches: creation from an input file, and status as the upstream reports it.

mod input;
mod output;

use std::sync::Arc;

use access::LimitField;
use base::{Clock, Error, Result};
use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use usage::{Metric, Outcome};

use super::ObjectRequest;
use super::create::{Creator, NewObject};
use super::ownership::Ownership;
use super::reconcile::BATCH_POLL_SECONDS;
use super::repository::ObjectOwner;
use super::reservations::ObjectReservations;
use super::upstream::{ObjectClient, UpstreamRequest};
use crate::answer::Document;
use crate::caller::Caller;
use crate::dialect::{Fields, GeneratedText, JSON, MeasuredUsage, ReportedUsage};
use crate::limits::{Amounts, RateLimitReservation, RateLimitStatus, RequestedAmounts};
use crate::object_kind::ObjectKind;
use crate::policy::ProjectPolicy;
use crate::rate_limits::RateLimits;

pub(super) use input::BatchInput;
pub(super) use output::output_usage;

/// Creates batches.
pub(super) struct BatchCreator {
    pub(super) ownership: Arc<Ownership>,
    pub(super) client: ObjectClient,
    pub(super) creator: Arc<Creator>,
    pub(super) reservations: Arc<ObjectReservations>,
    pub(super) rate_limits: Arc<RateLimits>,
    pub(super) clock: Clock,
}

impl BatchCreator {
    /// Creates a batch at the upstream that keeps its input file.
    ///
    /// # Errors
    /// 404: the file is not of the caller's project. 400: the file is not the input of such a batch. 403: the project may not
    /// send its requests. 429: a limit leaves no room.
    pub(super) async fn create(&self, request: ObjectRequest<'_>) -> Result<Response<Bytes>> {
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
        let mut input = BatchInput::of_text(file.work.as_deref()).ok_or_else(|| {
            let message = format!("The file '{file_id}' was not uploaded with purpose=batch.");
            Error::invalid("input_file_id", message)
        })?;
        if endpoint.strip_prefix("/v1") != Some(input.path.as_ref()) {
            let message = format!(
                "The requests of the file '{file_id}' are for /v1{}.",
                input.path
            );
            return Err(Error::invalid("endpoint", message));
        }
        let target = self.client.upstream_of(&file)?;
        if !self.client.serves(&target, &input.model) {
            return Err(Error::model_not_found(&input.model));
        }
        check_policy(&ProjectPolicy::of(caller), &input)?;
        self.ownership
            .check_refs(&owner, &input.object_refs)
            .await?;
        let now = self.clock.now();
        let spend = self.reservations.reserve_batch(caller, &mut input, now);
        let spend = spend.await?;
        let limits = self.reserve_tokens(caller, &input, request.rate_limit_status)?;
        let new = NewObject {
            owner,
            kind: ObjectKind::Batch,
            purpose: String::new(),
            work: Some(input.to_text()?),
            due_at: Some(now.plus(BATCH_POLL_SECONDS)),
            limits: Some(limits),
            spend,
        };
        let content_type = (!body.is_empty()).then_some(JSON);
        let upstream_request = UpstreamRequest::of_client(head, request.share, body, content_type);
        self.creator.create(new, target, upstream_request).await
    }

    /// Reserves the input tokens of a batch within the daily limit of the project.
    fn reserve_tokens(
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
            .reserve(&caller.project, &names, &requested);
        *status = reported;
        reserved
    }
}

/// Checks that a project may send the requests of a batch.
///
/// # Errors
/// 403: the project may not use a model or a hosted tool. 400: the requests are unknown, or violate data retention.
fn check_policy(policy: &ProjectPolicy<'_>, input: &BatchInput) -> Result<()> {
    policy.check_model(&input.model)?;
    let tools = policy.check_tools(input.tools.iter().map(AsRef::as_ref));
    tools.map_err(|error| error.about("input_file_id"))?;
    let wrong = |message: String| Err(Error::invalid("input_file_id", message));
    let Some(facts) = &input.facts else {
        let message = "The file was uploaded before its requests were looked at as they are now: upload it again.";
        return wrong(message.to_owned());
    };
    for model in &facts.models {
        policy.check_model(model)?;
    }
    if let (true, Some(line)) = (policy.has_zero_retention(), facts.stored) {
        let path = &input.path;
        let message = format!(
            "The project has zero data retention, and the model server would keep what line {line} of the file asks \
             for: each line for /v1{path} must say \"store\": false, and name no conversation."
        );
        return wrong(message);
    }
    Ok(())
}

/// The fields of a batch that the gateway reads.
#[derive(Deserialize)]
pub(super) struct BatchStatus {
    status: String,
    #[serde(default)]
    output_file_id: Option<String>,
    #[serde(default)]
    error_file_id: Option<String>,
    #[serde(default, deserialize_with = "usage")]
    usage: Option<ReportedUsage>,
    #[serde(default)]
    request_counts: RequestCounts,
    #[serde(default)]
    completed_at: Option<i64>,
    #[serde(default)]
    failed_at: Option<i64>,
    #[serde(default)]
    expired_at: Option<i64>,
    #[serde(default)]
    cancelled_at: Option<i64>,
}

/// Reads the usage of a batch in every form that the usage of an answer can have.
fn usage<'de, D: Deserializer<'de>>(
    field: D,
) -> std::result::Result<Option<ReportedUsage>, D::Error> {
    let json = Box::<RawValue>::deserialize(field)?;
    let json = format!(r#"{{"usage":{json}}}"#);
    Ok(Document::of(json.as_bytes(), &mut GeneratedText::default()).usage)
}

#[derive(Clone, Copy, Default, Deserialize)]
struct RequestCounts {
    #[serde(default)]
    completed: i64,
}

impl BatchStatus {
    /// Reads an upstream's answer.
    ///
    /// # Errors
    /// 502: the answer is no batch.
    pub(super) fn read(answer: &[u8]) -> Result<Self> {
        serde_json::from_slice(answer)
            .map_err(|_| Error::upstream("The model server's answer is no batch."))
    }

    /// True if the batch has ended, in success or failure.
    pub(super) fn has_ended(&self) -> bool {
        matches!(
            self.status.as_str(),
            "completed" | "failed" | "expired" | "cancelled"
        )
    }

    /// Returns the reported end of the batch, in seconds since 1970.
    pub(super) fn ended_at(&self) -> Option<i64> {
        self.completed_at
            .or(self.failed_at)
            .or(self.expired_at)
            .or(self.cancelled_at)
    }

    /// Returns the ids of the files that the batch has created.
    pub(super) fn output_files(&self) -> impl Iterator<Item = &str> {
        let ids = [&self.output_file_id, &self.error_file_id];
        ids.into_iter().flatten().map(String::as_str)
    }

    /// Returns the number of requests that were answered.
    fn answered(&self) -> i64 {
        self.request_counts.completed.max(0)
    }

    /// Returns the reported usage; `None` if there is none, or if answers are said to have cost no input.
    pub(super) fn reported_usage(&self) -> Option<MeasuredUsage> {
        let quantities = self.usage.as_ref()?.quantities()?;
        quantities.get(Metric::InputTokens)?;
        if quantities.or_zero(Metric::InputTokens) == 0 && self.answered() > 0 {
            return None;
        }
        Some(MeasuredUsage {
            quantities: quantities.with(Metric::NumModelRequests, self.answered()),
            ..MeasuredUsage::default()
        })
    }

    /// Returns the outcome for the ledger.
    pub(super) fn outcome(&self) -> Outcome {
        match self.status.as_str() {
            "failed" => Outcome::UpstreamFailed,
            "expired" => Outcome::TimedOut,
            "cancelled" => Outcome::ClientGone,
            _ => Outcome::Succeeded,
        }
    }
}
