//! Many nodes against a database that fails in every way: no interval of a window's length may hold more than the limit.
//!
//! Faults, every 4 to 40 seconds: a node is killed, or paused for up to 12 seconds; the database fails over to a standby, which
//! has every commit or has lost those of the last 3 seconds, mostly of 200 milliseconds, while some nodes go on with the old primary for up to
//! five seconds, or one for up to 25 seconds without its session, or while a node is killed; the clock of the database is set by up to 90 seconds. Besides, 4 % of calls are lost
//! and 1 % are late by up to 6 seconds.
//!
//! Assumed are: a primary that was replaced prolongs no session for longer than it lasts; a node that starts in the second in
//! which the clock is set, or in the lag of a replica that is promoted while the node dies, is not there.
//!
//! `ORGPLANE_TEST_SLICES_SEEDS` is the number of seeds of each of 15 scenarios, `ORGPLANE_TEST_SLICES_SEED` the first one. The
//! command `cargo xtask slices` runs many.

#![cfg(not(loom))]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the times of the simulation are small"
)]

/// Declares a set of rules without one of them.
macro_rules! without {
    ($name:ident, $rule:ident) => {
        #[derive(Clone, Copy, Default)]
        struct $name;
        impl Safeguards for $name {
            const $rule: bool = false;
        }
    };
}

mod database;
mod directed;
mod faults;
mod mutants;
mod node;
mod one_node;
mod random;
mod scenario;
mod store;
mod world;

use slices::AllSafeguards;

use scenario::{Outcome, Scenario};
use world::run;

const DEFAULT_SEED_COUNT: u64 = 2;

/// The limits of the scenarios; true for those of tokens.
const LIMITS: [(i64, bool); 5] = [
    (1, false),
    (3, false),
    (60, false),
    (600, false),
    (40_000, true),
];

fn variable(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().expect("a number"))
}

fn seeds() -> std::ops::Range<u64> {
    let first = variable("ORGPLANE_TEST_SLICES_SEED", 1);
    first..first + variable("ORGPLANE_TEST_SLICES_SEEDS", DEFAULT_SEED_COUNT)
}

/// Runs all seeds of the scenarios with this number of nodes.
fn check(node_count: usize) {
    for (limit, is_tokens) in LIMITS {
        let scenario = Scenario::new(limit, is_tokens, node_count);
        let mut sum = Outcome::default();
        for seed in seeds() {
            let outcome = run::<AllSafeguards>(seed, &scenario);
            assert!(
                outcome.most <= limit,
                "seed {seed}: {} of {limit} within a window, {scenario:?}",
                outcome.most
            );
            sum.admitted += outcome.admitted;
            sum.faults += outcome.faults;
        }
        assert!(sum.admitted > 0 && sum.faults > 0, "{scenario:?}: {sum:?}");
    }
}

#[test]
fn one_node_never_exceeds_a_limit() {
    check(1);
}

#[test]
fn three_nodes_never_exceed_a_limit_together() {
    check(3);
}

#[test]
fn ten_nodes_never_exceed_a_limit_together() {
    check(10);
}

#[test]
fn limits_are_used_and_requests_rarely_wait() {
    for (limit, is_tokens, node_count, least_used, most_calls) in [
        (1, false, 3, 0.80, 2.5),
        (60, false, 1, 0.95, 3.0),
        (60, false, 3, 0.95, 3.0),
        (60, false, 10, 0.95, 4.0),
        (40_000, true, 3, 0.75, 15.0),
    ] {
        let scenario = Scenario::new(limit, is_tokens, node_count).calm();
        let mut amount = 0;
        let mut sum = Outcome::default();
        for seed in 1..4 {
            let outcome = run::<AllSafeguards>(seed, &scenario);
            amount += outcome.amount;
            sum.admitted += outcome.admitted;
            sum.refused += outcome.refused;
            sum.calls += outcome.calls;
        }
        let used = amount as f64 / (3.0 * limit as f64 * scenario.minutes);
        let calls = sum.calls as f64 / (sum.admitted + sum.refused) as f64;
        assert!(
            used >= least_used && calls <= most_calls,
            "limit {limit}, {node_count} nodes: {used:.2} of the limit used, {calls:.2} calls a request"
        );
    }
}
