//! Where a project asks its data to be kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where data is kept and processed. It is stored and shown; a deployment is where its operator put it.
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
    /// Its name on the wire.
    pub(super) fn name(self) -> Option<String> {
        serde_json::to_value(self).ok()?.as_str().map(str::to_owned)
    }
}
