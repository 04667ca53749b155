//! The object `usage`, in all the words that model servers have for the same amounts.

use usage::{MAX_QUANTITY, Metric, Quantities};

/// The usage that a document reports. An amount that is not a whole number of at least zero, or more than any request can
/// consume, is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    amounts: [Option<i64>; Amount::COUNT],
    /// The length of a recording that was heard.
    pub(crate) seconds: Option<f64>,
}

/// An amount of [`Usage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Amount {
    Prompt,
    Completion,
    Input,
    Output,
    Total,
    /// A part of the input.
    Cached,
    /// Anthropic's word, whose input is without it.
    CacheRead,
    /// A part of the input.
    CacheWrite,
    /// Anthropic's word, whose input is without it.
    CacheCreation,
    Reasoning,
    InputAudio,
    InputImage,
    InputText,
    OutputAudio,
    OutputImage,
    OutputText,
}

impl Amount {
    const COUNT: usize = Self::OutputText as usize + 1;

    /// Returns the amount that is the member `key` of `usage`.
    pub(crate) fn of_usage(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"prompt_tokens" => Self::Prompt,
            b"completion_tokens" => Self::Completion,
            b"input_tokens" => Self::Input,
            b"output_tokens" => Self::Output,
            b"total_tokens" => Self::Total,
            b"cached_tokens" | b"prompt_cache_hit_tokens" | b"cached_input_tokens" => Self::Cached,
            b"cache_read_input_tokens" => Self::CacheRead,
            b"cache_write_tokens" => Self::CacheWrite,
            b"cache_creation_input_tokens" => Self::CacheCreation,
            b"reasoning_tokens" => Self::Reasoning,
            _ => return None,
        })
    }

    /// Returns the amount that is the member `key` of the details of the input.
    pub(crate) fn of_input(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"cached_tokens" => Self::Cached,
            b"cache_write_tokens" | b"cache_creation_tokens" => Self::CacheWrite,
            b"audio_tokens" => Self::InputAudio,
            b"image_tokens" => Self::InputImage,
            b"text_tokens" => Self::InputText,
            _ => return None,
        })
    }

    /// Returns the amount that is the member `key` of the details of the output.
    pub(crate) fn of_output(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"reasoning_tokens" => Self::Reasoning,
            b"audio_tokens" => Self::OutputAudio,
            b"image_tokens" => Self::OutputImage,
            b"text_tokens" => Self::OutputText,
            _ => return None,
        })
    }
}

/// Reads a number, which may be written as `100.0`, or as a string of digits.
fn whole(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?.trim();
    let number = match text.parse::<i64>() {
        Ok(number) => number,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a whole number within the bounds"
        )]
        Err(_) => {
            let number = text.parse::<f64>().ok()?;
            let is_whole = number.fract() == 0.0 && number.abs() <= MAX_QUANTITY as f64;
            is_whole.then_some(number as i64)?
        }
    };
    (0..=MAX_QUANTITY).contains(&number).then_some(number)
}

impl Usage {
    /// Takes an amount as it is written. One that makes no sense leaves what is known.
    pub(crate) fn set(&mut self, amount: Amount, word: &[u8]) {
        if let Some(number) = whole(word) {
            self.amounts[amount as usize] = Some(number);
        }
    }

    pub(crate) fn set_seconds(&mut self, word: &[u8]) {
        self.seconds = number(word).or(self.seconds);
    }

    fn get(&self, amount: Amount) -> Option<i64> {
        self.amounts[amount as usize]
    }

    /// Returns the tokens of what was read where nothing is written.
    pub(crate) fn input_alone(&self) -> Option<i64> {
        let input = self.get(Amount::Prompt).or(self.get(Amount::Input));
        input.or(self.get(Amount::Total))
    }

    /// Returns the amounts: `None` if it says neither how much was read nor how much was written. It may say only one of the
    /// two.
    pub(crate) fn quantities(&self) -> Option<Quantities> {
        let (mut input, mut output) = self.sides();
        let (beside_input, beside_output) = self.beside(input, output);
        input = input.map(|input| input + beside_input);
        output = output.map(|output| output + beside_output);
        input.or(output)?;
        let all = input.unwrap_or(0);
        // The parts of the input add up to it, also where an upstream's numbers do not.
        let cached = self.get(Amount::Cached).max(self.get(Amount::CacheRead));
        let cached = cached.map(|cached| cached.min(all));
        let fresh = all - cached.unwrap_or(0);
        let cache_write = self
            .get(Amount::CacheWrite)
            .max(self.get(Amount::CacheCreation));
        let cache_write = cache_write.map(|amount| amount.min(fresh));
        let uncached = cached.map(|_| fresh - cache_write.unwrap_or(0));
        let mut quantities = Quantities::default().with(Metric::NumModelRequests, 1);
        for (metric, amount) in [
            (Metric::InputTokens, input),
            (Metric::OutputTokens, output),
            (
                Metric::InputCachedTokens,
                cached.filter(|_| input.is_some()),
            ),
            (
                Metric::InputCacheWriteTokens,
                cache_write.filter(|_| input.is_some()),
            ),
            (
                Metric::InputUncachedTokens,
                uncached.filter(|_| input.is_some()),
            ),
            (Metric::InputAudioTokens, self.get(Amount::InputAudio)),
            (Metric::InputImageTokens, self.get(Amount::InputImage)),
            (Metric::InputTextTokens, self.get(Amount::InputText)),
            (Metric::OutputAudioTokens, self.get(Amount::OutputAudio)),
            (Metric::OutputImageTokens, self.get(Amount::OutputImage)),
            (Metric::OutputTextTokens, self.get(Amount::OutputText)),
        ] {
            if let Some(amount) = amount {
                quantities.set(metric, amount);
            }
        }
        Some(quantities)
    }

    /// Returns what was read and what was written, one of which may follow from the sum and the other.
    fn sides(&self) -> (Option<i64>, Option<i64>) {
        let input = self.get(Amount::Prompt).or(self.get(Amount::Input));
        let output = self.get(Amount::Completion).or(self.get(Amount::Output));
        let rest =
            |side: i64| Some(self.get(Amount::Total)?.checked_sub(side)?).filter(|it| *it >= 0);
        match (input, output) {
            (Some(input), None) => (Some(input), rest(input)),
            (None, Some(output)) => (rest(output), Some(output)),
            both => both,
        }
    }

    /// Returns the tokens that are reported beside the input and beside the output instead of within them: cached ones, as
    /// Anthropic counts them, and reasoning. Where there is a sum it tells.
    fn beside(&self, input: Option<i64>, output: Option<i64>) -> (i64, i64) {
        let amount = |amount| self.get(amount).unwrap_or(0);
        let read = amount(Amount::CacheRead);
        let caches = read + amount(Amount::CacheCreation);
        let reasoning = amount(Amount::Reasoning);
        if let (Some(input), Some(output), Some(total)) = (input, output, self.get(Amount::Total)) {
            let rest = total - input - output;
            let told = [(0, 0), (caches, 0), (0, reasoning), (caches, reasoning)];
            if let Some(told) = told.into_iter().find(|(one, two)| one + two == rest) {
                return told;
            }
        }
        let is_native = self.get(Amount::Prompt).is_none() && self.get(Amount::Cached).is_none();
        let is_beside = is_native || input.is_some_and(|input| read > input);
        (if is_beside { caches } else { 0 }, 0)
    }
}

/// Reads a number of any kind that is finite.
pub(crate) fn number(word: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(word).ok()?.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(amounts: &[(&str, &str)]) -> Usage {
        let mut usage = Usage::default();
        for (key, word) in amounts {
            let (place, key) = key.split_once('.').unwrap_or(("usage", key));
            let amount = match place {
                "in" => Amount::of_input(key.as_bytes()),
                "out" => Amount::of_output(key.as_bytes()),
                _ => Amount::of_usage(key.as_bytes()),
            };
            usage.set(amount.expect(key), word.as_bytes());
        }
        usage
    }

    /// Input, output, cached and written to the cache.
    fn read(amounts: &[(&str, &str)]) -> [Option<i64>; 4] {
        let quantities = usage(amounts).quantities().unwrap_or_default();
        [
            Metric::InputTokens,
            Metric::OutputTokens,
            Metric::InputCachedTokens,
            Metric::InputCacheWriteTokens,
        ]
        .map(|metric| quantities.get(metric))
    }

    #[test]
    fn an_amount_is_a_whole_number_however_it_is_written() {
        for (word, number) in [
            ("7", Some(7)),
            ("100.0", Some(100)),
            ("1e2", Some(100)),
            ("-0.0", Some(0)),
            (" 12 ", Some(12)),
            ("100000000000", Some(100_000_000_000)),
            ("100000000001", None),
            ("1e300", None),
            ("9223372036854775808", None),
            ("-1", None),
            ("0.5", None),
            ("NaN", None),
            ("Infinity", None),
            ("null", None),
            ("true", None),
            ("", None),
            ("0x10", None),
        ] {
            assert_eq!(whole(word.as_bytes()), number, "{word}");
        }
    }

    #[test]
    fn every_word_for_the_same_amounts_is_known() {
        let both = [("prompt_tokens", "100"), ("completion_tokens", "40")];
        let with = |more: &[(&'static str, &'static str)]| read(&[&both[..], more].concat());
        assert_eq!(with(&[]), [Some(100), Some(40), None, None]);
        let cached = [Some(100), Some(40), Some(60), None];
        for key in [
            "cached_tokens",
            "prompt_cache_hit_tokens",
            "cache_read_input_tokens",
            "in.cached_tokens",
        ] {
            assert_eq!(with(&[(key, "60")]), cached, "{key}");
            assert_eq!(
                with(&[(key, "60"), ("total_tokens", "140")]),
                cached,
                "{key}"
            );
        }
        let written = with(&[("in.cached_tokens", "60"), ("in.cache_write_tokens", "50")]);
        assert_eq!(written, [Some(100), Some(40), Some(60), Some(40)]);
    }

    #[test]
    fn what_stands_beside_is_added_where_the_sum_shows_it() {
        let grok = [
            ("prompt_tokens", "100"),
            ("completion_tokens", "40"),
            ("out.reasoning_tokens", "200"),
        ];
        let with = |total| read(&[&grok[..], &[("total_tokens", total)]].concat());
        assert_eq!(with("340"), [Some(100), Some(240), None, None]);
        assert_eq!(with("140"), [Some(100), Some(40), None, None]);
        assert_eq!(with("777"), [Some(100), Some(40), None, None]);
        let native = [
            ("input_tokens", "10"),
            ("output_tokens", "5"),
            ("cache_read_input_tokens", "60"),
            ("cache_creation_input_tokens", "30"),
        ];
        assert_eq!(read(&native), [Some(100), Some(5), Some(60), Some(30)]);
        let within = [&native[..], &[("total_tokens", "15")]].concat();
        assert_eq!(read(&within), [Some(10), Some(5), Some(10), Some(0)]);
    }

    #[test]
    fn half_of_it_is_half_of_it_unless_the_sum_tells() {
        assert_eq!(read(&[("prompt_tokens", "9")]), [Some(9), None, None, None]);
        assert_eq!(read(&[("output_tokens", "9")]), [None, Some(9), None, None]);
        let sum = [("completion_tokens", "9"), ("total_tokens", "20")];
        assert_eq!(read(&sum), [Some(11), Some(9), None, None]);
        assert_eq!(usage(&[("total_tokens", "20")]).quantities(), None);
        assert_eq!(usage(&[("total_tokens", "20")]).input_alone(), Some(20));
    }
}
