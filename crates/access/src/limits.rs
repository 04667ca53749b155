//! How much of each model a project may use: what holds until somebody sets something else.

use base::{ModelKind, names};
use store::{Result, Row};

/// Something that a rate limit limits.
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
    /// The names of all of them, in the same order.
    pub const NAMES: &'static [&'static str] = &[
        Self::RequestsPerMinute.as_str(),
        Self::TokensPerMinute.as_str(),
        Self::ImagesPerMinute.as_str(),
        Self::AudioMegabytesPerMinute.as_str(),
        Self::RequestsPerDay.as_str(),
        Self::BatchInputTokensPerDay.as_str(),
    ];

    /// True if a limit makes sense for models of a kind. Where nobody has said the kind, each does: a name is only a guess,
    /// and a limit that nothing counts under hurts nobody.
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

/// The limits of one model; absent where nothing is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelLimits([Option<i64>; LimitField::ALL.len()]);

impl ModelLimits {
    /// The limit of `field`.
    #[must_use]
    pub fn get(&self, field: LimitField) -> Option<i64> {
        self.0[field as usize]
    }

    /// Sets the limit of `field`.
    pub fn set(&mut self, field: LimitField, limit: i64) {
        self.0[field as usize] = Some(limit);
    }

    /// Returns the default limits of `model`: by its kind, else by what its name says it is for.
    #[must_use]
    pub fn default_of(model: &str, kind: Option<ModelKind>) -> Self {
        Family::of(model, kind).limits()
    }

    /// Returns the limits of `model`: those that are set, else the default; none that its kind has no use for.
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

    /// The model of a row of `rate_limits`, and what it sets.
    ///
    /// # Errors
    /// A column is missing or of another type.
    pub fn read(row: &Row<'_>) -> Result<(String, Self)> {
        let mut limits = Self::default();
        for field in LimitField::ALL {
            if let Some(limit) = row.get(field.as_str())? {
                limits.set(*field, limit);
            }
        }
        Ok((row.get("model")?, limits))
    }
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Text,
    Embeddings,
    Images,
    Transcription,
    Speech,
}

impl Family {
    /// Where nobody has said the kind, the name is all that a deployment knows of a model; one that says nothing is a text
    /// model.
    fn of(model: &str, kind: Option<ModelKind>) -> Self {
        match kind {
            None => Self::of_name(model),
            Some(ModelKind::Chat) => Self::Text,
            Some(ModelKind::Embedding | ModelKind::Moderation) => Self::Embeddings,
            Some(ModelKind::Image) => Self::Images,
            // The name may tell the two apart that are for audio.
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
        // As many as the minutes of a day let through: no further limit until one is set.
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
    fn a_model_has_the_fields_that_its_name_calls_for() {
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
    fn strangers_8_a_model_of_a_kind_has_its_limits_whatever_its_name() {
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
