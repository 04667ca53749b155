//! What was read of an answer so far, and how text is counted in bytes of JSON that are not parsed.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use usage::Quantities;

use super::report::Usage;

/// What was read so far.
#[derive(Default)]
pub(crate) struct Tally {
    /// What the last report said.
    pub(super) reported: Option<Quantities>,
    pub(super) service_tier: Option<String>,
    /// How many bytes of generated text there were before any report.
    pub(crate) text: usize,
    /// How many images there are.
    pub(super) images: Option<i64>,
    /// Their size.
    pub(super) size: Option<String>,
    /// How many seconds of speech were heard.
    pub(super) seconds: Option<i64>,
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

/// How many bytes of text there are under these keys.
pub(super) fn text_under(keys: &Keys, json: &[u8]) -> usize {
    let strings = keys.iter().flat_map(|key| values(key, json));
    strings
        .filter_map(|value| {
            let text = value.strip_prefix(b"\"")?;
            let mut ends = memchr::memchr_iter(b'"', text);
            ends.find(|end| !is_escaped(&text[..*end]))
        })
        .sum()
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
