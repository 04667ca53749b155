//! Whose turn it is: smooth weighted turns among those that serve one model.

use std::cmp::Reverse;

/// The turns of the upstreams of one model, which are known by their index here.
pub(super) struct Turns(Vec<Turn>);

struct Turn {
    weight: i64,
    /// What it gains with each request: its weight, or nothing while it takes no part.
    part: i64,
    /// What it is owed. All of them together are owed nothing.
    owed: i64,
}

impl Turns {
    pub(super) fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let turn = |weight| Turn {
            weight: i64::from(weight),
            part: 0,
            owed: 0,
        };
        Self(weights.into_iter().map(turn).collect())
    }

    /// The order in which to try them: whose turn it is, then those who share the turns and who is owed most, then those
    /// who stand by, then those who are down. While all who share the turns are down, those who stand by share them;
    /// while everybody is, it is as if nobody were.
    pub(super) fn order(&mut self, is_down: impl Fn(usize) -> bool) -> Vec<usize> {
        let rank = |index: usize, turn: &Turn| match (is_down(index), turn.weight) {
            (false, 1..) => 0,
            (false, _) => 1,
            (true, 1..) => 2,
            (true, _) => 3,
        };
        let ranked = |(index, turn): (usize, &Turn)| (rank(index, turn), index);
        let mut order: Vec<(i32, usize)> = self.0.iter().enumerate().map(ranked).collect();
        let best = order.iter().map(|(rank, _)| *rank).min();
        let mut is_changed = false;
        let mut total = 0;
        for (rank, index) in &order {
            let turn = &mut self.0[*index];
            let part = if Some(*rank) == best {
                turn.weight.max(1)
            } else {
                0
            };
            is_changed |= std::mem::replace(&mut turn.part, part) != part;
            total += part;
        }
        for turn in &mut self.0 {
            turn.owed = turn.part + if is_changed { 0 } else { turn.owed };
        }
        order.sort_by_key(|(rank, index)| (*rank, Reverse(self.0[*index].owed)));
        if let Some((_, first)) = order.first() {
            self.0[*first].owed -= total;
        }
        order.into_iter().map(|(_, index)| index).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn firsts(turns: &mut Turns, count: usize, is_down: impl Fn(usize) -> bool) -> Vec<usize> {
        (0..count).map(|_| turns.order(&is_down)[0]).collect()
    }

    #[test]
    fn turns_are_smooth() {
        let mut turns = Turns::new([5, 1, 1]);
        assert_eq!(firsts(&mut turns, 7, |_| false), [0, 0, 1, 0, 2, 0, 0]);
        let mut turns = Turns::new([1, 1, 1]);
        assert_eq!(firsts(&mut turns, 4, |_| false), [0, 1, 2, 0]);
    }

    #[test]
    fn who_stands_by_comes_when_no_other_can() {
        let mut turns = Turns::new([0, 2, 0, 1]);
        assert_eq!(firsts(&mut turns, 6, |_| false), [1, 3, 1, 1, 3, 1]);
        assert_eq!(turns.order(|index| index == 1), [3, 0, 2, 1]);
        assert_eq!(firsts(&mut turns, 4, |index| index % 2 == 1), [0, 2, 0, 2]);
        assert_eq!(turns.order(|_| true).len(), 4);
        assert_eq!(firsts(&mut Turns::new([0, 0]), 4, |_| false), [0, 1, 0, 1]);
    }

    proptest! {
        #[test]
        fn over_a_whole_round_each_gets_exactly_its_share(
            members in prop::collection::vec((0..20_u32, any::<bool>()), 1..6),
            rounds in 1..4_usize,
        ) {
            let mut turns = Turns::new(members.iter().map(|(weight, _)| *weight));
            // Some requests before, while all were up: a change begins a new round.
            firsts(&mut turns, 7, |_| false);
            let is_down = |index: usize| members[index].1;
            let shares: Vec<usize> = members
                .iter()
                .map(|(weight, is_down)| if *is_down { 0 } else { *weight as usize })
                .collect();
            let round: usize = shares.iter().sum();
            prop_assume!(round > 0 && members.iter().any(|(_, is_down)| *is_down));
            for _ in 0..rounds {
                let taken = firsts(&mut turns, round, is_down);
                for (index, share) in shares.iter().enumerate() {
                    prop_assert_eq!(taken.iter().filter(|taken| **taken == index).count(), *share);
                }
            }
        }

        #[test]
        fn everyone_is_tried_once_and_those_who_are_down_come_last(
            members in prop::collection::vec((0..4_u32, any::<bool>()), 1..8),
        ) {
            let mut turns = Turns::new(members.iter().map(|(weight, _)| *weight));
            for _ in 0..20 {
                let order = turns.order(|index| members[index].1);
                let mut sorted = order.clone();
                sorted.sort_unstable();
                prop_assert!(sorted.into_iter().eq(0..members.len()));
                prop_assert!(order.is_sorted_by_key(|index| members[*index].1));
            }
        }
    }
}
