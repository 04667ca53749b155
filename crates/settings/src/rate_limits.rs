//! Rate limits.

use base::{EventType, ModelKind, names};
use store::{Result, Row};

use crate::setting::row_sql;
use crate::{RowSql, ScopeSettings, Setting};

/// A quantity that a rate limit bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the contract's own")]
pub enum LimitField {
    RequestsPerMinute,
    TokensPerMinute,
    ImagesPerMinute,
    AudioMegabytesPerMinute,
    RequestsPerDay,
    BatchInputTokensPerDay,
}

names! { LimitField {
    RequestsPerMinute = "max_requests_per_1_minute",
    TokensPerMinute = "max_tokens_per_1_minute",
    ImagesPerMinute = "max_images_per_1_minute",
    AudioMegabytesPerMinute = "max_audio_megabytes_per_1_minute",
    RequestsPerDay = "max_requests_per_1_day",
    BatchInputTokensPerDay = "batch_1_day_max_input_tokens",
}}

impl LimitField {
    /// Returns true if the limit applies to models of `kind`. Every limit applies to a model of unknown kind: the model's
    /// name alone would be a guess, and a limit that is never counted against does no harm.
    #[must_use]
    pub fn is_for(self, kind: Option<ModelKind>) -> bool {
        use ModelKind::{Audio, Chat, Embedding, Image, Moderation};
        let Some(kind) = kind else { return true };
        match self {
            Self::RequestsPerMinute | Self::TokensPerMinute | Self::RequestsPerDay => true,
            Self::ImagesPerMinute => kind == Image,
            Self::AudioMegabytesPerMinute => kind == Audio,
            Self::BatchInputTokensPerDay => matches!(kind, Chat | Embedding | Moderation),
        }
    }
}

/// Rate limits of one model; unlimited where a field is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelLimits([Option<i64>; LimitField::ALL.len()]);

impl ModelLimits {
    /// Returns the limit of `field`.
    #[must_use]
    pub fn get(&self, field: LimitField) -> Option<i64> {
        self.0[field as usize]
    }

    /// Returns the limits of all fields, in the order of [`LimitField::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = Option<i64>> {
        self.0.into_iter()
    }

    /// Sets the limit of `field`.
    pub fn set(&mut self, field: LimitField, limit: i64) {
        self.0[field as usize] = Some(limit);
    }

    /// Returns the default limits of `model`: by `kind`, else by conventions of models' names.
    #[must_use]
    pub fn default_of(model: &str, kind: Option<ModelKind>) -> Self {
        ModelFamily::of(model, kind).limits()
    }

    /// Returns the limits of `model`: those in `changed`, else the defaults, without fields that do not apply to `kind`.
    #[must_use]
    pub fn of(model: &str, kind: Option<ModelKind>, changed: Option<&Self>) -> Self {
        let mut limits = Self::default_of(model, kind);
        for field in LimitField::ALL {
            let set = changed.and_then(|changed| changed.get(*field));
            if let Some(limit) = set.filter(|_| field.is_for(kind)) {
                limits.set(*field, limit);
            }
        }
        limits
    }
}

/// Rate limits of a project for one model, as far as they were set. Limits that were not set are [`ModelLimits::default_of`].
#[derive(Clone, Debug)]
pub struct RateLimits {
    /// Name of the model.
    pub model: String,
    /// Limits that were set.
    pub limits: ModelLimits,
}

impl RateLimits {
    /// SQL of the table.
    pub const SQL: RowSql = row_sql!("rate_limits" ["model" = "$3"] {
        "max_requests_per_1_minute" = "$4", "max_tokens_per_1_minute" = "$5", "max_images_per_1_minute" = "$6",
        "max_audio_megabytes_per_1_minute" = "$7", "max_requests_per_1_day" = "$8", "batch_1_day_max_input_tokens" = "$9"
    });
}

impl Setting for RateLimits {
    const SELECT_ALL: &'static str = Self::SQL.select_all;
    const DELETE: &'static str = Self::SQL.delete;
    const EVENTS: &'static [EventType] = &[EventType::RateLimitUpdated];

    fn read(row: &Row<'_>) -> Result<Self> {
        let mut limits = ModelLimits::default();
        for field in LimitField::ALL {
            if let Some(limit) = row.get(field.as_str())? {
                limits.set(*field, limit);
            }
        }
        Ok(Self {
            model: row.get("model")?,
            limits,
        })
    }

    fn enforce(self, scope: &mut ScopeSettings) {
        scope.limits.insert(self.model, self.limits);
    }
}

/// A family of models with the same default limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ModelFamily {
    Text,
    Embeddings,
    Images,
    Transcription,
    Speech,
}

impl ModelFamily {
    /// Returns the family of `model`: by `kind`, else by conventions of models' names, else text.
    fn of(model: &str, kind: Option<ModelKind>) -> Self {
        match kind {
            None => Self::of_name(model),
            Some(ModelKind::Chat) => Self::Text,
            Some(ModelKind::Embedding | ModelKind::Moderation) => Self::Embeddings,
            Some(ModelKind::Image) => Self::Images,
            // Both audio families have the same kind; only the name tells them apart.
            Some(ModelKind::Audio) if Self::of_name(model) == Self::Speech => Self::Speech,
            Some(ModelKind::Audio) => Self::Transcription,
        }
    }

    fn of_name(model: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|word| model.contains(word));
        if says(&["embedding", "-embed", "moderation"]) {
            Self::Embeddings
        } else if says(&["dall-e", "gpt-image", "chatgpt-image", "stable-diffusion"]) {
            Self::Images
        } else if says(&["whisper", "transcribe"]) {
            Self::Transcription
        } else if model.starts_with("tts-") || model.ends_with("-tts") {
            Self::Speech
        } else {
            Self::Text
        }
    }

    fn limits(self) -> ModelLimits {
        use LimitField as F;
        let (requests, tokens) = match self {
            Self::Text | Self::Embeddings => (10_000, 10_000_000),
            Self::Images | Self::Transcription | Self::Speech => (1_000, 1_000_000),
        };
        let mut limits = ModelLimits::default();
        limits.set(F::RequestsPerMinute, requests);
        limits.set(F::TokensPerMinute, tokens);
        // As many requests as the minutes of a day allow, so the daily limit has no effect of its own.
        limits.set(F::RequestsPerDay, requests * 24 * 60);
        match self {
            Self::Text | Self::Embeddings => limits.set(F::BatchInputTokensPerDay, 1_000_000_000),
            Self::Images => limits.set(F::ImagesPerMinute, 1_000),
            Self::Transcription => limits.set(F::AudioMegabytesPerMinute, 1_000),
            Self::Speech => {}
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_limits_follow_the_models_name() {
        let has = |model: &str, field| ModelLimits::default_of(model, None).get(field).is_some();
        for model in [
            "gpt-5",
            "llama-3",
            "whisper-1",
            "dall-e-3",
            "tts-1",
            "text-embedding-3-small",
        ] {
            assert!(
                has(model, LimitField::RequestsPerMinute)
                    && has(model, LimitField::TokensPerMinute)
            );
            assert_eq!(
                has(model, LimitField::ImagesPerMinute),
                model == "dall-e-3",
                "{model}"
            );
            assert_eq!(
                has(model, LimitField::AudioMegabytesPerMinute),
                model == "whisper-1",
                "{model}"
            );
        }
        assert!(has("gpt-5", LimitField::BatchInputTokensPerDay));
        assert!(!has("gpt-4o-mini-tts", LimitField::BatchInputTokensPerDay));
    }

    #[test]
    fn limits_follow_the_models_kind_whatever_its_name() {
        for kind in ModelKind::ALL.iter().map(|kind| Some(*kind)).chain([None]) {
            for model in ["flux-1", "gpt-5", "tts-1"] {
                let default = ModelLimits::default_of(model, kind);
                let mut all = ModelLimits::default();
                for field in LimitField::ALL {
                    all.set(*field, 7);
                    let is_default = default.get(*field).is_some();
                    assert!(
                        !is_default || field.is_for(kind),
                        "{kind:?} {model} {field:?}"
                    );
                }
                let limits = ModelLimits::of(model, kind, Some(&all));
                for field in LimitField::ALL {
                    let expected = field.is_for(kind).then_some(7);
                    assert_eq!(limits.get(*field), expected, "{kind:?} {model} {field:?}");
                }
            }
        }
        let images =
            |kind| ModelLimits::default_of("flux-1", kind).get(LimitField::ImagesPerMinute);
        assert_eq!(
            (images(None), images(Some(ModelKind::Image))),
            (None, Some(1_000))
        );
    }
}
