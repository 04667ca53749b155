//! The quantities of usage.

use serde::{Deserialize, Serialize};

use crate::Metric;

/// The amount of each metric. An absent metric is not zero; only corrections have negative amounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(Metric, i64)>", into = "Vec<(Metric, i64)>")]
pub struct Quantities([Option<i64>; Metric::ALL.len()]);

impl From<Vec<(Metric, i64)>> for Quantities {
    fn from(amounts: Vec<(Metric, i64)>) -> Self {
        let mut quantities = Self::default();
        for (metric, amount) in amounts {
            quantities.set_signed(metric, amount);
        }
        quantities
    }
}

impl From<Quantities> for Vec<(Metric, i64)> {
    fn from(quantities: Quantities) -> Self {
        let amounts = Metric::ALL.iter().zip(quantities.0);
        amounts
            .filter_map(|(metric, amount)| Some((*metric, amount?)))
            .collect()
    }
}

impl Quantities {
    /// Returns the amount of `metric`; `None` if it was not reported.
    #[must_use]
    pub fn get(&self, metric: Metric) -> Option<i64> {
        self.0[metric as usize]
    }

    /// Returns the amount of `metric`; 0 if it was not reported.
    #[must_use]
    pub fn or_zero(&self, metric: Metric) -> i64 {
        self.get(metric).unwrap_or(0)
    }

    /// Sets `metric`; a negative amount counts as zero.
    pub fn set(&mut self, metric: Metric, amount: i64) {
        self.0[metric as usize] = Some(amount.max(0));
    }

    /// Sets `metric` to the amount of a row of the ledger, which is negative in corrections.
    pub(crate) fn set_signed(&mut self, metric: Metric, amount: i64) {
        self.0[metric as usize] = Some(amount);
    }

    /// Returns the amounts with the opposite sign.
    #[must_use]
    pub(crate) fn negated(&self) -> Self {
        Self(self.0.map(|amount| amount.map(i64::saturating_neg)))
    }

    /// Returns the amounts, each capped at the largest that an event may have.
    #[must_use]
    pub(crate) fn bounded(&self) -> Self {
        let mut bounded = *self;
        for (amount, metric) in bounded.0.iter_mut().zip(Metric::ALL) {
            *amount = amount.map(|amount| amount.min(metric.max_amount()));
        }
        bounded
    }

    /// Returns the quantities with `metric` set.
    #[must_use]
    pub fn with(mut self, metric: Metric, amount: i64) -> Self {
        self.set(metric, amount);
        self
    }

    /// Adds other quantities. A metric that is absent in both stays absent; sums saturate.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = match (*mine, theirs) {
                (Some(mine), Some(theirs)) => Some(mine.saturating_add(theirs)),
                (mine, theirs) => mine.or(theirs),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_is_not_zero() {
        let mut sum = Quantities::default().with(Metric::InputTokens, 3);
        sum.add(
            &Quantities::default()
                .with(Metric::InputTokens, 4)
                .with(Metric::OutputTokens, -1),
        );
        assert_eq!(sum.get(Metric::InputTokens), Some(7));
        assert_eq!(
            sum.get(Metric::OutputTokens),
            Some(0),
            "nothing is negative"
        );
        assert_eq!(sum.get(Metric::Images), None);
    }
}
