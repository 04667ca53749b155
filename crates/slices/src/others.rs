//! The use of a name by other nodes, as far as this node knows it.

use crate::parts::Parts;
use crate::session::Session;
use crate::window::{Counter, Window};

/// The use of a name by other nodes, and the slices that they may still spend.
#[derive(Clone, Debug)]
pub(crate) struct OthersUse<const N: usize> {
    used: [Counter; N],
    /// The end and the amounts of each slice.
    slices: Vec<(u64, [i64; N])>,
}

impl<const N: usize> Default for OthersUse<N> {
    fn default() -> Self {
        Self {
            used: std::array::from_fn(|_| Counter::default()),
            slices: Vec::new(),
        }
    }
}

impl<const N: usize> OthersUse<N> {
    /// Returns the use by all nodes but that with this session.
    pub(crate) fn of(parts: &Parts<N>, session: &Session) -> Self {
        let mut others = Self::default();
        for part in parts.0.iter().filter(|part| !session.is_own(part.epoch)) {
            for (counter, used) in others.used.iter_mut().zip(&part.used) {
                for (number, amount) in used {
                    counter.merge(*number, *amount);
                }
            }
            if part.slice.iter().any(|slice| *slice > 0) {
                others.slices.push((part.until, part.slice));
            }
        }
        others
    }

    /// Returns the use of a quantity at `lo`. Slices that have ended count as used at their end.
    pub(crate) fn used(&mut self, windows: &[Window; N], quantity: usize, lo: u64) -> i64 {
        let used = &mut self.used;
        self.slices.retain(|(until, slice)| {
            let is_over = *until <= lo;
            if is_over {
                let slice = slice.iter().enumerate().filter(|(_, amount)| **amount > 0);
                for (quantity, amount) in slice {
                    used[quantity].merge(windows[quantity].bucket_at(*until), *amount);
                }
            }
            !is_over
        });
        self.used[quantity].sum(windows[quantity], lo)
    }

    /// Returns what other nodes may still use of a quantity.
    pub(crate) fn slices(&self, quantity: usize) -> i64 {
        let slices = self.slices.iter().map(|(_, slice)| slice[quantity]);
        slices.fold(0, i64::saturating_add)
    }

    /// Returns the milliseconds until the window of a quantity is empty, if nothing else is taken.
    pub(crate) fn reset_time(&self, windows: &[Window; N], quantity: usize, lo: u64) -> u64 {
        self.used[quantity].time_until(windows[quantity], lo, 0)
    }

    /// True if nothing is within a window at `lo`.
    pub(crate) fn is_unused(&self, windows: &[Window; N], lo: u64) -> bool {
        let mut used = self.used.iter().zip(windows);
        self.slices.is_empty() && used.all(|(counter, window)| counter.is_idle(*window, lo))
    }

    /// Returns the times at which something leaves a window first, or a slice ends.
    pub(crate) fn ends(&self, windows: &[Window; N]) -> impl Iterator<Item = u64> {
        let used = self.used.iter().zip(windows);
        let used = used.filter_map(|(counter, window)| {
            let (number, _) = counter.buckets().next()?;
            Some(window.expiry(number))
        });
        used.chain(self.slices.iter().map(|(until, _)| *until))
    }

    /// Returns the milliseconds until the use by all nodes is at most `target`, if nothing else is taken and these slices are
    /// not spent.
    pub(crate) fn time_until(
        &self,
        own: &Counter,
        quantity: usize,
        window: Window,
        lo: u64,
        target: i64,
    ) -> u64 {
        let used = own.buckets().chain(self.used[quantity].buckets());
        let used = used.map(|(number, amount)| (window.expiry(number), amount));
        let slices = self.slices.iter();
        let slices = slices.map(|(until, slice)| (*until, slice[quantity]));
        let mut ends: Vec<(u64, i64)> = used.chain(slices).filter(|(end, _)| *end > lo).collect();
        ends.sort_unstable_by_key(|(end, _)| *end);
        let amounts = ends.iter().map(|(_, amount)| *amount);
        let mut left = amounts.fold(0, i64::saturating_add);
        let mut wait = 0;
        for (end, amount) in ends {
            if left <= target {
                break;
            }
            left -= amount;
            wait = end - lo;
        }
        wait
    }
}
