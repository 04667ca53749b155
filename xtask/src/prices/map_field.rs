//! Fields of the public price map, and the prices of a price book that they are.

use super::condition::Condition;

/// A field of a model.
#[derive(Debug, PartialEq, Eq)]
pub enum MapField {
    /// A price of a unit.
    Price(Priced),
    /// Prices of a web search by the size of its context.
    SearchSizes,
    /// A field that has no price, or one of something that is not charged here.
    Fact,
    /// A price that the importer does not know.
    Unknown,
}

/// The price that a field has.
#[derive(Debug, PartialEq, Eq)]
pub struct Priced {
    /// Key of the price in a price book.
    pub key: &'static str,
    /// Units that the price of a price book is for.
    pub units: i128,
    /// Conditions of the price.
    pub condition: Condition,
}

/// Tokens or characters that a price of a price book is for.
const MILLION_COUNT: i128 = 1_000_000;

/// Beginnings of fields, with the key and the unit of the price; the rest of the name has its conditions. A longer
/// beginning comes before a shorter one.
const PRICES: &[(&str, &str, i128)] = &[
    ("input_cost_per_audio_token", "input_audio", MILLION_COUNT),
    ("input_cost_per_image_token", "input_image", MILLION_COUNT),
    ("input_cost_per_token", "input", MILLION_COUNT),
    ("input_cost_per_character", "character", MILLION_COUNT),
    ("input_cost_per_second", "second", 1),
    ("output_cost_per_audio_token", "output_audio", MILLION_COUNT),
    ("output_cost_per_image_token", "output_image", MILLION_COUNT),
    ("output_cost_per_token", "output", MILLION_COUNT),
    ("output_cost_per_second", "second", 1),
    ("output_cost_per_image", "image", 1),
    (
        "cache_read_input_audio_token_cost",
        "cached_input_audio",
        MILLION_COUNT,
    ),
    (
        "cache_read_input_image_token_cost",
        "cached_input_image",
        MILLION_COUNT,
    ),
    ("cache_read_input_token_cost", "cached_input", MILLION_COUNT),
    (
        "cache_creation_input_token_cost_above_12hr",
        "cache_write_12h",
        MILLION_COUNT,
    ),
    (
        "cache_creation_input_token_cost",
        "cache_write",
        MILLION_COUNT,
    ),
];
/// Fields with a price that no price book has: cache writes of audio cost what the tokens cost.
const UNCHARGED: &[&str] = &["cache_creation_input_audio_token_cost"];
/// Ends of fields that name a service tier.
const TIERS: &[&str] = &["priority", "flex", "ultrafast"];

impl Priced {
    /// Calls of a tool that a price of a price book is for.
    pub const CALL_COUNT: i128 = 1_000;
}

impl MapField {
    /// Returns the meaning of a field by its name.
    pub fn of(field: &str) -> Self {
        if field == "search_context_cost_per_query" {
            return Self::SearchSizes;
        }
        if UNCHARGED.contains(&field) || !field.contains("cost") {
            return Self::Fact;
        }
        let priced = PRICES.iter().find_map(|(begin, key, units)| {
            let condition = condition(field.strip_prefix(begin)?)?;
            let (key, units) = (*key, *units);
            Some(Self::Price(Priced {
                key,
                units,
                condition,
            }))
        });
        priced.unwrap_or(Self::Unknown)
    }
}

/// Reads the conditions at the end of a field's name, in any order; `None` if a part is unknown.
fn condition(mut rest: &str) -> Option<Condition> {
    let mut condition = Condition::default();
    while !rest.is_empty() {
        let next = rest.strip_prefix('_')?;
        if let Some(after) = next.strip_prefix("batches") {
            (condition.batch, rest) = (true, after);
        } else if let Some(after) = next.strip_prefix("decisions") {
            condition.endpoint = Some("decisions".to_owned());
            rest = after;
        } else if let Some(length) = next.strip_prefix("above_") {
            let (thousands, after) = length.split_once("k_tokens")?;
            let thousands: u32 = thousands.parse().ok()?;
            condition.above_input_tokens = Some(thousands.checked_mul(1_000)?);
            rest = after;
        } else {
            let tier = TIERS.iter().find(|tier| next.starts_with(**tier))?;
            condition.service_tier = Some((*tier).to_owned());
            rest = &next[tier.len()..];
        }
    }
    Some(condition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(field: &str) -> (&'static str, i128, Condition) {
        match MapField::of(field) {
            MapField::Price(priced) => (priced.key, priced.units, priced.condition),
            other => panic!("{field}: {other:?}"),
        }
    }

    #[test]
    fn a_field_is_a_key_a_unit_and_conditions() {
        let none = Condition::default();
        let above = Condition {
            above_input_tokens: Some(272_000),
            ..none.clone()
        };
        let tier = |tier: &str, from: &Condition| Condition {
            service_tier: Some(tier.to_owned()),
            ..from.clone()
        };
        let batch = |from: &Condition| Condition {
            batch: true,
            ..from.clone()
        };
        let decisions = |from: &Condition| Condition {
            endpoint: Some("decisions".to_owned()),
            ..from.clone()
        };
        for (field, key, units, condition) in [
            ("input_cost_per_token", "input", 1_000_000, none.clone()),
            (
                "input_cost_per_token_above_272k_tokens_batches",
                "input",
                1_000_000,
                batch(&above),
            ),
            (
                "cache_creation_input_token_cost_above_12hr_above_272k_tokens_ultrafast",
                "cache_write_12h",
                1_000_000,
                tier("ultrafast", &above),
            ),
            (
                "cache_creation_input_token_cost_priority",
                "cache_write",
                1_000_000,
                tier("priority", &none),
            ),
            (
                "cache_read_input_token_cost_above_272k_tokens_decisions",
                "cached_input",
                1_000_000,
                decisions(&above),
            ),
            (
                "output_cost_per_image_token_batches",
                "output_image",
                1_000_000,
                batch(&none),
            ),
            (
                "cache_read_input_image_token_cost",
                "cached_input_image",
                1_000_000,
                none.clone(),
            ),
            ("input_cost_per_second", "second", 1, none.clone()),
            ("input_cost_per_character", "character", 1_000_000, none),
        ] {
            assert_eq!(read(field), (key, units, condition), "{field}");
        }
    }

    #[test]
    fn an_unknown_price_is_said_to_be_unknown_and_a_fact_is_none() {
        for field in [
            "input_cost_per_token_above_1hr",
            "input_cost_per_token_batches_x",
            "output_cost_per_video_per_second",
            "code_interpreter_cost_per_session",
        ] {
            assert_eq!(MapField::of(field), MapField::Unknown, "{field}");
        }
        for field in [
            "mode",
            "max_input_tokens",
            "regional_processing_uplift_multiplier_eu",
            "cache_creation_input_audio_token_cost",
        ] {
            assert_eq!(MapField::of(field), MapField::Fact, "{field}");
        }
        let sizes = MapField::of("search_context_cost_per_query");
        assert_eq!(sizes, MapField::SearchSizes);
    }
}
