//! The comparison of one node that has a store with a limiter without one, step for step.

use std::sync::Arc;

use proptest::prelude::*;
use slices::{Amounts, Limiter, TimeBounds};

use crate::store::{QUANTITIES, Store, TENANT, beat, decide, node, reserve};

#[derive(Clone, Debug)]
enum Step {
    Reserve([i64; 2]),
    /// The position of an open reservation, and what it consumed.
    Settle(prop::sample::Index, [Option<i64>; 2]),
    Drop(prop::sample::Index),
    Limit(usize, Option<i64>),
    Beat,
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let pause = prop_oneof![
        6 => 0..30_u64,
        6 => 0..5_000_u64,
        3 => prop::sample::select(vec![1, 49, 50, 999, 1_000, 2_000, 59_999, 60_000, 61_000]),
        1 => 0..2 * 60_000_u64,
        1 => 85_000_000..88_000_000_u64,
    ];
    let amounts = prop::array::uniform2(prop_oneof![1 => Just(0), 3 => 1..4_i64, 1 => 4..12_i64]);
    let consumed = prop::array::uniform2(prop::option::of(0..12_i64));
    let step = prop_oneof![
        8 => amounts.prop_map(Step::Reserve),
        3 => (any::<prop::sample::Index>(), consumed).prop_map(|(which, all)| Step::Settle(which, all)),
        1 => any::<prop::sample::Index>().prop_map(Step::Drop),
        1 => (0..2_usize, prop::option::of(0..20_i64)).prop_map(|(which, limit)| Step::Limit(which, limit)),
        2 => Just(Step::Beat),
    ];
    prop::collection::vec((pause, step), 1..150)
}

fn amounts(consumed: [Option<i64>; 2]) -> Amounts<2> {
    let known = consumed.into_iter().enumerate();
    let known = known.filter_map(|(quantity, amount)| Some((quantity, amount?)));
    known.fold(Amounts::default(), |amounts, (quantity, amount)| {
        amounts.with(quantity, amount)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn one_node_of_a_store_decides_as_a_limiter_without_one(
        steps in steps(),
        limits in prop::array::uniform2(prop::option::of(1..20_i64)),
    ) {
        let mut limits = limits;
        let mut store = Store::default();
        let (shared, alone) = (node(1), Limiter::new(QUANTITIES));
        let mut open = Vec::new();
        let mut now = 0;
        for (pause, step) in steps {
            now += pause;
            let time = TimeBounds::exact(now);
            match step {
                Step::Reserve(amounts) => {
                    let one = decide(&shared, &mut store, now, limits, amounts);
                    let other = reserve(&alone, now, limits, amounts);
                    match (one, other) {
                        (Ok(one), Ok(other)) => open.push((one, other)),
                        (one, other) => prop_assert_eq!(one.err(), other.err()),
                    }
                    let usage = |node: &Arc<Limiter<2>>| node.usage(time, TENANT).pop().map(|(_, usage)| usage);
                    prop_assert_eq!(usage(&shared), usage(&alone));
                }
                Step::Settle(which, consumed) if !open.is_empty() => {
                    let (one, other) = open.swap_remove(which.index(open.len()));
                    one.settle(time, &amounts(consumed));
                    other.settle(time, &amounts(consumed));
                }
                Step::Drop(which) if !open.is_empty() => drop(open.swap_remove(which.index(open.len()))),
                Step::Limit(which, limit) => limits[which] = limit,
                Step::Beat => beat(&shared, &mut store, now),
                Step::Settle(..) | Step::Drop(_) => {}
            }
        }
    }
}
