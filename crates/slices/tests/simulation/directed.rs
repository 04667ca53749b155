//! Single steps of the protocol, each with the store's answer written out.

use std::sync::Arc;

use slices::{
    AllSafeguards, Denial, Limiter, MAX_BLOB_BYTES, Reservation, SLICE_TIMEOUT, Safeguards,
    Session, SwapAnswer, TimeBounds,
};

use crate::store::{
    Limits, Moment, Store, TENANT, beat, decide, node, node_with, reserve, session,
};

fn admit(node: &Arc<Limiter<2>>, store: &mut Store, now: u64, limit: i64) -> bool {
    let reserved = decide(node, store, now, [Some(limit), None], [1, 0]);
    reserved.map(Reservation::forfeit).is_ok()
}

#[test]
fn one_request_a_minute_is_admitted_by_one_of_three_nodes() {
    let mut store = Store::default();
    let nodes = [node(1), node(2), node(3)];
    for now in [0, 61_000, 122_000] {
        let admitted: Vec<bool> = nodes
            .iter()
            .map(|node| admit(node, &mut store, now, 1))
            .collect();
        assert_eq!(admitted, [true, false, false], "at {now}");
    }
}

#[test]
fn refusal_names_the_use_by_all_nodes_and_the_time_until_there_is_room() {
    let mut store = Store::default();
    let [first, second] = [node(1), node(2)];
    assert!(admit(&first, &mut store, 5_000, 1));
    beat(&first, &mut store, 5_600);
    let refused = decide(&second, &mut store, 20_000, [Some(1), None], [1, 0]);
    let Err(Denial::Exceeded { exceeded, .. }) = refused.map(Reservation::forfeit) else {
        panic!("two requests were admitted");
    };
    assert_eq!((exceeded.used, exceeded.retry_after), (1, Some(46_000)));
    let usage = second.usage(TimeBounds::exact(20_000), TENANT);
    assert_eq!((usage[0].1[0].used, usage[0].1[0].reserved), (1, 0));
}

#[test]
fn slice_ends_two_seconds_after_it_was_asked_for_not_after_it_was_granted() {
    let mut store = Store::default();
    let node = node(1);
    let limits = [Some(100), None];
    assert!(matches!(
        reserve(&node, 1_000, limits, [3, 0]),
        Err(Denial::Waiting(_))
    ));
    let calls = node.asks(TimeBounds::exact(1_000), 100);
    // The answer takes a second and a half.
    store.serve(&node, TimeBounds::exact(2_500), calls);
    let last = 1_000 + SLICE_TIMEOUT - 1;
    assert!(
        reserve(&node, last, limits, [1, 0])
            .map(Reservation::forfeit)
            .is_ok()
    );
    assert!(matches!(
        reserve(&node, last + 1, limits, [1, 0]),
        Err(Denial::Waiting(_))
    ));
}

/// A run of two nodes under a limit of 2. Returns what an interval of less than a minute holds.
type TwoNodes<S> = fn(&Arc<Limiter<2, S>>, &Arc<Limiter<2>>, &mut Store) -> i64;

const TWO: Limits = [Some(2), None];

/// Asserts that a run keeps the limit, and exceeds it if the first node lacks a rule.
fn assert_needed<S: Safeguards>(kept: TwoNodes<AllSafeguards>, lacking: TwoNodes<S>) {
    let admitted = kept(&node(1), &node(2), &mut Store::default());
    assert!(admitted <= 2, "{admitted} of 2 were admitted");
    let admitted = lacking(&node_with::<S>(1), &node(2), &mut Store::default());
    assert!(admitted > 2, "the rule is not needed");
}

fn take<S: Safeguards>(
    node: &Arc<Limiter<2, S>>,
    store: &mut Store,
    now: impl Into<Moment>,
) -> i64 {
    let reserved = decide(node, store, now, TWO, [2, 0]);
    reserved.map(Reservation::forfeit).map_or(0, |()| 2)
}

without!(EndFromAnswer, END_FROM_ASK);
without!(EndlessSlices, SLICES_END);
without!(EarlyRefunds, REFUNDS_PUBLISHED);
without!(LooseTimes, TIME_BOUNDS);

#[test]
fn slice_that_ends_later_than_the_store_knows_exceeds_a_limit() {
    fn run<S: Safeguards>(
        first: &Arc<Limiter<2, S>>,
        second: &Arc<Limiter<2>>,
        store: &mut Store,
    ) -> i64 {
        assert!(reserve(first, 900, TWO, [2, 0]).is_err());
        let calls = first.asks(TimeBounds::exact(900), 100);
        store.serve(first, TimeBounds::exact(2_800), calls);
        // The store has 2_900 as the end of the slice. The node dies once it has spent it.
        let spent = reserve(first, 4_000, TWO, [2, 0]).map(Reservation::forfeit);
        spent.map_or(0, |()| 2) + take(second, store, 63_000)
    }
    assert_needed::<EndFromAnswer>(run, run);
}

#[test]
fn slice_that_is_spent_after_its_end_exceeds_a_limit() {
    fn run<S: Safeguards>(
        first: &Arc<Limiter<2, S>>,
        second: &Arc<Limiter<2>>,
        store: &mut Store,
    ) -> i64 {
        assert!(reserve(first, 900, TWO, [2, 0]).is_err());
        let calls = first.asks(TimeBounds::exact(900), 100);
        store.serve(first, TimeBounds::exact(901), calls);
        take(second, store, 63_000) + take(first, store, 63_100)
    }
    assert_needed::<EndlessSlices>(run, run);
}

#[test]
fn refund_that_is_spent_before_it_was_published_exceeds_a_limit() {
    fn run<S: Safeguards>(
        first: &Arc<Limiter<2, S>>,
        second: &Arc<Limiter<2>>,
        store: &mut Store,
    ) -> i64 {
        let refunded = decide(first, store, 1_000, TWO, [2, 0]).expect("room");
        beat(first, store, 1_600);
        drop(refunded);
        // The node dies after this, and the store has its use at 1_000.
        take(first, store, 3_500) + take(second, store, 62_000)
    }
    assert_needed::<EarlyRefunds>(run, run);
}

#[test]
fn use_that_is_dated_by_the_earliest_time_exceeds_a_limit() {
    fn run<S: Safeguards>(
        first: &Arc<Limiter<2, S>>,
        second: &Arc<Limiter<2>>,
        store: &mut Store,
    ) -> i64 {
        // It is 5_000.
        let spent = take(first, store, (3_900, 5_000));
        beat(first, store, (4_500, 5_600));
        spent + take(second, store, 64_000)
    }
    assert_needed::<LooseTimes>(run, run);
}

#[test]
fn nothing_is_admitted_while_the_store_does_not_answer_and_it_is_not_called_a_refusal() {
    let node = node(1);
    let limits = [Some(5), None];
    assert!(matches!(
        reserve(&node, 0, limits, [1, 0]),
        Err(Denial::Waiting(_))
    ));
    let calls = node.asks(TimeBounds::exact(0), 100);
    assert_eq!(
        node.on_answer(TimeBounds::exact(300), &calls[0], SwapAnswer::Lost),
        None
    );
    let refused = reserve(&node, 300, limits, [1, 0]).map(Reservation::forfeit);
    assert_eq!(refused, Err(Denial::Unavailable));
    // What no limit concerns passes, and what can never pass is refused for good.
    assert!(
        reserve(&node, 300, [None, None], [1, 0])
            .map(Reservation::forfeit)
            .is_ok()
    );
    let refused = reserve(&node, 300, limits, [6, 0]).map(Reservation::forfeit);
    let Err(Denial::Exceeded { exceeded, .. }) = refused else {
        panic!("6 of 5 were admitted");
    };
    assert_eq!(exceeded.retry_after, None);
}

#[test]
fn blob_that_is_none_stops_a_name_and_is_never_replaced() {
    let node = node(1);
    let limits = [Some(5), None];
    for blob in [vec![99, 1, 2], vec![1; MAX_BLOB_BYTES + 1]] {
        let now = u64::try_from(blob.len()).expect("small") * 100;
        assert!(matches!(
            reserve(&node, now, limits, [1, 0]),
            Err(Denial::Waiting(_))
        ));
        let calls = node.asks(TimeBounds::exact(now), 100);
        let answer = SwapAnswer::Present { version: 9, blob };
        assert_eq!(
            node.on_answer(TimeBounds::exact(now), &calls[0], answer),
            None
        );
        let refused = reserve(&node, now, limits, [1, 0]).map(Reservation::forfeit);
        assert_eq!(refused, Err(Denial::Unavailable));
        let calls = node.beat(TimeBounds::exact(now + 500), 100);
        assert_eq!(calls.iter().filter(|call| call.blob.is_some()).count(), 0);
        for call in calls {
            node.on_answer(TimeBounds::exact(now + 500), &call, SwapAnswer::Lost);
        }
    }
}

#[test]
fn lowered_limit_is_asked_for_anew_and_a_raised_one_does_not_wait() {
    let mut store = Store::default();
    let node = node(1);
    assert!(admit(&node, &mut store, 0, 10));
    assert!(admit(&node, &mut store, 0, 10));
    assert!(!admit(&node, &mut store, 1, 2));
    assert!(admit(&node, &mut store, 1, 3));
    assert!(!admit(&node, &mut store, 1, 3));
}

#[test]
fn unspent_slice_is_returned_with_the_next_beats() {
    let mut store = Store::default();
    let [first, second] = [node(1), node(2)];
    for _ in 0..8 {
        assert!(admit(&first, &mut store, 0, 10));
    }
    for now in [500, 1_000, 1_500, 2_000, 2_500] {
        beat(&first, &mut store, now);
    }
    assert!(admit(&second, &mut store, 2_500, 10));
    assert!(admit(&second, &mut store, 2_500, 10));
    assert!(!admit(&second, &mut store, 2_500, 10));
    // Nothing is new, so nothing is sent.
    assert_eq!(first.beat(TimeBounds::exact(4_000), 100), []);
}

#[test]
fn parts_of_the_dead_become_one_and_keep_their_use() {
    let mut store = Store::default();
    for epoch in 1..=40 {
        let one = node(epoch);
        let living = Session {
            living: Arc::from([epoch, epoch + 1_000]),
            ..session(epoch)
        };
        one.set_session(TimeBounds::exact(0), &living);
        assert!(admit(&one, &mut store, epoch, 40), "{epoch}");
    }
    let last = node(41);
    assert!(!admit(&last, &mut store, 50, 40));
    let (_, blob) = store.rows.values().next().expect("a row");
    assert!(blob.len() < 60, "{} bytes", blob.len());
}
