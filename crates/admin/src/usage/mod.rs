//! `/organization/usage/…` and `/organization/costs`: what was consumed, in buckets of time.

pub mod costs;
pub mod events;
mod window;

use std::marker::PhantomData;

use ::usage::{Bucket, Buckets, Dimension, Kind, UsageQuery, UsageResult};
use base::ids::OrganizationId;
use base::{Permission, Result, UnixTime};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::operation::{Operation, Organization, Read, read};
use window::{BucketWidth, Window, next_page};

pub(crate) fn operations() -> Vec<Operation> {
    use Permission::UsageRead;
    const COMPLETIONS: &str = "/organization/usage/completions";
    vec![
        read(
            "usage completions",
            COMPLETIONS,
            UsageRead,
            "Reports tokens and requests of completions.",
            report::<CompletionsQuery>,
        ),
        costs::operation(),
    ]
}

/// A page of buckets.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct BucketPage<T> {
    object: &'static str,
    data: Vec<BucketOf<T>>,
    has_more: bool,
    #[schemars(required)]
    next_page: Option<String>,
}

/// A span of time and what was consumed in it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Bucket")]
struct BucketOf<T> {
    object: &'static str,
    start_time: UnixTime,
    end_time: UnixTime,
    results: Vec<T>,
}

impl<T> BucketPage<T> {
    fn new<R>(found: Buckets<R>, mut show: impl FnMut(R) -> T) -> Self {
        let mut bucket = |bucket: Bucket<R>| BucketOf {
            object: "bucket",
            start_time: bucket.start,
            end_time: bucket.end,
            results: bucket.results.into_iter().map(&mut show).collect(),
        };
        Self {
            object: "page",
            data: found.buckets.into_iter().map(&mut bucket).collect(),
            has_more: found.next.is_some(),
            next_page: found.next.map(next_page),
        }
    }
}

/// The query string of one of the reports.
trait ReportQuery: Send + 'static {
    /// Which report.
    const KIND: Kind;

    /// What is asked of the ledger.
    fn ask(self, organization: OrganizationId, now: UnixTime) -> Result<UsageQuery>;
}

/// A result of the report that `Q` asks for.
struct Reported<Q> {
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

async fn report<Q: ReportQuery>(
    cx: Read,
    _: Organization,
    query: Q,
) -> Result<BucketPage<Reported<Q>>> {
    let query = query.ask(cx.organization().clone(), cx.now())?;
    let found = ::usage::usage(cx.services().store.usage(), &query).await?;
    Ok(BucketPage::new(found, |result| Reported {
        result,
        report: PhantomData,
    }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CompletionsQuery {
    /// From when on, in Unix seconds, inclusive.
    start_time: i64,
    /// Until when, exclusive; now when not given.
    end_time: Option<i64>,
    /// How wide a bucket is.
    #[serde(default)]
    bucket_width: BucketWidth,
    /// How many buckets at the most: by day 7 (at most 31), by hour 24 (168), by minute 60 (1440).
    limit: Option<i64>,
    /// The `next_page` of the page before.
    page: Option<String>,
    /// Of which projects.
    #[serde(default)]
    project_ids: Vec<String>,
    /// Of which users.
    #[serde(default)]
    user_ids: Vec<String>,
    /// Of which keys.
    #[serde(default)]
    api_key_ids: Vec<String>,
    /// Of which models.
    #[serde(default)]
    models: Vec<String>,
    /// Only batch jobs (`true`), or only what is none (`false`).
    batch: Option<bool>,
    /// What to tell apart.
    #[serde(default)]
    group_by: Vec<CompletionsGroup>,
}

/// What completions are told apart by.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum CompletionsGroup {
    ProjectId,
    UserId,
    ApiKeyId,
    Model,
    Batch,
    ServiceTier,
}

impl From<CompletionsGroup> for Dimension {
    fn from(group: CompletionsGroup) -> Self {
        match group {
            CompletionsGroup::ProjectId => Self::ProjectId,
            CompletionsGroup::UserId => Self::UserId,
            CompletionsGroup::ApiKeyId => Self::ApiKeyId,
            CompletionsGroup::Model => Self::Model,
            CompletionsGroup::Batch => Self::Batch,
            CompletionsGroup::ServiceTier => Self::ServiceTier,
        }
    }
}

impl ReportQuery for CompletionsQuery {
    const KIND: Kind = Kind::Completions;

    fn ask(self, organization_id: OrganizationId, now: UnixTime) -> Result<UsageQuery> {
        let window = Window::new(
            self.start_time,
            self.end_time,
            self.bucket_width,
            self.limit,
            self.page,
            now,
        )?;
        let filters = [
            (Dimension::ProjectId, self.project_ids),
            (Dimension::UserId, self.user_ids),
            (Dimension::ApiKeyId, self.api_key_ids),
            (Dimension::Model, self.models),
        ];
        Ok(UsageQuery {
            organization_id,
            kind: Self::KIND,
            start: window.start,
            end: window.end,
            width: window.width,
            limit: window.limit,
            group_by: distinct(self.group_by),
            filters: filters
                .into_iter()
                .filter(|(_, values)| !values.is_empty())
                .collect(),
            batch: self.batch,
        })
    }
}

/// The dimensions to group by, each once.
fn distinct<D: PartialEq>(groups: Vec<impl Into<D>>) -> Vec<D> {
    groups
        .into_iter()
        .map(Into::into)
        .fold(Vec::new(), |mut distinct, group| {
            if !distinct.contains(&group) {
                distinct.push(group);
            }
            distinct
        })
}
