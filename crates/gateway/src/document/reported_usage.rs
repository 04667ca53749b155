//! The object `usage` of an answer, under all the names that model servers have for the same amounts.

use base::NanoDollars;
use usage::{MAX_EVENT_COST, MAX_QUANTITY, Metric, Quantities};

/// The usage that a document reports. A value that is not a whole number from 0 to [`MAX_QUANTITY`] counts as absent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ReportedUsage {
    amounts: [Option<i64>; UsageField::FIELD_COUNT],
    /// The duration of the audio that was transcribed.
    pub(crate) seconds: Option<f64>,
    /// The cost of the request.
    pub(crate) cost: Option<NanoDollars>,
}

/// A field of [`ReportedUsage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum UsageField {
    Prompt,
    Completion,
    Input,
    Output,
    Total,
    /// A part of the input.
    Cached,
    /// Anthropic's name for cached tokens, which its input does not include.
    CacheRead,
    /// A part of the input.
    CacheWrite,
    /// Anthropic's name for tokens written to the cache, which its input does not include.
    CacheCreation,
    Reasoning,
    InputAudio,
    InputImage,
    InputText,
    OutputAudio,
    OutputImage,
    OutputText,
    /// A part of the cached tokens, and of the audio tokens of the input.
    CachedAudio,
    /// A part of the cached tokens, and of the image tokens of the input.
    CachedImage,
    /// A part of the tokens written to the cache: those that are kept for 30 minutes.
    CacheWrite30m,
    /// A part of the tokens written to the cache: those that are kept for 12 hours.
    CacheWrite12h,
    /// A part of [`UsageField::CacheCreation`]: the tokens that are kept for five minutes.
    CacheCreation5m,
    /// A part of [`UsageField::CacheCreation`]: the tokens that are kept for an hour.
    CacheCreation1h,
    /// The number of web searches, in Anthropic's format.
    WebSearches,
}

/// The parts of the tokens written to a cache, by lifetime, the longest first: where they exceed the sum, the shorter ones give
/// way.
const CACHE_WRITES: [(UsageField, Metric); 4] = [
    (UsageField::CacheWrite12h, Metric::InputCacheWrite12hTokens),
    (UsageField::CacheCreation1h, Metric::InputCacheWrite1hTokens),
    (UsageField::CacheWrite30m, Metric::InputCacheWrite30mTokens),
    (UsageField::CacheCreation5m, Metric::InputCacheWrite5mTokens),
];

impl UsageField {
    const FIELD_COUNT: usize = Self::WebSearches as usize + 1;

    /// Returns the field that the member `key` of `usage` is.
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

    /// Returns the field that the member `key` of `usage` is in Anthropic's format.
    pub(super) fn of_message(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"input_tokens" => Self::Input,
            b"output_tokens" => Self::Output,
            b"cache_read_input_tokens" => Self::CacheRead,
            b"cache_creation_input_tokens" => Self::CacheCreation,
            _ => return None,
        })
    }

    /// Returns the field that the member `key` of `cache_creation` is.
    pub(super) fn of_cache_creation(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"ephemeral_5m_input_tokens" => Self::CacheCreation5m,
            b"ephemeral_1h_input_tokens" => Self::CacheCreation1h,
            _ => return None,
        })
    }

    /// Returns the field that the member `key` of the input details is.
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

    /// Returns the field that the member `key` of the details of cached tokens is.
    pub(crate) fn of_cached(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"audio_tokens" => Self::CachedAudio,
            b"image_tokens" => Self::CachedImage,
            _ => return None,
        })
    }

    /// Returns the field that the member `key` of the details of cache writes is.
    pub(crate) fn of_cache_write(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"ttl_30m_tokens" => Self::CacheWrite30m,
            b"ttl_12h_tokens" => Self::CacheWrite12h,
            _ => return None,
        })
    }

    /// Returns the field that the member `key` of the output details is.
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

/// Reads a whole number, which may be written as `100.0`.
fn parse_whole(word: &[u8]) -> Option<i64> {
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

impl ReportedUsage {
    /// Sets a field from its JSON text. An invalid value leaves the field as it is.
    pub(crate) fn set(&mut self, field: UsageField, word: &[u8]) {
        if let Some(number) = parse_whole(word) {
            self.amounts[field as usize] = Some(number);
        }
    }

    pub(crate) fn set_seconds(&mut self, word: &[u8]) {
        self.seconds = parse_finite(word).or(self.seconds);
    }

    /// Sets the cost from its JSON text. A value that is no number of dollars from 0 on leaves it as it is.
    pub(crate) fn set_cost(&mut self, word: &[u8]) {
        self.cost = parse_dollars(word).or(self.cost);
    }

    fn get(&self, field: UsageField) -> Option<i64> {
        self.amounts[field as usize]
    }

    /// Adds the usage of a sampling that the usage does not include.
    pub(super) fn add_iteration(&mut self, other: &Self) {
        for (mine, theirs) in self.amounts.iter_mut().zip(other.amounts) {
            if let Some(theirs) = theirs {
                *mine = Some(mine.unwrap_or(0).saturating_add(theirs));
            }
        }
    }

    /// Raises each amount to that of a later report, which includes what was reported before.
    pub(crate) fn raise_to(&mut self, later: &Self) {
        for (mine, theirs) in self.amounts.iter_mut().zip(later.amounts) {
            *mine = (*mine).max(theirs);
        }
    }

    /// True if output tokens are reported.
    pub(crate) fn has_output(&self) -> bool {
        self.get(UsageField::Output).is_some()
    }

    /// Returns the number of web searches that Anthropic's format reports.
    pub(crate) fn web_searches(&self) -> i64 {
        self.get(UsageField::WebSearches).unwrap_or(0)
    }

    /// Returns the input tokens of an endpoint that has no output to count.
    pub(crate) fn input_alone(&self) -> Option<i64> {
        let input = self.get(UsageField::Prompt).or(self.get(UsageField::Input));
        input.or(self.get(UsageField::Total))
    }

    /// Returns the quantities; `None` if neither input nor output tokens are reported. One of the two may be absent.
    pub(crate) fn quantities(&self) -> Option<Quantities> {
        let (mut input, mut output) = self.sides();
        let (extra_input, extra_output) = self.not_included(input, output);
        input = input.map(|input| input + extra_input);
        output = output.map(|output| output + extra_output);
        input.or(output)?;
        let all = input.unwrap_or(0);
        // The parts of the input must add up to it, also where the upstream's numbers do not.
        let cached = self
            .get(UsageField::Cached)
            .max(self.get(UsageField::CacheRead));
        let cached = cached.map(|cached| cached.min(all));
        let fresh = all - cached.unwrap_or(0);
        let lifetimes = CACHE_WRITES.map(|(field, metric)| (metric, self.get(field)));
        let all_lifetimes = lifetimes.iter().filter_map(|(_, amount)| *amount);
        let all_lifetimes = all_lifetimes.reduce(|sum, amount| sum + amount);
        let cache_write = self
            .get(UsageField::CacheWrite)
            .max(self.get(UsageField::CacheCreation))
            .max(all_lifetimes);
        let cache_write = cache_write.map(|amount| amount.min(fresh));
        // Audio and image tokens of the input are counted without the cached ones.
        let [cached_audio, cached_image] = [UsageField::CachedAudio, UsageField::CachedImage]
            .map(|field| Some(self.get(field)?.min(cached.unwrap_or(0))));
        let without =
            |field, cached: Option<i64>| Some((self.get(field)? - cached.unwrap_or(0)).max(0));
        let uncached = cached.map(|_| fresh - cache_write.unwrap_or(0));
        let of_input = |part: Option<i64>| part.filter(|_| input.is_some());
        let mut quantities = Quantities::default().with(Metric::NumModelRequests, 1);
        for (metric, amount) in [
            (Metric::InputTokens, input),
            (Metric::OutputTokens, output),
            (Metric::InputCachedTokens, of_input(cached)),
            (Metric::InputCacheWriteTokens, of_input(cache_write)),
            (Metric::InputUncachedTokens, of_input(uncached)),
            (
                Metric::InputAudioTokens,
                without(UsageField::InputAudio, cached_audio),
            ),
            (
                Metric::InputImageTokens,
                without(UsageField::InputImage, cached_image),
            ),
            (Metric::InputCachedAudioTokens, of_input(cached_audio)),
            (Metric::InputCachedImageTokens, of_input(cached_image)),
            (Metric::InputTextTokens, self.get(UsageField::InputText)),
            (Metric::OutputAudioTokens, self.get(UsageField::OutputAudio)),
            (Metric::OutputImageTokens, self.get(UsageField::OutputImage)),
            (Metric::OutputTextTokens, self.get(UsageField::OutputText)),
        ] {
            if let Some(amount) = amount {
                quantities.set(metric, amount);
            }
        }
        if input.is_some() {
            set_parts(&mut quantities, lifetimes, cache_write.unwrap_or(0));
        }
        Some(quantities)
    }

    /// Returns the input and output tokens. If one is absent, the total minus the other one stands for it.
    fn sides(&self) -> (Option<i64>, Option<i64>) {
        let input = self.get(UsageField::Prompt).or(self.get(UsageField::Input));
        let output = self
            .get(UsageField::Completion)
            .or(self.get(UsageField::Output));
        let rest =
            |side: i64| Some(self.get(UsageField::Total)?.checked_sub(side)?).filter(|it| *it >= 0);
        match (input, output) {
            (Some(input), None) => (Some(input), rest(input)),
            (None, Some(output)) => (rest(output), Some(output)),
            both => both,
        }
    }

    /// Returns the tokens that the reported input and output do not include: cached tokens, as Anthropic counts them, and
    /// reasoning tokens. A total shows which of them are included.
    fn not_included(&self, input: Option<i64>, output: Option<i64>) -> (i64, i64) {
        let amount = |field| self.get(field).unwrap_or(0);
        let read = amount(UsageField::CacheRead);
        let lifetimes = [UsageField::CacheCreation5m, UsageField::CacheCreation1h];
        let lifetimes = lifetimes.into_iter().map(amount).sum();
        let caches = read + amount(UsageField::CacheCreation).max(lifetimes);
        let reasoning = amount(UsageField::Reasoning);
        if let (Some(input), Some(output), Some(total)) =
            (input, output, self.get(UsageField::Total))
        {
            let rest = total - input - output;
            let candidates = [(0, 0), (caches, 0), (0, reasoning), (caches, reasoning)];
            let is_rest = |(one, two): &(i64, i64)| one + two == rest;
            if let Some(extra) = candidates.into_iter().find(is_rest) {
                return extra;
            }
        }
        let is_anthropic =
            self.get(UsageField::Prompt).is_none() && self.get(UsageField::Cached).is_none();
        let is_extra = is_anthropic || input.is_some_and(|input| read > input);
        (if is_extra { caches } else { 0 }, 0)
    }
}

/// Sets the parts of a sum, which may not exceed it: where they do, the later ones give way.
fn set_parts<const N: usize>(
    quantities: &mut Quantities,
    parts: [(Metric, Option<i64>); N],
    mut sum: i64,
) {
    for (metric, amount) in parts {
        let Some(amount) = amount else { continue };
        let amount = amount.min(sum);
        sum -= amount;
        quantities.set(metric, amount);
    }
}

/// Reads a number of US dollars from 0 on: exactly if it has at most 9 decimals, else rounded to the billionth. A cost
/// beyond the bound of an event is the bound.
fn parse_dollars(word: &[u8]) -> Option<NanoDollars> {
    const NANOS_PER_DOLLAR: f64 = 1e9;
    let text = std::str::from_utf8(word).ok()?.trim();
    let exact = NanoDollars::parse(text);
    let rounded = || {
        let dollars = parse_finite(word).filter(|dollars| *dollars >= 0.0)?;
        let nanos = (dollars * NANOS_PER_DOLLAR).round_ties_even();
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and is bounded")]
        Some(NanoDollars(nanos as i64))
    };
    let cost = exact.or_else(rounded)?;
    Some(cost.min(MAX_EVENT_COST))
}

/// Reads a finite number.
pub(crate) fn parse_finite(word: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(word).ok()?.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(amounts: &[(&str, &str)]) -> ReportedUsage {
        let mut usage = ReportedUsage::default();
        for (key, word) in amounts {
            let (object, key) = key.split_once('.').unwrap_or(("usage", key));
            let amount = match object {
                "in" => UsageField::of_input(key.as_bytes()),
                "out" => UsageField::of_output(key.as_bytes()),
                _ => UsageField::of_usage(key.as_bytes()),
            };
            usage.set(amount.expect(key), word.as_bytes());
        }
        usage
    }

    /// Returns the input, output, cached and cache-write tokens.
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
    fn amount_is_read_in_every_spelling_of_a_whole_number() {
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
            assert_eq!(parse_whole(word.as_bytes()), number, "{word}");
        }
    }

    #[test]
    fn every_name_of_the_same_amount_is_known() {
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
    fn cost_is_a_number_of_dollars_from_0_on() {
        for (word, nanos) in [
            ("0.000123456", Some(123_456)),
            ("0", Some(0)),
            ("1.5e-7", Some(150)),
            ("0.0000000015", Some(2)),
            ("0.0000000025", Some(2)),
            ("-0.1", None),
            ("NaN", None),
            ("null", None),
            ("1e300", Some(MAX_EVENT_COST.0)),
        ] {
            let mut usage = ReportedUsage::default();
            usage.set_cost(word.as_bytes());
            assert_eq!(usage.cost.map(|cost| cost.0), nanos, "{word}");
        }
    }

    #[test]
    fn tokens_beside_input_and_output_are_added_if_the_total_shows_it() {
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
    fn missing_side_is_absent_unless_the_total_shows_it() {
        assert_eq!(read(&[("prompt_tokens", "9")]), [Some(9), None, None, None]);
        assert_eq!(read(&[("output_tokens", "9")]), [None, Some(9), None, None]);
        let sum = [("completion_tokens", "9"), ("total_tokens", "20")];
        assert_eq!(read(&sum), [Some(11), Some(9), None, None]);
        assert_eq!(usage(&[("total_tokens", "20")]).quantities(), None);
        assert_eq!(usage(&[("total_tokens", "20")]).input_alone(), Some(20));
    }
}
