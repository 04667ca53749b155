//! Affinity: requests that belong together go to the same upstream, so that its prompt cache and what it has encrypted serve
//! the next request. Weighted rendezvous hashing with bounded load.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering as AtomicOrdering};

/// The share of the requests in flight that an upstream may have of requests with an affinity, as a multiple of the share
/// that its weight gives it. A lower factor spreads better, a higher one keeps more requests together.
const MAX_LOAD_FACTOR: f64 = 1.25;

/// A hash of what requests that belong together have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affinity(u64);

impl Affinity {
    /// Returns the affinity of requests that have all of these values. The same on every node that runs the same program.
    #[must_use]
    pub fn of(values: &[&[u8]]) -> Self {
        let mut hasher = DefaultHasher::new();
        values.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Returns the distance to an upstream: the larger the weight, the smaller the distances. The upstream with the smallest
    /// distance is the nearest for a share of all affinities that is in proportion to its weight.
    fn distance(self, upstream: &str, weight: u32) -> f64 {
        let mut hasher = DefaultHasher::new();
        (self.0, upstream).hash(&mut hasher);
        // The upper 53 bits, which a float holds exactly, as a number above 0 and up to 1.
        #[expect(clippy::cast_precision_loss, reason = "53 bits have no loss")]
        let unit = ((hasher.finish() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        -unit.ln() / f64::from(weight.max(1))
    }
}

/// An upstream as affinity sees it.
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'a str,
    pub(crate) weight: u32,
    /// The number of requests that the upstream is working on.
    pub(crate) in_flight: u32,
}

/// Returns the indexes of the candidates, the nearest first; those that have more than their share of the requests in flight
/// come last.
pub(crate) fn order(affinity: Affinity, candidates: &[Candidate<'_>]) -> Vec<usize> {
    let weight = |candidate: &Candidate<'_>| f64::from(candidate.weight.max(1));
    let all: f64 = candidates.iter().map(weight).sum();
    let in_flight: f64 = candidates
        .iter()
        .map(|candidate| f64::from(candidate.in_flight))
        .sum();
    let has_room = |candidate: &Candidate<'_>| {
        let share = (in_flight + 1.0) * weight(candidate) / all;
        f64::from(candidate.in_flight) < (share * MAX_LOAD_FACTOR).ceil()
    };
    let mut order: Vec<(bool, f64, usize)> = candidates
        .iter()
        .enumerate()
        .map(|(index, candidate)| {
            let distance = affinity.distance(candidate.name, candidate.weight);
            (!has_room(candidate), distance, index)
        })
        .collect();
    order.sort_by(|a, b| {
        let by_room = a.0.cmp(&b.0);
        by_room.then(a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal))
    });
    order.into_iter().map(|(_, _, index)| index).collect()
}

/// The number of requests that an upstream is working on.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<AtomicU32>);

/// A request that an upstream is working on, until it is dropped.
pub(crate) struct InFlightGuard(Arc<AtomicU32>);

impl InFlight {
    /// Counts a request.
    pub(crate) fn enter(&self) -> InFlightGuard {
        self.0.fetch_add(1, AtomicOrdering::Relaxed);
        InFlightGuard(Arc::clone(&self.0))
    }

    /// Returns the number of requests.
    pub(crate) fn count(&self) -> u32 {
        self.0.load(AtomicOrdering::Relaxed)
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, AtomicOrdering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 4] = ["a", "b", "c", "d"];

    fn candidates(weights: &[u32], in_flight: &[u32]) -> Vec<Candidate<'static>> {
        let all = NAMES.into_iter().zip(weights).zip(in_flight);
        all.map(|((name, weight), in_flight)| Candidate {
            name,
            weight: *weight,
            in_flight: *in_flight,
        })
        .collect()
    }

    fn affinity(number: u32) -> Affinity {
        Affinity::of(&[b"project", &number.to_be_bytes()])
    }

    #[test]
    fn affinities_are_shared_by_weight_and_only_those_of_a_lost_upstream_move() {
        let all = candidates(&[5, 1, 2], &[0; 3]);
        let mut picked = [0_u32; 3];
        for number in 0..8_000 {
            let nearest = order(affinity(number), &all)[0];
            picked[nearest] += 1;
            let two = candidates(&[5, 1], &[0; 2]);
            if nearest < 2 {
                assert_eq!(order(affinity(number), &two)[0], nearest);
            }
        }
        for (picked, expected) in picked.into_iter().zip([5_000_u32, 1_000, 2_000]) {
            assert!(picked.abs_diff(expected) < 200, "{picked} of {expected}");
        }
    }

    #[test]
    fn values_are_told_apart_by_their_boundaries() {
        let of = Affinity::of;
        assert_eq!(of(&[b"ab", b"c"]), of(&[b"ab", b"c"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
    }

    proptest! {
        #[test]
        fn no_upstream_gets_more_than_its_share_of_one_affinity(
            weights in prop::collection::vec(1..10_u32, 2..5),
            requests in 1..200_u32,
        ) {
            let mut in_flight = vec![0; weights.len()];
            for _ in 0..requests {
                let picked = order(affinity(7), &candidates(&weights, &in_flight))[0];
                in_flight[picked] += 1;
            }
            let all: u32 = weights.iter().sum();
            for (count, weight) in in_flight.iter().zip(&weights) {
                let share = f64::from(requests) * f64::from(*weight) / f64::from(all);
                prop_assert!(f64::from(*count) <= (share * MAX_LOAD_FACTOR).ceil());
            }
        }

        #[test]
        fn every_upstream_is_in_the_order_once(
            weights in prop::collection::vec(0..10_u32, 1..5),
            in_flight in prop::collection::vec(0..50_u32, 4),
            number in any::<u32>(),
        ) {
            let mut order = order(affinity(number), &candidates(&weights, &in_flight));
            order.sort_unstable();
            prop_assert!(order.into_iter().eq(0..weights.len()));
        }
    }
}
