//! The counters of some tenants, which share a lock.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::amounts::{Amounts, Request};
use crate::window::Counter;
use crate::{Category, Denial, Descriptor, Exceeded, LimitUsage, Quantity, Status, WindowUsage};

/// The most names that are counted for a tenant at a time.
pub const MAX_NAMES_PER_TENANT: usize = 1024;
/// The fewest pairs of a tenant and a name before idle ones are looked for.
const MIN_SWEEP_COUNT: usize = 256;

/// The counters of a tenant, by name.
type Tenant<const N: usize> = HashMap<Arc<str>, Counters<N>>;

/// The tenants of a shard.
#[derive(Clone, Default)]
pub(crate) struct Shard<const N: usize> {
    tenants: HashMap<Arc<str>, Tenant<N>>,
    /// The number of pairs of a tenant and a name.
    pub(crate) pairs: usize,
    /// The number of pairs at which idle ones are removed next.
    sweep_at: usize,
    /// The latest time that was seen. A thread that read the clock before another one but takes the lock after it counts at
    /// this time.
    now: u64,
}

/// Amounts that were taken.
pub(crate) struct Taken<const N: usize> {
    pub(crate) at: u64,
    pub(crate) tenant: Arc<str>,
    pub(crate) names: Vec<(Arc<str>, Amounts<N>)>,
}

impl<const N: usize> Shard<N> {
    /// Takes the amounts of `request` under all descriptors, or under none.
    pub(crate) fn reserve(
        &mut self,
        quantities: &[Quantity; N],
        now: u64,
        tenant: &str,
        descriptors: &[Descriptor<'_, N>],
        request: &Request<N>,
    ) -> (Result<Taken<N>, Denial>, Status) {
        let now = self.advance(now);
        let Some((tenant, counters)) = self.tenant(quantities, now, tenant, descriptors) else {
            return (Err(Denial::TooManyNames), Status::default());
        };
        let names = take(counters, quantities, now, descriptors, request);
        let status = status(counters, quantities, now, descriptors);
        let taken = names.map(|names| Taken {
            at: now,
            tenant: Arc::clone(tenant),
            names,
        });
        (taken, status)
    }

    /// Replaces the amounts that were taken by those that were consumed.
    pub(crate) fn settle(
        &mut self,
        quantities: &[Quantity; N],
        now: u64,
        taken: &Taken<N>,
        consumed: &Amounts<N>,
    ) {
        let now = self.advance(now);
        for (name, amounts) in &taken.names {
            let descriptor = Descriptor {
                name,
                limits: [None; N],
            };
            let descriptors = std::slice::from_ref(&descriptor);
            let tenant = self.tenant(quantities, now, &taken.tenant, descriptors);
            if let Some(counters) = tenant.and_then(|(_, counters)| counters.get_mut(name)) {
                counters.settle(quantities, taken.at, now, amounts, consumed);
            }
        }
    }

    /// Returns the use of the windows of a tenant's names that are not empty.
    pub(crate) fn usage(
        &mut self,
        quantities: &[Quantity; N],
        now: u64,
        tenant: &str,
    ) -> Vec<(Arc<str>, [WindowUsage; N])> {
        let now = self.advance(now);
        let counters = self.tenants.get_mut(tenant).into_iter().flatten();
        let busy = counters.filter(|(_, counters)| !counters.is_idle(quantities, now));
        busy.map(|(name, counters)| (Arc::clone(name), counters.usage(quantities, now)))
            .collect()
    }

    /// Returns the later of `now` and the latest time that was seen.
    fn advance(&mut self, now: u64) -> u64 {
        self.now = self.now.max(now);
        self.now
    }

    /// Returns a tenant that has counters for all descriptors; `None` if it would have too many.
    fn tenant(
        &mut self,
        quantities: &[Quantity; N],
        now: u64,
        tenant: &str,
        descriptors: &[Descriptor<'_, N>],
    ) -> Option<(&Arc<str>, &mut Tenant<N>)> {
        let known = self.tenants.get(tenant);
        let is_known = |descriptor: &Descriptor<'_, N>| {
            known.is_some_and(|counters| counters.contains_key(descriptor.name))
        };
        if !descriptors.iter().all(is_known) {
            self.add(quantities, now, tenant, descriptors)?;
        }
        self.tenants.get_key_value_mut(tenant)
    }

    #[cold]
    fn add(
        &mut self,
        quantities: &[Quantity; N],
        now: u64,
        tenant: &str,
        descriptors: &[Descriptor<'_, N>],
    ) -> Option<()> {
        if self.pairs >= self.sweep_at {
            self.sweep(quantities, now);
        }
        let counters = self.tenants.entry(tenant.into()).or_default();
        let before = counters.len();
        if before + descriptors.len() > MAX_NAMES_PER_TENANT {
            counters.retain(|_, counters| !counters.is_idle(quantities, now));
        }
        let fits = counters.len() + descriptors.len() <= MAX_NAMES_PER_TENANT;
        if fits {
            for descriptor in descriptors {
                if !counters.contains_key(descriptor.name) {
                    counters.insert(descriptor.name.into(), Counters::default());
                }
            }
        }
        self.pairs = self.pairs + counters.len() - before;
        fits.then_some(())
    }

    /// Removes the counters whose windows are empty.
    fn sweep(&mut self, quantities: &[Quantity; N], now: u64) {
        self.tenants.retain(|_, counters| {
            counters.retain(|_, counters| !counters.is_idle(quantities, now));
            !counters.is_empty()
        });
        self.pairs = self.tenants.values().map(HashMap::len).sum();
        self.sweep_at = (self.pairs * 2).max(MIN_SWEEP_COUNT);
    }
}

/// Takes the amounts of `request` under all descriptors if each has room.
fn take<const N: usize>(
    tenant: &mut Tenant<N>,
    quantities: &[Quantity; N],
    now: u64,
    descriptors: &[Descriptor<'_, N>],
    request: &Request<N>,
) -> Result<Vec<(Arc<str>, Amounts<N>)>, Denial> {
    let mut admitted = Vec::with_capacity(descriptors.len());
    let mut worst: Option<(&str, Exceeded)> = None;
    for descriptor in descriptors {
        let Some(counters) = tenant.get_mut(descriptor.name) else {
            continue;
        };
        match counters.check(quantities, now, &descriptor.limits, request) {
            Ok(amounts) => admitted.push(amounts),
            Err(exceeded) if worst.is_none_or(|(_, worst)| worst.is_before(&exceeded)) => {
                worst = Some((descriptor.name, exceeded));
            }
            Err(_) => {}
        }
    }
    if let Some((name, exceeded)) = worst {
        let name = name.into();
        return Err(Denial::Exceeded { name, exceeded });
    }
    let mut taken = Vec::with_capacity(descriptors.len());
    for (descriptor, amounts) in descriptors.iter().zip(admitted) {
        if let Some((name, counters)) = tenant.get_key_value_mut(descriptor.name) {
            taken.push((Arc::clone(name), amounts));
            counters.reserve(quantities, now, &amounts);
        }
    }
    Ok(taken)
}

/// Returns the tightest limit of each category.
fn status<const N: usize>(
    tenant: &mut Tenant<N>,
    quantities: &[Quantity; N],
    now: u64,
    descriptors: &[Descriptor<'_, N>],
) -> Status {
    let mut status = Status::default();
    for descriptor in descriptors {
        let Some(counters) = tenant.get_mut(descriptor.name) else {
            continue;
        };
        for (quantity, Quantity { window, category }) in quantities.iter().enumerate() {
            let tightest = match category {
                None => continue,
                Some(Category::Requests) => &mut status.requests,
                Some(Category::Tokens) => &mut status.tokens,
            };
            let Some(limit) = descriptor.limits[quantity] else {
                continue;
            };
            let counter = &mut counters.0[quantity];
            let usage = LimitUsage {
                limit,
                remaining: (limit - counter.sum(*window, now)).max(0),
                reset: counter.time_until(*window, now, 0),
            };
            if tightest.is_none_or(|tightest| usage.remaining < tightest.remaining) {
                *tightest = Some(usage);
            }
        }
    }
    status
}

impl Exceeded {
    /// True if the other limit makes a request wait longer.
    fn is_before(&self, other: &Self) -> bool {
        let wait = |exceeded: &Self| exceeded.retry_after.unwrap_or(u64::MAX);
        wait(self) < wait(other)
    }
}

/// The counters of one name.
#[derive(Clone, Debug)]
struct Counters<const N: usize>([Counter; N]);

impl<const N: usize> Default for Counters<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl<const N: usize> Counters<N> {
    /// Returns the amounts to take for `request`. A quantity without a limit is counted too, so that a limit that is set later
    /// holds at once.
    ///
    /// # Errors
    /// The limit that makes the request wait longest.
    fn check(
        &mut self,
        quantities: &[Quantity; N],
        now: u64,
        limits: &[Option<i64>; N],
        request: &Request<N>,
    ) -> Result<Amounts<N>, Exceeded> {
        let mut amounts = Amounts::default();
        let mut worst: Option<Exceeded> = None;
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
            let (window, counter) = (quantities[quantity].window, &mut self.0[quantity]);
            let used = counter.sum(window, now);
            if requested <= limit - used {
                amounts.set(quantity, requested);
                continue;
            }
            let wait = || counter.time_until(window, now, limit - requested);
            let exceeded = Exceeded {
                quantity,
                limit,
                used,
                requested,
                retry_after: (minimum <= limit).then(wait),
            };
            if worst.is_none_or(|worst| worst.is_before(&exceeded)) {
                worst = Some(exceeded);
            }
        }
        worst.map_or(Ok(amounts), Err)
    }

    fn reserve(&mut self, quantities: &[Quantity; N], now: u64, amounts: &Amounts<N>) {
        let counters = self.0.iter_mut().zip(quantities).enumerate();
        for (index, (counter, quantity)) in counters {
            if let Some(amount) = amounts.get(index) {
                counter.reserve(quantity.window, now, amount);
            }
        }
    }

    /// Returns the use of each window.
    fn usage(&mut self, quantities: &[Quantity; N], now: u64) -> [WindowUsage; N] {
        std::array::from_fn(|index| {
            let (counter, window) = (&mut self.0[index], quantities[index].window);
            WindowUsage {
                used: counter.sum(window, now),
                reserved: counter.reserved(),
                reset: counter.time_until(window, now, 0),
            }
        })
    }

    /// Corrects amounts that were taken at `at` to those that were consumed, as far as they are known: a surplus is refunded to
    /// the bucket that it was taken from, a deficit is added at `now`.
    fn settle(
        &mut self,
        quantities: &[Quantity; N],
        at: u64,
        now: u64,
        taken: &Amounts<N>,
        consumed: &Amounts<N>,
    ) {
        let counters = self.0.iter_mut().zip(quantities).enumerate();
        for (index, (counter, Quantity { window, .. })) in counters {
            let Some(taken) = taken.get(index) else {
                continue;
            };
            let consumed = consumed.get(index).unwrap_or(taken);
            counter.release(*window, at, taken, (taken - consumed).max(0));
            if consumed > taken {
                counter.add(*window, now, consumed - taken);
            }
        }
    }

    /// True if the windows of all quantities are empty.
    fn is_idle(&self, quantities: &[Quantity; N], now: u64) -> bool {
        let mut counters = quantities.iter().zip(&self.0);
        counters.all(|(quantity, counter)| counter.is_idle(quantity.window, now))
    }
}
