//! The object `usage`, in all the words that endpoints have for the same amounts.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use usage::{MAX_QUANTITY, Metric, Quantities};

/// The usage that an answer reports. An amount that is not a whole number of at least zero, or more than any request can
/// consume, is absent.
#[derive(Deserialize)]
pub(crate) struct Usage {
    #[serde(default, deserialize_with = "amount")]
    prompt_tokens: Option<i64>,
    #[serde(default, deserialize_with = "amount")]
    completion_tokens: Option<i64>,
    #[serde(default)]
    prompt_tokens_details: Option<Details>,
    #[serde(default)]
    completion_tokens_details: Option<Details>,
    #[serde(default, deserialize_with = "amount")]
    input_tokens: Option<i64>,
    #[serde(default, deserialize_with = "amount")]
    output_tokens: Option<i64>,
    #[serde(default)]
    input_tokens_details: Option<Details>,
    #[serde(default)]
    output_tokens_details: Option<Details>,
    /// What transcriptions call it.
    #[serde(default)]
    input_token_details: Option<Details>,
    /// Of a transcription that is measured by time.
    #[serde(default)]
    pub(super) seconds: Option<f64>,
}

#[derive(Default, Deserialize)]
struct Details {
    #[serde(default, deserialize_with = "amount")]
    cached_tokens: Option<i64>,
    #[serde(default, deserialize_with = "amount")]
    cache_write_tokens: Option<i64>,
    #[serde(default, deserialize_with = "amount")]
    audio_tokens: Option<i64>,
    #[serde(default, deserialize_with = "amount")]
    image_tokens: Option<i64>,
    #[serde(default, deserialize_with = "amount")]
    text_tokens: Option<i64>,
}

fn amount<'de, D: Deserializer<'de>>(field: D) -> Result<Option<i64>, D::Error> {
    field.deserialize_any(Amount)
}

/// True if a request can have consumed an amount.
fn is_plausible(amount: i64) -> bool {
    amount <= MAX_QUANTITY
}

/// Takes a whole number of at least zero that is plausible, and passes over anything else.
struct Amount;

impl<'de> Visitor<'de> for Amount {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Option<i64>, E> {
        Ok(i64::try_from(number)
            .ok()
            .filter(|amount| is_plausible(*amount)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Option<i64>, E> {
        Ok(Some(number).filter(|amount| *amount >= 0 && is_plausible(*amount)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Option<i64>, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<i64>, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Option<i64>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<i64>, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Option<i64>, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<i64>, A::Error> {
        IgnoredAny.visit_map(map).map(|_| None)
    }
}

impl Usage {
    /// `None` when it does not even say how long the input was.
    pub(crate) fn quantities(&self) -> Option<Quantities> {
        let input = self.prompt_tokens.or(self.input_tokens)?;
        let output = self.completion_tokens.or(self.output_tokens);
        let none = Details::default();
        let read = self.prompt_tokens_details.as_ref();
        let read = read.or(self.input_tokens_details.as_ref());
        let read = read.or(self.input_token_details.as_ref()).unwrap_or(&none);
        let written = self.completion_tokens_details.as_ref();
        let written = written.or(self.output_tokens_details.as_ref());
        let written = written.unwrap_or(&none);
        // The parts of the input add up to it, also where an upstream's numbers do not.
        let cached = read.cached_tokens.map(|cached| cached.min(input));
        let fresh = input - cached.unwrap_or(0);
        let cache_write = read.cache_write_tokens.map(|amount| amount.min(fresh));
        let uncached = cached.map(|_| fresh - cache_write.unwrap_or(0));
        let mut quantities = Quantities::default().with(Metric::NumModelRequests, 1);
        for (metric, amount) in [
            (Metric::InputTokens, Some(input)),
            (Metric::OutputTokens, output),
            (Metric::InputCachedTokens, cached),
            (Metric::InputCacheWriteTokens, cache_write),
            (Metric::InputUncachedTokens, uncached),
            (Metric::InputAudioTokens, read.audio_tokens),
            (Metric::InputImageTokens, read.image_tokens),
            (Metric::InputTextTokens, read.text_tokens),
            (Metric::OutputAudioTokens, written.audio_tokens),
            (Metric::OutputImageTokens, written.image_tokens),
            (Metric::OutputTextTokens, written.text_tokens),
        ] {
            if let Some(amount) = amount {
                quantities.set(metric, amount);
            }
        }
        Some(quantities)
    }
}
