//! Creation of batches from input files.

use std::sync::Arc;

use access::LimitField;
use base::{Error, Result};
use bytes::Bytes;
use http::Response;

use super::Objects;
use super::batch_input::BatchInput;
use super::create::NewObject;
use super::reconcile::BATCH_POLL_SECONDS;
use super::repository::ObjectOwner;
use super::request::ObjectRequest;
use super::upstream::UpstreamRequest;
use crate::caller::Caller;
use crate::dialect::{Fields, JSON};
use crate::limits::{Amounts, RateLimitReservation, RateLimitStatus, RequestedAmounts};
use crate::object_kind::ObjectKind;
use crate::policy::ProjectPolicy;

impl Objects {
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
        if !self.client.0.serves_at(&target, &input.model) {
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
        let upstream_request = UpstreamRequest::of_client(head, request.share, body, JSON);
        self.create(new, target, upstream_request).await
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
