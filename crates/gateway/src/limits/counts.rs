//! What a project took of a model lately: the windows of one pair, which are checked and taken from together.

use access::{LimitField, ModelLimits};

use super::amounts::{Amounts, Wanted};
use super::refusal::Reached;
use super::standing::State;
use super::window::{Span, Window};

/// What a project took of a model lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts([Window; LimitField::ALL.len()]);

impl Counts {
    /// What to take for `wanted`, or why that cannot be taken: the limit that will never let it pass, else the one that
    /// makes it wait longest. What has no limit is taken all the same, so that it counts once there is one.
    pub(super) fn check(
        &mut self,
        now: u64,
        limits: &ModelLimits,
        wanted: &Wanted,
    ) -> Result<Amounts, Reached> {
        let mut amounts = Amounts::default();
        let mut worst: Option<Reached> = None;
        for field in LimitField::ALL.iter().copied() {
            let Some(amount) = wanted.amounts.get(field).filter(|amount| *amount > 0) else {
                continue;
            };
            let Some(limit) = limits.get(field) else {
                amounts.set(field, amount);
                continue;
            };
            let least = wanted.least(field);
            let requested = amount.min(limit.max(least));
            let (span, window) = (Span::of(field), &mut self.0[field as usize]);
            let used = window.total(span, now);
            if requested <= limit - used {
                amounts.set(field, requested);
                continue;
            }
            let wait = (least <= limit).then(|| window.until(span, now, limit - requested));
            let reached = Reached {
                field,
                limit,
                used,
                requested,
                wait,
            };
            if worst.is_none_or(|worst| worst.is_before(&reached)) {
                worst = Some(reached);
            }
        }
        worst.map_or(Ok(amounts), Err)
    }

    pub(super) fn take(&mut self, now: u64, amounts: &Amounts) {
        for field in LimitField::ALL.iter().copied() {
            if let Some(amount) = amounts.get(field) {
                self.0[field as usize].take(Span::of(field), now, amount);
            }
        }
    }

    /// Makes of what was `taken` at `at` what was consumed, as far as that is known: less is given back where it was
    /// taken, more is taken now.
    pub(super) fn settle(&mut self, at: u64, now: u64, taken: &Amounts, consumed: &Amounts) {
        for field in LimitField::ALL.iter().copied() {
            let (Some(taken), Some(consumed)) = (taken.get(field), consumed.get(field)) else {
                continue;
            };
            let (span, window) = (Span::of(field), &mut self.0[field as usize]);
            if consumed < taken {
                window.give_back(span, at, taken - consumed);
            } else if consumed > taken {
                window.take(span, now, consumed - taken);
            }
        }
    }

    /// How far a limit is used up.
    pub(super) fn state(
        &mut self,
        now: u64,
        limits: &ModelLimits,
        field: LimitField,
    ) -> Option<State> {
        let limit = limits.get(field)?;
        let (span, window) = (Span::of(field), &mut self.0[field as usize]);
        let used = window.total(span, now);
        Some(State {
            limit,
            remaining: (limit - used).max(0),
            reset: window.until(span, now, 0),
        })
    }

    /// Whether nothing counts any more.
    pub(super) fn is_idle(&self, now: u64) -> bool {
        let fields = LimitField::ALL.iter().copied();
        fields
            .zip(&self.0)
            .all(|(field, window)| window.is_idle(Span::of(field), now))
    }
}
