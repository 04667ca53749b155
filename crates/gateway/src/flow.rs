//! Flow control: bounds of the requests in flight, for each key and project, and of the time that a client may take.

use std::time::Duration;

use base::{Budget, BudgetLimits, BudgetPermit, Result};
use usage::Recorder;

use crate::caller::Caller;
use crate::request_body;

/// The default budget for request bodies in flight, in bytes.
pub const DEFAULT_BODY_MEMORY_BYTES: u64 = 1024 * 1024 * 1024;

/// Bounds of the requests in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowLimits {
    /// Maximum requests of one key that are in flight or wait to be written to the ledger.
    pub max_requests_per_key: u64,
    /// Maximum requests of all keys of a project that are in flight or wait to be written to the ledger.
    pub max_requests_per_project: u64,
    /// Bytes of memory in which compressed answers are decoded at the same time.
    pub answer_memory_bytes: u64,
    /// Longest time for which a client may leave available bytes of a response unread.
    pub client_idle_timeout: Duration,
    /// Time for which a response continues after its key was revoked.
    pub revoked_stream_grace: Duration,
    /// Bounds of the requests about files, uploads, batches, vector stores and containers.
    pub objects: ObjectLimits,
}

/// Bounds of what a project may use of the upstream that keeps its files, batches, vector stores and containers. 0 means no
/// bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectLimits {
    /// Maximum requests to the upstream within a minute.
    pub requests_per_minute: u32,
    /// Maximum requests to the gateway that are in flight at the same time.
    pub max_concurrent_requests: u32,
    /// Maximum files, the output files of batches and pending uploads included.
    pub max_files: u32,
    /// Maximum vector stores.
    pub max_vector_stores: u32,
    /// Maximum containers that run.
    pub max_containers: u32,
}

impl Default for ObjectLimits {
    fn default() -> Self {
        Self {
            requests_per_minute: 3_000,
            max_concurrent_requests: 16,
            max_files: 10_000,
            max_vector_stores: 1_000,
            max_containers: 1_000,
        }
    }
}

impl Default for FlowLimits {
    fn default() -> Self {
        let queue = Recorder::QUEUE_CAPACITY as u64;
        Self {
            max_requests_per_key: queue / 8,
            max_requests_per_project: queue / 4,
            answer_memory_bytes: 256 * 1024 * 1024,
            client_idle_timeout: Duration::from_secs(60),
            revoked_stream_grace: Duration::ZERO,
            objects: ObjectLimits::default(),
        }
    }
}

/// The stage that charges each request in flight to the budgets of its key and project.
pub(crate) struct FlowControl {
    requests: Budget,
    bodies: Budget,
    /// Memory in which compressed answers are decoded.
    pub(crate) answers: Budget,
}

impl FlowControl {
    /// Returns the budgets for these limits. `bodies`, the budget for the bytes of request bodies, is shared with the rest of
    /// the program.
    pub(crate) fn new(limits: &FlowLimits, bodies: Budget) -> Self {
        Self {
            requests: Budget::new(BudgetLimits {
                // The capacity of the ledger's queue bounds the sum.
                total: u64::MAX,
                per_key: limits.max_requests_per_key,
                per_project: limits.max_requests_per_project,
            }),
            bodies,
            answers: Budget::new(BudgetLimits::shared(limits.answer_memory_bytes)),
        }
    }

    /// Charges one request in flight to the caller's key and project.
    ///
    /// # Errors
    /// 429: the key, or the project, has its maximum in flight.
    pub(crate) fn request(&self, caller: &Caller) -> Result<BudgetPermit> {
        let permit = caller.charge(&self.requests, 1);
        permit.map_err(|bound| bound.refusal("The requests under way"))
    }

    /// Returns an empty permit that the bytes of the caller's request body are charged to.
    pub(crate) fn body(&self, caller: &Caller) -> Result<BudgetPermit> {
        caller
            .charge(&self.bodies, 0)
            .map_err(request_body::refusal)
    }

    /// Returns an empty permit that the memory for decoding the answer to the caller is charged to.
    pub(crate) fn answer(&self, caller: &Caller) -> Result<BudgetPermit> {
        let permit = caller.charge(&self.answers, 0);
        permit.map_err(|bound| bound.refusal("The bytes of answers under way"))
    }
}
