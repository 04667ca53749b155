//! Settings that the gateway enforces.
//!
//! A setting is declared once, by a type that implements [`Setting`]: its table and columns, its decoding, its default
//! and the events that change it. The Administration API reads and writes the setting by that declaration, and the
//! directory loads all of [`ENFORCED`] into its snapshot.

mod authority;
mod data_retention;
mod hosted_tools;
mod model_permissions;
mod rate_limits;
mod service_tiers;
mod setting;
mod spend_limit;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::ids::ProjectId;
use base::{ModelKind, NanoDollars};

pub use authority::{ActiveAuthority, Authority, Validity};
pub use data_retention::{DataRetention, Retention, retention_now};
pub use hosted_tools::{HostedTool, HostedTools};
pub use model_permissions::{ModelListMode, ModelPermissions, ModelPolicy};
pub use rate_limits::{LimitField, ModelLimits, RateLimits};
pub use service_tiers::{DefaultTier, OptionalTier, ServiceTiers};
pub use setting::{DeletableSetting, Descriptor, Patch, RowSetting, RowSql, Setting};
pub use spend_limit::SpendLimit;

/// Declares the settings that the gateway enforces: each a field of [`ScopeSettings`], the field's type, and the [`Setting`]
/// that determines the field.
macro_rules! enforced {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $setting:ty,)*) => {
        /// Descriptors of all settings that the gateway enforces.
        pub const ENFORCED: &[Descriptor] = &[$(Descriptor::of::<$setting>()),*];

        /// Settings in force for an organization or for one of its projects.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct ScopeSettings { $($(#[$doc])* pub $field: $type,)* }
    };
}

enforced! {
    /// Rate limits that differ from the defaults, by model. Always empty for an organization.
    limits: HashMap<String, ModelLimits> = RateLimits,
    /// Models that may be called; every model if absent. Always absent for an organization.
    models: Option<ModelPolicy> = ModelPermissions,
    /// Hosted tools that may be used. Always all of them for an organization.
    tools: HostedTools = HostedTools,
    /// Service tiers. Always all of them for an organization.
    service_tiers: ServiceTiers = ServiceTiers,
    /// Retention of clients' data; that of the organization, or the default, if absent.
    retention: Option<Retention> = DataRetention,
    /// Spend of a calendar month at which requests are refused; unlimited if absent.
    spend_limit: Option<NanoDollars> = SpendLimit,
    /// Certificate authorities of which one must have issued the client's certificate, by the ids of their certificates;
    /// no client certificate is needed if empty.
    authorities: BTreeMap<String, Authority> = ActiveAuthority,
}

impl ScopeSettings {
    /// Returns the rate limits of a model; `kind` is the model's kind if the configuration or a price names one.
    #[must_use]
    pub fn limits(&self, model: &str, kind: Option<ModelKind>) -> ModelLimits {
        ModelLimits::of(model, kind, self.limits.get(model))
    }
}

/// Settings in force for an organization and for all of its projects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Settings of the organization itself.
    pub organization: ScopeSettings,
    /// Settings of the projects that have any.
    pub projects: HashMap<ProjectId, Arc<ScopeSettings>>,
    /// Settings of all other projects: the defaults.
    unset: Arc<ScopeSettings>,
}

impl Settings {
    /// Returns the settings of a project; the defaults if the project has none.
    #[must_use]
    pub fn project(&self, id: &ProjectId) -> &Arc<ScopeSettings> {
        self.projects.get(id).unwrap_or(&self.unset)
    }

    /// Returns the retention of a project's data: the project's own, else the organization's, else the default.
    #[must_use]
    pub fn retention(&self, project: &ScopeSettings) -> Retention {
        let own = project.retention;
        own.or(self.organization.retention).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use base::ids::Id;

    use super::*;

    #[test]
    fn a_project_has_its_organizations_retention_unless_it_has_its_own() {
        let mut settings = Settings::default();
        let project = ProjectId::from_text("proj_1".into());
        let retention = |settings: &Settings| settings.retention(settings.project(&project));
        assert_eq!(retention(&settings), Retention::NoControl);
        settings.organization.retention = Some(Retention::ZeroDataRetention);
        assert_eq!(retention(&settings), Retention::ZeroDataRetention);
        let own = ScopeSettings {
            retention: Some(Retention::NoControl),
            ..ScopeSettings::default()
        };
        settings.projects.insert(project.clone(), Arc::new(own));
        assert_eq!(retention(&settings), Retention::NoControl);
    }
}
