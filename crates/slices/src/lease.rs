//! The slice of a name that this node holds, and the call that asks for the next one.

use std::marker::PhantomData;

use crate::others::OthersUse;
use crate::parts::{MAX_BLOB_BYTES, NodePart, Parts};
use crate::safeguards::Safeguards;
use crate::session::Session;
use crate::time::TimeBounds;
use crate::window::{Counter, Window};

/// The milliseconds that a slice lasts.
pub const SLICE_TIMEOUT: u64 = 2_000;
/// The milliseconds between two calls about a name that has something new.
pub const BEAT_INTERVAL: u64 = 500;
/// The milliseconds for which a name is not asked for again after it was refused.
const QUIET_INTERVAL: u64 = 50;
/// The milliseconds for which requests of the only node do not wait for a store that did not answer.
const ALONE_QUIET_INTERVAL: u64 = 3_000;
/// The most swaps of a flight that find another version.
const MAX_TRIES: u8 = 8;
/// The milliseconds that a date in the store may be ahead of this node.
const MAX_AHEAD: u64 = 12_000;

/// The outcome of a call to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwapAnswer {
    /// The blob was stored, as this version.
    Swapped {
        /// The version that the store now has.
        version: u64,
    },
    /// Another version is there, or the call was to read only. Version 0 is no blob.
    Present {
        /// The version that the store has.
        version: u64,
        /// The blob that the store has.
        blob: Vec<u8>,
    },
    /// The store belongs to another generation.
    Refused,
    /// There was no answer: nobody knows whether the blob was stored.
    Lost,
}

/// The content of a call to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) version: u64,
    /// The blob to store; `None` to read only.
    pub(crate) blob: Option<Vec<u8>>,
    /// The time at which nothing of the blob is within a window any more.
    pub(crate) expiry: u64,
}

/// The consequence of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FlightStep {
    /// Another call of the same flight.
    Again(Draft),
    /// The flight is over.
    Over,
}

/// The reason for which a name is not asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quiet<const N: usize> {
    /// The limits of these quantities have no room.
    Exceeded([bool; N]),
    /// The store did not answer.
    Unavailable,
}

/// A slice that was asked for.
#[derive(Clone, Copy, Debug)]
struct Proposal<const N: usize> {
    grants: [i64; N],
    limits: [Option<i64>; N],
    until: u64,
}

/// The slice of a name that this node holds, and its knowledge of the other nodes' use.
#[derive(Clone, Debug)]
pub(crate) struct Lease<const N: usize, S> {
    pub(crate) others: OthersUse<N>,
    parts: Parts<N>,
    version: u64,
    must_read: bool,
    must_push: bool,
    free: [i64; N],
    until: u64,
    /// The limits that the slice was granted within.
    granted: [Option<i64>; N],
    proposal: Option<Proposal<N>>,
    /// The number of the current flight, or of the last one.
    flight: u64,
    is_flying: bool,
    is_queued: bool,
    tries: u8,
    /// The amounts that requests wait for, in the next flight and in the current one.
    need: [i64; N],
    flying_need: [i64; N],
    demand: [i64; N],
    /// The limits that the last request had.
    limits: [Option<i64>; N],
    is_dirty: bool,
    asked_at: u64,
    quiet: Option<(u64, Quiet<N>)>,
    safeguards: PhantomData<S>,
}

impl<const N: usize, S: Safeguards> Default for Lease<N, S> {
    fn default() -> Self {
        Self {
            others: OthersUse::default(),
            parts: Parts(Vec::new()),
            version: 0,
            must_read: false,
            must_push: false,
            free: [0; N],
            until: 0,
            granted: [None; N],
            proposal: None,
            flight: 0,
            is_flying: false,
            is_queued: false,
            tries: 0,
            need: [0; N],
            flying_need: [0; N],
            demand: [0; N],
            limits: [None; N],
            is_dirty: false,
            asked_at: 0,
            quiet: None,
            safeguards: PhantomData,
        }
    }
}

impl<const N: usize, S: Safeguards> Lease<N, S> {
    /// Returns what may be taken of a quantity under this limit.
    pub(crate) fn usable(&self, quantity: usize, hi: u64, limit: i64) -> i64 {
        let is_over = S::SLICES_END && hi >= self.until;
        // A slice that was granted within a higher limit, or within none, is not spent.
        let is_granted = self.granted[quantity].is_some_and(|granted| granted <= limit);
        if is_over || !is_granted {
            return 0;
        }
        let free = self.free[quantity];
        match &self.proposal {
            Some(proposal) if S::SMALLER_SLICE => free.min(proposal.grants[quantity]),
            Some(proposal) => free.max(proposal.grants[quantity]),
            None => free,
        }
    }

    /// Returns why the name is not asked for at this time, if it is not.
    pub(crate) fn quiet(&self, hi: u64, limits: &[Option<i64>; N]) -> Option<Quiet<N>> {
        let (until, quiet) = self.quiet?;
        (hi < until && self.limits == *limits).then_some(quiet)
    }

    /// Takes an amount of a quantity that is limited.
    pub(crate) fn take(&mut self, quantity: usize, amount: i64) {
        self.demand[quantity] = self.demand[quantity].saturating_add(amount);
        self.charge(quantity, amount);
    }

    /// Takes an amount off the slice because it was used, as far as the slice has it.
    pub(crate) fn charge(&mut self, quantity: usize, amount: i64) {
        let charge = |free: &mut i64| *free = (*free - amount).max(0);
        charge(&mut self.free[quantity]);
        if let Some(proposal) = &mut self.proposal {
            charge(&mut proposal.grants[quantity]);
        }
        self.is_dirty = true;
    }

    /// Notes that an amount was refunded. It is spent again after the next swap.
    pub(crate) fn refund(&mut self, quantity: usize, amount: i64) {
        if !S::REFUNDS_PUBLISHED {
            self.free[quantity] += amount;
        }
        self.is_dirty = true;
        self.quiet = None;
    }

    /// Makes a request wait for the next flight, and returns its number.
    pub(crate) fn wait(&mut self, amounts: impl Iterator<Item = (usize, i64)>) -> u64 {
        for (quantity, amount) in amounts {
            self.need[quantity] = self.need[quantity].saturating_add(amount);
        }
        self.flight + 1
    }

    pub(crate) fn set_limits(&mut self, limits: [Option<i64>; N]) {
        if self.limits != limits {
            self.limits = limits;
            self.quiet = None;
            self.is_dirty = true;
        }
    }

    /// True if a request waits for the next flight.
    pub(crate) fn has_need(&self) -> bool {
        self.need.iter().any(|need| *need > 0)
    }

    /// True once, if the name must be added to those that are asked for.
    pub(crate) fn must_queue(&mut self) -> bool {
        !self.is_flying && !std::mem::replace(&mut self.is_queued, true)
    }

    /// True if a flight with this number has not landed.
    pub(crate) fn is_awaited(&self, flight: u64) -> bool {
        self.flight < flight || self.flight == flight && self.is_flying
    }

    /// True if a beat is due: there is something to publish or to return.
    pub(crate) fn is_due(&self, hi: u64, is_last: bool) -> bool {
        let is_news = self.is_dirty || self.free.iter().any(|free| *free > 0);
        !self.is_flying
            && (self.must_push || is_news && (is_last || hi >= self.asked_at + BEAT_INTERVAL))
    }

    /// True if the store of this generation does not have the use of this node yet.
    pub(crate) fn must_push(&self) -> bool {
        self.must_push
    }

    /// True if nothing is lost when this is forgotten.
    pub(crate) fn is_idle(&self, lo: u64) -> bool {
        let is_over = lo >= self.until || self.free.iter().all(|free| *free == 0);
        is_over && !self.is_flying && !self.is_queued && !self.must_push
    }

    /// Begins a flight: the first call of it.
    pub(crate) fn begin(
        &mut self,
        own: &mut [Counter; N],
        windows: &[Window; N],
        time: TimeBounds,
        session: &Session,
    ) -> Draft {
        self.flight += 1;
        self.is_flying = true;
        self.is_queued = false;
        self.tries = 0;
        self.flying_need = std::mem::replace(&mut self.need, [0; N]);
        self.propose(own, windows, time, session)
    }

    /// Writes the own part anew, with a slice of what is left.
    fn propose(
        &mut self,
        own: &mut [Counter; N],
        windows: &[Window; N],
        time: TimeBounds,
        session: &Session,
    ) -> Draft {
        self.asked_at = time.hi;
        self.proposal = None;
        if self.must_read {
            return Draft {
                version: self.version,
                blob: None,
                expiry: 0,
            };
        }
        let mut parts = self.parts.clone();
        parts.0.retain(|part| !session.is_own(part.epoch));
        parts.clamp(windows, time.hi.saturating_add(MAX_AHEAD));
        parts.fold(windows, |epoch| session.is_over(epoch));
        let lo = if S::TIME_BOUNDS { time.lo } else { time.hi };
        if !S::DEAD_SLICES_COUNT {
            parts.0.iter_mut().for_each(|part| {
                if part.until <= lo {
                    part.slice = [0; N];
                }
            });
        }
        parts.expire(windows, lo);
        let mut mine = NodePart::new(session.epoch);
        mine.until = time.hi + SLICE_TIMEOUT;
        for (quantity, counter) in own.iter_mut().enumerate() {
            let used = counter.sum(windows[quantity], lo);
            mine.used[quantity] = counter.buckets().filter(|bucket| bucket.1 > 0).collect();
            if let Some(limit) = self.limits[quantity]
                && (session.is_open || !S::CLOSED_GENERATION)
            {
                let left = limit.saturating_sub(used.saturating_add(parts.total(quantity)));
                let is_holder =
                    |part: &&NodePart<N>| part.slice[quantity] > 0 && part.until > time.lo;
                let holders = 1 + parts.0.iter().filter(is_holder).count();
                mine.slice[quantity] = self.grant(quantity, left, holders);
            }
        }
        let (grants, until) = (mine.slice, mine.until);
        parts.0.push(mine);
        let blob = Some(parts.encode()).filter(|blob| blob.len() <= MAX_BLOB_BYTES);
        if blob.is_some() {
            self.proposal = Some(Proposal {
                grants,
                limits: self.limits,
                until,
            });
            self.is_dirty = false;
        }
        Draft {
            version: self.version,
            blob,
            expiry: parts.expiry(windows),
        }
    }

    /// Returns the slice of `left` to ask for: what requests wait for, and the demand until the next beat.
    fn grant(&self, quantity: usize, left: i64, holders: usize) -> i64 {
        let need = self.flying_need[quantity];
        let share = left / i64::try_from(holders.saturating_mul(2)).unwrap_or(i64::MAX);
        let demand = self.demand[quantity].saturating_add(self.demand[quantity] / 2);
        let wanted = need.max(demand.saturating_add(need).min(share));
        wanted.min(left).max(0)
    }

    /// Takes notice of the answer to the current call.
    pub(crate) fn on_answer(
        &mut self,
        own: &mut [Counter; N],
        windows: &[Window; N],
        time: TimeBounds,
        session: &Session,
        answer: SwapAnswer,
    ) -> FlightStep {
        match answer {
            SwapAnswer::Swapped { version } => {
                self.on_swapped(own, windows, time, session, version)
            }
            SwapAnswer::Present { version, blob } => {
                let Some(parts) = Parts::decode(&blob, windows) else {
                    return self.fail(time, session, true);
                };
                self.proposal = None;
                self.must_read = false;
                self.is_dirty = true;
                self.learn(windows, time, session, version, parts);
                self.tries += 1;
                if self.tries <= MAX_TRIES {
                    return FlightStep::Again(self.propose(own, windows, time, session));
                }
                self.fail(time, session, false)
            }
            SwapAnswer::Refused => {
                self.proposal = None;
                self.fail(time, session, false)
            }
            SwapAnswer::Lost => {
                // The store has the old slice or the new one, so what holds in both cases is left.
                if let Some(proposal) = self.proposal.take() {
                    for (free, granted) in self.free.iter_mut().zip(proposal.grants) {
                        let both = (*free).min(granted);
                        *free = if S::SMALLER_SLICE {
                            both
                        } else {
                            (*free).max(granted)
                        };
                    }
                }
                self.fail(time, session, true)
            }
        }
    }

    /// Ends a flight without a slice.
    fn fail(&mut self, time: TimeBounds, session: &Session, must_read: bool) -> FlightStep {
        self.must_read |= must_read;
        self.proposal = None;
        self.is_dirty = true;
        let length = if session.is_alone {
            ALONE_QUIET_INTERVAL
        } else {
            QUIET_INTERVAL
        };
        self.quiet = Some((time.hi + length, Quiet::Unavailable));
        self.land()
    }

    fn land(&mut self) -> FlightStep {
        self.is_flying = false;
        self.flying_need = [0; N];
        FlightStep::Over
    }

    fn on_swapped(
        &mut self,
        own: &[Counter; N],
        windows: &[Window; N],
        time: TimeBounds,
        session: &Session,
        version: u64,
    ) -> FlightStep {
        let Some(proposal) = self.proposal.take() else {
            return self.fail(time, session, true);
        };
        self.version = version;
        self.free = proposal.grants;
        self.granted = proposal.limits;
        self.until = if S::END_FROM_ASK {
            proposal.until
        } else {
            time.hi + SLICE_TIMEOUT
        };
        self.must_push = false;
        self.demand = self.demand.map(|demand| demand / 2);
        let is_short: [bool; N] = std::array::from_fn(|quantity| {
            let is_limited = proposal.limits[quantity].is_some();
            is_limited && proposal.grants[quantity] < self.flying_need[quantity]
        });
        let quiet = if session.is_open {
            Quiet::Exceeded(is_short)
        } else {
            Quiet::Unavailable
        };
        let until = time.hi + self.quiet_time(own, windows, time);
        self.quiet = is_short.contains(&true).then_some((until, quiet));
        self.land()
    }

    /// Returns the milliseconds of quiet: no longer than until something leaves a window.
    fn quiet_time(&self, own: &[Counter; N], windows: &[Window; N], time: TimeBounds) -> u64 {
        let own = own.iter().zip(windows).filter_map(|(counter, window)| {
            let (number, _) = counter.buckets().next()?;
            Some(window.expiry(number))
        });
        let ends = own.chain(self.others.ends(windows));
        let next = ends.filter(|end| *end > time.lo).min();
        let next = next.unwrap_or(u64::MAX);
        next.saturating_sub(time.lo).min(QUIET_INTERVAL)
    }

    /// Remembers what the store has.
    fn learn(
        &mut self,
        windows: &[Window; N],
        time: TimeBounds,
        session: &Session,
        version: u64,
        mut parts: Parts<N>,
    ) {
        parts.clamp(windows, time.hi.saturating_add(MAX_AHEAD));
        self.version = version;
        self.others = OthersUse::of(&parts, session);
        self.parts = parts;
    }

    /// Forgets the slice and the call under way, since the session or the generation is another one. `has_use` is true if
    /// the store has to learn of use by this node.
    pub(crate) fn reset(&mut self, has_use: bool) {
        *self = Self {
            limits: self.limits,
            others: std::mem::take(&mut self.others),
            // Requests that wait for a flight ask again.
            flight: self.flight + 1,
            must_read: true,
            must_push: has_use,
            is_dirty: has_use,
            ..Self::default()
        };
    }
}
