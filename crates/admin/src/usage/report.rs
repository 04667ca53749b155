//! Parts that all usage reports share: querying the ledger and writing results.

use std::marker::PhantomData;

use ::usage::{ApiSource, Dimension, GroupSums, Metric, UsageKind, UsageQuery};
use axum::body::Body;
use base::ids::OrganizationId;
use base::{Result, UnixTime};
use files::column::{Column, ColumnType};
use files::write::Value;
use http::Response;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde_json::{Map, json};

use super::answer::{Format, answer};
use super::json;
use super::row_writer::{DimensionValues, RowWriter};
use crate::operation::{Organization, Read};

/// The query string of a report.
pub(super) trait ReportQuery: DeserializeOwned + JsonSchema + Send + 'static {
    /// Kind of the report.
    const KIND: UsageKind;

    /// Builds the query of the ledger.
    fn ask(self, organization: OrganizationId, now: UnixTime) -> Result<UsageQuery>;

    /// Returns the format of the response.
    fn format(&self) -> Format;
}

/// The schema of a result of the report that `Q` queries.
pub(super) struct Reported<Q>(PhantomData<fn() -> Q>);

impl<Q: ReportQuery> JsonSchema for Reported<Q> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{:?}Usage", Q::KIND).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kind = Q::KIND;
        let mut properties = Map::from_iter([(
            "object".to_owned(),
            json!({ "const": kind.result_object() }),
        )]);
        for metric in kind
            .required_metrics()
            .iter()
            .chain(kind.optional_metrics())
        {
            properties.insert(
                metric.as_str().to_owned(),
                json!({ "type": "integer", "minimum": 0 }),
            );
        }
        for dimension in kind.dimensions() {
            let value = match dimension {
                Dimension::Batch => json!({ "type": ["boolean", "null"] }),
                Dimension::ApiSource => generator.subschema_for::<Option<ApiSource>>().into(),
                _ => json!({ "type": ["string", "null"] }),
            };
            properties.insert(dimension.as_str().to_owned(), value);
        }
        let metrics = kind.required_metrics().iter().map(|metric| metric.as_str());
        let dimensions = kind.dimensions().iter().map(|dimension| dimension.as_str());
        let required: Vec<&str> = ["object"]
            .into_iter()
            .chain(metrics)
            .chain(dimensions)
            .collect();
        json_schema!({ "type": "object", "properties": properties, "required": required })
    }
}

/// Writer of the rows of a usage report.
struct UsageRows {
    kind: UsageKind,
    /// Dimensions of the report, with their positions among those grouped by.
    dimensions: Vec<(Dimension, Option<usize>)>,
    /// JSON before each number: of required numbers, then of optional ones.
    required: Vec<String>,
    optional: Vec<String>,
}

impl UsageRows {
    fn new(query: &UsageQuery) -> Self {
        let kind = query.kind;
        let place = |dimension: &Dimension| query.group_by.iter().position(|by| by == dimension);
        let keys = |metrics: &[Metric]| {
            let key = |metric: &Metric| format!("\"{}\":", metric.as_str());
            metrics.iter().map(key).collect()
        };
        let dimensions = kind.dimensions().iter();
        Self {
            kind,
            dimensions: dimensions.map(|by| (*by, place(by))).collect(),
            required: keys(kind.required_metrics()),
            optional: keys(kind.optional_metrics()),
        }
    }
}

impl RowWriter for UsageRows {
    fn name(&self) -> &'static str {
        self.kind.as_str()
    }

    fn begin(&self, numbers: GroupSums<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"object\":\"");
        out.extend_from_slice(self.kind.result_object().as_bytes());
        out.extend_from_slice(b"\",");
        let mut number = |key: &str, number| {
            out.extend_from_slice(key.as_bytes());
            json::integer(out, number);
            out.push(b',');
        };
        for (column, key) in self.required.iter().enumerate() {
            number(key, numbers.get(column).unwrap_or(0));
        }
        for (column, key) in (self.required.len()..).zip(&self.optional) {
            if let Some(amount) = numbers.get(column) {
                number(key, amount);
            }
        }
    }

    fn end(&self, group: &DimensionValues, out: &mut Vec<u8>) {
        for (index, (dimension, place)) in self.dimensions.iter().enumerate() {
            let before = if index == 0 { "\"" } else { ",\"" };
            out.extend_from_slice(before.as_bytes());
            out.extend_from_slice(dimension.as_str().as_bytes());
            out.extend_from_slice(b"\":");
            match place.and_then(|place| group[place].as_deref()) {
                // The ledger stores `true` or `false` as text.
                Some(batch) if *dimension == Dimension::Batch => {
                    out.extend_from_slice(batch.as_bytes());
                }
                text => json::text(out, text),
            }
        }
        out.push(b'}');
    }

    fn columns(&self) -> Vec<Column> {
        let dimensions = self
            .kind
            .dimensions()
            .iter()
            .map(|dimension| match dimension {
                Dimension::Batch => Column::optional(dimension.as_str(), ColumnType::Boolean),
                _ => Column::optional(dimension.as_str(), ColumnType::Text),
            });
        let required = self.kind.required_metrics().iter();
        let required =
            required.map(|metric| Column::required(metric.as_str(), ColumnType::Integer));
        let optional = self.kind.optional_metrics().iter();
        let optional =
            optional.map(|metric| Column::optional(metric.as_str(), ColumnType::Integer));
        dimensions.chain(required).chain(optional).collect()
    }

    fn row<'a>(
        &'a self,
        group: &'a DimensionValues,
        numbers: GroupSums<'a>,
    ) -> impl Iterator<Item = Value<'a>> + Send {
        let dimensions = self.dimensions.iter().map(move |(dimension, place)| {
            match (dimension, place.and_then(|place| group[place].as_deref())) {
                (Dimension::Batch, Some(batch)) => Value::Boolean(batch == "true"),
                (_, text) => Value::text(text),
            }
        });
        let (required, all) = (
            self.required.len(),
            self.required.len() + self.optional.len(),
        );
        let required_numbers =
            (0..required).map(move |column| Value::Integer(numbers.get(column).unwrap_or(0)));
        let optional = (required..all).map(move |column| Value::integer(numbers.get(column)));
        dimensions.chain(required_numbers).chain(optional)
    }
}

/// Responds to a request for a report.
pub(super) async fn report<Q: ReportQuery>(
    cx: Read,
    _: Organization,
    query: Q,
) -> Result<Response<Body>> {
    let format = query.format();
    let query = query.ask(cx.organization().clone(), cx.now())?;
    respond(cx, query, format).await
}

/// Responds with the report that `query` asks for.
pub(super) async fn respond(cx: Read, query: UsageQuery, format: Format) -> Result<Response<Body>> {
    let reports = cx.reports().clone();
    // Returns the connection to the pool before the report takes another one.
    drop(cx);
    let rows = UsageRows::new(&query);
    answer(
        reports.usage(&query),
        (query.start, query.end),
        rows,
        format,
    )
    .await
}
