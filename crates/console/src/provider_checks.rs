//! Checks of identity providers, as the server makes them: the console knows no sign-in.

use std::pin::Pin;

/// The outcomes of a check, which is in progress.
pub type ProviderSteps<'a> = Pin<Box<dyn Future<Output = Option<Vec<ProviderStep>>> + Send + 'a>>;

/// Checks of the configured identity providers.
pub trait ProviderChecks: Send + Sync {
    /// Checks the provider with this id; `None` if there is none.
    fn check<'a>(&'a self, id: &'a str) -> ProviderSteps<'a>;
}

/// A step of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderStep {
    /// Name of what was read, such as "Discovery document".
    pub name: &'static str,
    /// Sentence about the outcome: what is there, or what is wrong and what to do.
    pub outcome: Result<String, String>,
}
