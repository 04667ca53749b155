//! What was read of an answer so far, and how its text is counted.

use usage::{Metric, Quantities};

use super::called::{Called, Items};
use super::report::Usage;
use crate::answer::{Document, Fault};
use crate::tokens::Counter;

/// What was read so far.
#[derive(Default)]
pub(crate) struct Tally {
    /// The amounts of the last report. Those that only an earlier one had are among them.
    pub(super) reported: Option<Quantities>,
    pub(super) service_tier: Option<String>,
    /// The generated text.
    pub(crate) text: Text,
    /// How many images there are.
    pub(super) images: Option<i64>,
    /// Their size.
    pub(super) size: Option<String>,
    /// How many seconds of speech were heard.
    pub(super) seconds: Option<i64>,
    /// The hosted tools that were used, by the list of all things that the answer is made of.
    pub(super) called: Option<Called>,
    /// The hosted tools that were used, by the events that told of each.
    pub(super) items: Items,
    /// Whether the stream said that it is complete.
    pub(crate) is_done: bool,
    /// True if what came is a whole answer, also if the stream does not say so.
    pub(crate) has_end: bool,
    /// The failure that the model server reported in the midst of its answer.
    pub(crate) fault: Option<Fault>,
    /// True if the answer has failed: nothing of it is estimated.
    pub(crate) is_failed: bool,
}

impl Tally {
    /// Takes what a document reports.
    pub(super) fn take(&mut self, document: &Document) {
        if let Some(quantities) = document.usage().and_then(Usage::quantities) {
            self.take_report(quantities);
        }
        if let Some(tier) = document.service_tier.to_owned() {
            self.service_tier = Some(tier);
        }
    }

    fn take_report(&mut self, quantities: Quantities) {
        let has_both = quantities.get(Metric::InputTokens).is_some()
            && quantities.get(Metric::OutputTokens).is_some();
        let mut reported = match self.reported {
            Some(earlier) if !has_both => earlier,
            _ => Quantities::default(),
        };
        for metric in Metric::ALL {
            if let Some(amount) = quantities.get(*metric) {
                reported.set(*metric, amount);
            }
        }
        self.reported = Some(reported);
    }

    /// Returns an amount that was reported.
    pub(super) fn amount(&self, metric: Metric) -> Option<i64> {
        self.reported.and_then(|reported| reported.get(metric))
    }

    /// True if both what was read and what was written is known.
    pub(crate) fn is_reported(&self) -> bool {
        self.amount(Metric::InputTokens).is_some() && self.amount(Metric::OutputTokens).is_some()
    }

    /// True if all of a stream has come, whether or not it says so.
    pub(crate) fn has_end(&self) -> bool {
        self.is_done || self.has_end
    }

    /// Returns the hosted tools that were used.
    pub(super) fn called(&self) -> Called {
        self.called.unwrap_or(self.items.called())
    }
}

/// Generated text, as it stands in JSON: how much, and the beginning of it. What is in it as base64 is not text.
#[derive(Default)]
pub(crate) struct Text {
    /// In bytes.
    pub(crate) length: usize,
    start: Vec<u8>,
    /// The last bytes before those to come.
    last: [u8; BASE64.len()],
    /// True in a file that is written as base64.
    is_file: bool,
}

/// How much of a generated text is kept to be counted, in bytes; the rest is counted in proportion.
const KEPT: usize = 4 * 1024;
/// The word that stands before a comma and a file, as in `data:image/png;base64,iVBOR…`.
const BASE64: [u8; 7] = *b";base64";

impl Text {
    /// Adds a part of a string.
    pub(crate) fn push(&mut self, part: &[u8]) {
        let mut rest = part;
        while !rest.is_empty() {
            if self.is_file {
                let is_file = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_\\".contains(byte);
                let end = rest.iter().position(|byte| !is_file(byte));
                rest = &rest[end.unwrap_or(rest.len())..];
                self.is_file = end.is_none();
                continue;
            }
            let end = memchr::memchr(b',', rest).map_or(rest.len(), |comma| comma + 1);
            let (text, others) = rest.split_at(end);
            self.add(text);
            rest = others;
        }
    }

    fn add(&mut self, text: &[u8]) {
        let room = KEPT - self.start.len();
        self.start.extend_from_slice(&text[..text.len().min(room)]);
        self.length += text.len();
        let text = match text.split_last() {
            Some((b',', before)) => {
                self.remember(before);
                self.is_file = self.last == BASE64;
                return;
            }
            _ => text,
        };
        self.remember(text);
    }

    fn remember(&mut self, text: &[u8]) {
        let new = text.len().min(self.last.len());
        self.last.rotate_left(new);
        let at = self.last.len() - new;
        self.last[at..].copy_from_slice(&text[text.len() - new..]);
    }

    /// A string has ended.
    pub(crate) fn end(&mut self) {
        self.last = Default::default();
        self.is_file = false;
    }

    /// Forgets what came after so many bytes.
    pub(crate) fn rewind(&mut self, length: usize) {
        self.length = length;
        self.start.truncate(length);
        self.end();
    }

    /// How many tokens it has, at least one.
    pub(super) fn tokens(&self, model: &str) -> i64 {
        let mut counter = Counter::of(model);
        counter.add(&self.start);
        counter.add_unseen(self.length - self.start.len());
        counter.tokens().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_not_text_wherever_it_is_cut() {
        let text =
            b"see ![it](data:image/png;base64,iVBORw0KGgo+/=AAAA), or base64, as it is called";
        let left = b"see ![it](data:image/png;base64,), or base64, as it is called";
        for cut in 0..=text.len() {
            let mut read = Text::default();
            read.push(&text[..cut]);
            read.push(&text[cut..]);
            assert_eq!(read.start, left, "cut at {cut}");
            assert_eq!(read.length, left.len());
        }
    }

    #[test]
    fn text_that_is_taken_back_was_never_there() {
        let mut text = Text::default();
        text.push(b"kept");
        text.push(&[b'x'; 2 * KEPT]);
        text.rewind(4);
        assert_eq!((text.length, &*text.start), (4, &b"kept"[..]));
        text.push(b"!");
        assert_eq!((text.length, &*text.start), (5, &b"kept!"[..]));
    }
}
