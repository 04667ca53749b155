//! How many tokens a text has: counted as the model does where its vocabulary is known, else by its length.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tiktoken::{CoreBpe, encoding};

/// Without a vocabulary, a token is about four bytes of text.
const BYTES_PER_TOKEN: usize = 4;
/// How much is counted exactly, in bytes: a tenth of a microsecond each, in the worst case a third.
const COUNTED: usize = 16 * 1024;

/// The number of samples of a long text.
const SAMPLES: usize = 8;

/// A vocabulary. Building one takes a tenth of a second, so it is done aside; until then its texts are counted by length.
struct Vocabulary {
    /// What the names of its models begin with.
    models: &'static [&'static str],
    build: fn() -> CoreBpe,
    built: OnceLock<CoreBpe>,
    is_begun: AtomicBool,
}

static VOCABULARIES: [Vocabulary; 2] = [
    Vocabulary {
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
        build: encoding::o200k_base,
        built: OnceLock::new(),
        is_begun: AtomicBool::new(false),
    },
    Vocabulary {
        models: &[
            "gpt-4",
            "gpt-3.5",
            "gpt-35",
            "text-embedding-3",
            "text-embedding-ada",
        ],
        build: encoding::cl100k_base,
        built: OnceLock::new(),
        is_begun: AtomicBool::new(false),
    },
];

/// Begins to build the vocabularies of these models.
pub(crate) fn prepare<'a>(models: impl Iterator<Item = &'a str>) {
    for vocabulary in models.filter_map(Vocabulary::of) {
        vocabulary.begin();
    }
}

/// Counts the tokens of texts as a model does.
#[derive(Default)]
pub(crate) struct Counter {
    vocabulary: Option<&'static CoreBpe>,
    tokens: usize,
    /// How many bytes these are.
    counted: usize,
    /// How many bytes there are.
    length: usize,
}

impl Counter {
    pub(crate) fn of(model: &str) -> Self {
        Self {
            vocabulary: Vocabulary::of(model).and_then(Vocabulary::ready),
            ..Self::default()
        }
    }

    /// Adds a text. Beyond [`COUNTED`] bytes it is counted in proportion to what was counted before.
    pub(crate) fn add(&mut self, text: &[u8]) {
        self.length += text.len();
        let room = COUNTED - self.counted;
        if let Some(vocabulary) = self.vocabulary
            && room > 0
        {
            let start = whole_characters(&text[..text.len().min(room)]);
            self.tokens += vocabulary.count(start);
            self.counted += start.len();
        }
    }

    /// Adds a text that is in several pieces. Of a long one samples are counted, at places that nobody can foresee: text of
    /// many tokens does not hide behind text of few.
    pub(crate) fn add_samples(&mut self, pieces: &[&[u8]]) {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.vocabulary.is_none() || length <= COUNTED {
            for piece in pieces {
                self.add(piece);
            }
            return;
        }
        let stride = length / SAMPLES;
        let mut sampled = 0;
        for sample in 0..SAMPLES {
            let start = sample * stride + random_below(stride - COUNTED / SAMPLES + 1);
            let mut before = 0;
            for piece in pieces {
                let from = start.saturating_sub(before).min(piece.len());
                let to = (start + COUNTED / SAMPLES)
                    .saturating_sub(before)
                    .min(piece.len());
                before += piece.len();
                let text = from_a_character(&piece[from..to]);
                self.add(text);
                sampled += text.len();
            }
        }
        self.add_unseen(length - sampled);
    }

    /// Adds so many bytes of a text that nobody kept.
    pub(crate) fn add_unseen(&mut self, length: usize) {
        self.length += length;
    }

    /// How many tokens there are.
    pub(crate) fn tokens(&self) -> i64 {
        let counted = (self.tokens * self.length).checked_div(self.counted);
        let tokens = counted.unwrap_or_else(|| self.length.div_ceil(BYTES_PER_TOKEN));
        i64::try_from(tokens).unwrap_or(i64::MAX)
    }
}

impl Vocabulary {
    /// That of a model, by its name; also of one that was tuned, or has its maker in front.
    fn of(model: &str) -> Option<&'static Self> {
        let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        let mut all = VOCABULARIES.iter();
        all.find(|vocabulary| {
            vocabulary
                .models
                .iter()
                .any(|begin| name.starts_with(begin))
        })
    }

    fn ready(&'static self) -> Option<&'static CoreBpe> {
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
        if let Err(error) = thread::Builder::new()
            .name("vocabulary".into())
            .spawn(build)
        {
            tracing::warn!(%error, "tokens are counted by the length of texts");
        }
    }
}

/// A number below this one, which nobody can foresee.
fn random_below(bound: usize) -> usize {
    let random = RandomState::new().build_hasher().finish();
    usize::try_from(random >> 1).unwrap_or_default() % bound.max(1)
}

/// Returns `bytes` without the rest of a character with which they begin.
fn from_a_character(bytes: &[u8]) -> &[u8] {
    let rest = bytes
        .iter()
        .take(3)
        .take_while(|byte| **byte & 0xC0 == 0x80);
    &bytes[rest.count()..]
}

/// What of `bytes` is UTF-8, from their beginning.
fn whole_characters(bytes: &[u8]) -> &str {
    let chunk = bytes.utf8_chunks().next();
    chunk.map_or("", |chunk| chunk.valid())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does not wait for another thread.
    fn count(model: &str, text: &str) -> i64 {
        let vocabulary = Vocabulary::of(model);
        let mut counter = Counter {
            vocabulary: vocabulary.map(|one| one.built.get_or_init(one.build)),
            ..Counter::default()
        };
        counter.add(text.as_bytes());
        counter.tokens()
    }

    #[test]
    fn each_model_counts_by_its_own_vocabulary() {
        // 你好世界 is two tokens in one vocabulary and five in the other.
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
    fn what_is_too_long_is_counted_in_proportion() {
        let words = "one two three four ".repeat(COUNTED);
        let (few, many) = (&words[..19 * 100], &words[..19 * 10_000]);
        let wrong = count("gpt-4o", many) - 100 * count("gpt-4o", few);
        assert!(wrong.abs() <= 100, "{wrong}");
        // A character that is cut off is not counted with the others.
        let cut = "世".repeat(COUNTED);
        let wrong = count("gpt-4o", &cut) - 16 * count("gpt-4o", &cut[..COUNTED / 16 * 3]);
        assert!(wrong.abs() <= 100, "{wrong}");
    }

    #[test]
    fn s11_text_of_many_tokens_does_not_hide_behind_text_of_few() {
        let vocabulary = Vocabulary::of("gpt-4o");
        let count = |text: &str| {
            let mut counter = Counter {
                vocabulary: vocabulary.map(|one| one.built.get_or_init(one.build)),
                ..Counter::default()
            };
            let (first, second) = text.split_at(text.len() / 3);
            counter.add_samples(&[first.as_bytes(), second.as_bytes()]);
            counter.tokens()
        };
        let (few, many) = (" ".repeat(COUNTED), "zxq7 ".repeat(COUNTED));
        let (alone, hidden) = (count(&many), count(&format!("{few}{many}{few}")));
        assert!(hidden > alone / 2, "{hidden} of {alone}");
        let words = "one two three four ".repeat(COUNTED);
        let exact = i64::try_from(4 * COUNTED).expect("few");
        let wrong = count(&words) - exact;
        assert!(wrong.abs() < exact / 50, "{wrong}");
    }

    #[test]
    fn a_vocabulary_is_built_aside() {
        prepare(["gpt-4o", "other"].into_iter());
        let vocabulary = &VOCABULARIES[0];
        while vocabulary.ready().is_none() {
            thread::yield_now();
        }
        let mut counter = Counter::of("gpt-4o");
        counter.add(b"hello world");
        assert_eq!(counter.tokens(), 2);
        counter.add_unseen(11);
        assert_eq!(counter.tokens(), 4);
    }
}
