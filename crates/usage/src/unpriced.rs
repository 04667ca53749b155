//! What was consumed and has no price.

use std::collections::BTreeMap;

use base::UnixTime;
use base::ids::{Id, OrganizationId, ProjectId};
use base::time::DAY;
use store::Result;

use crate::{
    Dimension, ItemName, Kind, Metric, Outcome, PriceBook, Quantities, Reports, UsageEvent,
    UsageQuery, UsageResult, Width, usage,
};

/// What an organization consumed of a model without a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpriced {
    /// How many requests, calls or sessions there were; 0 where they are not counted.
    pub requests: i64,
    /// What of it has no price, and how much there was.
    pub items: BTreeMap<ItemName, i64>,
    /// The first second of the last day.
    pub last_day: UnixTime,
}

/// The report and the model, where it has one.
pub type Seen = (Kind, Option<String>);

/// What an organization consumed in the days from `start` to `end` that has no price in `prices`, by the prices of each
/// day.
///
/// # Errors
/// What the database said.
pub async fn unpriced(
    reports: &Reports,
    prices: &PriceBook,
    organization_id: &OrganizationId,
    (start, end): (UnixTime, UnixTime),
) -> Result<BTreeMap<Seen, Unpriced>> {
    let mut found: BTreeMap<Seen, Unpriced> = BTreeMap::new();
    for &kind in Kind::ALL {
        // What a price depends on, beside the day.
        let groups = [Dimension::Model, Dimension::Size].into_iter();
        let groups = groups.filter(|group| kind.dimensions().contains(group));
        let query = UsageQuery {
            organization_id: organization_id.clone(),
            kind,
            start: start.floor(DAY),
            end,
            width: Width::Day,
            limit: (end.0 - start.0) / DAY + 2,
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

/// What was consumed on a day, as if it were one event.
fn day(
    organization_id: &OrganizationId,
    kind: Kind,
    timestamp: UnixTime,
    result: UsageResult,
) -> UsageEvent {
    let (mut model, mut size) = (None, None);
    for (dimension, value) in result.dimensions {
        match dimension {
            Dimension::Model => model = value,
            _ => size = value,
        }
    }
    UsageEvent {
        id: String::new(),
        timestamp,
        organization_id: organization_id.clone(),
        kind,
        project_id: ProjectId::from_text(String::new()),
        user_id: None,
        api_key_id: None,
        model,
        batch: false,
        service_tier: None,
        size,
        source: None,
        vector_store_id: None,
        context_level: None,
        quantities: result.quantities,
        estimated: false,
        outcome: Outcome::Reported,
    }
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
