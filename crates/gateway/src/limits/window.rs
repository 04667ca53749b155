//! How much was taken lately: a window that moves with time.

use std::collections::VecDeque;

use access::LimitField;

/// How time is divided. What was taken within a slot is forgotten as a whole, and not before the last moment of the slot
/// is a whole window ago: so no interval of a window's length, wherever it begins, holds more than was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// How long a slot is, in milliseconds.
    slot: u64,
    /// How many slots make up the window.
    slots: u64,
}

const MINUTE: Span = Span {
    slot: 1_000,
    slots: 60,
};
const DAY: Span = Span {
    slot: 15 * 60 * 1_000,
    slots: 96,
};

impl Span {
    /// The one that `field` is counted over.
    pub(super) fn of(field: LimitField) -> Self {
        match field {
            LimitField::RequestsPerDay | LimitField::BatchInputTokensPerDay => DAY,
            LimitField::RequestsPerMinute
            | LimitField::TokensPerMinute
            | LimitField::ImagesPerMinute
            | LimitField::AudioMegabytesPerMinute => MINUTE,
        }
    }

    /// When what was taken in a slot is forgotten.
    fn end_of(self, slot: u64) -> u64 {
        (slot + self.slots + 1) * self.slot
    }
}

/// What was taken within the last minute, or day. Moments are milliseconds of a clock; they never run backwards.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// What was taken in each slot in which anything was, in their order.
    taken: VecDeque<(u64, i64)>,
    total: i64,
}

impl Window {
    /// How much counts now.
    pub(super) fn total(&mut self, span: Span, now: u64) -> i64 {
        while let Some((slot, amount)) = self.taken.front().copied()
            && span.end_of(slot) <= now
        {
            self.taken.pop_front();
            self.total -= amount;
        }
        self.total
    }

    pub(super) fn take(&mut self, span: Span, now: u64, amount: i64) {
        let current = now / span.slot;
        // Also forgets, so that there are never more slots than a window has.
        self.total(span, now);
        match self.taken.back_mut() {
            Some((slot, taken)) if *slot == current => *taken += amount,
            _ => self.taken.push_back((current, amount)),
        }
        self.total += amount;
    }

    /// Takes back of what was taken at that moment, unless it is forgotten.
    pub(super) fn give_back(&mut self, span: Span, at: u64, amount: i64) {
        let slot = at / span.slot;
        if let Ok(index) = self.taken.binary_search_by_key(&slot, |(slot, _)| *slot) {
            self.taken[index].1 -= amount;
            self.total -= amount;
        }
    }

    /// How long until no more than `most` counts, if nothing else is taken meanwhile.
    pub(super) fn until(&self, span: Span, now: u64, most: i64) -> u64 {
        let mut left = self.total;
        let mut slots = self.taken.iter();
        let mut end = now;
        while left > most
            && let Some((slot, amount)) = slots.next()
        {
            left -= amount;
            end = span.end_of(*slot);
        }
        end.saturating_sub(now)
    }

    /// Whether nothing counts any more.
    pub(super) fn is_idle(&self, span: Span, now: u64) -> bool {
        let last = self.taken.back();
        last.is_none_or(|(slot, _)| span.end_of(*slot) <= now)
    }
}
