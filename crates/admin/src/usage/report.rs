//! What the reports have in common: how a question is answered, and how a result is shown.

use std::marker::PhantomData;

use ::usage::{Dimension, Kind, UsageQuery, UsageResult};
use base::ids::OrganizationId;
use base::{Result, UnixTime};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value as Json, json};

use super::BucketPage;
use crate::operation::{Organization, Read};

/// The query string of one of the reports.
pub(super) trait ReportQuery: DeserializeOwned + JsonSchema + Send + 'static {
    /// Which report.
    const KIND: Kind;

    /// What is asked of the ledger.
    fn ask(self, organization: OrganizationId, now: UnixTime) -> Result<UsageQuery>;
}

/// A result of the report that `Q` asks for.
pub(super) struct Reported<Q> {
    result: UsageResult,
    report: PhantomData<fn() -> Q>,
}

impl<Q: ReportQuery> Serialize for Reported<Q> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("object", Q::KIND.result_object())?;
        for metric in Q::KIND.required_metrics() {
            map.serialize_entry(metric.as_str(), &self.result.quantities.or_zero(*metric))?;
        }
        for metric in Q::KIND.optional_metrics() {
            if let Some(amount) = self.result.quantities.get(*metric) {
                map.serialize_entry(metric.as_str(), &amount)?;
            }
        }
        for dimension in Q::KIND.dimensions() {
            let grouped = self
                .result
                .dimensions
                .iter()
                .find(|(grouped, _)| grouped == dimension);
            let value = grouped.and_then(|(_, value)| value.as_deref());
            map.serialize_entry(dimension.as_str(), &shown(*dimension, value))?;
        }
        map.end()
    }
}

fn shown(dimension: Dimension, value: Option<&str>) -> Json {
    match (dimension, value) {
        (_, None) => Json::Null,
        (Dimension::Batch, Some(value)) => json!(value == "true"),
        (_, Some(value)) => json!(value),
    }
}

impl<Q: ReportQuery> JsonSchema for Reported<Q> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{:?}Usage", Q::KIND).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
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
            let value = if *dimension == Dimension::Batch {
                "boolean"
            } else {
                "string"
            };
            properties.insert(
                dimension.as_str().to_owned(),
                json!({ "type": [value, "null"] }),
            );
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

/// Answers a report.
pub(super) async fn report<Q: ReportQuery>(
    cx: Read,
    _: Organization,
    query: Q,
) -> Result<BucketPage<Reported<Q>>> {
    let query = query.ask(cx.organization().clone(), cx.now())?;
    let found = ::usage::usage(&cx.services().reports, &query).await?;
    Ok(BucketPage::new(found, |result| Reported {
        result,
        report: PhantomData,
    }))
}
