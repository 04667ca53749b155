//! Facts about the gateway that the console shows, as the server gives them: the console knows no gateway.

use base::UnixTime;
use serde_json::Value as Json;

/// Source of facts about the gateway of this node.
pub trait GatewayFacts: Send + Sync {
    /// Returns the upstreams.
    fn upstreams(&self) -> Vec<UpstreamFacts>;

    /// True if requests for models that no upstream lists are forwarded.
    fn has_wildcard(&self) -> bool;

    /// Returns the list prices of a model at a time: an object with an amount of US dollars, or an amount for each variant, by
    /// key of the price book. `None` if the model has no price.
    fn prices(&self, model: &str, time: UnixTime) -> Option<Json>;
}

/// An upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamFacts {
    /// Name.
    pub name: String,
    /// True if requests are sent to the upstream; false if its circuit is open.
    pub is_healthy: bool,
    /// Models that the upstream lists; a model may come twice.
    pub models: Vec<String>,
}
