//! `[metering]`: durability of ledger rows.

use ::gateway::Durability;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Durability of ledger rows.
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MeteringTable {
    /// `batched`: a row is durable within 200 ms after the response; `strict`: before its last byte.
    #[serde(default)]
    durability: DurabilityName,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
enum DurabilityName {
    #[default]
    Batched,
    Strict,
}

impl MeteringTable {
    pub(super) fn durability(&self) -> Durability {
        match self.durability {
            DurabilityName::Batched => Durability::Batched,
            DurabilityName::Strict => Durability::Strict,
        }
    }

    /// Returns the table that `config show` prints.
    pub(super) fn shown(durability: Durability) -> Self {
        Self {
            durability: match durability {
                Durability::Batched => DurabilityName::Batched,
                Durability::Strict => DurabilityName::Strict,
            },
        }
    }
}
