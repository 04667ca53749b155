//! `[bodies]`: storage of request and response bodies.

use bodies::MOST_DAYS;
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Storage of request and response bodies for troubleshooting.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BodiesTable {
    /// Retention in days; 0 disables storage. At most 30, and the same on every node.
    #[schemars(extend("x-default" = "0"))]
    #[serde(default, deserialize_with = "days")]
    pub(super) keep_days: u32,
}

fn days<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let days = u32::deserialize(from)?;
    if days > MOST_DAYS {
        let wrong = format!("keep_days must be at most {MOST_DAYS}");
        return Err(D::Error::custom(wrong));
    }
    Ok(days)
}
