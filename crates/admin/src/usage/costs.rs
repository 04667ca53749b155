//! `/organization/costs`: costs by day.

use ::usage::{ApiSource, CostDimension, CostQuery, GroupSums, LineItem};
use axum::body::Body;
use base::{NanoDollars, Permission, Result};
use files::column::{Column, ColumnType};
use files::write::Value;
use http::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Format, OTHER_TYPES, answer};
use super::row_writer::{DimensionValues, RowWriter};
use super::window::{MAX_TIME_SECONDS, Window};
use super::{BucketPage, distinct, json};
use crate::literal::literals;
use crate::operation::{Operation, Organization, Read, Separated, stream};

pub(super) fn operation() -> Operation {
    const COSTS: &str = "/organization/costs";
    stream::<BucketPage<Cost>, _, _, _, _>(
        "usage costs",
        COSTS,
        Permission::UsageRead,
        "Reports costs by day.",
        OTHER_TYPES,
        list,
    )
}

literals! {
    CostObject = "organization.costs.result";
}

/// Costs in a bucket.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Cost {
    object: CostObject,
    amount: CostAmount,
    quantity: Option<i64>,
    quantity_unit: Option<String>,
    project_id: Option<String>,
    line_item: Option<String>,
    api_key_id: Option<String>,
    user_id: Option<String>,
    api_source: Option<ApiSource>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CostAmount {
    value: f64,
    currency: &'static str,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListCosts {
    /// Start of the period, in Unix seconds, inclusive.
    #[schemars(range(min = 0, max = MAX_TIME_SECONDS))]
    start_time: i64,
    /// End of the period, in Unix seconds, exclusive; now if absent.
    #[schemars(range(min = 1, max = MAX_TIME_SECONDS))]
    end_time: Option<i64>,
    /// Width of a bucket: always a day.
    #[serde(default, rename = "bucket_width")]
    _bucket_width: CostWidth,
    /// Maximum number of buckets on the page, 1 to 180.
    #[schemars(range(min = 1, max = 180))]
    limit: Option<i64>,
    /// The `next_page` of the previous page.
    page: Option<String>,
    /// Only costs of these projects.
    #[serde(default)]
    project_ids: Separated<String>,
    /// Only costs of these API keys.
    #[serde(default)]
    api_key_ids: Separated<String>,
    /// Only costs of these line items, by their full names.
    #[serde(default)]
    line_items: Vec<String>,
    /// Dimensions to group results by.
    #[serde(default)]
    group_by: Separated<CostGroup>,
    /// Format of the response.
    #[serde(default)]
    #[schemars(extend("x-orgplane" = true))]
    format: Format,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
enum CostWidth {
    #[default]
    #[serde(rename = "1d")]
    Day,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum CostGroup {
    ProjectId,
    LineItem,
    ApiKeyId,
    UserId,
    ApiSource,
}

impl From<CostGroup> for CostDimension {
    fn from(group: CostGroup) -> Self {
        match group {
            CostGroup::ProjectId => Self::ProjectId,
            CostGroup::LineItem => Self::LineItem,
            CostGroup::ApiKeyId => Self::ApiKeyId,
            CostGroup::UserId => Self::UserId,
            CostGroup::ApiSource => Self::ApiSource,
        }
    }
}

/// Dimensions with their names, in the order of a result's fields.
const DIMENSIONS: [(&str, CostDimension); 5] = [
    ("project_id", CostDimension::ProjectId),
    ("line_item", CostDimension::LineItem),
    ("api_key_id", CostDimension::ApiKeyId),
    ("user_id", CostDimension::UserId),
    ("api_source", CostDimension::ApiSource),
];

/// Writer of the rows of a costs report.
struct CostRows {
    /// Positions of [`DIMENSIONS`] among those grouped by.
    positions: [Option<usize>; DIMENSIONS.len()],
}

impl CostRows {
    fn new(query: &CostQuery) -> Self {
        let position = |dimension| query.group_by.iter().position(|by| *by == dimension);
        Self {
            positions: DIMENSIONS.map(|(_, dimension)| position(dimension)),
        }
    }

    /// Returns the position of the line item among the dimensions grouped by.
    fn line_item(&self) -> Option<usize> {
        self.positions[1]
    }

    /// Returns the quantity, if results are grouped by line item.
    fn quantity(&self, numbers: GroupSums<'_>) -> Option<i64> {
        self.line_item().map(|_| numbers.get(0).unwrap_or(0))
    }

    /// Returns the unit of the quantity, if the contract has one.
    fn unit(&self, group: &DimensionValues) -> Option<&'static str> {
        value(group, self.line_item()).and_then(LineItem::unit_of)
    }

    /// Returns the dimensions, in the order of a result's fields.
    fn dimensions<'a>(
        &self,
        group: &'a DimensionValues,
    ) -> impl Iterator<Item = (&'static str, Option<&'a str>)> {
        let names = DIMENSIONS.iter().map(|(name, _)| *name);
        names.zip(self.positions.map(|position| value(group, position)))
    }
}

fn value(group: &DimensionValues, place: Option<usize>) -> Option<&str> {
    place.and_then(|place| group[place].as_deref())
}

fn amount(numbers: GroupSums<'_>) -> NanoDollars {
    NanoDollars(numbers.get(1).unwrap_or(0))
}

impl RowWriter for CostRows {
    fn name(&self) -> &'static str {
        "costs"
    }

    fn begin(&self, numbers: GroupSums<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"object\":\"organization.costs.result\",\"amount\":{\"value\":");
        json::number(out, amount(numbers).dollars());
        out.extend_from_slice(b",\"currency\":\"usd\"},\"quantity\":");
        match self.quantity(numbers) {
            Some(quantity) => json::integer(out, quantity),
            None => out.extend_from_slice(b"null"),
        }
    }

    fn end(&self, group: &DimensionValues, out: &mut Vec<u8>) {
        let unit = ("quantity_unit", self.unit(group));
        for (name, value) in [unit].into_iter().chain(self.dimensions(group)) {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            json::text(out, value);
        }
        out.push(b'}');
    }

    fn columns(&self) -> Vec<Column> {
        let dimensions = DIMENSIONS.map(|(name, _)| Column::optional(name, ColumnType::Text));
        let numbers = [
            Column::required("amount", ColumnType::Dollars),
            Column::required("currency", ColumnType::Text),
            Column::optional("quantity", ColumnType::Integer),
            Column::optional("quantity_unit", ColumnType::Text),
        ];
        dimensions.into_iter().chain(numbers).collect()
    }

    fn row<'a>(
        &'a self,
        group: &'a DimensionValues,
        numbers: GroupSums<'a>,
    ) -> impl Iterator<Item = Value<'a>> + Send {
        let dimensions = self.dimensions(group).map(|(_, value)| Value::text(value));
        let numbers = [
            Value::Dollars(amount(numbers)),
            Value::Text("usd"),
            Value::integer(self.quantity(numbers)),
            Value::text(self.unit(group)),
        ];
        dimensions.chain(numbers)
    }
}

impl ListCosts {
    /// Builds the query of the ledger, and returns it with the format of the response.
    pub(super) fn ask(self, cx: &Read) -> Result<(CostQuery, Format)> {
        let window = Window::of_days(
            self.start_time,
            self.end_time,
            self.limit,
            self.page,
            cx.now(),
        )?;
        let query = CostQuery {
            organization_id: cx.organization().clone(),
            start: window.start,
            end: window.end,
            limit: window.limit,
            group_by: distinct(self.group_by),
            project_ids: self.project_ids.into_iter().collect(),
            user_ids: Vec::new(),
            api_key_ids: self.api_key_ids.into_iter().collect(),
            line_items: self.line_items,
        };
        Ok((query, self.format))
    }
}

async fn list(cx: Read, _: Organization, query: ListCosts) -> Result<Response<Body>> {
    let (query, format) = query.ask(&cx)?;
    respond(cx, &query, format).await
}

/// Responds with the report that `query` asks for.
pub(super) async fn respond(cx: Read, query: &CostQuery, format: Format) -> Result<Response<Body>> {
    let reports = cx.reports().clone();
    // Returns the connection to the pool before the report takes another one.
    drop(cx);
    let rows = CostRows::new(query);
    answer(reports.costs(query), (query.start, query.end), rows, format).await
}
