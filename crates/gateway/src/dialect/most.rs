//! The most that a request may cost by: what a spend limit has to have room for.

use usage::{Kind, Metric, Quantities};

use super::Demand;

/// The dearest image that is sold by its tokens has so many.
const IMAGE_TOKENS: i64 = 6_240;
/// Speech that is sold by its tokens has no more than so many for each character, and for each second.
const CHARACTER_TOKENS: i64 = 2;
const SECOND_TOKENS: i64 = 20;
/// A sound file has no more than so many times the seconds that its length suggests.
const SECONDS: i64 = 8;

impl Demand {
    /// The most that it may consume at an endpoint of this kind, as far as anybody can know before there is an answer.
    pub(crate) fn most(&self, kind: Kind) -> Quantities {
        let (units, input) = (self.units, self.input.most().max(1));
        let tokens = |input: i64, output: i64| {
            let input = Quantities::default().with(Metric::InputTokens, input);
            input.with(Metric::OutputTokens, output)
        };
        match kind {
            Kind::Images => {
                let images = units.saturating_mul(IMAGE_TOKENS);
                // An image to begin with may come with it.
                tokens(input.saturating_add(IMAGE_TOKENS), images).with(Metric::Images, units)
            }
            Kind::AudioSpeeches => tokens(input, units.saturating_mul(CHARACTER_TOKENS))
                .with(Metric::Characters, units),
            Kind::AudioTranscriptions => {
                let seconds = units.saturating_mul(SECONDS);
                let sound = seconds.saturating_mul(SECOND_TOKENS);
                tokens(input.saturating_add(sound), sound).with(Metric::Seconds, seconds)
            }
            _ => tokens(input, self.output.tokens()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::demand::{Input, Output};
    use super::*;

    #[test]
    fn each_kind_may_consume_what_it_is_sold_by() {
        let demand = Demand {
            input: Input::Counted(10),
            output: Output::of(Some(30), Some(2)),
            units: 4,
            ..Demand::default()
        };
        for (kind, input, output, units) in [
            (Kind::Completions, 10, 60, None),
            (Kind::Images, 6_250, 24_960, Some((Metric::Images, 4))),
            (Kind::AudioSpeeches, 10, 8, Some((Metric::Characters, 4))),
            (
                Kind::AudioTranscriptions,
                650,
                640,
                Some((Metric::Seconds, 32)),
            ),
        ] {
            let mut expected = Quantities::default()
                .with(Metric::InputTokens, input)
                .with(Metric::OutputTokens, output);
            if let Some((metric, amount)) = units {
                expected.set(metric, amount);
            }
            assert_eq!(demand.most(kind), expected, "{kind:?}");
        }
    }
}
