//! `GET /organization/usage/events`: rows of the ledger, newest first.

use ::usage::{
    ApiSource, Dimension, LedgerEntry, LedgerPage, LedgerPosition, LedgerQuery, Outcome, UsageKind,
};
use axum::body::Body;
use base::ids::{KeyId, ProjectId, UserId};
use base::{Error, NanoDollars, Permission, Result, UnixTime};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use files::column::ledger_columns;
use files::write::{TableWriter, ledger_row};
use files::{FileError, Format as FileFormat};
use http::{HeaderValue, Response, header};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::literal::literals;
use crate::operation::{Operation, Organization, Read, Separated, stream};
use crate::usage::answer::{CSV, Format, OTHER_TYPES, PARQUET};
use crate::usage::window::MAX_TIME_SECONDS;

/// Maximum number of rows of a response.
const MAX_ROWS: i64 = 5_000;
const DEFAULT_ROWS: i64 = 100;
const CURSOR_PREFIX: &str = "row_";

pub(super) fn operation() -> Operation {
    stream::<LedgerRows, _, _, _, _>(
        "usage:events list",
        super::EVENTS,
        Permission::UsageRead,
        "Lists rows of the ledger, newest first.",
        OTHER_TYPES,
        list,
    )
    .extension()
}

literals! {
    LedgerRowsObject = "organization.usage.events.list";
    LedgerRowObject = "organization.usage.event";
}

/// Rows of the ledger.
#[derive(Debug, Serialize, JsonSchema)]
struct LedgerRows {
    object: LedgerRowsObject,
    /// Rows, newest first; of a day, those that were recorded last come first.
    data: Vec<LedgerRow>,
    /// The `cursor` of the next rows, even if there are none on this page; null if there are no more.
    next_cursor: Option<String>,
}

/// A row of the ledger: a request that the gateway has metered, or a reported event.
#[derive(Debug, Serialize, JsonSchema)]
struct LedgerRow {
    object: LedgerRowObject,
    /// Id of the request (`x-request-id`), of a batch or of a reported event.
    id: String,
    timestamp: UnixTime,
    recorded_at: UnixTime,
    #[schemars(schema_with = "crate::usage::kind_schema")]
    r#type: UsageKind,
    project_id: ProjectId,
    user_id: Option<UserId>,
    api_key_id: Option<KeyId>,
    model: Option<String>,
    batch: bool,
    service_tier: Option<String>,
    size: Option<String>,
    source: Option<String>,
    vector_store_id: Option<String>,
    context_level: Option<String>,
    api_source: ApiSource,
    /// Result of the request: `reported` for events of other gateways.
    #[schemars(schema_with = "outcome_schema")]
    outcome: &'static str,
    /// True if the usage was estimated, since the upstream did not report it.
    estimated: bool,
    /// True if part of the usage had no price and was charged as 0.
    unpriced: bool,
    /// Metrics that were reported or counted.
    #[schemars(schema_with = "quantities_schema")]
    quantities: Map<String, Json>,
    /// Sum of the charges.
    amount: RowAmount,
    charges: Vec<RowCharge>,
}

/// An amount of money.
#[derive(Debug, Serialize, JsonSchema)]
struct RowAmount {
    value: f64,
    currency: &'static str,
}

impl From<NanoDollars> for RowAmount {
    fn from(amount: NanoDollars) -> Self {
        Self {
            value: amount.dollars(),
            currency: "usd",
        }
    }
}

/// A charge of a row.
#[derive(Debug, Serialize, JsonSchema)]
struct RowCharge {
    item: &'static str,
    quantity: i64,
    amount: RowAmount,
}

fn outcome_schema(_: &mut SchemaGenerator) -> Schema {
    let outcomes = Outcome::ALL.iter().map(|outcome| outcome.as_str());
    json_schema!({ "type": "string", "enum": outcomes.collect::<Vec<_>>() })
}

fn quantities_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": { "type": "integer" } })
}

impl From<LedgerEntry> for LedgerRow {
    fn from(entry: LedgerEntry) -> Self {
        let event = entry.event;
        let quantities = ::usage::Metric::ALL.iter().filter_map(|metric| {
            let amount = event.quantities.get(*metric)?;
            Some((metric.as_str().to_owned(), amount.into()))
        });
        let charges = entry.charges.into_iter().map(|charge| RowCharge {
            item: charge.name.as_str(),
            quantity: charge.quantity,
            amount: charge.amount.into(),
        });
        Self {
            object: LedgerRowObject,
            timestamp: event.timestamp,
            recorded_at: entry.recorded_at,
            r#type: event.kind,
            quantities: quantities.collect(),
            charges: charges.collect(),
            amount: entry.amount.into(),
            outcome: event.outcome.as_str(),
            estimated: event.estimated,
            unpriced: entry.unpriced,
            id: event.id,
            project_id: event.project_id,
            user_id: event.user_id,
            api_key_id: event.api_key_id,
            model: event.model,
            batch: event.batch,
            service_tier: event.service_tier,
            size: event.size,
            source: event.source,
            vector_store_id: event.vector_store_id,
            context_level: event.context_level,
            api_source: event.api_source,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListLedgerRows {
    /// Start of the period, in Unix seconds, inclusive.
    #[schemars(range(min = 0, max = MAX_TIME_SECONDS))]
    start_time: i64,
    /// End of the period, in Unix seconds, exclusive; now if absent.
    #[schemars(range(min = 1, max = MAX_TIME_SECONDS))]
    end_time: Option<i64>,
    /// Only rows of this kind of usage.
    #[serde(default)]
    #[schemars(schema_with = "crate::usage::kind_schema")]
    r#type: Option<UsageKind>,
    /// Only rows of these projects.
    #[serde(default)]
    project_ids: Separated<String>,
    /// Only rows of these users.
    #[serde(default)]
    user_ids: Separated<String>,
    /// Only rows of these API keys.
    #[serde(default)]
    api_key_ids: Separated<String>,
    /// Only rows of these models.
    #[serde(default)]
    models: Vec<String>,
    /// Only rows with usage that had no price (`true`).
    #[serde(default)]
    unpriced: bool,
    /// Maximum number of rows, 1 to 5,000; 100 by default.
    #[schemars(range(min = 1, max = MAX_ROWS))]
    rows: Option<i64>,
    /// The `next_cursor` of the previous rows.
    #[schemars(extend("x-orgplane" = true))]
    cursor: Option<String>,
    /// Format of the response.
    #[serde(default)]
    #[schemars(extend("x-orgplane" = true))]
    format: Format,
}

impl ListLedgerRows {
    fn ask(self, cx: &Read) -> Result<LedgerQuery> {
        if !(0..=MAX_TIME_SECONDS).contains(&self.start_time) {
            let message = "start_time must be in seconds since 1970, and not negative.";
            return Err(Error::invalid("start_time", message));
        }
        let end = self.end_time.unwrap_or(cx.now().0 + 1);
        if self.end_time.is_some() && !(self.start_time + 1..=MAX_TIME_SECONDS).contains(&end) {
            let message = "end_time must be after start_time, in seconds since 1970.";
            return Err(Error::invalid("end_time", message));
        }
        let rows = self.rows.unwrap_or(DEFAULT_ROWS);
        if !(1..=MAX_ROWS).contains(&rows) {
            let message = format!("rows must be 1 to {MAX_ROWS}.");
            return Err(Error::invalid("rows", message));
        }
        let after = self.cursor.as_deref().map(position);
        let filters = [
            (Dimension::ProjectId, self.project_ids.to_vec()),
            (Dimension::UserId, self.user_ids.to_vec()),
            (Dimension::ApiKeyId, self.api_key_ids.to_vec()),
            (Dimension::Model, self.models),
        ];
        Ok(LedgerQuery {
            organization_id: cx.organization().clone(),
            start: UnixTime(self.start_time),
            end: UnixTime(end),
            kind: self.r#type,
            filters: Vec::from(filters)
                .into_iter()
                .filter(|(_, values)| !values.is_empty())
                .collect(),
            is_unpriced: self.unpriced,
            limit: usize::try_from(rows).unwrap_or(1),
            after: after.transpose()?,
        })
    }
}

/// Returns the cursor of a position.
fn cursor(position: LedgerPosition) -> String {
    let bytes = [position.day.0, position.number].map(i64::to_be_bytes);
    format!("{CURSOR_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.concat()))
}

/// Returns the position that a cursor names.
///
/// # Errors
/// 400 for a cursor that no response had.
fn position(cursor: &str) -> Result<LedgerPosition> {
    let unknown = || Error::invalid("cursor", "cursor must be a next_cursor of this operation.");
    let text = cursor.strip_prefix(CURSOR_PREFIX).ok_or_else(unknown)?;
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| unknown())?;
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| unknown())?;
    let number = |range: std::ops::Range<usize>| {
        let bytes = bytes[range].try_into().map_err(|_| unknown())?;
        Ok::<_, Error>(i64::from_be_bytes(bytes))
    };
    Ok(LedgerPosition {
        day: UnixTime(number(0..8)?),
        number: number(8..16)?,
    })
}

async fn list(cx: Read, _: Organization, query: ListLedgerRows) -> Result<Response<Body>> {
    let format = query.format;
    let query = query.ask(&cx)?;
    let page = cx.ledger_page(query).await?;
    match format {
        Format::Json => as_json(page),
        Format::Csv => as_table(page, FileFormat::Csv, ("csv", CSV)).await,
        Format::Parquet => as_table(page, FileFormat::Parquet, ("parquet", PARQUET)).await,
    }
}

fn as_json(page: LedgerPage) -> Result<Response<Body>> {
    let rows = LedgerRows {
        object: LedgerRowsObject,
        data: page.entries.into_iter().map(LedgerRow::from).collect(),
        next_cursor: page.next.map(cursor),
    };
    let text = serde_json::to_vec(&rows).map_err(|_| Error::internal())?;
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

async fn as_table(
    page: LedgerPage,
    format: FileFormat,
    (extension, kind): (&str, &'static str),
) -> Result<Response<Body>> {
    let next = page.next;
    let encode = move || {
        let mut table = TableWriter::new(format, ledger_columns().collect())?;
        for entry in &page.entries {
            table.push(ledger_row(entry));
        }
        table.finish()
    };
    // Encoding takes long.
    let bytes = tokio::task::spawn_blocking(encode).await;
    let bytes = bytes.map_err(|_| Error::internal())?;
    let bytes = bytes.map_err(|error: FileError| {
        tracing::error!(%error, "failed to write table");
        Error::internal()
    })?;
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let text = |text: String| HeaderValue::try_from(text).map_err(|_| Error::internal());
    let disposition = format!("attachment; filename=\"usage-events.{extension}\"");
    headers.insert(header::CONTENT_DISPOSITION, text(disposition)?);
    if let Some(next) = next {
        headers.insert("x-next-cursor", text(cursor(next))?);
    }
    Ok(response)
}
