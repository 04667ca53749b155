//! The usage of an answer as far as it has been read.

use std::collections::BTreeSet;

use base::NanoDollars;
use usage::{Metric, Quantities};

use crate::document::{
    Document, GeneratedText, HostedToolUsage, OutputItems, ReportedError, ReportedUsage,
    SpeechAudio,
};

/// The status of a response, as far as its metering depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ResponseStatus {
    /// Not reported.
    #[default]
    Unknown,
    /// The response is queued, or a model works on it.
    Running,
    /// The response is complete, incomplete or failed.
    Ended,
    /// The response was cancelled.
    Cancelled,
}

/// The usage of an answer as far as it has been read.
#[derive(Default)]
pub(crate) struct UsageAccumulator {
    /// The quantities of the last report, with those that only earlier ones had.
    pub(super) reported: Option<Quantities>,
    /// The report of an answer in Anthropic's format, each amount as its latest report has it.
    pub(super) cumulative: ReportedUsage,
    /// True if an answer in Anthropic's format has reported the usage of its end.
    pub(super) has_final_usage: bool,
    pub(super) service_tier: Option<String>,
    /// The cost of the last report that has one.
    pub(super) cost: Option<NanoDollars>,
    pub(crate) text: GeneratedText,
    /// The speech that is no stream of events.
    pub(crate) audio: SpeechAudio,
    /// The number of images.
    pub(super) images: Option<i64>,
    /// The size of the images.
    pub(super) size: Option<String>,
    /// The seconds of audio that were transcribed.
    pub(super) seconds: Option<i64>,
    /// The hosted tools that an answer in Anthropic's format has counted itself.
    pub(super) counted_tools: Option<HostedToolUsage>,
    /// The complete list of output items, once that has come.
    pub(super) complete_items: Option<OutputItems>,
    /// The output items that came in events of their own.
    pub(super) items: OutputItems,
    /// The last reported status of a response.
    pub(crate) status: ResponseStatus,
    /// True if the stream has said that it is complete.
    pub(crate) is_done: bool,
    /// True if the events so far are a whole answer, also if the stream does not say so.
    pub(crate) has_end: bool,
    /// The error that the model server reported in its answer.
    pub(crate) error: Option<ReportedError>,
    /// True if the answer has failed, so that nothing of it is to be estimated.
    pub(crate) is_failed: bool,
}

impl ResponseStatus {
    /// Returns the status with this name; `None` if the name is unknown.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "queued" | "in_progress" => Self::Running,
            "completed" | "incomplete" | "failed" => Self::Ended,
            "cancelled" => Self::Cancelled,
            _ => return None,
        })
    }
}

impl UsageAccumulator {
    /// Adds the usage that a document reports.
    pub(super) fn add_report(&mut self, document: &Document) {
        if let Some(quantities) = document.usage().and_then(ReportedUsage::quantities) {
            self.add_quantities(quantities);
        }
        self.add_cost(document);
        if let Some(tier) = document.service_tier.to_owned() {
            self.service_tier = Some(tier);
        }
    }

    /// Sets the cost that a document reports.
    pub(super) fn add_cost(&mut self, document: &Document) {
        let cost = document.usage().and_then(|usage| usage.cost);
        self.cost = cost.or(self.cost);
    }

    fn add_quantities(&mut self, quantities: Quantities) {
        let has_both = quantities.get(Metric::InputTokens).is_some()
            && quantities.get(Metric::OutputTokens).is_some();
        let mut reported = match self.reported {
            Some(earlier) if !has_both => earlier,
            _ => Quantities::default(),
        };
        for metric in Metric::ALL {
            if let Some(amount) = quantities.get(*metric) {
                reported.set(*metric, amount);
            }
        }
        self.reported = Some(reported);
    }

    /// Returns a quantity that was reported.
    pub(super) fn amount(&self, metric: Metric) -> Option<i64> {
        self.reported.and_then(|reported| reported.get(metric))
    }

    /// True if both input and output tokens were reported.
    pub(crate) fn is_reported(&self) -> bool {
        self.amount(Metric::InputTokens).is_some() && self.amount(Metric::OutputTokens).is_some()
    }

    /// True if a whole stream has come, whether or not it has said so.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_done || self.has_end
    }

    /// Returns the hosted tools that were used, without the sessions of containers that are `known` already.
    pub(super) fn hosted_tools(&self, known: &BTreeSet<String>) -> HostedToolUsage {
        if let Some(counted) = self.counted_tools {
            return counted;
        }
        let items = self.complete_items.as_ref().unwrap_or(&self.items);
        items.usage_without(known)
    }
}
