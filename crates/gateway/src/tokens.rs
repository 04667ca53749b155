//! Token counts: by the encoding of a model where it is known, else estimated from the length of the text.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tiktoken::CoreBpe;
use tiktoken::encoding::{cl100k_base, o200k_base};

/// The usual bytes of a token, for a text whose encoding is unknown.
pub(crate) const BYTES_PER_TOKEN: usize = 4;
/// The most bytes of a text that are tokenized, at up to a third of a microsecond each. The tokens of the rest are
/// extrapolated.
const MAX_TOKENIZED_BYTES: usize = 16 * 1024;

/// The number of samples of a long text.
const SAMPLE_COUNT: usize = 8;

/// An encoding and its models. Building a tokenizer takes a tenth of a second, so a thread does it; until then, tokens are
/// estimated from the length of texts.
struct Encoding {
    /// The beginnings of the names of its models.
    models: &'static [&'static str],
    build: fn() -> CoreBpe,
    built: OnceLock<CoreBpe>,
    is_begun: AtomicBool,
}

static ENCODINGS: [Encoding; 2] = [
    Encoding {
        models: &[
            "gpt-4o",
            "gpt-4.1",
            "gpt-4.5",
            "gpt-5",
            "gpt-oss",
            "chatgpt-4o",
            "codex-",
            "o1",
            "o3",
            "o4-",
        ],
        build: o200k_base,
        built: OnceLock::new(),
        is_begun: AtomicBool::new(false),
    },
    Encoding {
        models: &[
            "gpt-4",
            "gpt-3.5",
            "gpt-35",
            "text-embedding-3",
            "text-embedding-ada",
        ],
        build: cl100k_base,
        built: OnceLock::new(),
        is_begun: AtomicBool::new(false),
    },
];

/// Begins to build the tokenizers of these models.
pub(crate) fn prepare<'a>(models: impl Iterator<Item = &'a str>) {
    for encoding in models.filter_map(Encoding::of) {
        encoding.begin();
    }
}

/// A counter of the tokens of texts.
#[derive(Default)]
pub(crate) struct TokenCounter {
    tokenizer: Option<&'static CoreBpe>,
    tokens: usize,
    /// The bytes that were tokenized.
    tokenized: usize,
    /// The bytes of all texts.
    length: usize,
}

impl TokenCounter {
    /// Returns a counter that tokenizes as `model` does.
    pub(crate) fn of(model: &str) -> Self {
        Self {
            tokenizer: Encoding::of(model).and_then(Encoding::tokenizer),
            ..Self::default()
        }
    }

    /// Adds a text. Beyond [`MAX_TOKENIZED_BYTES`] in all, its tokens are extrapolated.
    pub(crate) fn add(&mut self, text: &[u8]) {
        self.length += text.len();
        let room = MAX_TOKENIZED_BYTES - self.tokenized;
        if let Some(tokenizer) = self.tokenizer
            && room > 0
        {
            let start = whole_characters(&text[..text.len().min(room)]);
            self.tokens += tokenizer.count(start);
            self.tokenized += start.len();
        }
    }

    /// Adds a text in several pieces. Of a long one, random samples are tokenized, so that a client cannot hide text of many tokens
    /// behind text of few.
    pub(crate) fn add_samples(&mut self, pieces: &[&[u8]]) {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.tokenizer.is_none() || length <= MAX_TOKENIZED_BYTES {
            for piece in pieces {
                self.add(piece);
            }
            return;
        }
        let stride = length / SAMPLE_COUNT;
        let mut sampled = 0;
        for sample in 0..SAMPLE_COUNT {
            let start =
                sample * stride + random_below(stride - MAX_TOKENIZED_BYTES / SAMPLE_COUNT + 1);
            let mut before = 0;
            for piece in pieces {
                let from = start.saturating_sub(before).min(piece.len());
                let to = (start + MAX_TOKENIZED_BYTES / SAMPLE_COUNT)
                    .saturating_sub(before)
                    .min(piece.len());
                before += piece.len();
                let text = from_a_character(&piece[from..to]);
                self.add(text);
                sampled += text.len();
            }
        }
        self.extrapolate(length - sampled);
    }

    /// Adds bytes whose text is unknown; their tokens are extrapolated.
    pub(crate) fn extrapolate(&mut self, length: usize) {
        self.length += length;
    }

    /// Returns the number of tokens.
    pub(crate) fn tokens(&self) -> i64 {
        let extrapolated = (self.tokens * self.length).checked_div(self.tokenized);
        let tokens = extrapolated.unwrap_or_else(|| self.length.div_ceil(BYTES_PER_TOKEN));
        i64::try_from(tokens).unwrap_or(i64::MAX)
    }
}

impl Encoding {
    /// Returns the encoding of a model, by its name, which may be that of a fine-tuned model, or have the provider in front.
    fn of(model: &str) -> Option<&'static Self> {
        let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        let mut all = ENCODINGS.iter();
        all.find(|encoding| encoding.models.iter().any(|begin| name.starts_with(begin)))
    }

    /// Returns the tokenizer; `None` while it is being built.
    fn tokenizer(&'static self) -> Option<&'static CoreBpe> {
        let built = self.built.get();
        if built.is_none() {
            self.begin();
        }
        built
    }

    fn begin(&'static self) {
        if self.is_begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let build = || {
            self.built.get_or_init(self.build);
        };
        if let Err(error) = thread::Builder::new().name("tokenizer".into()).spawn(build) {
            tracing::warn!(%error, "tokenizer unavailable; estimating tokens from text length");
        }
    }
}

/// Returns a random number below `bound`.
fn random_below(bound: usize) -> usize {
    let random = RandomState::new().build_hasher().finish();
    usize::try_from(random >> 1).unwrap_or_default() % bound.max(1)
}

/// Returns `bytes` without a truncated character at their beginning.
fn from_a_character(bytes: &[u8]) -> &[u8] {
    let rest = bytes
        .iter()
        .take(3)
        .take_while(|byte| **byte & 0xC0 == 0x80);
    &bytes[rest.count()..]
}

/// Returns the longest prefix of `bytes` that is UTF-8.
fn whole_characters(bytes: &[u8]) -> &str {
    let chunk = bytes.utf8_chunks().next();
    chunk.map_or("", |chunk| chunk.valid())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts tokens, without waiting for another thread.
    fn count(model: &str, text: &str) -> i64 {
        let encoding = Encoding::of(model);
        let mut counter = TokenCounter {
            tokenizer: encoding.map(|one| one.built.get_or_init(one.build)),
            ..TokenCounter::default()
        };
        counter.add(text.as_bytes());
        counter.tokens()
    }

    #[test]
    fn each_model_counts_by_its_own_encoding() {
        // 你好世界 is two tokens in one encoding and five in the other.
        for (model, tokens) in [
            ("gpt-4o-mini", 2),
            ("gpt-5.5", 2),
            ("openai/gpt-oss-120b", 2),
            ("ft:gpt-4.1-mini:acme::x", 2),
            ("o3", 2),
            ("gpt-4-turbo", 5),
            ("gpt-3.5-turbo", 5),
            ("text-embedding-3-small", 5),
            ("llama-3", 3),
            ("text-embedding-004", 3),
        ] {
            assert_eq!(count(model, "你好世界"), tokens, "{model}");
        }
        let text = "The quick brown fox jumps over the lazy dog.";
        assert_eq!((count("gpt-4o", text), count("gpt-4", text)), (10, 10));
        assert_eq!((count("gpt-4o", ""), count("other", "")), (0, 0));
    }

    #[test]
    fn tokens_of_a_long_text_are_extrapolated() {
        let words = "one two three four ".repeat(MAX_TOKENIZED_BYTES);
        let (few, many) = (&words[..19 * 100], &words[..19 * 10_000]);
        let wrong = count("gpt-4o", many) - 100 * count("gpt-4o", few);
        assert!(wrong.abs() <= 100, "{wrong}");
        // A truncated character is not tokenized.
        let cut = "世".repeat(MAX_TOKENIZED_BYTES);
        let wrong =
            count("gpt-4o", &cut) - 16 * count("gpt-4o", &cut[..MAX_TOKENIZED_BYTES / 16 * 3]);
        assert!(wrong.abs() <= 100, "{wrong}");
    }

    #[test]
    fn s11_text_of_many_tokens_does_not_hide_behind_text_of_few() {
        let encoding = Encoding::of("gpt-4o");
        let count = |text: &str| {
            let mut counter = TokenCounter {
                tokenizer: encoding.map(|one| one.built.get_or_init(one.build)),
                ..TokenCounter::default()
            };
            let (first, second) = text.split_at(text.len() / 3);
            counter.add_samples(&[first.as_bytes(), second.as_bytes()]);
            counter.tokens()
        };
        let (few, many) = (
            " ".repeat(MAX_TOKENIZED_BYTES),
            "zxq7 ".repeat(MAX_TOKENIZED_BYTES),
        );
        let (alone, hidden) = (count(&many), count(&format!("{few}{many}{few}")));
        assert!(hidden > alone / 2, "{hidden} of {alone}");
        let words = "one two three four ".repeat(MAX_TOKENIZED_BYTES);
        let exact = i64::try_from(4 * MAX_TOKENIZED_BYTES).expect("few");
        let wrong = count(&words) - exact;
        assert!(wrong.abs() < exact / 50, "{wrong}");
    }

    #[test]
    fn tokenizer_is_built_by_another_thread() {
        prepare(["gpt-4o", "other"].into_iter());
        let encoding = &ENCODINGS[0];
        while encoding.tokenizer().is_none() {
            thread::yield_now();
        }
        let mut counter = TokenCounter::of("gpt-4o");
        counter.add(b"hello world");
        assert_eq!(counter.tokens(), 2);
        counter.extrapolate(11);
        assert_eq!(counter.tokens(), 4);
    }
}
