//! Fields that are common to spend alerts and spend limits.

use base::inline_schema;
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// An amount of US cents, at least `MIN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cents<const MIN: i64>(pub i64);

/// A hundred billion dollars. Smaller amounts cannot overflow.
const MAX_CENTS: i64 = 10_000_000_000_000;

impl<'de, const MIN: i64> Deserialize<'de> for Cents<MIN> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let cents = i64::deserialize(deserializer)?;
        if (MIN..=MAX_CENTS).contains(&cents) {
            return Ok(Self(cents));
        }
        Err(serde::de::Error::custom(format_args!(
            "must be {MIN} to {MAX_CENTS} cents"
        )))
    }
}

inline_schema!(Cents<MIN>, "Cents", |_| json_schema!({
    "type": "integer", "minimum": MIN, "maximum": MAX_CENTS,
}); for const MIN: i64);

/// Currency of an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum Currency {
    /// US dollars.
    #[serde(rename = "USD")]
    Usd,
}

/// Period over which spend is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Interval {
    /// A calendar month in UTC.
    Month,
}
