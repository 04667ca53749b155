//! Admission of a request under all of its names, or under none.

use std::sync::Arc;

use crate::amounts::{Amounts, Request};
use crate::counters::{Context, Obstacle};
use crate::safeguards::Safeguards;
use crate::shard::Tenant;
use crate::{Denial, Descriptor, Exceeded};

/// A request that was not admitted.
pub(crate) enum Refusal {
    Denied(Denial),
    /// The names whose slices do not suffice, the flights to wait for, and whether the name must be queued.
    Short(Vec<(Arc<str>, u64, bool)>),
}

/// Takes the amounts of `request` under all descriptors if each has room.
pub(crate) fn take<const N: usize, S: Safeguards>(
    tenant: &mut Tenant<N, S>,
    context: &Context<'_, N>,
    descriptors: &[Descriptor<'_, N>],
    request: &Request<N>,
) -> Result<Vec<(Arc<str>, Amounts<N>)>, Refusal> {
    let mut admitted = Vec::with_capacity(descriptors.len());
    let mut short = Vec::new();
    let mut worst: Option<(&str, Exceeded)> = None;
    let mut is_unavailable = false;
    for descriptor in descriptors {
        let Some(counters) = tenant.get_mut(descriptor.name) else {
            continue;
        };
        if let Some(lease) = &mut counters.lease {
            lease.set_limits(descriptor.limits);
        }
        match counters.check(context, &descriptor.limits, request) {
            Ok(amounts) => admitted.push(amounts),
            Err(Obstacle::Slice(amounts)) => short.push((descriptor, amounts)),
            Err(Obstacle::Unavailable) => is_unavailable = true,
            Err(Obstacle::Exceeded(exceeded)) => {
                if worst.is_none_or(|(_, worst)| worst.is_before(&exceeded)) {
                    worst = Some((descriptor.name, exceeded));
                }
            }
        }
    }
    if let Some((name, exceeded)) = worst {
        let name = name.into();
        return Err(Refusal::Denied(Denial::Exceeded { name, exceeded }));
    }
    if is_unavailable {
        return Err(Refusal::Denied(Denial::Unavailable));
    }
    if !short.is_empty() {
        return Err(Refusal::Short(wait(tenant, &short)));
    }
    let mut taken = Vec::with_capacity(descriptors.len());
    for (descriptor, amounts) in descriptors.iter().zip(admitted) {
        if let Some((name, counters)) = tenant.get_key_value_mut(descriptor.name) {
            taken.push((Arc::clone(name), amounts));
            counters.reserve(context, &descriptor.limits, &amounts);
        }
    }
    Ok(taken)
}

/// Makes a request wait for the slices of these names.
fn wait<const N: usize, S: Safeguards>(
    tenant: &mut Tenant<N, S>,
    short: &[(&Descriptor<'_, N>, Amounts<N>)],
) -> Vec<(Arc<str>, u64, bool)> {
    let waits = short.iter().filter_map(|(descriptor, amounts)| {
        let (name, counters) = tenant.get_key_value_mut(descriptor.name)?;
        let lease = counters.lease.as_mut()?;
        let limited = (0..N).filter(|quantity| descriptor.limits[*quantity].is_some());
        let needed = limited.filter_map(|quantity| Some((quantity, amounts.get(quantity)?)));
        let flight = lease.wait(needed);
        Some((Arc::clone(name), flight, lease.must_queue()))
    });
    waits.collect()
}
