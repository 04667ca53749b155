//! `/organization/projects/{project_id}/service_tier_settings`: service tiers.

use base::{Error, Permission, Result, inline_schema};
use schemars::{JsonSchema, json_schema};
use serde::de::{SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use settings::{DefaultTier, OptionalTier, ServiceTiers};

use super::ConfiguredProject;
use crate::literal::literals;
use crate::operation::Operation;
use crate::setting::{SettingPath, SettingResource};

pub(crate) fn operations() -> Vec<Operation> {
    let at = SettingPath {
        path: "/organization/projects/{project_id}/service_tier_settings",
        read: Permission::ProjectSettingsRead,
        write: Permission::ProjectSettingsWrite,
    };
    vec![
        at.retrieve::<ServiceTiers, ConfiguredProject>(
            "projects:service-tier-settings retrieve",
            "Retrieves the project's service tiers.",
        ),
        at.update::<ServiceTiers, ConfiguredProject>(
            "projects:service-tier-settings update",
            "Modifies the project's service tiers; what is absent is unchanged.",
        ),
    ]
}

literals! {
    ServiceTierSettingsObject = "project.service_tier_settings";
}

/// Service tiers of a project.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ServiceTierSettings {
    object: ServiceTierSettingsObject,
    /// Tier of requests that leave `service_tier` out or say `auto`.
    default: DefaultTier,
    /// Tiers that are enabled beside the standard one; `all` includes tiers that come later.
    enabled_tiers: EnabledTiers,
}

/// Changes to the service tiers of a project: at least one field. Null counts as absent.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateServiceTierSettings {
    /// Tier of requests that leave `service_tier` out or say `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DefaultTier")]
    default: Option<DefaultTier>,
    /// Tiers that are enabled beside the standard one; `all` includes tiers that come later, and an empty array leaves only
    /// the standard one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EnabledTiers")]
    enabled_tiers: Option<EnabledTiers>,
}

/// Tiers that are enabled beside the standard one: a list without duplicates, or `None` for all.
#[derive(Debug, PartialEq, Eq)]
struct EnabledTiers(Option<Vec<OptionalTier>>);

const ALL_TIERS: &str = "all";

inline_schema!(EnabledTiers, "EnabledTiers", |_| json_schema!({
    "anyOf": [
        { "type": "string", "const": ALL_TIERS },
        {
            "type": "array",
            "items": { "type": "string", "enum": OptionalTier::NAMES },
            "maxItems": OptionalTier::ALL.len(),
            "uniqueItems": true,
        },
    ],
}));

impl Serialize for EnabledTiers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            None => serializer.serialize_str(ALL_TIERS),
            Some(tiers) => tiers.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for EnabledTiers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EnabledTiersVisitor)
    }
}

struct EnabledTiersVisitor;

impl<'de> Visitor<'de> for EnabledTiersVisitor {
    type Value = EnabledTiers;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = OptionalTier::NAMES.join(", ");
        write!(f, "\"{ALL_TIERS}\" or an array of {names}")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<EnabledTiers, E> {
        if text == ALL_TIERS {
            return Ok(EnabledTiers(None));
        }
        Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, tiers: A) -> Result<EnabledTiers, A::Error> {
        let tiers = Vec::deserialize(SeqAccessDeserializer::new(tiers))?;
        Ok(EnabledTiers(Some(tiers)))
    }
}

impl UpdateServiceTierSettings {
    fn check(&self) -> Result<()> {
        if self.default.is_none() && self.enabled_tiers.is_none() {
            return Err(Error::refused(
                "missing_required_parameter",
                "Provide at least one of default or enabled_tiers.",
            ));
        }
        let given = self.enabled_tiers.as_ref().and_then(|it| it.0.as_deref());
        let tiers = given.unwrap_or_default();
        for (index, tier) in tiers.iter().enumerate() {
            if tiers[..index].contains(tier) {
                let param = format!("enabled_tiers[{index}]");
                let message = format!("{param} repeats '{}'.", tier.as_str());
                return Err(Error::invalid(param, message));
            }
        }
        Ok(())
    }
}

impl SettingResource<ConfiguredProject> for ServiceTiers {
    type Body = UpdateServiceTierSettings;
    type Answer = ServiceTierSettings;

    fn apply(old: Option<&Self>, body: UpdateServiceTierSettings) -> Result<Self> {
        body.check()?;
        let mut tiers = old.cloned().unwrap_or_default();
        let param = match body.enabled_tiers {
            Some(_) => "enabled_tiers",
            None => "default",
        };
        tiers.default = body.default.unwrap_or(tiers.default);
        if let Some(EnabledTiers(enabled)) = body.enabled_tiers {
            tiers.enabled = enabled;
        }
        if tiers.default == DefaultTier::Fast && !tiers.contains(OptionalTier::Fast) {
            let message = "The default tier must be enabled: enabled_tiers must be \"all\" or contain fast while default \
                           is fast.";
            return Err(Error::invalid(param, message));
        }
        Ok(tiers)
    }

    fn answer(tiers: Option<&Self>) -> Result<ServiceTierSettings> {
        let tiers = tiers.cloned().unwrap_or_default();
        Ok(ServiceTierSettings {
            object: ServiceTierSettingsObject,
            default: tiers.default,
            enabled_tiers: EnabledTiers(tiers.enabled),
        })
    }
}
