//! A property: any usage, in any public format and chunking, is measured as it is, as an estimate that is marked as one, or, where
//! the answer has failed, as nothing. No hidden byte is forwarded, and no other byte is hidden.

mod coding;
mod generated_answer;
mod generated_usage;
mod rng;
mod unit;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use usage::{Metric, Outcome};

use super::Answer;
use crate::dialect::{Dialect, Estimate, MeasuredUsage};
use generated_answer::{ExpectedUsage, GeneratedAnswer};
use rng::Rng;

/// The number of answers, unless `ORGPLANE_TEST_ANSWERS` sets another.
const DEFAULT_ANSWERS: u64 = 10_000;

/// The end of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnswerEnd {
    /// The model server ends the answer.
    Closed,
    /// The connection to the model server breaks.
    Broken,
    /// The client disconnects, and the rest is not read.
    Disconnected,
}

/// An answer as it was read.
struct AnswerRead {
    forwarded: Vec<u8>,
    outcome: Outcome,
    usage: MeasuredUsage,
    is_decoded: bool,
}

fn read(generated: &GeneratedAnswer, bytes: &[u8], end: AnswerEnd, rng: &mut Rng) -> AnswerRead {
    let dialect = Dialect::at(generated.path).expect("an endpoint");
    let mut headers = HeaderMap::new();
    if !generated.content_type.is_empty() {
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(generated.content_type),
        );
    }
    if !generated.encoding.is_empty() {
        headers.insert(
            CONTENT_ENCODING,
            HeaderValue::from_static(generated.encoding),
        );
    }
    let budget = base::Budget::new(base::BudgetLimits::shared(1 << 30));
    let memory = budget.take("key", Some("project"), 0).ok();
    let requested = (generated.is_stream, generated.hides);
    let mut answer = Answer::new(dialect, &headers, requested, memory);
    let mut forwarded = Vec::new();
    for piece in chunks(rng, bytes) {
        answer.push(Bytes::copy_from_slice(piece));
        while let Some(piece) = answer.next().expect("it is in the coding that it declares") {
            forwarded.extend_from_slice(&piece);
        }
    }
    let outcome = match end {
        AnswerEnd::Closed => {
            forwarded.extend_from_slice(&answer.finish());
            Outcome::Succeeded
        }
        AnswerEnd::Broken => Outcome::UpstreamFailed,
        AnswerEnd::Disconnected => Outcome::ClientGone,
    };
    let is_decoded = answer.is_decoded();
    let (outcome, mut accumulator) = answer.settle(outcome);
    accumulator.is_failed = outcome == Outcome::UpstreamFailed;
    let usage = dialect.measure(&Estimate::of_input(1_000_003), "m", &accumulator);
    AnswerRead {
        forwarded,
        outcome,
        usage,
        is_decoded,
    }
}

/// Cuts bytes into chunks of one length, or at random.
fn chunks<'a>(rng: &mut Rng, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    if rng.once_in(2) {
        let lengths = [1, 2, 3, 7, 50, 1_000_000];
        let length = *rng.one(&lengths) * (1 + bytes.len() / 10_000);
        return bytes.chunks(length).collect();
    }
    let mut at: Vec<usize> = (0..rng.up_to(6)).map(|_| rng.up_to(bytes.len())).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Generates an answer, reads it, and compares the result.
fn check(seed: u64) {
    let mut rng = Rng::new(seed);
    let generated = GeneratedAnswer::new(&mut rng);
    let (end, length) = match (rng.up_to(2), generated.encoding) {
        (0, "") => {
            let ends = [
                AnswerEnd::Closed,
                AnswerEnd::Broken,
                AnswerEnd::Disconnected,
            ];
            (*rng.one(&ends), rng.up_to(generated.length()))
        }
        _ => (AnswerEnd::Closed, generated.length()),
    };
    let plain = &generated.bytes()[..length];
    let got = read(&generated, &generated.encoded(plain), end, &mut rng);
    let told = || {
        format!(
            "seed {seed}: {generated:?}\nfirst {length} bytes, {end:?}\ngot {:?} {:?} estimated {}\n{}",
            got.outcome,
            got.usage.quantities,
            got.usage.estimated,
            String::from_utf8_lossy(&got.forwarded)
        )
    };
    assert_eq!(got.is_decoded, !generated.encoding.is_empty(), "{}", told());
    check_bytes(&generated, plain, end, &got, &told);
    check_usage(&generated, length, end, &got, &told);
}

/// Checks that no hidden byte is forwarded, none is missing, and none is held back for long.
fn check_bytes(
    generated: &GeneratedAnswer,
    plain: &[u8],
    end: AnswerEnd,
    got: &AnswerRead,
    told: &dyn Fn() -> String,
) {
    let (shown, open) = generated.shown(plain);
    let forwarded = &*got.forwarded;
    assert!(forwarded.starts_with(&shown), "shown: {}", told());
    let rest = &forwarded[shown.len()..];
    // A truncated event with usage may be hidden: no client reads such an event.
    let has_usage = open.windows(9).any(|text| text == b"\"usage\":{");
    let is_hidden = generated.opens_hidden(plain);
    let may_be_hidden = is_hidden || generated.hides && has_usage;
    match end {
        AnswerEnd::Closed if is_hidden && has_usage => {
            assert!(rest.is_empty(), "hidden: {}", told());
        }
        AnswerEnd::Closed if may_be_hidden && rest.is_empty() => {}
        AnswerEnd::Closed => assert_eq!(rest, open, "missing: {}", told()),
        AnswerEnd::Broken | AnswerEnd::Disconnected => {
            assert!(open.starts_with(rest), "{}", told());
        }
    }
}

fn check_usage(
    generated: &GeneratedAnswer,
    length: usize,
    end: AnswerEnd,
    got: &AnswerRead,
    told: &dyn Fn() -> String,
) {
    let expected = generated.expected(length);
    let fails = expected.has_error
        || end == AnswerEnd::Broken
        || end == AnswerEnd::Closed && !expected.is_whole;
    let outcome = match (fails, end) {
        (true, _) => Outcome::UpstreamFailed,
        (false, AnswerEnd::Disconnected) => Outcome::ClientGone,
        (false, _) => Outcome::Succeeded,
    };
    assert_eq!(got.outcome, outcome, "{}", told());
    let amount = |metric| got.usage.quantities.get(metric);
    let ExpectedUsage { input, output, .. } = expected.usage;
    if fails {
        assert!(!got.usage.estimated, "a guess: {}", told());
    }
    let mut is_estimated = false;
    let sides = [(Metric::InputTokens, input), (Metric::OutputTokens, output)];
    for (metric, truth) in sides.into_iter().take(generated.sides()) {
        match truth {
            Some(_) => assert_eq!(amount(metric), truth, "{metric:?}: {}", told()),
            None if fails || generated.is_of_units() => {
                assert_eq!(amount(metric), None, "{}", told());
            }
            None => is_estimated = true,
        }
    }
    if generated.is_of_units() {
        is_estimated = expected.usage.images.is_none() && !fails;
        if expected.usage.images.is_some() || fails {
            assert_eq!(amount(Metric::Images), expected.usage.images, "{}", told());
        }
    }
    assert_eq!(got.usage.estimated, is_estimated, "{}", told());
    if input.is_some() {
        let cached = expected.usage.cached;
        assert_eq!(amount(Metric::InputCachedTokens), cached, "{}", told());
    }
    let is_nothing = expected.usage == ExpectedUsage::default();
    let requests = i64::from(!(fails && is_nothing));
    assert_eq!(
        amount(Metric::NumModelRequests),
        Some(requests),
        "{}",
        told()
    );
}

#[test]
fn any_usage_in_any_format_is_measured_as_it_is() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let answers: u64 = number("ORGPLANE_TEST_ANSWERS").unwrap_or(DEFAULT_ANSWERS);
    let first: u64 = number("ORGPLANE_TEST_ANSWERS_SEED").unwrap_or(1);
    for seed in (0..answers).map(|index| first.wrapping_add(index)) {
        check(seed);
    }
}
