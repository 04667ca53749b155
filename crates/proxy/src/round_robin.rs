//! Load balancing: smooth weighted round robin over the upstreams of one model, as in nginx.

use std::cmp::Reverse;

/// Round robin over peers, which are named by their index.
///
/// With each pick the current weight of every participant grows by its effective weight, the participant with the largest
/// current weight is picked, and its current weight is reduced by the sum of all effective weights. Peers with weights 5, 1
/// and 1 are picked as `a a b a c a a`: in proportion, without bursts.
pub(crate) struct SmoothWeightedRoundRobin(Vec<Peer>);

struct Peer {
    /// Configured weight; 0 is a standby.
    weight: i64,
    /// Growth of the current weight with each pick; 0 while the peer does not participate.
    effective_weight: i64,
    /// Claim to be picked next. The current weights of all peers sum up to 0 between picks.
    current_weight: i64,
}

/// The rank of a peer: those of the first rank that any peer has share the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Regular,
    Standby,
    Open,
    OpenStandby,
}

impl Rank {
    /// Returns the rank of a peer whose circuit is open or not.
    pub(crate) fn of(is_open: bool, is_standby: bool) -> Self {
        match (is_open, is_standby) {
            (false, false) => Self::Regular,
            (false, true) => Self::Standby,
            (true, false) => Self::Open,
            (true, true) => Self::OpenStandby,
        }
    }
}

impl SmoothWeightedRoundRobin {
    pub(crate) fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let peer = |weight| Peer {
            weight: i64::from(weight),
            effective_weight: 0,
            current_weight: 0,
        };
        Self(weights.into_iter().map(peer).collect())
    }

    /// Picks a peer, and returns all peers in the order in which to try them: the picked one, the other participants by
    /// their current weight, standbys, then peers with an open circuit. Standbys participate while every other peer has an
    /// open circuit. If every peer has an open circuit, circuits are ignored.
    pub(crate) fn order(&mut self, is_open: impl Fn(usize) -> bool) -> Vec<usize> {
        let ranked = |(index, peer): (usize, &Peer)| {
            let rank = Rank::of(is_open(index), peer.weight == 0);
            (rank, index)
        };
        let mut order: Vec<(Rank, usize)> = self.0.iter().enumerate().map(ranked).collect();
        let best = order.iter().map(|(rank, _)| *rank).min();
        let mut is_changed = false;
        let mut total = 0;
        for (rank, index) in &order {
            let peer = &mut self.0[*index];
            let effective_weight = if Some(*rank) == best {
                peer.weight.max(1)
            } else {
                0
            };
            let before = std::mem::replace(&mut peer.effective_weight, effective_weight);
            is_changed |= before != effective_weight;
            total += effective_weight;
        }
        for peer in &mut self.0 {
            // Claims among other participants mean nothing among these: a new round begins.
            let carried_over = if is_changed { 0 } else { peer.current_weight };
            peer.current_weight = peer.effective_weight + carried_over;
        }
        order.sort_by_key(|(rank, index)| (*rank, Reverse(self.0[*index].current_weight)));
        if let Some((_, picked)) = order.first() {
            self.0[*picked].current_weight -= total;
        }
        order.into_iter().map(|(_, index)| index).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picks(
        peers: &mut SmoothWeightedRoundRobin,
        count: usize,
        is_open: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        (0..count).map(|_| peers.order(&is_open)[0]).collect()
    }

    #[test]
    fn picks_are_proportional_to_weights_and_spread_out() {
        let mut peers = SmoothWeightedRoundRobin::new([5, 1, 1]);
        assert_eq!(picks(&mut peers, 7, |_| false), [0, 0, 1, 0, 2, 0, 0]);
        let mut peers = SmoothWeightedRoundRobin::new([1, 1, 1]);
        assert_eq!(picks(&mut peers, 4, |_| false), [0, 1, 2, 0]);
    }

    #[test]
    fn standbys_participate_while_every_other_peer_has_an_open_circuit() {
        let mut peers = SmoothWeightedRoundRobin::new([0, 2, 0, 1]);
        assert_eq!(picks(&mut peers, 6, |_| false), [1, 3, 1, 1, 3, 1]);
        assert_eq!(peers.order(|index| index == 1), [3, 0, 2, 1]);
        assert_eq!(picks(&mut peers, 4, |index| index % 2 == 1), [0, 2, 0, 2]);
        assert_eq!(peers.order(|_| true).len(), 4);
        let mut standbys = SmoothWeightedRoundRobin::new([0, 0]);
        assert_eq!(picks(&mut standbys, 4, |_| false), [0, 1, 0, 1]);
    }

    proptest! {
        #[test]
        fn each_peer_gets_exactly_its_share_of_a_whole_round(
            members in prop::collection::vec((0..20_u32, any::<bool>()), 1..6),
            rounds in 1..4_usize,
        ) {
            let mut peers = SmoothWeightedRoundRobin::new(members.iter().map(|(weight, _)| *weight));
            // Picks among all peers come first: when circuits open, a new round must begin.
            picks(&mut peers, 7, |_| false);
            let is_open = |index: usize| members[index].1;
            let shares: Vec<usize> = members
                .iter()
                .map(|(weight, is_open)| if *is_open { 0 } else { *weight as usize })
                .collect();
            let round: usize = shares.iter().sum();
            prop_assume!(round > 0 && members.iter().any(|(_, is_open)| *is_open));
            for _ in 0..rounds {
                let picked = picks(&mut peers, round, is_open);
                for (index, share) in shares.iter().enumerate() {
                    prop_assert_eq!(picked.iter().filter(|picked| **picked == index).count(), *share);
                }
            }
        }

        #[test]
        fn each_peer_is_tried_once_and_those_with_an_open_circuit_come_last(
            members in prop::collection::vec((0..4_u32, any::<bool>()), 1..8),
        ) {
            let mut peers = SmoothWeightedRoundRobin::new(members.iter().map(|(weight, _)| *weight));
            for _ in 0..20 {
                let order = peers.order(|index| members[index].1);
                let mut sorted = order.clone();
                sorted.sort_unstable();
                prop_assert!(sorted.into_iter().eq(0..members.len()));
                prop_assert!(order.is_sorted_by_key(|index| members[*index].1));
            }
        }
    }
}
