//! What the limiter lets through, against a list of everything that it ever let through.

use access::LimitField::{
    self, AudioMegabytesPerMinute, BatchInputTokensPerDay, ImagesPerMinute, RequestsPerDay,
    RequestsPerMinute, TokensPerMinute,
};
use base::ids::Id;
use proptest::prelude::*;
use proptest::sample::Index;

use super::shard::{MAX_MODELS, Taken};
use super::standing::{Retry, State};
use super::*;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * 60 * MINUTE;
/// Of each field: the length of its window, and that of the slots that it forgets by.
const WINDOWS: [(LimitField, u64, u64); 6] = [
    (RequestsPerMinute, MINUTE, SECOND),
    (TokensPerMinute, MINUTE, SECOND),
    (ImagesPerMinute, MINUTE, SECOND),
    (AudioMegabytesPerMinute, MINUTE, SECOND),
    (RequestsPerDay, DAY, 15 * MINUTE),
    (BatchInputTokensPerDay, DAY, 15 * MINUTE),
];
const MODELS: [&str; 2] = ["alias", "real"];

fn project() -> ProjectId {
    ProjectId::from_text("proj_1".into())
}

fn limits(pairs: &[(LimitField, i64)]) -> ModelLimits {
    let mut limits = ModelLimits::default();
    for (field, limit) in pairs {
        limits.set(*field, *limit);
    }
    limits
}

fn tokens(tokens: i64) -> Wanted {
    let amounts = Amounts::default().with_requests(1);
    Wanted {
        amounts: amounts.with(TokensPerMinute, tokens),
        assumed_tokens: 0,
    }
}

/// One model, and what holds for it.
struct Alone(Shard, ModelLimits);

impl Alone {
    fn new(pairs: &[(LimitField, i64)]) -> Self {
        Self(Shard::default(), limits(pairs))
    }

    fn reserve(&mut self, now: u64, wanted: &Wanted) -> (Result<Taken, Refusal>, Standing) {
        let (model, limits) = ("m", self.1);
        self.0
            .reserve(now, &project(), &[Name { model, limits }], wanted)
    }

    fn retry(&mut self, now: u64, wanted: &Wanted) -> Option<Retry> {
        self.reserve(now, wanted).1.retry
    }
}

#[test]
fn a_slot_is_forgotten_as_a_whole_and_never_too_early() {
    let mut alone = Alone::new(&[(RequestsPerMinute, 2)]);
    assert_eq!(alone.retry(500, &tokens(1)), None);
    assert_eq!(alone.retry(1_999, &tokens(1)), None);
    assert_eq!(alone.retry(2_000, &tokens(1)), Some(Retry::After(59_000)));
    assert_eq!(alone.retry(60_999, &tokens(1)), Some(Retry::After(1)));
    assert_eq!(alone.retry(61_000, &tokens(1)), None);
    assert_eq!(alone.retry(61_000, &tokens(1)), Some(Retry::After(1_000)));
}

#[test]
fn all_windows_are_taken_from_or_none() {
    let mut alone = Alone::new(&[(RequestsPerMinute, 9), (TokensPerMinute, 10)]);
    let (_, standing) = alone.reserve(0, &tokens(8));
    let state = |limit, remaining, reset| State {
        limit,
        remaining,
        reset,
    };
    assert_eq!(standing.requests, Some(state(9, 8, 61_000)));
    assert_eq!(standing.tokens, Some(state(10, 2, 61_000)));
    let (refused, standing) = alone.reserve(1_000, &tokens(3));
    assert_eq!(standing.requests, Some(state(9, 8, 60_000)));
    let Err(Refusal::Reached { reached, .. }) = refused else {
        panic!("3 of 2 tokens");
    };
    assert_eq!(
        (reached.field, reached.used, reached.requested),
        (TokensPerMinute, 8, 3)
    );
    assert_eq!(alone.retry(1_000, &tokens(2)), None);
}

#[test]
fn the_day_counts_beside_the_minute_and_the_tighter_is_told() {
    let mut alone = Alone::new(&[(RequestsPerMinute, 2), (RequestsPerDay, 3)]);
    for (now, remaining) in [(0, 1), (MINUTE * 2, 1), (MINUTE * 4, 0)] {
        let (_, standing) = alone.reserve(now, &tokens(1));
        let requests = standing.requests.map(|state| state.remaining);
        assert_eq!(requests, Some(remaining), "at {now}");
    }
    let wait = DAY + 15 * MINUTE - 6 * MINUTE;
    assert_eq!(
        alone.retry(MINUTE * 6, &tokens(1)),
        Some(Retry::After(wait))
    );
}

#[test]
fn what_can_never_pass_is_told_so() {
    let mut alone = Alone::new(&[(TokensPerMinute, 10), (ImagesPerMinute, 0)]);
    assert_eq!(alone.retry(0, &tokens(11)), Some(Retry::Never));
    // Nobody asked for so much.
    let assumed = Wanted {
        assumed_tokens: 100,
        ..tokens(105)
    };
    let (taken, standing) = alone.reserve(0, &assumed);
    assert_eq!(standing.tokens.map(|state| state.remaining), Some(0));
    assert_eq!(
        taken
            .ok()
            .and_then(|taken| taken.names[0].1.get(TokensPerMinute)),
        Some(10)
    );
    // A limit of 0 lets nothing through, and is no matter to what it is not about.
    let image = Wanted {
        amounts: Amounts::default().with(ImagesPerMinute, 1),
        assumed_tokens: 0,
    };
    assert_eq!(alone.retry(0, &image), Some(Retry::Never));
    alone.1 = limits(&[(RequestsPerMinute, 0)]);
    assert_eq!(alone.retry(0, &tokens(1)), Some(Retry::Never));
}

#[test]
fn a_changed_limit_holds_at_once_and_forgets_nothing() {
    let mut alone = Alone::new(&[]);
    for _ in 0..3 {
        assert_eq!(alone.retry(0, &tokens(1)), None);
    }
    alone.1 = limits(&[(RequestsPerMinute, 4)]);
    assert_eq!(alone.retry(0, &tokens(1)), None);
    assert!(alone.retry(0, &tokens(1)).is_some());
    alone.1 = limits(&[(RequestsPerMinute, 5)]);
    assert_eq!(alone.retry(0, &tokens(1)), None);
}

#[test]
fn what_is_idle_is_dropped_and_a_project_cannot_fill_the_memory() {
    let mut shard = Shard::default();
    let reserve = |shard: &mut Shard, now: u64, model: &str| {
        let name = Name {
            model,
            limits: ModelLimits::default(),
        };
        shard.reserve(now, &project(), &[name], &tokens(1)).0.err()
    };
    for model in 0..MAX_MODELS {
        assert_eq!(reserve(&mut shard, 0, &model.to_string()), None);
    }
    assert_eq!(
        reserve(&mut shard, 0, "one more"),
        Some(Refusal::TooManyModels)
    );
    assert_eq!(reserve(&mut shard, 0, "7"), None);
    assert_eq!(shard.pairs(), MAX_MODELS);
    assert_eq!(reserve(&mut shard, DAY * 2, "one more"), None);
    assert_eq!(shard.pairs(), 1);
}

/// What was let through: when, of which model, and how much of each field.
type Admitted = Vec<(u64, usize, [i64; 6])>;

/// How much of a field, and of a model, the list has since a moment.
fn sum(admitted: &Admitted, model: usize, field: usize, since: u64) -> i64 {
    let counts = |(at, of, _): &&(u64, usize, [i64; 6])| *of == model && *at >= since;
    let counted = admitted.iter().filter(counts);
    counted.map(|(_, _, amounts)| amounts[field]).sum()
}

#[derive(Clone, Debug)]
enum Step {
    /// Names, amounts, and how much of the tokens is assumed.
    Reserve(usize, [i64; 6], i64),
    /// Which of those that are open, and what was consumed.
    Settle(Index, [Option<i64>; 6]),
    GiveBack(Index),
    /// Which model, which field, and the new limit.
    Limit(usize, usize, i64),
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let pause = prop_oneof![
        8 => 0..5 * SECOND,
        4 => prop::sample::select(vec![1, 999, 1_000, 59_999, 60_000, 60_001, 61_000]),
        2 => 0..2 * MINUTE,
        1 => DAY - 20 * MINUTE..DAY + 20 * MINUTE,
    ];
    let amounts =
        || prop::array::uniform6(prop_oneof![2 => Just(0), 3 => 1..4_i64, 1 => 4..12_i64]);
    let consumed = prop::array::uniform6(prop::option::of(0..12_i64));
    let step = prop_oneof![
        6 => (1..4_usize, amounts(), 0..6_i64).prop_map(|(names, all, some)| Step::Reserve(names, all, some)),
        3 => (any::<Index>(), consumed).prop_map(|(which, all)| Step::Settle(which, all)),
        1 => any::<Index>().prop_map(Step::GiveBack),
        1 => (0..2_usize, 0..6_usize, 0..20_i64).prop_map(|(model, field, limit)| Step::Limit(model, field, limit)),
    ];
    prop::collection::vec((pause, step), 1..120)
}

/// The limiter, and the plain list beside it.
struct Beside {
    shard: Shard,
    limits: [ModelLimits; 2],
    admitted: Admitted,
    /// What is held, and where in the list its names are.
    open: Vec<(Taken, Vec<usize>)>,
}

impl Beside {
    fn names(&self, which: usize) -> Vec<(usize, Name<'static>)> {
        let chosen = (0..2).filter(|model| which & 1 << model != 0);
        let name = |model: usize| Name {
            model: MODELS[model],
            limits: self.limits[model],
        };
        chosen.map(|model| (model, name(model))).collect()
    }

    fn reserve(&mut self, now: u64, which: usize, wanted: &Wanted) -> Result<(), TestCaseError> {
        let (models, names): (Vec<usize>, Vec<Name<'_>>) = self.names(which).into_iter().unzip();
        let before = self.shard.clone();
        match self.shard.reserve(now, &project(), &names, wanted).0 {
            Ok(taken) => {
                let mut places = Vec::new();
                for (model, (_, amounts)) in models.iter().zip(&taken.names) {
                    places.push(self.admitted.len());
                    let amounts = WINDOWS.map(|(field, ..)| amounts.get(field).unwrap_or(0));
                    self.admitted.push((now, *model, amounts));
                    self.holds(now, *model, &amounts)?;
                }
                self.open.push((taken, places));
            }
            Err(refusal) => self.is_right(now, &models, &refusal, |later| {
                before
                    .clone()
                    .reserve(later, &project(), &names, wanted)
                    .1
                    .retry
            })?,
        }
        Ok(())
    }

    /// No interval that ends now has more than the limits allow; so none has that ends later, before the next is let
    /// through.
    fn holds(&self, now: u64, model: usize, amounts: &[i64; 6]) -> Result<(), TestCaseError> {
        for (field, (name, window, _)) in WINDOWS.into_iter().enumerate() {
            if let Some(limit) = self.limits[model].get(name)
                && amounts[field] > 0
            {
                let all = sum(&self.admitted, model, field, now.saturating_sub(window));
                prop_assert!(all <= limit, "{name:?}: {all} of {limit}");
            }
        }
        Ok(())
    }

    /// Something stands against it, within the window or the slot that it begins in; and the time to wait is true.
    fn is_right(
        &self,
        now: u64,
        models: &[usize],
        refusal: &Refusal,
        retry: impl Fn(u64) -> Option<Retry>,
    ) -> Result<(), TestCaseError> {
        let Refusal::Reached { model, reached } = refusal else {
            panic!("two models are not too many");
        };
        let model = models.iter().copied().find(|one| *MODELS[*one] == **model);
        let model = model.expect("a name that was asked for");
        let field = reached.field as usize;
        let (_, window, slot) = WINDOWS[field];
        prop_assert_eq!(Some(reached.limit), self.limits[model].get(reached.field));
        let all = sum(
            &self.admitted,
            model,
            field,
            now.saturating_sub(window + slot),
        );
        let Some(wait) = reached.wait else {
            prop_assert!(reached.requested > reached.limit);
            return Ok(());
        };
        prop_assert!(all >= reached.used && reached.used + reached.requested > reached.limit);
        prop_assert_eq!(retry(now + wait), None);
        prop_assert!((1..=window + slot).contains(&wait));
        prop_assert_eq!(retry(now + wait - 1), Some(Retry::After(1)));
        Ok(())
    }

    fn settle(&mut self, now: u64, which: Index, consumed: &Amounts) {
        if self.open.is_empty() {
            return;
        }
        let (taken, places) = self.open.swap_remove(which.index(self.open.len()));
        self.shard.settle(now, &project(), &taken, consumed);
        for (place, (_, amounts)) in places.iter().zip(&taken.names) {
            let mut more = [0; 6];
            for (field, (name, ..)) in WINDOWS.into_iter().enumerate() {
                if let (Some(taken), Some(consumed)) = (amounts.get(name), consumed.get(name)) {
                    self.admitted[*place].2[field] = taken.min(consumed);
                    more[field] = (consumed - taken).max(0);
                }
            }
            let model = self.admitted[*place].1;
            self.admitted.push((now, model, more));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn no_interval_has_more_than_its_limit(
        steps in steps(),
        of in prop::array::uniform2(prop::array::uniform6(prop::option::of(1..20_i64))),
    ) {
        let limits = of.map(|all| {
            let set = WINDOWS.into_iter().zip(all).filter_map(|((field, ..), limit)| Some((field, limit?)));
            limits(&set.collect::<Vec<_>>())
        });
        let mut beside = Beside { shard: Shard::default(), limits, admitted: Vec::new(), open: Vec::new() };
        let mut now = 0;
        for (pause, step) in steps {
            now += pause;
            match step {
                Step::Reserve(which, all, assumed_tokens) => {
                    let pairs = WINDOWS.into_iter().zip(all);
                    let amounts = pairs.fold(Amounts::default(), |sum, ((field, ..), amount)| sum.with(field, amount));
                    beside.reserve(now, which, &Wanted { amounts, assumed_tokens })?;
                }
                Step::Settle(which, all) => {
                    let pairs = WINDOWS.into_iter().zip(all);
                    let known = pairs.filter_map(|((field, ..), amount)| Some((field, amount?)));
                    let amounts = known.fold(Amounts::default(), |sum, (field, amount)| sum.with(field, amount));
                    beside.settle(now, which, &amounts);
                }
                Step::GiveBack(which) => beside.settle(now, which, &Amounts::nothing()),
                Step::Limit(model, field, limit) => beside.limits[model].set(WINDOWS[field].0, limit),
            }
        }
    }
}
