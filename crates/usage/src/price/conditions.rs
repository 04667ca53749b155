//! The conditions under which a row of a price table applies.

use std::fmt;

use crate::{Metric, UsageEvent, UsageKind};

/// The service tier that `fast` is another name of.
const PRIORITY: &str = "priority";

/// Returns the name of a service tier by which prices are looked up: `fast` is `priority`.
pub(crate) fn tier_name(tier: &str) -> &str {
    if tier == "fast" { PRIORITY } else { tier }
}

/// The properties of a request that decide on its prices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PriceKey<'a> {
    pub(crate) kind: UsageKind,
    pub(crate) service_tier: Option<&'a str>,
    pub(crate) is_batch: bool,
    /// The input tokens of the longest request that is charged.
    pub(crate) input_tokens: i64,
    pub(crate) size: Option<&'a str>,
    pub(crate) context_level: Option<&'a str>,
}

impl<'a> PriceKey<'a> {
    /// Returns the key of an event.
    pub(crate) fn of(event: &'a UsageEvent) -> Self {
        Self {
            kind: event.kind,
            service_tier: event.service_tier.as_deref().map(tier_name),
            is_batch: event.batch,
            input_tokens: longest_input(event),
            size: event.size.as_deref(),
            context_level: event.context_level.as_deref(),
        }
    }
}

/// Returns the input tokens of the longest request of an event. An event of several requests that does not tell counts as
/// requests of the same length.
fn longest_input(event: &UsageEvent) -> i64 {
    let quantities = &event.quantities;
    let input = quantities.or_zero(Metric::InputTokens);
    let longest = quantities.get(Metric::LongestInputTokens);
    longest.unwrap_or_else(|| match quantities.or_zero(Metric::NumModelRequests) {
        requests @ 2.. => input.saturating_add(requests - 1) / requests,
        _ => input,
    })
}

/// The conditions of a row: a request must meet each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub(super) service_tier: Option<String>,
    /// True if the row is for requests of batches.
    pub(super) is_batch: bool,
    pub(super) above_input_tokens: Option<i64>,
    pub(super) endpoint: Option<UsageKind>,
}

impl Conditions {
    /// Returns the number of conditions.
    pub(super) fn count(&self) -> usize {
        usize::from(self.service_tier.is_some())
            + usize::from(self.is_batch)
            + usize::from(self.above_input_tokens.is_some())
            + usize::from(self.endpoint.is_some())
    }

    /// True if a request meets every condition.
    pub(super) fn are_met(&self, key: &PriceKey<'_>) -> bool {
        let is_tier = |tier: &String| key.service_tier == Some(tier);
        let is_above = |tokens: i64| key.input_tokens > tokens;
        self.service_tier.as_ref().is_none_or(is_tier)
            && (!self.is_batch || key.is_batch)
            && self.above_input_tokens.is_none_or(is_above)
            && self.endpoint.is_none_or(|kind| kind == key.kind)
    }
}

/// Formats the conditions as the keys of a row: `service_tier = flex, batch`. No condition is empty.
impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tier = self.service_tier.as_ref();
        let all = [
            tier.map(|tier| format!("service_tier = {tier}")),
            self.is_batch.then(|| "batch".to_owned()),
            self.above_input_tokens
                .map(|tokens| format!("above_input_tokens = {tokens}")),
            self.endpoint
                .map(|kind| format!("endpoint = {}", kind.as_str())),
        ];
        let all: Vec<String> = all.into_iter().flatten().collect();
        f.write_str(&all.join(", "))
    }
}
