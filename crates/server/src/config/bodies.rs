//! `[bodies]`: whether bodies of the gateway's requests are kept.

use bodies::MAX_KEEP_DAYS;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BodiesTable {
    /// For how many days; 0 for not at all.
    #[serde(default, deserialize_with = "days")]
    pub(super) keep_days: u32,
}

fn days<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let days = u32::deserialize(from)?;
    if days > MAX_KEEP_DAYS {
        let wrong = format!("keep_days must be at most {MAX_KEEP_DAYS}");
        return Err(D::Error::custom(wrong));
    }
    Ok(days)
}
