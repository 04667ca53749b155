//! The counters of some tenants, which share a lock.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::amounts::{Amounts, Request};
use crate::counters::{Context, Counters};
use crate::lease::{Draft, FlightStep};
use crate::parts::Parts;
use crate::safeguards::Safeguards;
use crate::session::Session;
use crate::take::{Refusal, take};
use crate::time::TimeBounds;
use crate::window::Window;
use crate::{
    Denial, Descriptor, Quantity, SavedUse, Status, SwapAnswer, SwapCall, Waiting, WindowUsage,
};

/// The most names that are counted for a tenant at a time.
pub const MAX_NAMES_PER_TENANT: usize = 1024;
/// The fewest pairs of a tenant and a name before idle ones are looked for.
const MIN_SWEEP_COUNT: usize = 256;

/// The epoch of the use of a node that shares no limits.
const SAVED_EPOCH_ID: u64 = 1;

/// The counters of a tenant, by name.
pub(crate) type Tenant<const N: usize, S> = HashMap<Arc<str>, Counters<N, S>>;

/// The tenants of a shard.
#[derive(Clone)]
pub(crate) struct Shard<const N: usize, S> {
    quantities: [Quantity; N],
    windows: [Window; N],
    is_shared: bool,
    session: Session,
    /// The number of times that calls under way became void.
    era: u64,
    /// The number of times that the counters were moved in time.
    origin: u64,
    tenants: HashMap<Arc<str>, Tenant<N, S>>,
    /// The names whose slices requests wait for.
    asked: Vec<(Arc<str>, Arc<str>)>,
    /// The number of pairs of a tenant and a name.
    pub(crate) pairs: usize,
    /// The number of pairs at which idle ones are removed next.
    sweep_at: usize,
    /// The latest time that was seen. A thread that read the clock before another one but takes the lock after it counts at
    /// this time.
    time: TimeBounds,
}

/// Amounts that were taken.
pub(crate) struct Taken<const N: usize> {
    pub(crate) at: u64,
    origin: u64,
    pub(crate) tenant: Arc<str>,
    pub(crate) names: Vec<(Arc<str>, Amounts<N>)>,
}

impl<const N: usize, S: Safeguards> Shard<N, S> {
    pub(crate) fn new(quantities: [Quantity; N], is_shared: bool) -> Self {
        Self {
            quantities,
            windows: quantities.map(|quantity| quantity.window),
            is_shared,
            session: Session::default(),
            era: 0,
            origin: 0,
            tenants: HashMap::new(),
            asked: Vec::new(),
            pairs: 0,
            sweep_at: 0,
            time: TimeBounds::default(),
        }
    }

    /// Takes the amounts of `request` under all descriptors, or under none.
    pub(crate) fn reserve(
        &mut self,
        time: TimeBounds,
        tenant: &str,
        descriptors: &[Descriptor<'_, N>],
        request: &Request<N>,
    ) -> (Result<Taken<N>, Denial>, Status) {
        self.advance(time);
        if self.tenant(tenant, descriptors).is_none() {
            return (Err(Denial::TooManyNames), Status::default());
        }
        let context = Context {
            quantities: &self.quantities,
            windows: &self.windows,
            session: &self.session,
            time: self.time,
        };
        let Some((tenant, counters)) = self.tenants.get_key_value_mut(tenant) else {
            return (Err(Denial::TooManyNames), Status::default());
        };
        let taken = take(counters, &context, descriptors, request);
        let mut status = Status::default();
        for descriptor in descriptors {
            if let Some(counters) = counters.get_mut(descriptor.name) {
                counters.tighten(&context, &descriptor.limits, &mut status);
            }
        }
        let taken = match taken {
            Ok(names) => Ok(Taken {
                at: context.time.hi,
                origin: self.origin,
                tenant: Arc::clone(tenant),
                names,
            }),
            Err(Refusal::Denied(denial)) => Err(denial),
            Err(Refusal::Short(short)) => {
                let era = self.era;
                let waiting = short.into_iter().map(|(name, flight, must_queue)| {
                    if must_queue {
                        self.asked.push((Arc::clone(tenant), Arc::clone(&name)));
                    }
                    Waiting { name, flight, era }
                });
                Err(Denial::Waiting(waiting.collect()))
            }
        };
        (taken, status)
    }

    /// Replaces the amounts that were taken by those that were consumed.
    pub(crate) fn settle(&mut self, time: TimeBounds, taken: &Taken<N>, consumed: &Amounts<N>) {
        self.advance(time);
        let at = (taken.origin == self.origin).then_some(taken.at);
        for (name, amounts) in &taken.names {
            let limits = [None; N];
            let descriptors = [Descriptor { name, limits }];
            if self.tenant(&taken.tenant, &descriptors).is_none() {
                continue;
            }
            let context = Context {
                quantities: &self.quantities,
                windows: &self.windows,
                session: &self.session,
                time: self.time,
            };
            let tenant = self.tenants.get_mut(&taken.tenant);
            if let Some(counters) = tenant.and_then(|tenant| tenant.get_mut(name)) {
                counters.settle(&context, at, amounts, consumed);
            }
        }
    }

    /// Returns the use of the windows of a tenant's names that are not empty.
    pub(crate) fn usage(
        &mut self,
        time: TimeBounds,
        tenant: &str,
    ) -> Vec<(Arc<str>, [WindowUsage; N])> {
        self.advance(time);
        let context = Context {
            quantities: &self.quantities,
            windows: &self.windows,
            session: &self.session,
            time: self.time,
        };
        let counters = self.tenants.get_mut(tenant).into_iter().flatten();
        let busy = counters.filter(|(_, counters)| !counters.is_unused(&context));
        busy.map(|(name, counters)| (Arc::clone(name), counters.usage(&context)))
            .collect()
    }

    /// True if a request still waits for the flight.
    pub(crate) fn is_waiting(&self, tenant: &str, waiting: &Waiting) -> bool {
        let tenant = self.tenants.get(tenant);
        let counters = tenant.and_then(|tenant| tenant.get(&waiting.name));
        let lease = counters.and_then(|counters| counters.lease.as_ref());
        waiting.era == self.era && lease.is_some_and(|lease| lease.is_awaited(waiting.flight))
    }

    /// Takes notice of the session. The counters stay: under another epoch the node publishes all of its use again, in place of
    /// the part that has the former one.
    pub(crate) fn set_session(&mut self, time: TimeBounds, session: &Session) {
        let is_new = session.epoch != self.session.epoch;
        let is_other = session.generation != self.session.generation;
        let has_ended = self.session.is_live && !session.is_live;
        let shift = session.clock_shift - self.session.clock_shift;
        self.session = session.clone();
        if shift != 0 {
            self.time = time;
        }
        self.advance(time);
        if !is_new && !is_other && !has_ended && shift == 0 {
            return;
        }
        self.era += 1;
        self.origin += u64::from(shift != 0);
        self.asked.clear();
        let tenants = self.tenants.values_mut();
        for counters in tenants.flat_map(|tenant| tenant.values_mut()) {
            let mut has_use = false;
            for (counter, window) in counters.own.iter_mut().zip(&self.windows) {
                if S::CLOCK_SHIFT {
                    counter.shift(*window, shift);
                }
                has_use |= counter.sum(*window, self.time.lo) > 0;
            }
            if let Some(lease) = &mut counters.lease {
                lease.reset(has_use && S::PUSH_GENERATION);
            }
        }
    }

    /// True if the store of this generation has all use by this node.
    pub(crate) fn is_pushed(&self) -> bool {
        let counters = self.tenants.values().flat_map(|tenant| tenant.values());
        let mut leases = counters.filter_map(|counters| counters.lease.as_ref());
        !leases.any(|lease| lease.must_push())
    }

    /// Begins the flights that requests wait for, and appends their calls.
    pub(crate) fn asks(&mut self, time: TimeBounds, max: usize, calls: &mut Vec<SwapCall>) {
        self.advance(time);
        if !self.session.is_live {
            return;
        }
        let count = self.asked.len().min(max.saturating_sub(calls.len()));
        let asked: Vec<_> = self.asked.drain(..count).collect();
        for (tenant, name) in asked {
            calls.extend(self.begin(&tenant, &name));
        }
    }

    /// Begins the flights that are due without a request that waits for them, and appends their calls.
    pub(crate) fn beat(
        &mut self,
        time: TimeBounds,
        max: usize,
        is_last: bool,
        calls: &mut Vec<SwapCall>,
    ) {
        self.advance(time);
        if !self.session.is_live {
            return;
        }
        let hi = self.time.hi;
        let names = self.tenants.iter().flat_map(|(tenant, names)| {
            let due = names.iter().filter(move |(_, counters)| {
                let lease = counters.lease.as_ref();
                lease.is_some_and(|lease| lease.is_due(hi, is_last))
            });
            due.map(move |(name, _)| (Arc::clone(tenant), Arc::clone(name)))
        });
        let due: Vec<_> = names.take(max.saturating_sub(calls.len())).collect();
        for (tenant, name) in due {
            calls.extend(self.begin(&tenant, &name));
        }
    }

    /// Appends the use that has changed since it was saved, and counts it as saved.
    pub(crate) fn changed(&mut self, time: TimeBounds, max: usize, saved: &mut Vec<SavedUse>) {
        self.advance(time);
        let context = Context {
            quantities: &self.quantities,
            windows: &self.windows,
            session: &self.session,
            time: self.time,
        };
        for (tenant, names) in &mut self.tenants {
            for (name, counters) in names.iter_mut().filter(|(_, one)| one.is_changed) {
                if saved.len() >= max {
                    return;
                }
                counters.is_changed = false;
                let parts = Parts(vec![counters.part(&context, SAVED_EPOCH_ID)]);
                saved.push(SavedUse {
                    tenant: Arc::clone(tenant),
                    name: Arc::clone(name),
                    expiry: parts.expiry(&self.windows),
                    blob: parts.encode(),
                });
            }
        }
    }

    /// Marks the use of a name as changed again, since it could not be saved.
    pub(crate) fn unsave(&mut self, tenant: &str, name: &str) {
        let counters = self.tenants.get_mut(tenant);
        if let Some(counters) = counters.and_then(|tenant| tenant.get_mut(name)) {
            counters.is_changed = true;
        }
    }

    /// Adds use that was saved. False if it cannot be read, or is one name too many.
    pub(crate) fn restore(
        &mut self,
        time: TimeBounds,
        tenant: &str,
        name: &str,
        blob: &[u8],
    ) -> bool {
        self.advance(time);
        let Some(mut parts) = Parts::decode(blob, &self.windows) else {
            return false;
        };
        parts.clamp(&self.windows, self.time.hi);
        parts.expire(&self.windows, self.time.lo);
        let limits = [None; N];
        if self
            .tenant(tenant, &[Descriptor { name, limits }])
            .is_none()
        {
            return false;
        }
        let counters = self.tenants.get_mut(tenant);
        if let Some(counters) = counters.and_then(|tenant| tenant.get_mut(name)) {
            counters.restore(&parts);
        }
        true
    }

    fn begin(&mut self, tenant: &Arc<str>, name: &Arc<str>) -> Option<SwapCall> {
        let counters = self.tenants.get_mut(tenant)?.get_mut(name)?;
        let (own, lease) = (&mut counters.own, counters.lease.as_mut()?);
        let draft = lease.begin(own, &self.windows, self.time, &self.session);
        Some(self.call(tenant, name, draft))
    }

    fn call(&self, tenant: &Arc<str>, name: &Arc<str>, draft: Draft) -> SwapCall {
        SwapCall {
            tenant: Arc::clone(tenant),
            name: Arc::clone(name),
            generation: self.session.generation,
            version: draft.version,
            blob: draft.blob,
            expiry: draft.expiry,
            era: self.era,
        }
    }

    /// Takes notice of an answer, and returns the next call of the flight, if it goes on.
    pub(crate) fn on_answer(
        &mut self,
        time: TimeBounds,
        call: &SwapCall,
        answer: SwapAnswer,
    ) -> Option<SwapCall> {
        self.advance(time);
        if call.era != self.era {
            return None;
        }
        let counters = self.tenants.get_mut(&call.tenant)?.get_mut(&call.name)?;
        let (own, lease) = (&mut counters.own, counters.lease.as_mut()?);
        let step = lease.on_answer(own, &self.windows, self.time, &self.session, answer);
        match step {
            FlightStep::Again(draft) => Some(self.call(&call.tenant, &call.name, draft)),
            FlightStep::Over => {
                if lease.has_need() && lease.must_queue() {
                    let pair = (Arc::clone(&call.tenant), Arc::clone(&call.name));
                    self.asked.push(pair);
                }
                None
            }
        }
    }

    fn advance(&mut self, time: TimeBounds) {
        self.time = time.after(self.time);
    }

    /// Makes sure that a tenant has counters for all descriptors; `None` if it would have too many.
    fn tenant(&mut self, tenant: &str, descriptors: &[Descriptor<'_, N>]) -> Option<()> {
        let known = self.tenants.get(tenant);
        let is_known = |descriptor: &Descriptor<'_, N>| {
            known.is_some_and(|counters| counters.contains_key(descriptor.name))
        };
        if descriptors.iter().all(is_known) {
            return Some(());
        }
        self.add(tenant, descriptors)
    }

    #[cold]
    fn add(&mut self, tenant: &str, descriptors: &[Descriptor<'_, N>]) -> Option<()> {
        if self.pairs >= self.sweep_at {
            self.sweep();
        }
        let context = Context {
            quantities: &self.quantities,
            windows: &self.windows,
            session: &self.session,
            time: self.time,
        };
        let counters = self.tenants.entry(tenant.into()).or_default();
        let before = counters.len();
        if before + descriptors.len() > MAX_NAMES_PER_TENANT {
            counters.retain(|_, counters| !counters.is_idle(&context));
        }
        let fits = counters.len() + descriptors.len() <= MAX_NAMES_PER_TENANT;
        if fits {
            for descriptor in descriptors {
                if !counters.contains_key(descriptor.name) {
                    let new = Counters::new(self.is_shared);
                    counters.insert(descriptor.name.into(), new);
                }
            }
        }
        self.pairs = self.pairs + counters.len() - before;
        fits.then_some(())
    }

    /// Removes the counters whose windows are empty.
    fn sweep(&mut self) {
        let context = Context {
            quantities: &self.quantities,
            windows: &self.windows,
            session: &self.session,
            time: self.time,
        };
        self.tenants.retain(|_, counters| {
            counters.retain(|_, counters| !counters.is_idle(&context));
            !counters.is_empty()
        });
        self.pairs = self.tenants.values().map(HashMap::len).sum();
        self.sweep_at = (self.pairs * 2).max(MIN_SWEEP_COUNT);
    }
}
