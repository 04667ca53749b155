//! Dependencies and settings of an application.

use std::collections::BTreeSet;
use std::sync::Arc;

use admin::mail::Smtp;
use admin::sessions::SessionLifetimes;
use base::ids::IdGenerator;
use base::secret::Pepper;
use base::{Clock, Entropy};
use gateway::{Durability, UnpricedModels, UpstreamConfig};
use identity::SignInOptions;
use store::Store;
use telemetry::TracingOptions;
use usage::{ModelFacts, PriceBook, RetentionPeriods};

use crate::config::{Bounds, NodeOptions};
use crate::cors::Cors;

/// Dependencies and settings of an application.
pub struct AppOptions {
    /// Both databases.
    pub store: Store,
    /// Secret that keys are hashed with.
    pub pepper: Pepper,
    /// Wall clock.
    pub clock: Clock,
    /// Source of randomness.
    pub entropy: Entropy,
    /// Generator of ids.
    pub ids: Arc<IdGenerator>,
    /// Upstream model servers.
    pub upstreams: Vec<UpstreamConfig>,
    /// Price book used to charge requests.
    pub prices: PriceBook,
    /// Requests under a spend limit for models without a price.
    pub unpriced: UnpricedModels,
    /// Context windows and other facts about models.
    pub facts: ModelFacts,
    /// Durability of the ledger row at the end of a response.
    pub durability: Durability,
    /// Durability of a request before it is forwarded.
    pub admission: Durability,
    /// Base URL under which clients reach this server; used in mails.
    pub public_url: String,
    /// Lifetimes of sessions.
    pub session_lifetimes: SessionLifetimes,
    /// Ways to sign in.
    pub sign_in: SignInOptions,
    /// Mail server; without one, mails stay in the outbox.
    pub smtp: Option<Smtp>,
    /// Retention of request and response bodies, in days; 0 disables it.
    pub keep_bodies_days: u32,
    /// Retention of the ledger and its rollups.
    pub keep_usage: RetentionPeriods,
    /// Limits of concurrent requests and their memory.
    pub bounds: Bounds,
    /// This node among others on the same database.
    pub node: NodeOptions,
    /// Trace collector; without one, no spans are recorded.
    pub tracing: Option<TracingOptions>,
    /// Cross-origin policy for browsers.
    pub cors: Cors,
    /// True to serve the console.
    pub has_console: bool,
    /// True if metrics have their own listener, served by [`crate::app::App::metrics_router`].
    pub has_metrics_apart: bool,
}

impl AppOptions {
    /// Returns the names that have an upstream, aliases among them, or a price: each of them can have rate limits.
    pub(crate) fn known_models(&self) -> BTreeSet<String> {
        known_models(&self.upstreams, &self.prices)
    }
}

fn known_models(upstreams: &[UpstreamConfig], prices: &PriceBook) -> BTreeSet<String> {
    let served = upstreams
        .iter()
        .flat_map(|upstream| upstream.models.iter().chain(upstream.aliases.keys()));
    let served = served.map(String::as_str).filter(|model| *model != "*");
    served.chain(prices.models()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_clients_can_ask_for_and_models_with_a_price_are_known() {
        let upstream = UpstreamConfig {
            models: vec!["llama".to_owned(), "*".to_owned()],
            aliases: std::iter::once(("nick".to_owned(), "llama".to_owned())).collect(),
            ..UpstreamConfig::new("u", "http://127.0.0.1:1/v1")
        };
        let prices = "[[price]]\nmodel = 'gpt-5'\neffective = '2026-01-01'\ninput = '1'\n";
        let prices = PriceBook::parse(prices).expect("a price book");
        let known = known_models(&[upstream], &prices);
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        assert_eq!(known, ["gpt-5", "llama", "nick"]);
    }
}
