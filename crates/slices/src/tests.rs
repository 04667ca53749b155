//! The shard against a plain list of everything that was ever admitted.

use proptest::prelude::*;
use proptest::sample::Index;

use crate::shard::{Shard, Taken};
use crate::*;

fn at(now: u64) -> TimeBounds {
    TimeBounds::exact(now)
}

type TestShard = Shard<QUANTITY_COUNT, AllSafeguards>;

/// The milliseconds of a second.
const SECOND_LEN: u64 = 1_000;
const MINUTE_LEN: u64 = 60 * SECOND_LEN;
const DAY_LEN: u64 = 24 * 60 * MINUTE_LEN;

/// The number of quantities.
const QUANTITY_COUNT: usize = 6;
const REQUESTS_PER_MINUTE: usize = 0;
const TOKENS_PER_MINUTE: usize = 1;
const IMAGES_PER_MINUTE: usize = 2;
const REQUESTS_PER_DAY: usize = 4;

const fn quantity(window: Window, category: Option<Category>) -> Quantity {
    Quantity { window, category }
}

const QUANTITIES: [Quantity; QUANTITY_COUNT] = [
    quantity(Window::MINUTE, Some(Category::Requests)),
    quantity(Window::MINUTE, Some(Category::Tokens)),
    quantity(Window::MINUTE, None),
    quantity(Window::MINUTE, None),
    quantity(Window::DAY, Some(Category::Requests)),
    quantity(Window::DAY, None),
];
/// The lengths of the window and of a bucket of each quantity.
const LENGTHS: [(u64, u64); QUANTITY_COUNT] = [
    (MINUTE_LEN, SECOND_LEN),
    (MINUTE_LEN, SECOND_LEN),
    (MINUTE_LEN, SECOND_LEN),
    (MINUTE_LEN, SECOND_LEN),
    (DAY_LEN, 15 * MINUTE_LEN),
    (DAY_LEN, 15 * MINUTE_LEN),
];
const NAMES: [&str; 2] = ["alias", "real"];
const TENANT: &str = "proj_1";

type Limits = [Option<i64>; QUANTITY_COUNT];
type Reserved = (Result<Taken<QUANTITY_COUNT>, Denial>, Status);

fn limits(pairs: &[(usize, i64)]) -> Limits {
    let mut limits = [None; QUANTITY_COUNT];
    for (quantity, limit) in pairs {
        limits[*quantity] = Some(*limit);
    }
    limits
}

/// Returns a request of this number of tokens.
fn tokens(tokens: i64) -> Request<QUANTITY_COUNT> {
    let amounts = Amounts::default().with(REQUESTS_PER_MINUTE, 1);
    let amounts = amounts.with(REQUESTS_PER_DAY, 1);
    amounts.with(TOKENS_PER_MINUTE, tokens).into()
}

/// The time to wait of a refused request; `Some(None)` if waiting is useless.
fn retry((reserved, _): &Reserved) -> Option<Option<u64>> {
    match reserved {
        Err(Denial::Exceeded { exceeded, .. }) => Some(exceeded.retry_after),
        Err(_) | Ok(_) => None,
    }
}

/// A shard with the limits of one name.
struct OneName(TestShard, Limits);

impl OneName {
    fn new(pairs: &[(usize, i64)]) -> Self {
        Self(Shard::new(QUANTITIES, false), limits(pairs))
    }

    fn reserve(&mut self, now: u64, request: &Request<QUANTITY_COUNT>) -> Reserved {
        let (name, limits) = ("m", self.1);
        let descriptors = [Descriptor { name, limits }];
        self.0.reserve(at(now), TENANT, &descriptors, request)
    }

    fn retry(&mut self, now: u64, request: &Request<QUANTITY_COUNT>) -> Option<Option<u64>> {
        retry(&self.reserve(now, request))
    }
}

#[test]
fn bucket_leaves_the_window_as_a_whole_and_never_too_early() {
    let mut one = OneName::new(&[(REQUESTS_PER_MINUTE, 2)]);
    assert_eq!(one.retry(500, &tokens(1)), None);
    assert_eq!(one.retry(1_999, &tokens(1)), None);
    assert_eq!(one.retry(2_000, &tokens(1)), Some(Some(59_000)));
    assert_eq!(one.retry(60_999, &tokens(1)), Some(Some(1)));
    assert_eq!(one.retry(61_000, &tokens(1)), None);
    assert_eq!(one.retry(61_000, &tokens(1)), Some(Some(1_000)));
}

#[test]
fn all_windows_are_charged_or_none() {
    let mut one = OneName::new(&[(REQUESTS_PER_MINUTE, 9), (TOKENS_PER_MINUTE, 10)]);
    let (_, status) = one.reserve(0, &tokens(8));
    let usage = |limit, remaining, reset| LimitUsage {
        limit,
        remaining,
        reset,
    };
    assert_eq!(status.requests, Some(usage(9, 8, 61_000)));
    assert_eq!(status.tokens, Some(usage(10, 2, 61_000)));
    let (refused, status) = one.reserve(1_000, &tokens(3));
    assert_eq!(status.requests, Some(usage(9, 8, 60_000)));
    let Err(Denial::Exceeded { exceeded, .. }) = refused else {
        panic!("3 of 2 tokens were admitted");
    };
    assert_eq!(
        (exceeded.quantity, exceeded.used, exceeded.requested),
        (TOKENS_PER_MINUTE, 8, 3)
    );
    assert_eq!(one.retry(1_000, &tokens(2)), None);
}

#[test]
fn tighter_of_the_limits_of_a_minute_and_of_a_day_is_reported() {
    let mut one = OneName::new(&[(REQUESTS_PER_MINUTE, 2), (REQUESTS_PER_DAY, 3)]);
    for (now, remaining) in [(0, 1), (MINUTE_LEN * 2, 1), (MINUTE_LEN * 4, 0)] {
        let (_, status) = one.reserve(now, &tokens(1));
        let requests = status.requests.map(|usage| usage.remaining);
        assert_eq!(requests, Some(remaining), "at {now}");
    }
    let wait = DAY_LEN + 15 * MINUTE_LEN - 6 * MINUTE_LEN;
    assert_eq!(one.retry(MINUTE_LEN * 6, &tokens(1)), Some(Some(wait)));
}

#[test]
fn request_beyond_its_limit_is_refused_for_good_unless_the_surplus_is_an_estimate() {
    let mut one = OneName::new(&[(TOKENS_PER_MINUTE, 10), (IMAGES_PER_MINUTE, 0)]);
    assert_eq!(one.retry(0, &tokens(11)), Some(None));
    let mut estimated = tokens(105);
    estimated.optional[TOKENS_PER_MINUTE] = 100;
    let (taken, status) = one.reserve(0, &estimated);
    assert_eq!(status.tokens.map(|usage| usage.remaining), Some(0));
    let taken = taken.expect("it fits without the estimate");
    assert_eq!(taken.names[0].1.get(TOKENS_PER_MINUTE), Some(10));
    // A limit of 0 refuses what it is about, and nothing else.
    let image = Request::from(Amounts::default().with(IMAGES_PER_MINUTE, 1));
    assert_eq!(one.retry(0, &image), Some(None));
    one.1 = limits(&[(REQUESTS_PER_MINUTE, 0)]);
    assert_eq!(one.retry(0, &tokens(1)), Some(None));
}

#[test]
fn changed_limit_holds_at_once_and_keeps_the_counters() {
    let mut one = OneName::new(&[]);
    for _ in 0..3 {
        assert_eq!(one.retry(0, &tokens(1)), None);
    }
    one.1 = limits(&[(REQUESTS_PER_MINUTE, 4)]);
    assert_eq!(one.retry(0, &tokens(1)), None);
    assert!(one.retry(0, &tokens(1)).is_some());
    one.1 = limits(&[(REQUESTS_PER_MINUTE, 5)]);
    assert_eq!(one.retry(0, &tokens(1)), None);
}

#[test]
fn idle_counters_are_removed_and_a_tenant_cannot_fill_the_memory() {
    let mut shard = Shard::new(QUANTITIES, false);
    let reserve = |shard: &mut TestShard, now: u64, name: &str| {
        let limits = [None; QUANTITY_COUNT];
        let descriptors = [Descriptor { name, limits }];
        let reserved = shard.reserve(at(now), TENANT, &descriptors, &tokens(1));
        reserved.0.err()
    };
    for name in 0..MAX_NAMES_PER_TENANT {
        assert_eq!(reserve(&mut shard, 0, &name.to_string()), None);
    }
    let refused = reserve(&mut shard, 0, "one more");
    assert_eq!(refused, Some(Denial::TooManyNames));
    assert_eq!(reserve(&mut shard, 0, "7"), None);
    assert_eq!(shard.pairs, MAX_NAMES_PER_TENANT);
    assert_eq!(reserve(&mut shard, DAY_LEN * 2, "one more"), None);
    assert_eq!(shard.pairs, 1);
}

#[test]
fn usage_has_what_is_reserved_until_it_is_settled_and_never_beyond_the_window() {
    let limiter = Limiter::new(QUANTITIES);
    let descriptor = |name| Descriptor {
        name,
        limits: [None; QUANTITY_COUNT],
    };
    let usage = |now: u64, quantity: usize| {
        let names = limiter.usage(at(now), TENANT);
        let found = names.iter().find(|(name, _)| &**name == "m");
        found.map(|(_, windows)| {
            let window = windows[quantity];
            (window.used, window.reserved, window.reset)
        })
    };
    let reserve = |now: u64, amount: i64| {
        let (reserved, _) = limiter.reserve(at(now), TENANT, &[descriptor("m")], &tokens(amount));
        reserved.expect("there is no limit")
    };
    assert_eq!(usage(0, TOKENS_PER_MINUTE), None);
    let (first, second) = (reserve(0, 10), reserve(500, 20));
    let third = reserve(2_000, 30);
    assert_eq!(usage(2_000, TOKENS_PER_MINUTE), Some((60, 60, 61_000)));
    assert_eq!(usage(2_000, IMAGES_PER_MINUTE), Some((0, 0, 0)));
    first.settle(at(2_000), &Amounts::default().with(TOKENS_PER_MINUTE, 4));
    assert_eq!(usage(2_000, TOKENS_PER_MINUTE), Some((54, 50, 61_000)));
    // What was consumed is not known: it stays counted, and may no longer change.
    second.forfeit();
    assert_eq!(usage(2_000, TOKENS_PER_MINUTE), Some((54, 30, 61_000)));
    assert_eq!(
        usage(2_000, REQUESTS_PER_DAY).map(|(used, reserved, _)| (used, reserved)),
        Some((3, 1))
    );
    // The reservation is older than the window of a minute, and within that of a day.
    assert_eq!(usage(2 * MINUTE_LEN, TOKENS_PER_MINUTE), Some((0, 0, 0)));
    third.settle(
        at(2 * MINUTE_LEN),
        &Amounts::default().with(TOKENS_PER_MINUTE, 35),
    );
    assert_eq!(
        usage(2 * MINUTE_LEN, TOKENS_PER_MINUTE),
        Some((5, 0, 61_000))
    );
    let of_day = usage(2 * MINUTE_LEN, REQUESTS_PER_DAY);
    assert_eq!(
        of_day.map(|(used, reserved, _)| (used, reserved)),
        Some((3, 0))
    );
    assert_eq!(usage(3 * DAY_LEN, TOKENS_PER_MINUTE), None);
    assert_eq!(limiter.usage(at(0), "proj_2"), []);
}

/// The admitted amounts: the time, the name, and the amount of each quantity.
type Admitted = Vec<(u64, usize, [i64; QUANTITY_COUNT])>;

/// Returns the sum of a quantity of a name since a time.
fn sum(admitted: &Admitted, name: usize, quantity: usize, since: u64) -> i64 {
    let counts = |(at, of, _): &&(u64, usize, [i64; QUANTITY_COUNT])| *of == name && *at >= since;
    let counted = admitted.iter().filter(counts);
    counted.map(|(_, _, amounts)| amounts[quantity]).sum()
}

#[derive(Clone, Debug)]
enum Step {
    /// A set of names, the amounts, and the part of the tokens that is an estimate.
    Reserve(usize, [i64; QUANTITY_COUNT], i64),
    /// An open reservation, and the amounts that it consumed.
    Settle(Index, [Option<i64>; QUANTITY_COUNT]),
    Refund(Index),
    /// A name, a quantity, and its new limit.
    Limit(usize, usize, i64),
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let pause = prop_oneof![
        8 => 0..5 * SECOND_LEN,
        4 => prop::sample::select(vec![1, 999, 1_000, 59_999, 60_000, 60_001, 61_000]),
        2 => 0..2 * MINUTE_LEN,
        1 => DAY_LEN - 20 * MINUTE_LEN..DAY_LEN + 20 * MINUTE_LEN,
    ];
    let amounts =
        || prop::array::uniform6(prop_oneof![2 => Just(0), 3 => 1..4_i64, 1 => 4..12_i64]);
    let consumed = prop::array::uniform6(prop::option::of(0..12_i64));
    let step = prop_oneof![
        6 => (1..4_usize, amounts(), 0..6_i64).prop_map(|(names, all, some)| Step::Reserve(names, all, some)),
        3 => (any::<Index>(), consumed).prop_map(|(which, all)| Step::Settle(which, all)),
        1 => any::<Index>().prop_map(Step::Refund),
        1 => (0..2_usize, 0..QUANTITY_COUNT, 0..20_i64).prop_map(|(name, quantity, limit)| Step::Limit(name, quantity, limit)),
    ];
    prop::collection::vec((pause, step), 1..120)
}

/// A shard and the list beside it.
struct Compared {
    shard: TestShard,
    limits: [Limits; 2],
    admitted: Admitted,
    /// The open reservations, with the positions of their names in the list.
    open: Vec<(Taken<QUANTITY_COUNT>, Vec<usize>)>,
}

impl Compared {
    fn descriptors(&self, names: usize) -> Vec<(usize, Descriptor<'static, QUANTITY_COUNT>)> {
        let chosen = (0..2).filter(|name| names & 1 << name != 0);
        let descriptor = |name: usize| Descriptor {
            name: NAMES[name],
            limits: self.limits[name],
        };
        chosen.map(|name| (name, descriptor(name))).collect()
    }

    fn reserve(
        &mut self,
        now: u64,
        names: usize,
        request: &Request<QUANTITY_COUNT>,
    ) -> Result<(), TestCaseError> {
        let (names, descriptors): (Vec<usize>, Vec<Descriptor<'_, QUANTITY_COUNT>>) =
            self.descriptors(names).into_iter().unzip();
        let before = self.shard.clone();
        let reserved = self.shard.reserve(at(now), TENANT, &descriptors, request);
        match reserved.0 {
            Ok(taken) => {
                let mut positions = Vec::new();
                for (name, (_, amounts)) in names.iter().zip(&taken.names) {
                    positions.push(self.admitted.len());
                    let amounts =
                        std::array::from_fn(|quantity| amounts.get(quantity).unwrap_or(0));
                    self.admitted.push((now, *name, amounts));
                    self.check_admission(now, *name, &amounts)?;
                }
                self.open.push((taken, positions));
            }
            Err(denial) => self.check_denial(now, &names, &denial, |later| {
                let mut shard = before.clone();
                retry(&shard.reserve(at(later), TENANT, &descriptors, request))
            })?,
        }
        Ok(())
    }

    /// Checks that no interval that ends now has more than the limits allow. Then no later one has, until something else is
    /// admitted.
    fn check_admission(
        &self,
        now: u64,
        name: usize,
        amounts: &[i64; QUANTITY_COUNT],
    ) -> Result<(), TestCaseError> {
        for (quantity, (window, _)) in LENGTHS.into_iter().enumerate() {
            if let Some(limit) = self.limits[name][quantity]
                && amounts[quantity] > 0
            {
                let all = sum(&self.admitted, name, quantity, now.saturating_sub(window));
                prop_assert!(all <= limit, "{quantity}: {all} of {limit}");
            }
        }
        Ok(())
    }

    /// Checks that the limit was reached within the window, or the bucket in which it begins, and that the time to wait is
    /// exact.
    fn check_denial(
        &self,
        now: u64,
        names: &[usize],
        denial: &Denial,
        retry: impl Fn(u64) -> Option<Option<u64>>,
    ) -> Result<(), TestCaseError> {
        let Denial::Exceeded { name, exceeded } = denial else {
            panic!("two names are not too many");
        };
        let name = names.iter().copied().find(|one| *NAMES[*one] == **name);
        let name = name.expect("a name of the request");
        let (window, bucket) = LENGTHS[exceeded.quantity];
        let limit = self.limits[name][exceeded.quantity];
        prop_assert_eq!(Some(exceeded.limit), limit);
        let since = now.saturating_sub(window + bucket);
        let all = sum(&self.admitted, name, exceeded.quantity, since);
        let Some(wait) = exceeded.retry_after else {
            prop_assert!(exceeded.requested > exceeded.limit);
            return Ok(());
        };
        let needed = exceeded.used + exceeded.requested;
        prop_assert!(all >= exceeded.used && needed > exceeded.limit);
        prop_assert_eq!(retry(now + wait), None);
        prop_assert!((1..=window + bucket).contains(&wait));
        prop_assert_eq!(retry(now + wait - 1), Some(Some(1)));
        Ok(())
    }

    /// Checks that what is reserved is that of the open reservations within the window.
    fn check_reserved(&mut self, now: u64) -> Result<(), TestCaseError> {
        for (name, windows) in self.shard.usage(at(now), TENANT) {
            for (quantity, (window, bucket)) in LENGTHS.into_iter().enumerate() {
                let is_within = |at: u64| (at / bucket + 1) * bucket + window > now;
                let open = self.open.iter().filter(|(taken, _)| is_within(taken.at));
                let of_name = open.flat_map(|(taken, _)| &taken.names);
                let of_name = of_name.filter(|(taken, _)| *taken == name);
                let reserved: i64 = of_name.filter_map(|(_, all)| all.get(quantity)).sum();
                prop_assert_eq!(windows[quantity].reserved, reserved);
                prop_assert!(windows[quantity].used >= reserved);
            }
        }
        Ok(())
    }

    fn settle(&mut self, now: u64, which: Index, consumed: &Amounts<QUANTITY_COUNT>) {
        if self.open.is_empty() {
            return;
        }
        let (taken, positions) = self.open.swap_remove(which.index(self.open.len()));
        self.shard.settle(at(now), &taken, consumed);
        for (position, (_, amounts)) in positions.iter().zip(&taken.names) {
            let mut deficit = [0; QUANTITY_COUNT];
            for (quantity, deficit) in deficit.iter_mut().enumerate() {
                let pair = (amounts.get(quantity), consumed.get(quantity));
                if let (Some(taken), Some(consumed)) = pair {
                    self.admitted[*position].2[quantity] = taken.min(consumed);
                    *deficit = (consumed - taken).max(0);
                }
            }
            let name = self.admitted[*position].1;
            self.admitted.push((now, name, deficit));
        }
    }
}

fn amounts(all: [Option<i64>; QUANTITY_COUNT]) -> Amounts<QUANTITY_COUNT> {
    let known = all.into_iter().enumerate();
    let known = known.filter_map(|(quantity, amount)| Some((quantity, amount?)));
    known.fold(Amounts::default(), |amounts, (quantity, amount)| {
        amounts.with(quantity, amount)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn no_interval_has_more_than_its_limit(
        steps in steps(),
        limits in prop::array::uniform2(prop::array::uniform6(prop::option::of(1..20_i64))),
    ) {
        let mut compared = Compared { shard: Shard::new(QUANTITIES, false), limits, admitted: Vec::new(), open: Vec::new() };
        let mut now = 0;
        for (pause, step) in steps {
            now += pause;
            match step {
                Step::Reserve(names, all, estimate) => {
                    let mut request = Request::from(amounts(all.map(Some)));
                    request.optional[TOKENS_PER_MINUTE] = estimate;
                    compared.reserve(now, names, &request)?;
                }
                Step::Settle(which, all) => compared.settle(now, which, &amounts(all)),
                Step::Refund(which) => compared.settle(now, which, &Amounts::zero()),
                Step::Limit(name, quantity, limit) => compared.limits[name][quantity] = Some(limit),
            }
            compared.check_reserved(now)?;
        }
    }
}
