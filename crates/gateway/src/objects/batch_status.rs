//! The status of a batch as its upstream reports it.

use base::{Error, Result};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use usage::{Metric, Outcome};

use crate::dialect::MeasuredUsage;
use crate::document::{Document, GeneratedText, ReportedUsage};

/// The fields of a batch that the gateway reads.
#[derive(Deserialize)]
pub(super) struct BatchStatus {
    status: String,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    #[serde(default, deserialize_with = "usage")]
    usage: Option<ReportedUsage>,
    #[serde(default)]
    request_counts: RequestCounts,
    completed_at: Option<i64>,
    failed_at: Option<i64>,
    expired_at: Option<i64>,
    cancelled_at: Option<i64>,
}

/// Reads the usage of a batch in every form that the usage of an answer can have.
fn usage<'de, D: Deserializer<'de>>(
    field: D,
) -> std::result::Result<Option<ReportedUsage>, D::Error> {
    let json = Box::<RawValue>::deserialize(field)?;
    let json = format!(r#"{{"usage":{json}}}"#);
    Ok(Document::of(json.as_bytes(), &mut GeneratedText::default()).usage)
}

#[derive(Clone, Copy, Default, Deserialize)]
struct RequestCounts {
    #[serde(default)]
    completed: i64,
}

impl BatchStatus {
    /// Reads an upstream's answer.
    ///
    /// # Errors
    /// 502: the answer is no batch.
    pub(super) fn read(answer: &[u8]) -> Result<Self> {
        serde_json::from_slice(answer)
            .map_err(|_| Error::upstream("The model server's answer is no batch."))
    }

    /// True if the batch has ended, in success or failure.
    pub(super) fn has_ended(&self) -> bool {
        matches!(
            self.status.as_str(),
            "completed" | "failed" | "expired" | "cancelled"
        )
    }

    /// Returns the reported end of the batch, in seconds since 1970.
    pub(super) fn ended_at(&self) -> Option<i64> {
        self.completed_at
            .or(self.failed_at)
            .or(self.expired_at)
            .or(self.cancelled_at)
    }

    /// Returns the id of the file with the answers.
    pub(super) fn output_file(&self) -> Option<&str> {
        self.output_file_id.as_deref()
    }

    /// Returns the ids of the files that the batch has created.
    pub(super) fn output_files(&self) -> impl Iterator<Item = &str> {
        let ids = [&self.output_file_id, &self.error_file_id];
        ids.into_iter().flatten().map(String::as_str)
    }

    /// Returns the number of requests that were answered.
    pub(super) fn answered(&self) -> i64 {
        self.request_counts.completed.max(0)
    }

    /// Returns the reported usage; `None` if there is none, or if answers are said to have cost no input.
    pub(super) fn reported_usage(&self) -> Option<MeasuredUsage> {
        let quantities = self.usage.as_ref()?.quantities()?;
        quantities.get(Metric::InputTokens)?;
        if quantities.or_zero(Metric::InputTokens) == 0 && self.answered() > 0 {
            return None;
        }
        Some(MeasuredUsage {
            quantities: quantities.with(Metric::NumModelRequests, self.answered()),
            cost: self.usage.and_then(|usage| usage.cost),
            ..MeasuredUsage::default()
        })
    }

    /// Returns the outcome for the ledger.
    pub(super) fn outcome(&self) -> Outcome {
        match self.status.as_str() {
            "failed" => Outcome::UpstreamFailed,
            "expired" => Outcome::TimedOut,
            "cancelled" => Outcome::ClientGone,
            _ => Outcome::Succeeded,
        }
    }
}
