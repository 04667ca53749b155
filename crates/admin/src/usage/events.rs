//! `/organization/usage/events`: usage that other gateways report. An extension.

use std::collections::HashSet;

use ::usage::{Dimension, Keep, Kind, Metric, Outcome, Quantities, UsageEvent};
use base::ids::{Id, KeyId, OrganizationId, ProjectId, UserId};
use base::{Error, Permission, Result, UnixTime, time};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::args;
use crate::operation::{Ingest, Operation, ingest};

pub(crate) fn operations() -> Vec<Operation> {
    const EVENTS: &str = "/organization/usage/events";
    const ABOUT: &str = "Adds usage that other gateways metered to the ledger, each event once.";
    vec![
        ingest::<ReportedEvent, _, _, _>(
            "usage:events create",
            EVENTS,
            Permission::UsageWrite,
            ABOUT,
            create,
        )
        .extension(),
    ]
}

/// How many events one request brings at the most.
const MOST_EVENTS: usize = 10_000;
/// How far in the future an event may lie, in seconds: clocks differ, but not by more than a day.
const MOST_AHEAD: i64 = time::DAY;
/// The longest name of anything in an event, in bytes.
const MOST_BYTES: usize = 128;
/// The largest amount of anything: beyond it, clients that read JSON numbers as doubles would read another one.
const MOST_AMOUNT: i64 = 1 << 53;

/// One event: its numbers and dimensions are those of the report that `type` names.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReportedEvent {
    /// Unique within the organization; sent again, it counts once.
    id: String,
    /// When it happened, in Unix seconds.
    timestamp: i64,
    /// The last part of the path of the report it belongs to.
    r#type: String,
    project_id: String,
    user_id: Option<String>,
    api_key_id: Option<String>,
    model: Option<String>,
    batch: Option<bool>,
    service_tier: Option<String>,
    size: Option<String>,
    source: Option<String>,
    vector_store_id: Option<String>,
    context_level: Option<String>,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    /// 1 when not given.
    num_model_requests: Option<i64>,
    input_cached_tokens: Option<i64>,
    input_cache_write_tokens: Option<i64>,
    input_uncached_tokens: Option<i64>,
    input_text_tokens: Option<i64>,
    output_text_tokens: Option<i64>,
    input_cached_text_tokens: Option<i64>,
    input_audio_tokens: Option<i64>,
    input_cached_audio_tokens: Option<i64>,
    output_audio_tokens: Option<i64>,
    input_image_tokens: Option<i64>,
    input_cached_image_tokens: Option<i64>,
    output_image_tokens: Option<i64>,
    images: Option<i64>,
    characters: Option<i64>,
    seconds: Option<i64>,
    usage_bytes: Option<i64>,
    num_sessions: Option<i64>,
    num_requests: Option<i64>,
}

impl ReportedEvent {
    fn metric(&self, metric: Metric) -> Option<i64> {
        match metric {
            Metric::InputTokens => self.input_tokens,
            Metric::OutputTokens => self.output_tokens,
            Metric::NumModelRequests => self.num_model_requests,
            Metric::InputCachedTokens => self.input_cached_tokens,
            Metric::InputCacheWriteTokens => self.input_cache_write_tokens,
            Metric::InputUncachedTokens => self.input_uncached_tokens,
            Metric::InputTextTokens => self.input_text_tokens,
            Metric::OutputTextTokens => self.output_text_tokens,
            Metric::InputCachedTextTokens => self.input_cached_text_tokens,
            Metric::InputAudioTokens => self.input_audio_tokens,
            Metric::InputCachedAudioTokens => self.input_cached_audio_tokens,
            Metric::OutputAudioTokens => self.output_audio_tokens,
            Metric::InputImageTokens => self.input_image_tokens,
            Metric::InputCachedImageTokens => self.input_cached_image_tokens,
            Metric::OutputImageTokens => self.output_image_tokens,
            Metric::Images => self.images,
            Metric::Characters => self.characters,
            Metric::Seconds => self.seconds,
            Metric::UsageBytes => self.usage_bytes,
            Metric::NumSessions => self.num_sessions,
            Metric::NumRequests => self.num_requests,
        }
    }

    /// What this report's dimensions and numbers are; anything else that was given is a mistake.
    fn quantities(&self, kind: Kind) -> Result<Quantities, String> {
        let mut quantities = Quantities::default();
        for metric in Metric::ALL {
            let own = kind.required_metrics().contains(metric)
                || kind.optional_metrics().contains(metric);
            match self.metric(*metric) {
                Some(_) if !own => {
                    return Err(format!("{} has no {}", kind.as_str(), metric.as_str()));
                }
                Some(amount) if amount < 0 => {
                    return Err(format!("{} must not be negative", metric.as_str()));
                }
                Some(amount) if amount > MOST_AMOUNT => {
                    return Err(format!("{} must be at most 2^53", metric.as_str()));
                }
                Some(amount) => quantities.set(*metric, amount),
                None if *metric == Metric::NumModelRequests && own => quantities.set(*metric, 1),
                None if kind.required_metrics().contains(metric) => {
                    return Err(format!(
                        "{} is required for {}",
                        metric.as_str(),
                        kind.as_str()
                    ));
                }
                None => {}
            }
        }
        let parts = quantities.or_zero(Metric::InputCachedTokens)
            + quantities.or_zero(Metric::InputCacheWriteTokens);
        if parts > quantities.or_zero(Metric::InputTokens) {
            return Err(
                "input_tokens must include input_cached_tokens and input_cache_write_tokens"
                    .to_owned(),
            );
        }
        Ok(quantities)
    }

    fn check_dimensions(&self, kind: Kind) -> Result<(), String> {
        let given = [
            (Dimension::UserId, &self.user_id),
            (Dimension::ApiKeyId, &self.api_key_id),
            (Dimension::Model, &self.model),
            (Dimension::ServiceTier, &self.service_tier),
            (Dimension::Size, &self.size),
            (Dimension::Source, &self.source),
            (Dimension::VectorStoreId, &self.vector_store_id),
            (Dimension::ContextLevel, &self.context_level),
        ];
        for (dimension, value) in given {
            let Some(value) = value else { continue };
            if !kind.dimensions().contains(&dimension) {
                return Err(format!("{} has no {}", kind.as_str(), dimension.as_str()));
            }
            check_text(dimension.as_str(), value)?;
        }
        Ok(())
    }

    fn check(
        self,
        organization_id: &OrganizationId,
        now: UnixTime,
        keep: Keep,
    ) -> Result<UsageEvent, String> {
        check_text("id", &self.id)?;
        let kind = Kind::parse(&self.r#type).ok_or_else(|| {
            let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("type must be one of {}", kinds.join(", "))
        })?;
        if self.timestamp < 0 || self.timestamp > now.0 + MOST_AHEAD {
            return Err("timestamp must be in seconds since 1970 and not in the future".to_owned());
        }
        if keep
            .oldest_event(now)
            .is_some_and(|oldest| self.timestamp < oldest.0)
        {
            return Err("timestamp is older than the ledger is kept".to_owned());
        }
        self.check_dimensions(kind)?;
        Ok(UsageEvent {
            quantities: self.quantities(kind)?,
            id: self.id,
            timestamp: UnixTime(self.timestamp),
            organization_id: organization_id.clone(),
            kind,
            project_id: ProjectId::from_text(self.project_id),
            user_id: self.user_id.map(UserId::from_text),
            api_key_id: self.api_key_id.map(KeyId::from_text),
            model: self.model,
            batch: self.batch.unwrap_or(false),
            service_tier: self.service_tier,
            size: self.size,
            source: self.source,
            vector_store_id: self.vector_store_id,
            context_level: self.context_level,
            estimated: false,
            outcome: Outcome::Reported,
        })
    }
}

fn check_text(field: &str, text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > MOST_BYTES || text.chars().any(char::is_control) {
        return Err(format!(
            "{field} must have 1 to {MOST_BYTES} bytes and no control characters"
        ));
    }
    Ok(())
}

/// What became of the events of one request.
#[derive(Debug, Serialize, JsonSchema)]
struct IngestedEvents {
    object: &'static str,
    /// How many are new, and durable.
    accepted: usize,
    /// How many were known already.
    duplicates: usize,
    /// Which were refused, and why.
    rejected: Vec<Rejected>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Rejected {
    /// The event's place in the request, from 0.
    index: usize,
    id: Option<String>,
    error: String,
}

async fn create(mut cx: Ingest, body: Bytes) -> Result<IngestedEvents> {
    let items = split(&body, cx.lines)?;
    if items.len() > MOST_EVENTS {
        let message = format!(
            "At most {MOST_EVENTS} events are accepted in one request; these are {}.",
            items.len()
        );
        return Err(Error::refused("too_many_events", message));
    }
    let mut projects = Projects::default();
    let mut events = Vec::with_capacity(items.len());
    let mut rejected = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        match admit(&mut cx, &mut projects, item).await? {
            Ok(event) => events.push(event),
            Err(error) => rejected.push(Rejected {
                index,
                id: id_of(item),
                error,
            }),
        }
    }
    let appended = cx.services().recorder.append(events).await?;
    Ok(IngestedEvents {
        object: "organization.usage.events",
        accepted: appended.accepted,
        duplicates: appended.duplicates,
        rejected,
    })
}

/// The texts of the events: the lines, the items of an array, or the one object.
fn split(body: &[u8], lines: bool) -> Result<Vec<&str>> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Error::refused("invalid_json", "The body is not UTF-8."))?;
    if lines {
        return Ok(text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect());
    }
    let malformed = |error| {
        Error::refused(
            "invalid_json",
            format!("The body is not valid JSON: {error}."),
        )
    };
    if text.trim_start().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(text).map_err(malformed)?;
        return Ok(items.into_iter().map(RawValue::get).collect());
    }
    let item: &RawValue = serde_json::from_str(text).map_err(malformed)?;
    Ok(vec![item.get()])
}

/// The projects that the request may report for, each looked up once.
#[derive(Default)]
struct Projects {
    known: HashSet<String>,
    unknown: HashSet<String>,
}

async fn admit(
    cx: &mut Ingest,
    projects: &mut Projects,
    item: &str,
) -> Result<Result<UsageEvent, String>> {
    let reported: ReportedEvent = match serde_json::from_str(item) {
        Ok(reported) => reported,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if let Err(error) = check_text("project_id", &reported.project_id) {
        return Ok(Err(error));
    }
    if let Err(error) = check_project(cx, projects, &reported.project_id).await? {
        return Ok(Err(error));
    }
    Ok(reported.check(cx.organization(), cx.now(), cx.services().keep_usage))
}

/// A project key reports for its own project only, an admin key for every project of the organization.
async fn check_project(
    cx: &mut Ingest,
    projects: &mut Projects,
    id: &str,
) -> Result<Result<(), String>> {
    if projects.known.contains(id) {
        return Ok(Ok(()));
    }
    let foreign = cx
        .permit()
        .caller()
        .and_then(|caller| caller.project_id())
        .is_some_and(|own| own.as_str() != id);
    if foreign {
        return Ok(Err(format!(
            "project_id: the key may only report for its own project, not for '{id}'"
        )));
    }
    if !projects.unknown.contains(id) {
        let statement = cx.sql(
            "SELECT id FROM projects WHERE organization_id = $1 AND id = $2",
            args![id],
        );
        if cx.fetch_optional(statement, |_| Ok(())).await?.is_some() {
            projects.known.insert(id.to_owned());
            return Ok(Ok(()));
        }
        projects.unknown.insert(id.to_owned());
    }
    Ok(Err(format!(
        "project_id: no project with id '{id}' is in the organization"
    )))
}

/// The id of an event that was refused, where it has a readable one.
fn id_of(item: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: String,
    }
    let OnlyId { id } = serde_json::from_str(item).ok()?;
    check_text("id", &id).is_ok().then_some(id)
}
