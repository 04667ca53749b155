//! The dependencies that pages share.

use std::sync::Arc;

use admin::Services;

use crate::gateway_facts::GatewayFacts;
use crate::options::ConsoleOptions;
use crate::provider_checks::ProviderChecks;
use crate::registry::Registry;

/// Dependencies of the pages.
pub(crate) struct ConsoleParts {
    pub(crate) services: Arc<Services>,
    pub(crate) gateway: Arc<dyn GatewayFacts>,
    pub(crate) provider_checks: Arc<dyn ProviderChecks>,
    pub(crate) options: ConsoleOptions,
    pub(crate) registry: Registry,
}
