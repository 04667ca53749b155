//! `/organization/costs`: what consumption cost, by day.

use ::usage::{CostDimension, CostQuery, LineItem, Numbers};
use axum::body::Body;
use base::{NanoDollars, Permission, Result};
use files::column::{Column, Shape};
use files::write::Value;
use http::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Format, Group, Look, OTHER_TYPES, answer};
use super::window::{LATEST, Window};
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

/// What something cost on a day.
#[derive(Debug, Serialize, JsonSchema)]
struct Cost {
    object: CostObject,
    amount: Amount,
    quantity: Option<i64>,
    quantity_unit: Option<String>,
    project_id: Option<String>,
    line_item: Option<String>,
    api_key_id: Option<String>,
    user_id: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Amount {
    value: f64,
    currency: &'static str,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListCosts {
    /// From when on, in Unix seconds, inclusive.
    #[schemars(range(min = 0, max = LATEST))]
    start_time: i64,
    /// Until when, exclusive; now when not given.
    #[schemars(range(min = 1, max = LATEST))]
    end_time: Option<i64>,
    /// How wide a bucket is: always a day.
    #[serde(default, rename = "bucket_width")]
    _bucket_width: CostWidth,
    /// How many buckets at the most: 1 to 180.
    #[schemars(range(min = 1, max = 180))]
    limit: Option<i64>,
    /// The `next_page` of the page before.
    page: Option<String>,
    /// Of which projects.
    #[serde(default)]
    project_ids: Separated<String>,
    /// Of which keys.
    #[serde(default)]
    api_key_ids: Separated<String>,
    /// Of which line items, each written out in full.
    #[serde(default)]
    line_items: Vec<String>,
    /// What to tell apart.
    #[serde(default)]
    group_by: Separated<CostGroup>,
    /// How the answer is written.
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
}

impl From<CostGroup> for CostDimension {
    fn from(group: CostGroup) -> Self {
        match group {
            CostGroup::ProjectId => Self::ProjectId,
            CostGroup::LineItem => Self::LineItem,
            CostGroup::ApiKeyId => Self::ApiKeyId,
            CostGroup::UserId => Self::UserId,
        }
    }
}

/// How the results of the costs report look.
struct CostLook {
    /// The place of each dimension among those grouped by.
    project_id: Option<usize>,
    line_item: Option<usize>,
    api_key_id: Option<usize>,
    user_id: Option<usize>,
}

impl CostLook {
    fn new(query: &CostQuery) -> Self {
        let place = |dimension| query.group_by.iter().position(|by| *by == dimension);
        Self {
            project_id: place(CostDimension::ProjectId),
            line_item: place(CostDimension::LineItem),
            api_key_id: place(CostDimension::ApiKeyId),
            user_id: place(CostDimension::UserId),
        }
    }

    /// How much of the line item, when that is told apart.
    fn quantity(&self, numbers: Numbers<'_>) -> Option<i64> {
        self.line_item.map(|_| numbers.get(0).unwrap_or(0))
    }

    /// What the quantity counts, when the contract has a word for it.
    fn unit(&self, group: &Group) -> Option<&'static str> {
        value(group, self.line_item).and_then(LineItem::unit_of)
    }

    /// The dimensions, in the order of a result's fields.
    fn dimensions<'a>(&self, group: &'a Group) -> [(&'static str, Option<&'a str>); 4] {
        [
            ("project_id", value(group, self.project_id)),
            ("line_item", value(group, self.line_item)),
            ("api_key_id", value(group, self.api_key_id)),
            ("user_id", value(group, self.user_id)),
        ]
    }
}

fn value(group: &Group, place: Option<usize>) -> Option<&str> {
    place.and_then(|place| group[place].as_deref())
}

fn amount(numbers: Numbers<'_>) -> NanoDollars {
    NanoDollars(numbers.get(1).unwrap_or(0))
}

impl Look for CostLook {
    fn name(&self) -> &'static str {
        "costs"
    }

    fn begin(&self, numbers: Numbers<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"object\":\"organization.costs.result\",\"amount\":{\"value\":");
        json::number(out, amount(numbers).dollars());
        out.extend_from_slice(b",\"currency\":\"usd\"},\"quantity\":");
        match self.quantity(numbers) {
            Some(quantity) => json::integer(out, quantity),
            None => out.extend_from_slice(b"null"),
        }
    }

    fn end(&self, group: &Group, out: &mut Vec<u8>) {
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
        let column = |name, shape, is_required| Column {
            name,
            shape,
            is_required,
        };
        let dimensions = ["project_id", "line_item", "api_key_id", "user_id"];
        let dimensions = dimensions.map(|name| column(name, Shape::Text, false));
        let numbers = [
            column("amount", Shape::Dollars, true),
            column("currency", Shape::Text, true),
            column("quantity", Shape::Integer, false),
            column("quantity_unit", Shape::Text, false),
        ];
        dimensions.into_iter().chain(numbers).collect()
    }

    fn row<'a>(
        &'a self,
        group: &'a Group,
        numbers: Numbers<'a>,
    ) -> impl Iterator<Item = Value<'a>> + Send {
        let dimensions = self.dimensions(group).map(|(_, value)| Value::text(value));
        let numbers = [
            Value::Dollars(amount(numbers)),
            Value::Text("usd"),
            Value::integer(self.quantity(numbers)),
            Value::text(self.unit(group)),
        ];
        dimensions.into_iter().chain(numbers)
    }
}

async fn list(cx: Read, _: Organization, query: ListCosts) -> Result<Response<Body>> {
    let window = Window::of_days(
        query.start_time,
        query.end_time,
        query.limit,
        query.page,
        cx.now(),
    )?;
    let format = query.format;
    let query = CostQuery {
        organization_id: cx.organization().clone(),
        start: window.start,
        end: window.end,
        limit: window.limit,
        group_by: distinct(query.group_by),
        project_ids: query.project_ids.into_iter().collect(),
        api_key_ids: query.api_key_ids.into_iter().collect(),
        line_items: query.line_items,
    };
    let reports = cx.reports().clone();
    // Its connection goes back before the report takes another one.
    drop(cx);
    let look = CostLook::new(&query);
    answer(
        reports.costs(&query),
        (query.start, query.end),
        look,
        format,
    )
    .await
}
