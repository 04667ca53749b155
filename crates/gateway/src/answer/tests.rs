//! A property: any truth about consumption, encoded in any public shape and cut anywhere, is read as that truth, as an estimate
//! that says so, or, where the answer has failed, as nothing; no hidden byte is shown, and no other one is hidden.

mod dice;
mod encode;
mod made;
mod spelling;
mod unit;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use usage::{Metric, Outcome};

use super::Answer;
use crate::dialect::{Demand, Dialect, Spent};
use dice::Dice;
use made::{Made, Report};

/// The number of answers that are made, unless `ORGPLANE_TEST_ANSWERS` says another.
const ANSWERS: u64 = 10_000;

/// The end of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// As the model server means it.
    Closed,
    /// The connection breaks.
    Broken,
    /// The client hangs up, and nothing is read on.
    Left,
}

/// The fate of an answer.
struct Got {
    forwarded: Vec<u8>,
    outcome: Outcome,
    spent: Spent,
    is_decoded: bool,
}

fn pass(made: &Made, bytes: &[u8], end: End, dice: &mut Dice) -> Got {
    let dialect = Dialect::at(made.path).expect("an endpoint");
    let mut headers = HeaderMap::new();
    if !made.content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(made.content_type));
    }
    if !made.encoding.is_empty() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(made.encoding));
    }
    let budget = base::Budget::new(base::BudgetLimits::shared(1 << 30));
    let memory = budget.take("key", Some("project"), 0).ok();
    let how = (made.is_stream, made.hides);
    let mut answer = Answer::new(dialect, &headers, how, memory);
    let mut forwarded = Vec::new();
    for piece in cut(dice, bytes) {
        answer.push(Bytes::copy_from_slice(piece));
        while let Some(piece) = answer.next().expect("it is encoded as it says") {
            forwarded.extend_from_slice(&piece);
        }
    }
    let outcome = match end {
        End::Closed => {
            forwarded.extend_from_slice(&answer.finish());
            Outcome::Succeeded
        }
        End::Broken => Outcome::UpstreamFailed,
        End::Left => Outcome::ClientGone,
    };
    let is_decoded = answer.is_decoded();
    let (outcome, mut tally) = answer.settle(outcome);
    tally.is_failed = outcome == Outcome::UpstreamFailed;
    let spent = dialect.spent(&Demand::of_input(1_000_003), "m", &tally);
    Got {
        forwarded,
        outcome,
        spent,
        is_decoded,
    }
}

/// Cuts bytes into pieces: all alike, or anywhere.
fn cut<'a>(dice: &mut Dice, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    if dice.once_in(2) {
        let lengths = [1, 2, 3, 7, 50, 1_000_000];
        let length = *dice.one(&lengths) * (1 + bytes.len() / 10_000);
        return bytes.chunks(length).collect();
    }
    let mut at: Vec<usize> = (0..dice.up_to(6))
        .map(|_| dice.up_to(bytes.len()))
        .collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Makes an answer, cuts it, reads it, and compares.
fn check(seed: u64) {
    let mut dice = Dice::new(seed);
    let made = Made::new(&mut dice);
    let (end, length) = match (dice.up_to(2), made.encoding) {
        (0, "") => {
            let ends = [End::Closed, End::Broken, End::Left];
            (*dice.one(&ends), dice.up_to(made.length()))
        }
        _ => (End::Closed, made.length()),
    };
    let plain = &made.bytes()[..length];
    let got = pass(&made, &made.encoded(plain), end, &mut dice);
    let told = || {
        format!(
            "seed {seed}: {made:?}\nfirst {length} bytes, {end:?}\ngot {:?} {:?} estimated {}\n{}",
            got.outcome,
            got.spent.quantities,
            got.spent.estimated,
            String::from_utf8_lossy(&got.forwarded)
        )
    };
    assert_eq!(got.is_decoded, !made.encoding.is_empty(), "{}", told());
    check_bytes(&made, plain, end, &got, &told);
    check_usage(&made, length, end, &got, &told);
}

/// No byte is shown that is hidden, none is missing, and none is held back for long.
fn check_bytes(made: &Made, plain: &[u8], end: End, got: &Got, told: &dyn Fn() -> String) {
    let (shown, open) = made.shown(plain);
    let forwarded = &*got.forwarded;
    assert!(forwarded.starts_with(&shown), "shown: {}", told());
    let rest = &forwarded[shown.len()..];
    // Of what is cut off, usage is hidden, if it shows; no client reads such an event.
    let has_usage = open.windows(9).any(|text| text == b"\"usage\":{");
    let is_hidden = made.opens_hidden(plain);
    let may_be_hidden = is_hidden || made.hides && has_usage;
    match end {
        End::Closed if is_hidden && has_usage => assert!(rest.is_empty(), "hidden: {}", told()),
        End::Closed if may_be_hidden && rest.is_empty() => {}
        End::Closed => assert_eq!(rest, open, "missing: {}", told()),
        End::Broken | End::Left => assert!(open.starts_with(rest), "{}", told()),
    }
}

fn check_usage(made: &Made, length: usize, end: End, got: &Got, told: &dyn Fn() -> String) {
    let expected = made.expected(length);
    let fails =
        expected.has_error || end == End::Broken || end == End::Closed && !expected.is_whole;
    let outcome = match (fails, end) {
        (true, _) => Outcome::UpstreamFailed,
        (false, End::Left) => Outcome::ClientGone,
        (false, _) => Outcome::Succeeded,
    };
    assert_eq!(got.outcome, outcome, "{}", told());
    let amount = |metric| got.spent.quantities.get(metric);
    let Report { input, output, .. } = expected.report;
    if fails {
        assert!(!got.spent.estimated, "a guess: {}", told());
    }
    let mut is_estimated = false;
    let sides = [(Metric::InputTokens, input), (Metric::OutputTokens, output)];
    for (metric, truth) in sides.into_iter().take(made.sides()) {
        match truth {
            Some(_) => assert_eq!(amount(metric), truth, "{metric:?}: {}", told()),
            None if fails || made.is_of_units() => assert_eq!(amount(metric), None, "{}", told()),
            None => is_estimated = true,
        }
    }
    if made.is_of_units() {
        is_estimated = expected.report.images.is_none() && !fails;
        if expected.report.images.is_some() || fails {
            assert_eq!(amount(Metric::Images), expected.report.images, "{}", told());
        }
    }
    assert_eq!(got.spent.estimated, is_estimated, "{}", told());
    if input.is_some() {
        let cached = expected.report.cached;
        assert_eq!(amount(Metric::InputCachedTokens), cached, "{}", told());
    }
    let is_nothing = expected.report == Report::default();
    let requests = i64::from(!(fails && is_nothing));
    assert_eq!(
        amount(Metric::NumModelRequests),
        Some(requests),
        "{}",
        told()
    );
}

#[test]
fn any_truth_in_any_shape_is_read_as_it_is() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let answers: u64 = number("ORGPLANE_TEST_ANSWERS").unwrap_or(ANSWERS);
    let first: u64 = number("ORGPLANE_TEST_ANSWERS_SEED").unwrap_or(1);
    for seed in (0..answers).map(|index| first.wrapping_add(index)) {
        check(seed);
    }
}
