//! Everything that goes wrong.

use slices::Safeguards;

use crate::world::{Event, World};

/// The number of different faults.
const FAULT_COUNT: u64 = 9;
/// The number of a failover that loses commits.
pub const LOSSY_FAILOVER_ID: u64 = 3;
/// The number of a failover from which a node is cut off.
pub const CUT_OFF_ID: u64 = 8;
impl<S: Safeguards> World<S> {
    pub fn latency(&mut self) -> f64 {
        let chance = self.random.unit();
        if chance < 0.95 || !self.scenario.has_faults {
            self.random.between(0.2, 3.0)
        } else if chance < 0.99 {
            self.random.between(3.0, 400.0)
        } else {
            self.random.between(400.0, 6_000.0)
        }
    }

    pub fn is_lost(&mut self) -> bool {
        self.scenario.has_faults && self.random.is_chance(0.02)
    }

    pub fn fault(&mut self) {
        self.outcome.faults += 1;
        let node = self.random.below(self.nodes.len() as u64) as usize;
        let kind = self.random.below(FAULT_COUNT);
        match self.scenario.only_fault.unwrap_or(kind) {
            0 => self.kill(node),
            1 => self.nodes[node].paused_until = self.now + self.random.between(500.0, 12_000.0),
            2 => self.fail_over(false, false),
            3 => self.fail_over(true, false),
            4 => self.fail_over(true, true),
            5 => {
                // A session that began within the replica's lag, and whose node dies with the primary, is not modelled.
                if self.copy.knows(self.nodes[node].session.epoch) {
                    self.kill(node);
                    self.fail_over(true, false);
                }
            }
            6 => {
                self.fail_over(true, false);
                self.step_clock();
            }
            7 => self.step_clock(),
            _ => self.cut_off(node),
        }
        let (least, longest) = self.scenario.fault_interval;
        let next = self.now + self.random.between(least, longest);
        self.at(next, Event::Fault);
    }

    pub fn kill(&mut self, node: usize) {
        let earliest = self.clock_stepped_at + 2_000.0;
        if self.now < earliest {
            // A step of the clock is noticed by nodes that live through it.
            self.at(earliest, Event::Kill(node));
            return;
        }
        self.nodes[node].die();
        self.nodes[node].paused_until = self.now + self.random.between(200.0, 5_000.0);
    }

    /// Promotes a standby, which has lost the last commits or none; in a split, some nodes talk with the old primary for a
    /// while.
    fn fail_over(&mut self, is_lossy: bool, is_split: bool) {
        let base = if is_lossy {
            self.copy.clone()
        } else {
            self.database.clone()
        };
        let new = base.promoted(&self.database);
        let old = std::mem::replace(&mut self.database, new);
        self.old = is_split.then_some(old);
        for node in &mut self.nodes {
            let is_old = is_split && self.random.is_chance(0.5);
            let last = self.now + self.random.between(0.0, 5_000.0);
            node.sees_old_until = if is_old { last } else { 0.0 };
        }
        self.copy = self.database.clone();
    }

    /// Promotes a standby that has lost the last commits, while a node goes on with the old primary, but cannot prolong its
    /// session. In the end the node may be killed.
    fn cut_off(&mut self, node: usize) {
        let old = self.database.clone();
        self.fail_over(true, false);
        self.old = Some(old);
        let until = self.now + self.random.between(0.0, 25_000.0);
        self.nodes[node].sees_old_until = until;
        self.nodes[node].cut_until = until;
        if self.random.is_chance(0.5) {
            self.at(until, Event::Kill(node));
        }
    }

    /// Sets the database's clock, if a node lives that notices it.
    fn step_clock(&mut self) {
        let now = self.now;
        let witness = self.nodes.iter().any(|node| {
            let is_connected = node.cut_until <= now && node.sees_old_until <= now;
            node.has_session() && node.paused_until <= now && is_connected
        });
        if witness {
            let step = self.random.between(300.0, 90_000.0) as i64;
            let is_forward = self.random.is_chance(0.5);
            self.at(
                self.now,
                Event::StepClock(if is_forward { step } else { -step }),
            );
        }
    }

    /// Copies the database to its standby, which lags behind until the next copy.
    pub fn copy_database(&mut self) {
        self.copy = self.database.clone();
        let is_slow = self.random.is_chance(0.1);
        let lag = if is_slow { 3_000.0 } else { 200.0 };
        let next = self.now + self.random.between(5.0, lag);
        self.at(next, Event::Copy);
    }
}
