//! Data residency of projects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Region in which data is stored and processed. The value is stored and shown, but has no effect.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are the contract's own")]
pub enum Residency {
    Global,
    UsStorageProcessing,
    EuStorageProcessing,
    JpStorage,
    JpStorageProcessing,
    KrStorage,
    CaStorage,
    SgStorage,
    InStorage,
    InStorageProcessing,
    AuStorage,
    AuStorageProcessing,
    GbStorage,
    AeStorage,
    AeStorageProcessing,
}

impl Residency {
    /// Returns the name on the wire.
    pub(super) fn name(self) -> Option<String> {
        serde_json::to_value(self).ok()?.as_str().map(str::to_owned)
    }
}
