//! The field `service_tier` of a request: the tier that is asked for, and the edit that asks for a project's default tier.

use std::borrow::Cow;
use std::ops::Range;

use access::{DefaultTier, OptionalTier, ServiceTiers};
use base::Result;

use super::Fields;
use super::edits::Edit;

/// Name of the field.
pub(crate) const SERVICE_TIER: &str = "service_tier";

/// The service tier that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestedTier {
    /// The request leaves the tier to the project.
    Auto,
    Standard,
    Optional(OptionalTier),
    Scale,
    /// A word that only the model server knows.
    Other(String),
}

impl RequestedTier {
    /// Returns the tier that a word in a request asks for. `fast` and `priority` are the same tier.
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "auto" => Self::Auto,
            "default" => Self::Standard,
            "priority" => Self::Optional(OptionalTier::Fast),
            "scale" => Self::Scale,
            word => match OptionalTier::parse(word) {
                Some(tier) => Self::Optional(tier),
                None => Self::Other(word.to_owned()),
            },
        }
    }

    /// Returns the tier's name, of which [`Self::of`] makes the tier again.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Auto => "auto",
            Self::Standard => "default",
            Self::Optional(tier) => tier.as_str(),
            Self::Scale => "scale",
            Self::Other(word) => word,
        }
    }

    /// True if a project with these service tiers may ask for the tier.
    pub(crate) fn is_enabled(&self, tiers: &ServiceTiers) -> bool {
        match self {
            Self::Auto | Self::Standard => true,
            Self::Optional(tier) => tiers.contains(*tier),
            Self::Scale => tiers.enabled.is_none() || tiers.default == DefaultTier::Scale,
            Self::Other(_) => tiers.enabled.is_none(),
        }
    }
}

/// The field in the body of a request.
pub(super) struct TierField {
    pub(super) requested: RequestedTier,
    /// The range of its value; where the field is absent, the position at which it is inserted.
    range: Range<usize>,
    is_absent: bool,
}

impl TierField {
    /// Reads the field; `None` if the endpoint has none.
    ///
    /// # Errors
    /// 400: the field is not a string.
    pub(super) fn of(fields: &Fields<'_>) -> Result<Option<Self>> {
        if !fields.names.contains(&SERVICE_TIER) {
            return Ok(None);
        }
        let word = fields.text(SERVICE_TIER)?;
        let word = word.map_or(Cow::Borrowed("auto"), Cow::Owned);
        let (range, is_absent) = match (fields.get(SERVICE_TIER), fields.get("model")) {
            (Some(value), _) => (fields.range(value), false),
            (None, Some(model)) => {
                let end = fields.range(model).end;
                (end..end, true)
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Self {
            requested: RequestedTier::of(&word),
            range,
            is_absent,
        }))
    }

    /// Returns the edit that asks for a project's default tier; `None` if the request names a tier, or if the default is
    /// the standard tier, which model servers choose by themselves.
    pub(super) fn default_edit(&self, default: DefaultTier) -> Option<Edit> {
        if self.requested != RequestedTier::Auto {
            return None;
        }
        let text = match (default, self.is_absent) {
            (DefaultTier::Standard, _) => return None,
            (DefaultTier::Fast, true) => r#","service_tier":"priority""#,
            (DefaultTier::Fast, false) => r#""priority""#,
            (DefaultTier::Scale, true) => r#","service_tier":"scale""#,
            (DefaultTier::Scale, false) => r#""scale""#,
        };
        let range = self.range.clone();
        Some(Edit { range, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiers(default: DefaultTier, enabled: Option<&[OptionalTier]>) -> ServiceTiers {
        ServiceTiers {
            default,
            enabled: enabled.map(<[_]>::to_vec),
        }
    }

    #[test]
    fn every_tier_is_made_again_of_its_name() {
        for word in [
            "auto",
            "default",
            "flex",
            "fast",
            "ultrafast",
            "scale",
            "Flex",
            "",
            "turbo",
        ] {
            let tier = RequestedTier::of(word);
            assert_eq!(tier.name(), word);
            assert_eq!(RequestedTier::of(tier.name()), tier);
        }
        assert_eq!(RequestedTier::of("priority"), RequestedTier::of("fast"));
    }

    #[test]
    fn a_project_asks_for_the_tiers_that_its_settings_enable() {
        let words = [
            "auto",
            "default",
            "flex",
            "fast",
            "priority",
            "ultrafast",
            "scale",
            "Flex",
        ];
        let enabled = |tiers: &ServiceTiers| {
            let words = words.into_iter();
            let is_enabled = |word: &&str| RequestedTier::of(word).is_enabled(tiers);
            words.filter(is_enabled).collect::<Vec<_>>().join(" ")
        };
        let all = tiers(DefaultTier::Standard, None);
        assert_eq!(enabled(&all), words.join(" "));
        let none = tiers(DefaultTier::Standard, Some(&[]));
        assert_eq!(enabled(&none), "auto default");
        let fast = tiers(DefaultTier::Fast, Some(&[OptionalTier::Fast]));
        assert_eq!(enabled(&fast), "auto default fast priority");
        let scale = tiers(DefaultTier::Scale, Some(&[OptionalTier::Flex]));
        assert_eq!(enabled(&scale), "auto default flex scale");
    }
}
