//! Use of rate limits on this node, as the handlers see it: they know no gateway.

use base::ids::ProjectId;
use settings::LimitField;

/// Source of the use of rate limits: the gateway of this node.
pub trait RateLimitUsage: Send + Sync {
    /// Returns the use by the project's requests of each model of which a window is not empty.
    fn usage(&self, project: &ProjectId) -> Vec<ModelUse>;
}

/// Use of the rate limits of a model.
#[derive(Clone, Debug)]
pub struct ModelUse {
    /// Name of the model.
    pub model: String,
    /// Use of the window of each limit.
    pub limits: Vec<(LimitField, LimitUse)>,
}

/// Use of the window of a limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitUse {
    /// Amount in the window, what is reserved included.
    pub used: i64,
    /// Part of the amount that is reserved for requests under way.
    pub reserved: i64,
    /// Milliseconds until the window is empty, if nothing else is used.
    pub reset_milliseconds: u64,
}
