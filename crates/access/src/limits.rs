//! How much of each model a project may use: what holds until somebody sets something else.

use base::names;
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
}

/// The limits of one model; absent where a field makes no sense for it.
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

    /// What holds for `model` until somebody sets something else: by what its name says it is for.
    #[must_use]
    pub fn default_of(model: &str) -> Self {
        Family::of(model).limits()
    }

    /// What holds for `model`: what somebody has set, else the default; and nothing of what makes no sense for it.
    #[must_use]
    pub fn of(model: &str, changed: Option<&Self>) -> Self {
        let mut limits = Self::default_of(model);
        for field in LimitField::ALL {
            let set = changed.and_then(|changed| changed.get(*field));
            if let Some(limit) = set.filter(|_| limits.get(*field).is_some()) {
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
    /// Names are all that a deployment knows of its models; one that says nothing is a text model.
    fn of(model: &str) -> Self {
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
        let has = |model: &str, field| ModelLimits::default_of(model).get(field).is_some();
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
}
