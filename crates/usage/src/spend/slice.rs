//! Slices: the part of what a spend limit leaves that one node may spend without asking again.
//!
//! In a month, what is spent and all slices are together at most the limit: a slice grows only in a transaction that
//! sees both, and shrinks in the transaction in which the cost counts. See `docs/decisions/0016-spend-slices.md`.

use std::time::Duration;

use base::NanoDollars;
use base::UnixTime;
use base::ids::{OrganizationId, ProjectId};
use base::time::Stopwatch;

/// The time for whose costs a slice is asked, and after which an unused one is given back.
pub(super) const DEMAND_INTERVAL: Duration = Duration::from_secs(10);

/// The key of a slice in the database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SliceKey {
    /// The first second of the month.
    pub(crate) month: UnixTime,
    pub(crate) organization_id: OrganizationId,
    pub(crate) project_id: ProjectId,
    pub(crate) epoch: i64,
}

/// The amount of a slice in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SliceTotal {
    pub(crate) key: SliceKey,
    pub(crate) amount: NanoDollars,
    /// The number of changes so far.
    pub(crate) changes: i64,
}

/// A slice in memory: that of one project in one month.
#[derive(Debug)]
pub(super) struct Slice {
    /// The session that the slice belongs to.
    epoch: i64,
    /// The amount in the database.
    granted: NanoDollars,
    changes: i64,
    /// The part that is reserved for requests under way.
    reserved: NanoDollars,
    /// The part that is being given back.
    returning: NanoDollars,
    /// The sum of what requests wait for.
    pub(super) waiting: NanoDollars,
    demand: Demand,
    /// The time since the last request.
    used: Stopwatch,
}

/// The costs of the last [`DEMAND_INTERVAL`], or of the one before if they were higher.
#[derive(Debug)]
struct Demand {
    since: Stopwatch,
    current: NanoDollars,
    previous: NanoDollars,
}

/// An amount that a node asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SliceAsk {
    /// The least that helps: less is refused.
    pub(super) need: NanoDollars,
    /// The amount that lasts for a while.
    pub(super) wanted: NanoDollars,
}

impl SliceAsk {
    /// Returns the amount to grant of what is `left`, where this many nodes have slices: what is wanted, up to a share
    /// that leaves something to the others, but at least the need. `None` if too little is left.
    pub(super) fn grant(self, left: NanoDollars, holders: i64) -> Option<NanoDollars> {
        let share = NanoDollars(left.0 / (2 * holders.max(1)));
        let grant = self.need.max(self.wanted.min(share));
        (self.need <= left).then_some(grant)
    }
}

impl Default for Slice {
    fn default() -> Self {
        let zero = NanoDollars::default();
        Self {
            epoch: 0,
            granted: zero,
            changes: 0,
            reserved: zero,
            returning: zero,
            waiting: zero,
            demand: Demand {
                since: Stopwatch::start(),
                current: zero,
                previous: zero,
            },
            used: Stopwatch::start(),
        }
    }
}

impl Slice {
    /// Returns what may be reserved of the slice of a session.
    pub(super) fn free(&self, epoch: i64) -> NanoDollars {
        let free = self.granted - self.reserved - self.returning;
        if self.epoch == epoch {
            free.max(NanoDollars::default())
        } else {
            NanoDollars::default()
        }
    }

    /// Reserves an amount. True if the slice of the session has it.
    pub(super) fn reserve(&mut self, epoch: i64, amount: NanoDollars) -> bool {
        self.used = Stopwatch::start();
        let fits = amount <= self.free(epoch);
        if fits && self.epoch == epoch {
            self.reserved += amount;
        }
        fits
    }

    /// Changes what is reserved, unless that was of another session's slice.
    pub(super) fn change_reserved(&mut self, epoch: i64, before: NanoDollars, after: NanoDollars) {
        if self.epoch == epoch {
            self.reserved = self.reserved - before + after;
        }
    }

    /// Sets the amount in the database, unless a later one is known.
    pub(super) fn set(&mut self, total: &SliceTotal) {
        if total.key.epoch > self.epoch {
            *self = Self {
                epoch: total.key.epoch,
                waiting: self.waiting,
                ..Self::default()
            };
        }
        if total.key.epoch == self.epoch && total.changes > self.changes {
            self.granted = total.amount;
            self.changes = total.changes;
        }
    }

    /// Adds the cost of a request that has ended.
    pub(super) fn spent(&mut self, cost: NanoDollars) {
        self.demand.add(cost);
    }

    /// Returns what to ask for, for a request of this cost.
    pub(super) fn ask(&mut self, epoch: i64, cost: NanoDollars) -> SliceAsk {
        SliceAsk {
            need: cost - self.free(epoch),
            wanted: self.waiting.max(cost) + self.demand.amount(),
        }
    }

    /// True if no request has used the slice lately.
    pub(super) fn is_idle(&self) -> bool {
        self.used.elapsed() >= DEMAND_INTERVAL
    }

    /// Takes what is free, to give it back.
    pub(super) fn begin_return(&mut self, epoch: i64) -> NanoDollars {
        let free = self.free(epoch);
        self.returning += free;
        free
    }

    /// Ends a return; the amount in the database is without it.
    pub(super) fn end_return(&mut self, total: &SliceTotal, amount: NanoDollars) {
        if total.key.epoch == self.epoch {
            self.returning = self.returning - amount;
        }
        self.set(total);
    }

    /// Sets the amount that was read while nothing was being given back.
    pub(super) fn reload(&mut self, total: &SliceTotal) {
        if total.key.epoch == self.epoch {
            self.returning = NanoDollars::default();
        }
        self.set(total);
    }
}

impl Demand {
    fn add(&mut self, cost: NanoDollars) {
        self.turn();
        self.current += cost;
    }

    fn amount(&mut self) -> NanoDollars {
        self.turn();
        self.current.max(self.previous)
    }

    fn turn(&mut self) {
        let elapsed = self.since.elapsed();
        if elapsed < DEMAND_INTERVAL {
            return;
        }
        let is_recent = elapsed < 2 * DEMAND_INTERVAL;
        let last = std::mem::take(&mut self.current);
        self.previous = if is_recent {
            last
        } else {
            NanoDollars::default()
        };
        self.since = Stopwatch::start();
    }
}

#[cfg(test)]
mod tests {
    use base::ids::Id;
    use proptest::prelude::*;
    use tokio::time::advance;

    use super::*;

    fn total(epoch: i64, amount: i64, changes: i64) -> SliceTotal {
        SliceTotal {
            key: SliceKey {
                month: UnixTime(0),
                organization_id: OrganizationId::from_text("org-a".to_owned()),
                project_id: ProjectId::from_text("proj_a".to_owned()),
                epoch,
            },
            amount: NanoDollars(amount),
            changes,
        }
    }

    proptest! {
        #[test]
        fn a_grant_is_between_the_need_and_what_is_left(
            need in 1..1_000i64, more in 0..1_000i64, left in -100..1_500i64, holders in 0..20i64,
        ) {
            let ask = SliceAsk { need: NanoDollars(need), wanted: NanoDollars(need + more) };
            match ask.grant(NanoDollars(left), holders) {
                None => prop_assert!(need > left),
                Some(grant) => {
                    prop_assert!(grant.0 >= need && grant.0 <= left && grant <= ask.wanted);
                    // More than the need leaves the others their share.
                    prop_assert!(grant.0 == need || grant.0 <= left / (2 * holders.max(1)));
                }
            }
        }

        /// Any number of nodes ask, spend less than they reserve, give back, and die: what is spent and all slices are
        /// together at most the limit after each step.
        #[test]
        fn no_order_of_steps_passes_the_limit(
            limit in 1..2_000i64,
            steps in prop::collection::vec((0..4usize, 0..4u8, 1..200i64, 0..200i64), 1..200),
        ) {
            let mut spent = 0;
            let mut slices: [(Slice, i64); 4] = std::array::from_fn(|_| {
                let mut slice = Slice::default();
                slice.set(&total(1, 0, 1));
                (slice, 1)
            });
            for (node, step, cost, other) in steps {
                let held: i64 = slices.iter().map(|(slice, _)| slice.granted.0).sum();
                let holders = slices.iter().filter(|(slice, _)| slice.granted.0 > 0).count();
                let (slice, changes) = &mut slices[node];
                let mut set = |slice: &mut Slice, amount: i64| {
                    *changes += 1;
                    slice.set(&total(1, amount, *changes));
                };
                match step {
                    0 | 1 => {
                        let cost = NanoDollars(cost);
                        if !slice.reserve(1, cost) {
                            let ask = slice.ask(1, cost);
                            let granted = ask.grant(NanoDollars(limit - spent - held), holders as i64);
                            if let Some(granted) = granted {
                                let amount = (slice.granted + granted).0;
                                set(slice, amount);
                                prop_assert!(slice.reserve(1, cost), "the grant suffices");
                            }
                        }
                    }
                    2 => {
                        // Of what is reserved, a part is spent.
                        let reserved = slice.reserved.0.min(cost);
                        let paid = reserved.min(other);
                        spent += paid;
                        let amount = slice.granted.0 - paid;
                        set(slice, amount);
                        slice.change_reserved(1, NanoDollars(reserved), NanoDollars(0));
                        slice.spent(NanoDollars(paid));
                    }
                    _ => {
                        let free = slice.begin_return(1);
                        prop_assert_eq!(slice.free(1), NanoDollars(0));
                        *changes += 1;
                        let left = slice.granted - free;
                        slice.end_return(&total(1, left.0, *changes), free);
                    }
                }
                let held: i64 = slices.iter().map(|(slice, _)| slice.granted.0).sum();
                prop_assert!(spent + held <= limit, "{} + {} of {}", spent, held, limit);
                for (slice, _) in &slices {
                    prop_assert!(slice.reserved <= slice.granted);
                }
            }
        }
    }

    #[test]
    fn an_older_amount_does_not_replace_a_newer_one() {
        let mut slice = Slice::default();
        slice.set(&total(7, 100, 2));
        slice.set(&total(7, 500, 1));
        assert_eq!(slice.free(7), NanoDollars(100));
        assert!(slice.reserve(7, NanoDollars(60)));
        assert!(!slice.reserve(7, NanoDollars(41)));
        slice.set(&total(6, 500, 9));
        assert_eq!(slice.free(7), NanoDollars(40));
    }

    #[test]
    fn another_session_begins_with_an_empty_slice() {
        let mut slice = Slice::default();
        slice.set(&total(7, 100, 5));
        assert!(slice.reserve(7, NanoDollars(60)));
        assert_eq!(slice.free(8), NanoDollars(0));
        slice.set(&total(8, 30, 1));
        slice.change_reserved(7, NanoDollars(60), NanoDollars(0));
        assert_eq!(
            (slice.free(8), slice.free(7)),
            (NanoDollars(30), NanoDollars(0))
        );
    }

    /// A return whose outcome is unknown stays set apart until the amount is read again.
    #[test]
    fn what_is_being_given_back_is_not_free() {
        let mut slice = Slice::default();
        slice.set(&total(1, 100, 1));
        assert_eq!(slice.begin_return(1), NanoDollars(100));
        slice.set(&total(1, 120, 2));
        assert_eq!(slice.free(1), NanoDollars(20));
        slice.reload(&total(1, 20, 3));
        assert_eq!(slice.free(1), NanoDollars(20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slice_lasts_for_the_costs_of_the_last_seconds() {
        let mut slice = Slice::default();
        let wanted = |slice: &mut Slice| slice.ask(1, NanoDollars(5)).wanted.0;
        assert_eq!(wanted(&mut slice), 5);
        slice.spent(NanoDollars(100));
        assert_eq!(wanted(&mut slice), 105);
        advance(DEMAND_INTERVAL).await;
        assert_eq!(wanted(&mut slice), 105);
        advance(DEMAND_INTERVAL).await;
        assert_eq!(wanted(&mut slice), 5);
        assert!(slice.is_idle());
    }
}
