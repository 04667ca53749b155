//! Usage events as other gateways report them: parsed without copying, checked, and converted to events of the ledger.
//! All ways of reporting usage share this code, so that the same mistake has the same message everywhere.

use std::borrow::Cow;
use std::ops::Deref;

use base::ids::{Id, KeyId, OrganizationId, ProjectId, UserId};
use base::{UnixTime, time};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{
    ApiSource, Dimension, MAX_EVENT_COST, Metric, Outcome, PriceBook, Quantities, RetentionPeriods,
    UsageEvent, UsageKind,
};

/// The most seconds that an event may lie in the future: clocks differ, but not by more than a day.
const MAX_FUTURE_SECONDS: i64 = time::SECONDS_PER_DAY;
/// The longest text in an event, in bytes.
const MAX_TEXT_BYTES: usize = 128;
/// The largest number that clients who read JSON numbers as doubles read exactly.
const MAX_EXACT_NUMBER: i64 = 1 << 53;
/// The most days that the events of one request may lie on.
pub const MAX_REQUEST_DAYS: usize = 400;
/// Prefixes of ids that the gateway gives, or that upstreams give to objects that the gateway meters.
const OWN_PREFIXES: [&str; 3] = ["req_", "batch_", "vs_"];

/// The bounds on events, by the way in which they arrive.
#[derive(Clone, Copy, Debug)]
pub struct EventBounds<'a> {
    /// The prices at which events are charged.
    pub prices: &'a PriceBook,
    /// The retention of events, and the age that they may have.
    pub keep: RetentionPeriods,
    /// True if an operator imports the events: they may then be of any age, and have ids of exported rows of the
    /// gateway.
    pub is_import: bool,
}

/// A usage event: its numbers and dimensions are those of the report that `type` names.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportedEvent<'a> {
    /// Unique within the organization; sent again, it counts once.
    #[serde(borrow)]
    id: Text<'a>,
    /// The time of the usage, in Unix seconds.
    timestamp: i64,
    /// The last part of the path of the report it belongs to.
    r#type: Text<'a>,
    project_id: Text<'a>,
    user_id: Option<Text<'a>>,
    api_key_id: Option<Text<'a>>,
    model: Option<Text<'a>>,
    batch: Option<bool>,
    service_tier: Option<Text<'a>>,
    size: Option<Text<'a>>,
    source: Option<Text<'a>>,
    vector_store_id: Option<Text<'a>>,
    context_level: Option<Text<'a>>,
    /// `agents_api` for usage through the Agents API; `unlabeled` when not given.
    api_source: Option<Text<'a>>,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    /// 1 when not given.
    num_model_requests: Option<i64>,
    input_cached_tokens: Option<i64>,
    /// Includes those of each lifetime.
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
    /// Included in `input_cache_write_tokens`, as are those of the other lifetimes.
    input_cache_write_30m_tokens: Option<i64>,
    input_cache_write_12h_tokens: Option<i64>,
    /// Of several requests, the input tokens of the longest: prices may depend on it. By default, the average.
    longest_input_tokens: Option<i64>,
    // What the gateway knows of the prices of its own rows: accepted in imports of an export.
    #[schemars(skip)]
    uplift_billionths: Option<i64>,
    #[schemars(skip)]
    reported_cost_billionths: Option<i64>,
    /// Decides on the price only, as the next one: no report has them apart.
    input_cache_write_5m_tokens: Option<i64>,
    input_cache_write_1h_tokens: Option<i64>,
    // Further columns of the ledger. They are accepted so that an export can be imported, and ignored.
    #[serde(default, rename = "organization_id")]
    #[schemars(skip)]
    _organization_id: IgnoredAny,
    #[serde(default, rename = "recorded_at")]
    #[schemars(skip)]
    _recorded_at: IgnoredAny,
    #[serde(default, rename = "estimated")]
    #[schemars(skip)]
    _estimated: IgnoredAny,
    #[serde(default, rename = "unpriced")]
    #[schemars(skip)]
    _unpriced: IgnoredAny,
    #[serde(default, rename = "outcome")]
    #[schemars(skip)]
    _outcome: IgnoredAny,
    #[serde(default, rename = "amount")]
    #[schemars(skip)]
    _amount: IgnoredAny,
}

// A text that is only copied where it had to be unescaped. (A description would be one of each field in our document.)
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<Text<'_>> for String {
    fn from(text: Text<'_>) -> Self {
        text.0.into_owned()
    }
}

/// The refusal of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedEvent {
    /// The id of the event, if it has a readable one.
    pub id: Option<String>,
    /// The reason.
    pub error: String,
}

impl<'a> ReportedEvent<'a> {
    /// Parses a JSON object.
    ///
    /// # Errors
    /// The object is not a usage event.
    pub fn parse(json: &'a str) -> Result<Self, RefusedEvent> {
        serde_json::from_str(json).map_err(|error| RefusedEvent {
            id: id_of(json),
            error: error.to_string(),
        })
    }

    /// Returns the id of the project, whose existence is for the caller to check.
    ///
    /// # Errors
    /// The text is not an id.
    pub fn project_id(&self) -> Result<&str, RefusedEvent> {
        let checked = check_text("project_id", &self.project_id);
        checked.map_err(|error| self.refused(error))?;
        Ok(&self.project_id)
    }

    /// Returns a refusal of this event.
    #[must_use]
    pub fn refused(&self, error: String) -> RefusedEvent {
        let id = check_text("id", &self.id).is_ok();
        RefusedEvent {
            id: id.then(|| self.id.0.clone().into_owned()),
            error,
        }
    }

    /// Checks the event, and converts it to one of the ledger.
    ///
    /// # Errors
    /// The event is invalid or out of bounds.
    pub fn check(
        self,
        organization_id: &OrganizationId,
        now: UnixTime,
        bounds: EventBounds<'_>,
    ) -> Result<UsageEvent, RefusedEvent> {
        let measured = self.measured(now);
        let measured = measured.and_then(|measured| self.admit(now, bounds).map(|()| measured));
        let (kind, quantities) = match measured {
            Ok(measured) => measured,
            Err(error) => return Err(self.refused(error)),
        };
        let event = UsageEvent {
            id: self.id.into(),
            timestamp: UnixTime(self.timestamp),
            organization_id: organization_id.clone(),
            kind,
            project_id: ProjectId::from_text(self.project_id.into()),
            user_id: self.user_id.map(|id| UserId::from_text(id.into())),
            api_key_id: self.api_key_id.map(|id| KeyId::from_text(id.into())),
            model: self.model.map(Into::into),
            batch: self.batch.unwrap_or(false),
            service_tier: self.service_tier.map(Into::into),
            size: self.size.map(Into::into),
            source: self.source.map(Into::into),
            vector_store_id: self.vector_store_id.map(Into::into),
            context_level: self.context_level.map(Into::into),
            api_source: source_of(self.api_source.as_deref()).unwrap_or_default(),
            quantities,
            estimated: false,
            outcome: Outcome::Reported,
        };
        if bounds.prices.max_event_cost(&event) > MAX_EVENT_COST {
            return Err(RefusedEvent {
                id: Some(event.id),
                error: format!(
                    "the event may cost more than {MAX_EVENT_COST}: report it in several events"
                ),
            });
        }
        Ok(event)
    }

    /// Checks the bounds that depend on the way in which the event arrives.
    fn admit(&self, now: UnixTime, bounds: EventBounds<'_>) -> Result<(), String> {
        let oldest = bounds.keep.oldest_event(now);
        if oldest.is_some_and(|oldest| self.timestamp < oldest.0) {
            return Err("timestamp is older than the ledger is kept".to_owned());
        }
        if bounds.is_import {
            return Ok(());
        }
        if self
            .uplift_billionths
            .or(self.reported_cost_billionths)
            .is_some()
        {
            return Err(
                "uplift_billionths and reported_cost_billionths are of rows that the gateway writes"
                    .to_owned(),
            );
        }
        let own = OWN_PREFIXES.iter().find(|own| self.id.starts_with(**own));
        if let Some(own) = own {
            return Err(format!(
                "id must not begin with {own}: such ids are those of rows that the gateway writes"
            ));
        }
        if self.timestamp < bounds.keep.oldest_reported(now).0 {
            let days = bounds.keep.max_event_age_days;
            return Err(format!("timestamp must be at most {days} days ago"));
        }
        Ok(())
    }

    /// Returns the kind and the quantities, if the event is valid.
    fn measured(&self, now: UnixTime) -> Result<(UsageKind, Quantities), String> {
        check_text("id", &self.id)?;
        let kind = UsageKind::parse(&self.r#type).ok_or_else(|| {
            let kinds: Vec<&str> = UsageKind::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("type must be one of {}", kinds.join(", "))
        })?;
        if self.timestamp < 0 || self.timestamp > now.0 + MAX_FUTURE_SECONDS {
            return Err("timestamp must be in seconds since 1970 and not in the future".to_owned());
        }
        self.check_dimensions(kind)?;
        Ok((kind, self.quantities(kind)?))
    }

    fn check_dimensions(&self, kind: UsageKind) -> Result<(), String> {
        let given = [
            (Dimension::UserId, &self.user_id),
            (Dimension::ApiKeyId, &self.api_key_id),
            (Dimension::Model, &self.model),
            (Dimension::ServiceTier, &self.service_tier),
            (Dimension::Size, &self.size),
            (Dimension::Source, &self.source),
            (Dimension::VectorStoreId, &self.vector_store_id),
            (Dimension::ContextLevel, &self.context_level),
            (Dimension::ApiSource, &self.api_source),
        ];
        for (dimension, value) in given {
            let Some(value) = value else { continue };
            if !kind.dimensions().contains(&dimension) {
                return Err(format!("{} has no {}", kind.as_str(), dimension.as_str()));
            }
            check_text(dimension.as_str(), value)?;
        }
        source_of(self.api_source.as_deref()).map(|_| ())
    }

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
            Metric::InputCacheWrite30mTokens => self.input_cache_write_30m_tokens,
            Metric::InputCacheWrite12hTokens => self.input_cache_write_12h_tokens,
            Metric::LongestInputTokens => self.longest_input_tokens,
            Metric::UpliftBillionths => self.uplift_billionths,
            Metric::ReportedCost => self.reported_cost_billionths,
            Metric::InputCacheWrite5mTokens => self.input_cache_write_5m_tokens,
            Metric::InputCacheWrite1hTokens => self.input_cache_write_1h_tokens,
        }
    }

    /// Returns the quantities of this kind of event; others that were given are an error.
    fn quantities(&self, kind: UsageKind) -> Result<Quantities, String> {
        let (required, optional) = (kind.required_metrics(), kind.optional_metrics());
        let mut quantities = Quantities::default();
        for &metric in Metric::ALL {
            let given = self.metric(metric);
            let is_required = required.contains(&metric);
            match given {
                Some(amount) => {
                    let is_of_kind = is_required || optional.contains(&metric);
                    if !is_of_kind && !metric.is_for_prices() {
                        return Err(format!("{} has no {}", kind.as_str(), metric.as_str()));
                    }
                    quantities.set(metric, bounded(metric, amount)?);
                }
                None if !is_required => {}
                None if metric == Metric::NumModelRequests => quantities.set(metric, 1),
                None => {
                    let (metric, kind) = (metric.as_str(), kind.as_str());
                    return Err(format!("{metric} is required for {kind}"));
                }
            }
        }
        check_cache_writes(&mut quantities)?;
        if quantities.or_zero(Metric::LongestInputTokens) > quantities.or_zero(Metric::InputTokens)
        {
            return Err("input_tokens must include longest_input_tokens".to_owned());
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
}

/// Checks that the cache writes include those of each lifetime; sets them to the sum of the lifetimes if they are absent.
fn check_cache_writes(quantities: &mut Quantities) -> Result<(), String> {
    let lifetimes = [
        Metric::InputCacheWrite30mTokens,
        Metric::InputCacheWrite12hTokens,
        Metric::InputCacheWrite5mTokens,
        Metric::InputCacheWrite1hTokens,
    ];
    let lifetimes = lifetimes.map(|metric| quantities.get(metric));
    if lifetimes.iter().all(Option::is_none) {
        return Ok(());
    }
    let parts: i64 = lifetimes.iter().flatten().sum();
    match quantities.get(Metric::InputCacheWriteTokens) {
        None => quantities.set(Metric::InputCacheWriteTokens, parts),
        Some(all) if all < parts => {
            return Err(
                "input_cache_write_tokens must include the tokens of each lifetime, such as input_cache_write_30m_tokens"
                    .to_owned(),
            );
        }
        Some(_) => {}
    }
    Ok(())
}

/// Returns the API that an event names as its source.
fn source_of(name: Option<&str>) -> Result<ApiSource, String> {
    let Some(name) = name else {
        return Ok(ApiSource::Unlabeled);
    };
    let wrong = || format!("api_source must be one of {}", ApiSource::NAMES.join(", "));
    ApiSource::parse(name).ok_or_else(wrong)
}

/// Returns the error for an event of a project that its organization does not have.
#[must_use]
pub fn no_such_project(id: &str) -> String {
    format!("project_id: no project with id '{id}' is in the organization")
}

/// Returns the id of a JSON object that is not a valid event, if it has a readable one.
fn id_of(json: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct OnlyId<'a> {
        #[serde(borrow)]
        id: Text<'a>,
    }
    let OnlyId { id } = serde_json::from_str(json).ok()?;
    check_text("id", &id).is_ok().then(|| id.into())
}

fn bounded(metric: Metric, amount: i64) -> Result<i64, String> {
    if amount < 0 {
        return Err(format!("{} must not be negative", metric.as_str()));
    }
    let (name, max) = (metric.as_str(), metric.max_amount());
    if amount > MAX_EXACT_NUMBER {
        return Err(format!(
            "{name} must be at most {max}, and no number of an event more than 2^53"
        ));
    }
    if amount > max {
        return Err(format!("{name} must be at most {max}"));
    }
    Ok(amount)
}

fn check_text(field: &str, text: &str) -> Result<(), String> {
    // Most texts are plain ASCII, for which checking bytes is faster.
    let is_plain = || text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if text.is_empty()
        || text.len() > MAX_TEXT_BYTES
        || !is_plain() && text.chars().any(char::is_control)
    {
        return Err(format!(
            "{field} must have 1 to {MAX_TEXT_BYTES} bytes and no control characters"
        ));
    }
    Ok(())
}
