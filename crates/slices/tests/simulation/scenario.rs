//! The conditions and the result of a run.

use crate::database::DatabaseRules;

/// The conditions of a run.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub limit: i64,
    pub node_count: usize,
    /// True if the limit is one of tokens, which requests consume in lumps.
    pub is_tokens: bool,
    pub has_faults: bool,
    /// The number of the only fault that happens, if not all do.
    pub only_fault: Option<u64>,
    /// The least and the longest time between two faults, in milliseconds.
    pub fault_interval: (f64, f64),
    pub minutes: f64,
    /// The demand, in limits.
    pub demand: f64,
    pub database: DatabaseRules,
    /// True if a node stops when its session is over.
    pub ends_sessions: bool,
}

/// The result of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// The most that an interval of the window's length held.
    pub most: i64,
    pub admitted: u64,
    pub amount: i64,
    pub refused: u64,
    pub calls: u64,
    pub faults: u64,
}

impl Scenario {
    pub fn new(limit: i64, is_tokens: bool, node_count: usize) -> Self {
        Self {
            limit,
            node_count,
            is_tokens,
            has_faults: true,
            only_fault: None,
            fault_interval: (4_000.0, 40_000.0),
            minutes: 6.0,
            demand: 3.0,
            database: DatabaseRules::ALL,
            ends_sessions: true,
        }
    }

    pub fn calm(self) -> Self {
        Self {
            has_faults: false,
            ..self
        }
    }
}
