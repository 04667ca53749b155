//! `[metering]`: durability of ledger rows and of requests under way.

use ::gateway::Durability;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Durability of ledger rows and of requests under way.
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MeteringTable {
    /// `batched`: a row is durable within 200 ms after the response; `strict`: before its last byte.
    #[serde(default)]
    durability: DurabilityName,
    /// `batched`: a request is durable half a second after its admission, so that it has a row even if the process dies; `strict`:
    /// before it is forwarded.
    #[serde(default)]
    admission: DurabilityName,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
enum DurabilityName {
    #[default]
    Batched,
    Strict,
}

impl From<DurabilityName> for Durability {
    fn from(name: DurabilityName) -> Self {
        match name {
            DurabilityName::Batched => Self::Batched,
            DurabilityName::Strict => Self::Strict,
        }
    }
}

impl From<Durability> for DurabilityName {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Batched => Self::Batched,
            Durability::Strict => Self::Strict,
        }
    }
}

impl MeteringTable {
    pub(super) fn durability(&self) -> Durability {
        self.durability.into()
    }

    pub(super) fn admission(&self) -> Durability {
        self.admission.into()
    }

    /// Returns the table that `config show` prints.
    pub(super) fn shown(durability: Durability, admission: Durability) -> Self {
        Self {
            durability: durability.into(),
            admission: admission.into(),
        }
    }
}
