//! Conditions of a row of prices.

use std::fmt;

/// The conditions of a row of prices, or what a request is as far as a condition can ask for it. Without any, the prices
/// are those of the table itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// The report that the usage is in.
    pub endpoint: Option<String>,
    /// The length that the request's input exceeds, in tokens.
    pub above_input_tokens: Option<u32>,
    /// The service tier that served the request.
    pub service_tier: Option<String>,
    /// True for a request of a batch.
    pub batch: bool,
}

impl Condition {
    /// Returns the number of conditions.
    pub fn count(&self) -> usize {
        self.lines().len()
    }

    /// Returns the conditions as keys and values of a row.
    pub fn lines(&self) -> Vec<String> {
        let text = |key: &str, text: &Option<String>| {
            let text = text.as_ref();
            text.map(|text| format!("{key} = \"{text}\""))
        };
        let tokens = self.above_input_tokens;
        let all = [
            text("endpoint", &self.endpoint),
            tokens.map(|tokens| format!("above_input_tokens = {tokens}")),
            text("service_tier", &self.service_tier),
            self.batch.then(|| "batch = true".to_owned()),
        ];
        all.into_iter().flatten().collect()
    }

    /// True if a request meets every condition.
    pub fn is_met_by(&self, request: &Self) -> bool {
        let is = |own: &Option<String>, other: &Option<String>| own.is_none() || own == other;
        is(&self.endpoint, &request.endpoint)
            && is(&self.service_tier, &request.service_tier)
            && self.above_input_tokens <= request.above_input_tokens
            && (!self.batch || request.batch)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join(", "))
    }
}
