//! The counters of one name.

use crate::amounts::{Amounts, Request};
use crate::lease::{Lease, Quiet};
use crate::parts::{NodePart, Parts};
use crate::safeguards::Safeguards;
use crate::session::Session;
use crate::time::TimeBounds;
use crate::window::{Counter, Window};
use crate::{Category, Exceeded, LimitUsage, Quantity, Status, WindowUsage};

/// An obstacle to the admission of a request.
#[derive(Clone, Debug)]
pub(crate) enum Obstacle<const N: usize> {
    /// A limit has no room.
    Exceeded(Exceeded),
    /// The store does not answer.
    Unavailable,
    /// The slice of this node does not suffice; these are the amounts that the request needs.
    Slice(Amounts<N>),
}

/// The circumstances of a check: quantities, session and time.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a, const N: usize> {
    pub(crate) quantities: &'a [Quantity; N],
    pub(crate) windows: &'a [Window; N],
    pub(crate) session: &'a Session,
    pub(crate) time: TimeBounds,
}

/// The use of one name by this node, and the slice that it holds if the limits are shared.
#[derive(Clone, Debug)]
pub(crate) struct Counters<const N: usize, S> {
    pub(crate) own: [Counter; N],
    /// True if something was counted since the use was saved.
    pub(crate) is_changed: bool,
    pub(crate) lease: Option<Box<Lease<N, S>>>,
}

impl<const N: usize, S: Safeguards> Counters<N, S> {
    pub(crate) fn new(is_shared: bool) -> Self {
        Self {
            own: std::array::from_fn(|_| Counter::default()),
            is_changed: false,
            lease: is_shared.then(Box::default),
        }
    }

    /// Returns the amounts to take for `request`. A quantity without a limit is counted too, so that a limit that is set later
    /// holds at once.
    ///
    /// # Errors
    /// The obstacle; of several limits without room, the one that makes the request wait longest.
    pub(crate) fn check(
        &mut self,
        context: &Context<'_, N>,
        limits: &[Option<i64>; N],
        request: &Request<N>,
    ) -> Result<Amounts<N>, Obstacle<N>> {
        let mut amounts = Amounts::default();
        let mut worst: Option<Exceeded> = None;
        let mut short = [None; N];
        for quantity in 0..N {
            let amount = request.amounts.get(quantity);
            let Some(amount) = amount.filter(|amount| *amount > 0) else {
                continue;
            };
            let Some(limit) = limits[quantity] else {
                amounts.set(quantity, amount);
                continue;
            };
            let minimum = request.minimum(quantity);
            let requested = amount.min(limit.max(minimum));
            amounts.set(quantity, requested);
            let room = match &self.lease {
                Some(lease) => lease.usable(quantity, context.time.hi, limit),
                None => limit - self.used(context, quantity),
            };
            if requested <= room {
                continue;
            }
            let may_ask = minimum <= limit
                && self.lease.as_ref().is_some_and(|lease| {
                    let quiet = lease.quiet(context.time.hi, limits);
                    !matches!(quiet, Some(Quiet::Exceeded(short)) if short[quantity])
                });
            if may_ask {
                short[quantity] = Some((limit, requested, minimum));
                continue;
            }
            let exceeded = self.exceeded(context, quantity, limit, requested, minimum);
            if worst.is_none_or(|worst| worst.is_before(&exceeded)) {
                worst = Some(exceeded);
            }
        }
        match worst {
            Some(worst) => Err(Obstacle::Exceeded(self.worst_of(context, worst, &short))),
            None if short.iter().any(Option::is_some) => {
                self.shortage(context, limits, &short, amounts)
            }
            None => Ok(amounts),
        }
    }

    /// Returns the limit that makes a refused request wait longest, among those that the slice does not suffice for, too, as
    /// far as this node knows their use.
    fn worst_of(
        &mut self,
        context: &Context<'_, N>,
        mut worst: Exceeded,
        short: &[Option<(i64, i64, i64)>; N],
    ) -> Exceeded {
        for (quantity, short) in short.iter().enumerate() {
            let Some((limit, requested, minimum)) = *short else {
                continue;
            };
            let exceeded = self.exceeded(context, quantity, limit, requested, minimum);
            let is_longer = worst.is_before(&exceeded)
                || exceeded.retry_after == worst.retry_after && quantity < worst.quantity;
            if requested > limit.saturating_sub(exceeded.used) && is_longer {
                worst = exceeded;
            }
        }
        worst
    }

    /// Decides on a request for which the slice does not suffice.
    fn shortage(
        &mut self,
        context: &Context<'_, N>,
        limits: &[Option<i64>; N],
        short: &[Option<(i64, i64, i64)>; N],
        amounts: Amounts<N>,
    ) -> Result<Amounts<N>, Obstacle<N>> {
        let hi = context.time.hi;
        let quiet = self
            .lease
            .as_ref()
            .and_then(|lease| lease.quiet(hi, limits));
        let session = context.session;
        if session.is_live && quiet != Some(Quiet::Unavailable) {
            return Err(Obstacle::Slice(amounts));
        }
        if !session.is_alone {
            return Err(Obstacle::Unavailable);
        }
        // Nobody else takes anything, so the own counters are exact.
        for (quantity, short) in short.iter().enumerate() {
            if let Some((limit, requested, minimum)) = *short
                && requested > limit.saturating_sub(self.used(context, quantity))
            {
                let exceeded = self.exceeded(context, quantity, limit, requested, minimum);
                return Err(Obstacle::Exceeded(exceeded));
            }
        }
        Ok(amounts)
    }

    fn exceeded(
        &mut self,
        context: &Context<'_, N>,
        quantity: usize,
        limit: i64,
        requested: i64,
        minimum: i64,
    ) -> Exceeded {
        let used = self.used(context, quantity);
        let slices = self.lease.as_ref();
        let slices = slices.map_or(0, |lease| lease.others.slices(quantity));
        let used = used.saturating_add(slices);
        let (window, target) = (context.windows[quantity], limit - requested);
        let (own, lo) = (&self.own[quantity], context.time.lo);
        let wait = || match &self.lease {
            None => own.time_until(window, lo, target),
            Some(lease) => lease
                .others
                .time_until(own, quantity, window, lo, target)
                .max(1),
        };
        Exceeded {
            quantity,
            limit,
            used,
            requested,
            retry_after: (minimum <= limit).then(wait),
        }
    }

    /// Returns the use of a quantity by all nodes, as far as this one knows it.
    fn used(&mut self, context: &Context<'_, N>, quantity: usize) -> i64 {
        let (window, lo) = (context.windows[quantity], forgotten_by::<S>(context.time));
        let own = self.own[quantity].sum(window, lo);
        let others = self
            .lease
            .as_mut()
            .map_or(0, |lease| lease.others.used(context.windows, quantity, lo));
        own.saturating_add(others)
    }

    /// Takes amounts that were checked.
    pub(crate) fn reserve(
        &mut self,
        context: &Context<'_, N>,
        limits: &[Option<i64>; N],
        amounts: &Amounts<N>,
    ) {
        self.is_changed = true;
        for (quantity, limit) in limits.iter().enumerate() {
            let Some(amount) = amounts.get(quantity) else {
                continue;
            };
            self.own[quantity].sum(context.windows[quantity], forgotten_by::<S>(context.time));
            let at = dated_by::<S>(context.time);
            self.own[quantity].reserve(context.windows[quantity], at, amount);
            if let Some(lease) = &mut self.lease {
                match limit {
                    Some(_) => lease.take(quantity, amount),
                    None => lease.charge(quantity, amount),
                }
            }
        }
    }

    /// Corrects amounts that were taken at `at` to those that were consumed, as far as they are known: a surplus is refunded to
    /// the bucket that it was taken from, a deficit is added now. Of amounts that were taken before the counters began anew,
    /// `at` is absent, and only the deficit counts.
    pub(crate) fn settle(
        &mut self,
        context: &Context<'_, N>,
        at: Option<u64>,
        taken: &Amounts<N>,
        consumed: &Amounts<N>,
    ) {
        self.is_changed = true;
        for quantity in 0..N {
            let Some(taken) = taken.get(quantity) else {
                continue;
            };
            let consumed = consumed.get(quantity).unwrap_or(taken);
            let window = context.windows[quantity];
            let refund = (taken - consumed).max(0);
            if let Some(at) = at {
                self.own[quantity].release(window, at, taken, refund);
            }
            let deficit = consumed - taken;
            if deficit > 0 {
                self.own[quantity].sum(window, forgotten_by::<S>(context.time));
                self.own[quantity].add(window, dated_by::<S>(context.time), deficit);
            }
            if let Some(lease) = &mut self.lease {
                match deficit.signum() {
                    1 => lease.charge(quantity, deficit),
                    -1 => lease.refund(quantity, refund),
                    _ => {}
                }
            }
        }
    }

    /// Returns the use by this node.
    pub(crate) fn part(&mut self, context: &Context<'_, N>, epoch: u64) -> NodePart<N> {
        let mut part = NodePart::new(epoch);
        for (quantity, counter) in self.own.iter_mut().enumerate() {
            counter.sum(context.windows[quantity], context.time.lo);
            part.used[quantity] = counter.buckets().filter(|bucket| bucket.1 > 0).collect();
        }
        part
    }

    /// Adds use that was saved.
    pub(crate) fn restore(&mut self, parts: &Parts<N>) {
        for part in &parts.0 {
            for (counter, buckets) in self.own.iter_mut().zip(&part.used) {
                for (number, amount) in buckets {
                    counter.merge(*number, *amount);
                }
            }
        }
    }

    /// Returns the use of each window.
    pub(crate) fn usage(&mut self, context: &Context<'_, N>) -> [WindowUsage; N] {
        std::array::from_fn(|quantity| {
            let used = self.used(context, quantity);
            WindowUsage {
                used,
                reserved: self.own[quantity].reserved(),
                reset: self.reset_time(context, quantity),
            }
        })
    }

    /// Returns the milliseconds until the window of a quantity is empty, if nothing else is taken.
    fn reset_time(&self, context: &Context<'_, N>, quantity: usize) -> u64 {
        let (window, lo) = (context.windows[quantity], context.time.lo);
        let others = self.lease.as_ref().map_or(0, |lease| {
            lease.others.reset_time(context.windows, quantity, lo)
        });
        self.own[quantity].time_until(window, lo, 0).max(others)
    }

    /// Lets a limit that is tighter than those of `status` take their place.
    pub(crate) fn tighten(
        &mut self,
        context: &Context<'_, N>,
        limits: &[Option<i64>; N],
        status: &mut Status,
    ) {
        for (quantity, Quantity { category, .. }) in context.quantities.iter().enumerate() {
            let tightest = match category {
                None => continue,
                Some(Category::Requests) => &mut status.requests,
                Some(Category::Tokens) => &mut status.tokens,
            };
            let Some(limit) = limits[quantity] else {
                continue;
            };
            let usage = LimitUsage {
                limit,
                remaining: limit.saturating_sub(self.used(context, quantity)).max(0),
                reset: self.reset_time(context, quantity),
            };
            if tightest.is_none_or(|tightest| usage.remaining < tightest.remaining) {
                *tightest = Some(usage);
            }
        }
    }

    /// True if the windows of all quantities are empty on all nodes, as far as this one knows.
    pub(crate) fn is_unused(&self, context: &Context<'_, N>) -> bool {
        let lo = context.time.lo;
        let mut own = self.own.iter().zip(context.windows);
        let lease = self.lease.as_ref();
        own.all(|(counter, window)| counter.is_idle(*window, lo))
            && lease.is_none_or(|lease| lease.others.is_unused(context.windows, lo))
    }

    /// True if nothing is lost when this is forgotten.
    pub(crate) fn is_idle(&self, context: &Context<'_, N>) -> bool {
        let lease = self.lease.as_ref();
        self.is_unused(context) && lease.is_none_or(|lease| lease.is_idle(context.time.lo))
    }
}

/// Returns the time by which use is forgotten.
fn forgotten_by<S: Safeguards>(time: TimeBounds) -> u64 {
    if S::TIME_BOUNDS { time.lo } else { time.hi }
}

/// Returns the time by which use is dated.
fn dated_by<S: Safeguards>(time: TimeBounds) -> u64 {
    if S::TIME_BOUNDS { time.hi } else { time.lo }
}

impl Exceeded {
    /// True if the other limit makes a request wait longer.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        let wait = |exceeded: &Self| exceeded.retry_after.unwrap_or(u64::MAX);
        wait(self) < wait(other)
    }
}
