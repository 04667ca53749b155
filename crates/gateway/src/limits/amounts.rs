//! How much of each thing that is limited.

use access::LimitField;

/// No request consumes more of anything: a number beyond it is an upstream's mistake, and must not overflow a sum.
const MOST: i64 = 1 << 40;

/// How much of each thing that is limited; of some it may be unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts([Option<i64>; LimitField::ALL.len()]);

impl Amounts {
    /// Nothing of anything.
    pub(crate) fn nothing() -> Self {
        Self([Some(0); LimitField::ALL.len()])
    }

    pub(crate) fn get(&self, field: LimitField) -> Option<i64> {
        self.0[field as usize]
    }

    pub(crate) fn set(&mut self, field: LimitField, amount: i64) {
        self.0[field as usize] = Some(amount.clamp(0, MOST));
    }

    #[must_use]
    pub(crate) fn with(mut self, field: LimitField, amount: i64) -> Self {
        self.set(field, amount);
        self
    }

    /// One request.
    #[must_use]
    pub(crate) fn with_requests(self, requests: i64) -> Self {
        self.with(LimitField::RequestsPerMinute, requests)
            .with(LimitField::RequestsPerDay, requests)
    }
}

/// What a request may consume, as far as it shows before there is an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) amounts: Amounts,
    /// How many of the tokens nobody asked for: the answer is assumed to have them. They are no reason to refuse a request
    /// for good.
    pub(crate) assumed_tokens: i64,
}

impl Wanted {
    /// How much of `field` is needed at least.
    pub(super) fn least(&self, field: LimitField) -> i64 {
        let amount = self.amounts.get(field).unwrap_or(0);
        match field {
            LimitField::TokensPerMinute => amount - self.assumed_tokens.min(amount),
            _ => amount,
        }
    }
}
