//! The usage of a request whose process has died: nobody knows the answer, so the most that was asked for is assumed.

use usage::{Metric, Quantities, UsageKind};

use super::Estimate;
use super::estimate::OutputTokens;

/// The amounts of an estimate that are kept until a request ends.
pub(crate) struct LostUsage {
    input: i64,
    output: i64,
    /// Images, characters or seconds, by the kind of the endpoint.
    units: i64,
    size: Option<Box<str>>,
}

impl LostUsage {
    /// Returns the amounts of an estimate. No text is tokenized, since that takes longer than all other work on a request.
    pub(crate) fn of(estimate: &Estimate) -> Self {
        let output = match estimate.output {
            OutputTokens::NotText => 0,
            OutputTokens::Requested(tokens) | OutputTokens::Estimated(tokens) => tokens,
        };
        Self {
            input: estimate.input.approximate(),
            output,
            units: estimate.units,
            size: estimate.size.clone(),
        }
    }

    /// Returns the size of the images.
    pub(crate) fn size(&self) -> Option<String> {
        self.size.as_deref().map(str::to_owned)
    }

    /// Returns the quantities of a request to an endpoint of this kind.
    pub(crate) fn quantities(&self, kind: UsageKind) -> Quantities {
        let request = Quantities::default().with(Metric::NumModelRequests, 1);
        match kind {
            UsageKind::Images => request.with(Metric::Images, self.units),
            UsageKind::AudioSpeeches => request.with(Metric::Characters, self.units),
            UsageKind::AudioTranscriptions => request.with(Metric::Seconds, self.units),
            UsageKind::Completions | UsageKind::Decisions => request
                .with(Metric::InputTokens, self.input)
                .with(Metric::OutputTokens, self.output),
            _ => request.with(Metric::InputTokens, self.input),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_request_has_what_it_asked_for() {
        let estimate = Estimate {
            units: 3,
            size: Some("1024x1024".into()),
            ..Estimate::of_output(OutputTokens::of(Some(50), Some(2)))
        };
        let estimate = Estimate {
            input: super::super::estimate::InputTokens::Counted(7),
            ..estimate
        };
        let lost = LostUsage::of(&estimate);
        let amounts = |kind| {
            let quantities = lost.quantities(kind);
            let of = |metric| quantities.get(metric);
            let units = of(Metric::Images).or(of(Metric::Seconds));
            (of(Metric::InputTokens), of(Metric::OutputTokens), units)
        };
        assert_eq!(amounts(UsageKind::Completions), (Some(7), Some(100), None));
        assert_eq!(amounts(UsageKind::Embeddings), (Some(7), None, None));
        assert_eq!(amounts(UsageKind::Images), (None, None, Some(3)));
        let seconds = amounts(UsageKind::AudioTranscriptions);
        assert_eq!(seconds, (None, None, Some(3)));
        assert_eq!(lost.size().as_deref(), Some("1024x1024"));
    }
}
