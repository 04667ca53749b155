//! Why a rate limit refuses a request, in words.

use access::{LimitField, Project};
use base::Error;
use base::ids::Id;

use super::standing::{Period, Retry};

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(super) field: LimitField,
    pub(super) limit: i64,
    pub(super) used: i64,
    pub(super) requested: i64,
    /// How long until it would not be, in milliseconds; `None`: it always will be.
    pub(super) wait: Option<u64>,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A limit for this model was reached.
    Reached { model: Box<str>, reached: Reached },
    /// The project uses more models than are counted.
    TooManyModels,
}

impl Reached {
    /// Whether the other one makes a request wait longer.
    pub(super) fn is_before(&self, other: &Self) -> bool {
        let wait = |reached: &Self| reached.wait.unwrap_or(u64::MAX);
        wait(self) < wait(other)
    }

    /// What the hosted service calls the limit.
    fn name(&self) -> &'static str {
        match self.field {
            LimitField::RequestsPerMinute => "requests per min (RPM)",
            LimitField::TokensPerMinute => "tokens per min (TPM)",
            LimitField::ImagesPerMinute => "images per min (IPM)",
            LimitField::AudioMegabytesPerMinute => "audio megabytes per min",
            LimitField::RequestsPerDay => "requests per day (RPD)",
            LimitField::BatchInputTokensPerDay => "batch input tokens per day",
        }
    }

    /// The `type` of the error.
    fn kind(&self) -> &'static str {
        match self.field {
            LimitField::TokensPerMinute | LimitField::BatchInputTokensPerDay => "tokens",
            _ => "requests",
        }
    }

    /// What would let the request pass, when waiting does not.
    fn remedy(&self) -> &'static str {
        match self.field {
            _ if self.limit == 0 => "Nothing passes while the limit is 0.",
            LimitField::TokensPerMinute => {
                "Waiting does not help: shorten the input, or ask for less output."
            }
            _ => "Waiting does not help: ask for less at once.",
        }
    }
}

impl Refusal {
    /// 429; 503 where it is about what we can count.
    pub(crate) fn error(&self, project: &Project) -> Error {
        let Self::Reached { model, reached } = self else {
            let message = format!(
                "Project {} uses more models at once than are counted here. Try again later.",
                project.id.as_str()
            );
            return Error::overloaded(message, 60);
        };
        let shown: String = model.chars().take(80).collect();
        let what = format!(
            "{shown} in project {} on {}: Limit {}, Used {}, Requested {}.",
            project.id.as_str(),
            reached.name(),
            reached.limit,
            reached.used,
            reached.requested
        );
        let message = match reached.wait {
            Some(wait) => format!(
                "Rate limit reached for {what} Please try again in {}.",
                Period(wait)
            ),
            None => format!("Request too large for {what} {}", reached.remedy()),
        };
        let seconds = reached.wait.map(|wait| wait.div_ceil(1000));
        Error::rate_limited(reached.kind(), message, seconds)
    }

    pub(super) fn retry(&self) -> Option<Retry> {
        let Self::Reached { reached, .. } = self else {
            return None;
        };
        Some(reached.wait.map_or(Retry::Never, Retry::After))
    }
}
