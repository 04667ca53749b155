//! What was read of an answer so far, and how text is counted in bytes of JSON that are not parsed.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use usage::Quantities;

use super::Called;
use super::report::Usage;
use crate::tokens::Counter;

/// What was read so far.
#[derive(Default)]
pub(crate) struct Tally {
    /// What the last report said.
    pub(super) reported: Option<Quantities>,
    pub(super) service_tier: Option<String>,
    /// The generated text that there was before any report.
    pub(crate) text: Text,
    /// How many images there are.
    pub(super) images: Option<i64>,
    /// Their size.
    pub(super) size: Option<String>,
    /// How many seconds of speech were heard.
    pub(super) seconds: Option<i64>,
    /// Which hosted tools were used.
    pub(super) called: Called,
    /// Whether the stream said that it is complete.
    pub(crate) is_done: bool,
    /// Whether the model server said in the midst of its answer that it failed.
    pub(crate) is_failed: bool,
}

impl Tally {
    /// Takes what a report says; whether it says anything.
    pub(super) fn take(&mut self, usage: Option<&Usage>, service_tier: Option<&str>) -> bool {
        let Some(quantities) = usage.and_then(Usage::quantities) else {
            return false;
        };
        self.reported = Some(quantities);
        self.service_tier = service_tier.map(str::to_owned);
        true
    }
}

/// The keys that generated text stands under.
pub(super) type Keys = LazyLock<Vec<Finder<'static>>>;

/// Finders of keys, each with its quotation marks.
pub(super) fn keys<const N: usize>(names: [&'static [u8]; N]) -> Vec<Finder<'static>> {
    names.into_iter().map(Finder::new).collect()
}

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""usage""#));

/// Whether there is a `usage` that is not null. Most events of a stream have none, and need not be parsed.
pub(super) fn carries_usage(json: &[u8]) -> bool {
    values(&USAGE, json).any(|value| !value.starts_with(b"null"))
}

/// Generated text, as it stands in JSON: how much, and the beginning of it.
#[derive(Default)]
pub(crate) struct Text {
    /// In bytes.
    pub(crate) length: usize,
    start: Vec<u8>,
}

/// How much of a generated text is kept to be counted, in bytes; the rest is counted in proportion.
const KEPT: usize = 4 * 1024;

impl Text {
    /// Adds the text that is under these keys.
    pub(super) fn add(&mut self, keys: &Keys, json: &[u8]) {
        for value in keys.iter().flat_map(|key| values(key, json)) {
            let Some(text) = value.strip_prefix(b"\"") else {
                continue;
            };
            let mut ends = memchr::memchr_iter(b'"', text);
            if let Some(end) = ends.find(|end| !is_escaped(&text[..*end])) {
                self.push(&text[..end]);
            }
        }
    }

    fn push(&mut self, text: &[u8]) {
        let room = KEPT - self.start.len();
        self.start.extend_from_slice(&text[..text.len().min(room)]);
        self.length += text.len();
    }

    /// How many tokens it has, at least one.
    pub(super) fn tokens(&self, model: &str) -> i64 {
        let mut counter = Counter::of(model);
        counter.add(&self.start);
        counter.add_unseen(self.length - self.start.len());
        counter.tokens().max(1)
    }
}

/// Whether what follows `text` in a JSON string is escaped.
fn is_escaped(text: &[u8]) -> bool {
    text.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// What stands after each key that `finder` finds.
pub(super) fn values<'a>(finder: &'a Finder<'_>, json: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    finder.find_iter(json).filter_map(|at| {
        let rest = json[at + finder.needle().len()..].trim_ascii_start();
        Some(rest.strip_prefix(b":")?.trim_ascii_start())
    })
}
