//! `/organization/usage/unpriced`: usage without a price, which is charged as 0. An extension of the contract.

use ::usage::UsageKind;
use base::time::SECONDS_PER_DAY;
use base::{Error, Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::window::MAX_TIME_SECONDS;
use crate::literal::literals;
use crate::operation::{Operation, Organization, Read, operations};

/// Maximum length of the period, in days.
const MAX_PERIOD_DAYS: i64 = 400;

pub(super) fn operations() -> Vec<Operation> {
    const UNPRICED: &str = "/organization/usage/unpriced";
    const ABOUT: &str = "Reports usage that has no price and is charged as 0.";
    operations! {
        GET "usage unpriced", UNPRICED, Permission::UsageRead, ABOUT, list, extension;
    }
}

literals! {
    UnpricedUsageObject = "organization.usage.unpriced";
}

/// Usage without a price.
#[derive(Debug, Serialize, JsonSchema)]
struct UnpricedUsage {
    object: UnpricedUsageObject,
    data: Vec<UnpricedModel>,
}

/// Usage of a model that has no price.
#[derive(Debug, Serialize, JsonSchema)]
struct UnpricedModel {
    #[schemars(schema_with = "super::kind_schema")]
    r#type: UsageKind,
    model: Option<String>,
    /// Number of requests, calls or sessions; 0 if they are not counted.
    requests: i64,
    items: Vec<UnpricedItem>,
    /// First second of the last day with such usage.
    last_day: UnixTime,
}

/// An item without a price.
#[derive(Debug, Serialize, JsonSchema)]
struct UnpricedItem {
    item: &'static str,
    quantity: i64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListUnpriced {
    /// Start of the period, in Unix seconds. The whole day (UTC) counts.
    #[schemars(range(min = 0, max = MAX_TIME_SECONDS))]
    start_time: i64,
    /// End of the period, in Unix seconds, exclusive; now if absent.
    #[schemars(range(min = 1, max = MAX_TIME_SECONDS))]
    end_time: Option<i64>,
}

async fn list(cx: Read, _: Organization, query: ListUnpriced) -> Result<UnpricedUsage> {
    if !(0..=MAX_TIME_SECONDS).contains(&query.start_time) {
        let message = "start_time must be in seconds since 1970, and not negative.";
        return Err(Error::invalid("start_time", message));
    }
    let end = query.end_time.unwrap_or(cx.now().0 + 1);
    let longest = query.start_time + MAX_PERIOD_DAYS * SECONDS_PER_DAY;
    if !(query.start_time + 1..=longest.min(MAX_TIME_SECONDS)).contains(&end) {
        let message = format!("end_time must be after start_time, at most {MAX_PERIOD_DAYS} days.");
        return Err(Error::invalid("end_time", message));
    }
    let found = cx
        .unpriced((UnixTime(query.start_time), UnixTime(end)))
        .await?;
    let models = found
        .into_iter()
        .map(|((kind, model), unpriced)| UnpricedModel {
            r#type: kind,
            model,
            requests: unpriced.requests,
            items: unpriced
                .items
                .into_iter()
                .map(|(item, quantity)| UnpricedItem {
                    item: item.as_str(),
                    quantity,
                })
                .collect(),
            last_day: unpriced.last_day,
        });
    Ok(UnpricedUsage {
        object: UnpricedUsageObject,
        data: models.collect(),
    })
}
