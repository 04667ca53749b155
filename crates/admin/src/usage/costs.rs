//! `/organization/costs`: what consumption cost, by day.

use ::usage::{CostDimension, CostQuery, CostResult};
use base::{NanoDollars, Permission, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::window::{LATEST, Window};
use super::{BucketPage, distinct};
use crate::literal::literals;
use crate::operation::{Operation, Organization, Read, read};

pub(super) fn operation() -> Operation {
    const COSTS: &str = "/organization/costs";
    read(
        "usage costs",
        COSTS,
        Permission::UsageRead,
        "Reports costs by day.",
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

impl From<NanoDollars> for Amount {
    fn from(amount: NanoDollars) -> Self {
        Self {
            value: amount.dollars(),
            currency: "usd",
        }
    }
}

impl From<CostResult> for Cost {
    fn from(result: CostResult) -> Self {
        Self {
            object: CostObject,
            amount: result.amount.into(),
            quantity: result.quantity,
            quantity_unit: result.unit,
            project_id: result.project_id,
            line_item: result.line_item,
            api_key_id: result.api_key_id,
            user_id: result.user_id,
        }
    }
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
    project_ids: Vec<String>,
    /// Of which keys.
    #[serde(default)]
    api_key_ids: Vec<String>,
    /// Of which line items, each written out in full.
    #[serde(default)]
    line_items: Vec<String>,
    /// What to tell apart.
    #[serde(default)]
    group_by: Vec<CostGroup>,
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

async fn list(cx: Read, _: Organization, query: ListCosts) -> Result<BucketPage<Cost>> {
    let window = Window::of_days(
        query.start_time,
        query.end_time,
        query.limit,
        query.page,
        cx.now(),
    )?;
    let query = CostQuery {
        organization_id: cx.organization().clone(),
        start: window.start,
        end: window.end,
        limit: window.limit,
        group_by: distinct(query.group_by),
        project_ids: query.project_ids,
        api_key_ids: query.api_key_ids,
        line_items: query.line_items,
    };
    let found = ::usage::costs(&cx.services().reports, &query).await?;
    Ok(BucketPage::new(found, Cost::from))
}
