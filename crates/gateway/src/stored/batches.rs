//! `/v1/batches`: making one, and what its answers tell of its files and of what it has consumed.

use std::sync::Arc;

use access::LimitField;
use access::stored::{Kind, Object};
use base::time::MINUTE;
use base::{Error, Result, UnixTime};
use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use usage::{Metric, Outcome, UsageEvent};

use super::ask::Question;
use super::keep::Draft;
use super::lines::Work;
use super::owner;
use super::place::is_plausible;
use super::reserve::reservation_of;
use crate::dialect::{Dialect, Fields, MeasuredUsage};
use crate::document::{Document, GeneratedText, ReportedUsage};
use crate::identify::Caller;
use crate::limits::{Amounts, RateLimitReservation, RequestedAmounts, limited_model};
use crate::router::Context;
use crate::{Body, Shared};

/// How long until a batch that has not ended is looked at again, in seconds.
pub(super) const AGAIN: i64 = MINUTE;

/// What the purpose of the files is that a batch makes.
const BATCH_OUTPUT: &str = "batch_output";

/// What of a batch is looked at.
#[derive(Deserialize)]
pub(super) struct Batch {
    status: String,
    #[serde(default)]
    pub(super) output_file_id: Option<String>,
    #[serde(default)]
    error_file_id: Option<String>,
    #[serde(default, deserialize_with = "usage")]
    usage: Option<ReportedUsage>,
    #[serde(default)]
    request_counts: Counts,
    #[serde(default)]
    completed_at: Option<i64>,
    #[serde(default)]
    failed_at: Option<i64>,
    #[serde(default)]
    expired_at: Option<i64>,
    #[serde(default)]
    cancelled_at: Option<i64>,
}

/// Reads the usage of a batch as that of an answer is read.
fn usage<'de, D: Deserializer<'de>>(
    field: D,
) -> std::result::Result<Option<ReportedUsage>, D::Error> {
    let json = Box::<RawValue>::deserialize(field)?;
    let json = format!(r#"{{"usage":{json}}}"#);
    Ok(Document::of(json.as_bytes(), &mut GeneratedText::default()).usage)
}

#[derive(Clone, Copy, Default, Deserialize)]
pub(super) struct Counts {
    #[serde(default)]
    pub(super) completed: i64,
}

impl Shared {
    /// Makes a batch of a file of the caller's project, where that file is.
    pub(super) async fn create_batch(
        self: &Arc<Self>,
        caller: &Caller,
        context: &mut Context,
        body: Bytes,
    ) -> Result<Response<Body>> {
        let headers = &context.head.headers;
        let fields = Fields::of_request(headers, &body, &["input_file_id", "endpoint"])?;
        let missing = |name| Error::invalid(name, format!("{name} is missing."));
        let input = fields.text("input_file_id")?;
        let input = input.ok_or_else(|| missing("input_file_id"))?;
        let endpoint = fields.text("endpoint")?;
        let endpoint = endpoint.ok_or_else(|| missing("endpoint"))?;
        let owner = owner(caller);
        if !is_plausible(&input) {
            return Err(Error::not_found("file", &input).about("input_file_id"));
        }
        let file = self.stored.get(&owner, Kind::File, &input).await;
        let file = file.map_err(|error| error.about("input_file_id"))?;
        let mut work = Work::of_text(file.work.as_deref()).ok_or_else(|| {
            let message = format!("The file '{input}' was not uploaded with purpose=batch.");
            Error::invalid("input_file_id", message)
        })?;
        if endpoint.strip_prefix("/v1") != Some(work.path.as_ref()) {
            let message = format!(
                "The requests of the file '{input}' are for /v1{}.",
                work.path
            );
            return Err(Error::invalid("endpoint", message));
        }
        let route = self.keeper_of(&file)?;
        if !self.upstreams.serves_at(&route, &work.model) {
            return Err(Error::model_not_found(&work.model));
        }
        caller.may_use_model(&work.model)?;
        let tools = work.tools.iter().map(AsRef::as_ref);
        let tools = caller.may_use_tools(tools);
        tools.map_err(|error| error.about("input_file_id"))?;
        caller.may_send(&work)?;
        self.check_mentions(&owner, &work.object_refs).await?;
        let now = self.clock.now();
        let reservation = self.reserve_batch(caller, &mut work, now).await?;
        let held = self.within_daily_limit(caller, context, &work)?;
        let draft = Draft {
            owner,
            kind: Kind::Batch,
            purpose: String::new(),
            work: Some(work.to_text()?),
            due_at: Some(now.plus(AGAIN)),
            held: Some(held),
            reservation,
        };
        self.make(draft, route, Question::of_client(context, body))
            .await
    }

    /// Takes the tokens of a batch of those that its project has for a day.
    fn within_daily_limit(
        &self,
        caller: &Caller,
        context: &mut Context,
        work: &Work,
    ) -> Result<RateLimitReservation> {
        let (model, kind) = (work.model.as_str(), self.facts.kind_of(&work.model));
        let name = limited_model(model, &caller.level().limits(model, kind));
        let tokens = LimitField::BatchInputTokensPerDay;
        let requested = RequestedAmounts::from(Amounts::default().with(tokens, work.tokens));
        let names = std::slice::from_ref(&name);
        let (held, status) = self.limiter.reserve(&caller.project, names, &requested);
        context.rate_limits = status;
        held.map_err(|refusal| refusal.error(&caller.project))
    }

    /// Takes note of the files that a batch has made, and of what it has consumed if it has ended. Where it does not say how
    /// much, that is found out in the background, at once.
    pub(super) async fn notice_batch(&self, object: &Object, answer: &[u8]) -> Result<()> {
        let batch = Batch::read(answer)?;
        self.adopt(object, &batch).await?;
        let work = Work::of_text(object.work.as_deref());
        let (Some(work), true) = (work, batch.has_ended()) else {
            return Ok(());
        };
        if let Some(spent) = batch.spent() {
            return self.settle(object, &batch, &work, spent).await;
        }
        self.stored.set_due(object, Some(self.clock.now())).await?;
        self.due.notify_one();
        Ok(())
    }

    /// As [`Self::notice_batch`], in the background.
    pub(super) async fn look_at_batch(&self, object: &Object, answer: &[u8]) -> Result<()> {
        let batch = Batch::read(answer)?;
        self.adopt(object, &batch).await?;
        let work = Work::of_text(object.work.as_deref());
        let (Some(work), true) = (work, batch.has_ended()) else {
            let again = self.clock.now().plus(AGAIN);
            return self.stored.set_due(object, Some(again)).await;
        };
        let spent = match batch.spent() {
            Some(spent) => spent,
            None => self.spent_on(object, &batch, &work).await?,
        };
        self.settle(object, &batch, &work, spent).await
    }

    /// The files that a batch has made are its project's.
    async fn adopt(&self, object: &Object, batch: &Batch) -> Result<()> {
        let ids = [&batch.output_file_id, &batch.error_file_id];
        let ids: Vec<&str> = ids.into_iter().flatten().map(String::as_str).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let known = self.stored.find(&object.owner, Kind::File, &ids).await?;
        for id in ids
            .into_iter()
            .filter(|id| known.iter().all(|file| file.id != *id))
        {
            let file = Object {
                owner: object.owner.clone(),
                kind: Kind::File,
                id: id.to_owned(),
                upstream: object.upstream.clone(),
                purpose: BATCH_OUTPUT.to_owned(),
                created_at: self.clock.now_milliseconds(),
                work: None,
                due_at: None,
            };
            if !self.stored.add(&file).await? {
                let (upstream, batch) = (&object.upstream, &object.id);
                tracing::error!(
                    upstream,
                    batch,
                    id,
                    "a batch names a file that another project has"
                );
            }
        }
        Ok(())
    }

    /// Writes into the ledger what an ended batch has consumed: one row, however often it is written. What was reserved for
    /// the batch is released in the same transaction.
    pub(super) async fn settle(
        &self,
        object: &Object,
        batch: &Batch,
        work: &Work,
        spent: MeasuredUsage,
    ) -> Result<()> {
        let is_something = Metric::ALL
            .iter()
            .any(|metric| spent.quantities.or_zero(*metric) > 0);
        let mut events = Vec::new();
        if let (Some(dialect), true) = (Dialect::at(&work.path), is_something) {
            events.push(UsageEvent {
                id: object.id.clone(),
                timestamp: self.ended_at(object, batch),
                organization_id: object.owner.organization.clone(),
                kind: dialect.kind,
                project_id: object.owner.project.clone(),
                user_id: object.owner.user.clone(),
                api_key_id: object.owner.key.clone(),
                model: Some(work.model.clone()),
                batch: true,
                service_tier: spent.service_tier,
                size: spent.size,
                source: dialect.source.map(str::to_owned),
                vector_store_id: None,
                context_level: None,
                quantities: spent.quantities,
                estimated: spent.estimated,
                outcome: batch.outcome(),
            });
        }
        let releases: Vec<_> = reservation_of(object).into_iter().collect();
        if !events.is_empty() || !releases.is_empty() {
            self.recorder.settle(events, releases).await?;
        }
        self.stored.set_due(object, None).await
    }

    /// When it ended, if what it says of that can be true; else now.
    fn ended_at(&self, object: &Object, batch: &Batch) -> UnixTime {
        let said = [
            batch.completed_at,
            batch.failed_at,
            batch.expired_at,
            batch.cancelled_at,
        ];
        let (begun, now) = (object.created_at.div_euclid(1_000), self.clock.now());
        let said = said.into_iter().flatten().next();
        said.filter(|said| (begun..=now.0).contains(said))
            .map_or(now, UnixTime)
    }
}

impl Batch {
    pub(super) fn read(answer: &[u8]) -> Result<Self> {
        serde_json::from_slice(answer)
            .map_err(|_| Error::upstream("The model server's answer is no batch."))
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(
            self.status.as_str(),
            "completed" | "failed" | "expired" | "cancelled"
        )
    }

    /// How many of its requests were answered.
    pub(super) fn answered(&self) -> i64 {
        self.request_counts.completed.max(0)
    }

    /// What it says that it has consumed; `None` if it does not say, or says that answers came of nothing.
    fn spent(&self) -> Option<MeasuredUsage> {
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

    fn outcome(&self) -> Outcome {
        match self.status.as_str() {
            "failed" => Outcome::UpstreamFailed,
            "expired" => Outcome::TimedOut,
            "cancelled" => Outcome::ClientGone,
            _ => Outcome::Succeeded,
        }
    }
}
