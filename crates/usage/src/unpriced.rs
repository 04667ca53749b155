//! Usage without a price.

use std::collections::BTreeMap;

use base::UnixTime;
use base::ids::{Id, OrganizationId, ProjectId};
use base::time::SECONDS_PER_DAY;
use store::Result;

use crate::{
    Dimension, ItemName, Metric, Outcome, PriceBook, Quantities, Reports, UsageEvent, UsageKind,
    UsageQuery, UsageResult, Width, usage,
};

/// The usage of a model without a price by an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpriced {
    /// The number of requests, calls or sessions; 0 if they are not counted.
    pub requests: i64,
    /// The items without a price, with their quantities.
    pub items: BTreeMap<ItemName, i64>,
    /// The first second of the last day with such usage.
    pub last_day: UnixTime,
}

/// The dimensions that a price may depend on.
const PRICED_BY: [Dimension; 5] = [
    Dimension::Model,
    Dimension::Batch,
    Dimension::ServiceTier,
    Dimension::Size,
    Dimension::ContextLevel,
];

/// The kind of usage, and the model if there is one.
pub type UnpricedKey = (UsageKind, Option<String>);

/// Returns the usage of an organization in the days from `start` to `end` that has no price in `prices`, by the prices
/// of each day.
///
/// # Errors
/// The database failed.
pub async fn unpriced(
    reports: &Reports,
    prices: &PriceBook,
    organization_id: &OrganizationId,
    (start, end): (UnixTime, UnixTime),
) -> Result<BTreeMap<UnpricedKey, Unpriced>> {
    let mut found: BTreeMap<UnpricedKey, Unpriced> = BTreeMap::new();
    for &kind in UsageKind::ALL {
        // A price depends on these dimensions, beside the day.
        let groups = PRICED_BY.into_iter();
        let groups = groups.filter(|group| kind.dimensions().contains(group));
        let query = UsageQuery {
            organization_id: organization_id.clone(),
            kind,
            start: start.floor(SECONDS_PER_DAY),
            end,
            width: Width::Day,
            limit: (end.0 - start.0) / SECONDS_PER_DAY + 2,
            group_by: groups.collect(),
            filters: Vec::new(),
            batch: None,
        };
        for bucket in usage(reports, &query).await?.buckets {
            for result in bucket.results {
                let day = day(organization_id, kind, bucket.start, result);
                let items = prices.unpriced(&day);
                if !items.is_empty() {
                    let seen = found.entry((kind, day.model)).or_insert(Unpriced {
                        requests: 0,
                        items: BTreeMap::new(),
                        last_day: bucket.start,
                    });
                    seen.requests = seen.requests.saturating_add(requests(&day.quantities));
                    seen.last_day = bucket.start;
                    for (item, quantity) in items {
                        let sum = seen.items.entry(item).or_default();
                        *sum = sum.saturating_add(quantity);
                    }
                }
            }
        }
    }
    Ok(found)
}

/// Returns the usage of a day as if it were one event.
fn day(
    organization_id: &OrganizationId,
    kind: UsageKind,
    timestamp: UnixTime,
    result: UsageResult,
) -> UsageEvent {
    let mut event = UsageEvent {
        outcome: Outcome::Reported,
        ..UsageEvent::new(
            String::new(),
            timestamp,
            organization_id.clone(),
            ProjectId::from_text(String::new()),
            kind,
            result.quantities,
        )
    };
    for (dimension, value) in result.dimensions {
        match dimension {
            Dimension::Model => event.model = value,
            Dimension::Batch => event.batch = value.as_deref() == Some("true"),
            Dimension::ServiceTier => event.service_tier = value,
            Dimension::Size => event.size = value,
            Dimension::ContextLevel => event.context_level = value,
            _ => {}
        }
    }
    event
}

fn requests(quantities: &Quantities) -> i64 {
    let counted = [
        Metric::NumModelRequests,
        Metric::NumRequests,
        Metric::NumSessions,
    ];
    let mut counted = counted
        .into_iter()
        .filter_map(|metric| quantities.get(metric));
    counted.next().unwrap_or(0)
}
