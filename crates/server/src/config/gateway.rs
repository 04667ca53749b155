//! `[gateway]` and `[objects]`: limits of running requests and of stored objects.

use std::time::Duration;

use anyhow::ensure;
use base::{Budget, BudgetLimits};
use gateway::{DEFAULT_BODY_MEMORY_BYTES, FlowLimits, MAX_REQUEST_BYTES, ObjectLimits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use usage::Recorder;

use super::cluster::ClusterTable;

/// Minimum of `client_idle_timeout_seconds`.
const MIN_CLIENT_IDLE_SECONDS: u64 = 1;
/// Maximum of every setting in seconds.
pub(super) const MAX_SECONDS: u64 = 24 * 60 * 60;

/// Limits of running requests, and the maximum age of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Limits of requests to the gateway.
    pub flow: FlowLimits,
    /// Memory of all request bodies being processed, in bytes.
    pub body_memory_bytes: u64,
    /// Maximum age of the directory; `None` for no limit.
    pub stale_keys: Option<Duration>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            flow: FlowLimits::default(),
            body_memory_bytes: DEFAULT_BODY_MEMORY_BYTES,
            stale_keys: Some(access::DEFAULT_MAX_AGE),
        }
    }
}

/// Limits of requests to the gateway.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GatewayTable {
    /// Memory of all request bodies being processed, in bytes; at least 512 MiB. A key may use an eighth, a project a quarter.
    body_memory_bytes: u64,
    /// Memory for decoding compressed responses, in bytes; shared like `body_memory_bytes`.
    answer_memory_bytes: u64,
    /// Maximum number of requests of a key that run or wait for the ledger; 1 to 8192.
    max_requests_per_key: u64,
    /// Maximum number of requests of a project that run or wait for the ledger; 1 to 8192.
    max_requests_per_project: u64,
    /// Timeout for a client that accepts nothing of an available response, in seconds; 1 to 86400.
    client_idle_timeout_seconds: u64,
    /// Time for which a response continues after its key was revoked, in seconds; at most 86400.
    revoked_stream_grace_seconds: u64,
}

/// Limits of files, batches, vector stores and containers per project; 0 for no limit.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ObjectsTable {
    /// Maximum number of requests per minute to the storage upstream.
    requests_per_minute: u32,
    /// Maximum number of concurrent requests to the storage upstream.
    max_concurrent_requests: u32,
    /// Maximum number of files and pending uploads.
    max_files: u32,
    /// Maximum number of vector stores.
    max_vector_stores: u32,
    /// Maximum number of running containers.
    max_containers: u32,
}

impl Default for GatewayTable {
    fn default() -> Self {
        Self::shown(&Bounds::default())
    }
}

impl Default for ObjectsTable {
    fn default() -> Self {
        Self::shown(&Bounds::default())
    }
}

impl GatewayTable {
    pub(super) fn shown(bounds: &Bounds) -> Self {
        let flow = &bounds.flow;
        Self {
            body_memory_bytes: bounds.body_memory_bytes,
            answer_memory_bytes: flow.answer_memory_bytes,
            max_requests_per_key: flow.max_requests_per_key,
            max_requests_per_project: flow.max_requests_per_project,
            client_idle_timeout_seconds: flow.client_idle_timeout.as_secs(),
            revoked_stream_grace_seconds: flow.revoked_stream_grace.as_secs(),
        }
    }
}

impl ObjectsTable {
    pub(super) fn shown(bounds: &Bounds) -> Self {
        let objects = &bounds.flow.objects;
        Self {
            requests_per_minute: objects.requests_per_minute,
            max_concurrent_requests: objects.max_concurrent_requests,
            max_files: objects.max_files,
            max_vector_stores: objects.max_vector_stores,
            max_containers: objects.max_containers,
        }
    }
}

impl Bounds {
    /// Returns an unused budget for the memory of request bodies.
    pub(crate) fn body_memory(&self) -> Budget {
        Budget::new(BudgetLimits::shared(self.body_memory_bytes))
    }

    /// Validates the tables.
    ///
    /// # Errors
    /// A value is out of range; the message names it.
    pub(super) fn new(
        gateway: &GatewayTable,
        objects: &ObjectsTable,
        cluster: &ClusterTable,
    ) -> anyhow::Result<Self> {
        let least = 8 * MAX_REQUEST_BYTES as u64;
        ensure!(
            gateway.body_memory_bytes >= least,
            "[gateway] body_memory_bytes must be at least {least}: a key may use an eighth of it, and one body has up to \
             {MAX_REQUEST_BYTES} bytes"
        );
        let queue = Recorder::QUEUE_CAPACITY as u64;
        for (name, requests) in [
            ("max_requests_per_key", gateway.max_requests_per_key),
            ("max_requests_per_project", gateway.max_requests_per_project),
        ] {
            ensure!(
                (1..=queue).contains(&requests),
                "[gateway] {name} must be 1 to {queue}, which is how many requests the ledger's queue has room for"
            );
        }
        ensure!(
            gateway.client_idle_timeout_seconds >= MIN_CLIENT_IDLE_SECONDS,
            "[gateway] client_idle_timeout_seconds must be at least {MIN_CLIENT_IDLE_SECONDS}"
        );
        for (name, seconds) in [
            (
                "[gateway] client_idle_timeout_seconds",
                gateway.client_idle_timeout_seconds,
            ),
            (
                "[gateway] revoked_stream_grace_seconds",
                gateway.revoked_stream_grace_seconds,
            ),
        ] {
            ensure!(
                seconds <= MAX_SECONDS,
                "{name} must be at most {MAX_SECONDS}"
            );
        }
        Ok(Self {
            flow: FlowLimits {
                max_requests_per_key: gateway.max_requests_per_key,
                max_requests_per_project: gateway.max_requests_per_project,
                answer_memory_bytes: gateway.answer_memory_bytes,
                client_idle_timeout: Duration::from_secs(gateway.client_idle_timeout_seconds),
                revoked_stream_grace: Duration::from_secs(gateway.revoked_stream_grace_seconds),
                objects: ObjectLimits {
                    requests_per_minute: objects.requests_per_minute,
                    max_concurrent_requests: objects.max_concurrent_requests,
                    max_files: objects.max_files,
                    max_vector_stores: objects.max_vector_stores,
                    max_containers: objects.max_containers,
                },
            },
            body_memory_bytes: gateway.body_memory_bytes,
            stale_keys: cluster.stale_keys()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Tables {
        gateway: GatewayTable,
        objects: ObjectsTable,
        cluster: ClusterTable,
    }

    fn bounds(text: &str) -> anyhow::Result<Bounds> {
        let tables: Tables = toml::from_str(text)?;
        Bounds::new(&tables.gateway, &tables.objects, &tables.cluster)
    }

    #[test]
    fn what_is_not_set_has_its_default() {
        assert_eq!(bounds("").expect("defaults"), Bounds::default());
        let set = "[gateway]\nmax_requests_per_key = 7\n[objects]\nmax_files = 0\n[cluster]\nstale_keys_seconds = 0";
        let set = bounds(set).expect("possible");
        assert_eq!(set.flow.max_requests_per_key, 7);
        assert_eq!(set.flow.objects.max_files, 0);
        assert_eq!(set.stale_keys, None);
        assert_eq!(set.body_memory_bytes, Bounds::default().body_memory_bytes);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, wrong) in [
            (
                "[gateway]\nbody_memory_bytes = 1000",
                "body_memory_bytes must be at least 536870912",
            ),
            (
                "[gateway]\nmax_requests_per_key = 0",
                "max_requests_per_key must be 1 to 8192",
            ),
            (
                "[gateway]\nmax_requests_per_project = 8193",
                "max_requests_per_project must be 1 to 8192",
            ),
            (
                "[gateway]\nclient_idle_timeout_seconds = 0",
                "client_idle_timeout_seconds must be at least 1",
            ),
            (
                "[cluster]\nstale_keys_seconds = 86401",
                "stale_keys_seconds must be at most 86400",
            ),
            ("[gateway]\nmax_request = 1", "max_request"),
        ] {
            let error = bounds(text).expect_err(text).to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
