//! The usage of an answer as far as it has been read, and the text from which its tokens are estimated.

use usage::{Metric, Quantities};

use super::hosted_tool_usage::{HostedToolUsage, OutputItems};
use super::reported_usage::ReportedUsage;
use crate::answer::{Document, ReportedError};
use crate::tokens::TokenCounter;

/// The usage of an answer as far as it has been read.
#[derive(Default)]
pub(crate) struct UsageAccumulator {
    /// The quantities of the last report, with those that only earlier ones had.
    pub(super) reported: Option<Quantities>,
    pub(super) service_tier: Option<String>,
    pub(crate) text: GeneratedText,
    /// The number of images.
    pub(super) images: Option<i64>,
    /// The size of the images.
    pub(super) size: Option<String>,
    /// The seconds of audio that were transcribed.
    pub(super) seconds: Option<i64>,
    /// The hosted tools of the complete list of output items, once that has come.
    pub(super) hosted_tools: Option<HostedToolUsage>,
    /// The output items that came in events of their own.
    pub(super) items: OutputItems,
    /// True if the stream has said that it is complete.
    pub(crate) is_done: bool,
    /// True if the events so far are a whole answer, also if the stream does not say so.
    pub(crate) has_end: bool,
    /// The error that the model server reported in its answer.
    pub(crate) error: Option<ReportedError>,
    /// True if the answer has failed, so that nothing of it is to be estimated.
    pub(crate) is_failed: bool,
}

impl UsageAccumulator {
    /// Adds the usage that a document reports.
    pub(super) fn add_report(&mut self, document: &Document) {
        if let Some(quantities) = document.usage().and_then(ReportedUsage::quantities) {
            self.add_quantities(quantities);
        }
        if let Some(tier) = document.service_tier.to_owned() {
            self.service_tier = Some(tier);
        }
    }

    fn add_quantities(&mut self, quantities: Quantities) {
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

    /// Returns a quantity that was reported.
    pub(super) fn amount(&self, metric: Metric) -> Option<i64> {
        self.reported.and_then(|reported| reported.get(metric))
    }

    /// True if both input and output tokens were reported.
    pub(crate) fn is_reported(&self) -> bool {
        self.amount(Metric::InputTokens).is_some() && self.amount(Metric::OutputTokens).is_some()
    }

    /// True if a whole stream has come, whether or not it has said so.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_done || self.has_end
    }

    /// Returns the hosted tools that were used.
    pub(super) fn hosted_tools(&self) -> HostedToolUsage {
        self.hosted_tools.unwrap_or(self.items.usage())
    }
}

/// Generated text with its JSON escapes: its length and its beginning. Base64 files in `data:` URLs are left out.
#[derive(Default)]
pub(crate) struct GeneratedText {
    /// The length in bytes.
    pub(crate) length: usize,
    beginning: Vec<u8>,
    /// The last bytes that were added.
    last: [u8; BASE64.len()],
    /// True within a base64 file.
    is_in_file: bool,
}

/// The longest beginning of a text that is kept to be tokenized. The tokens of the rest are extrapolated.
const MAX_KEPT_BYTES: usize = 4 * 1024;
/// The mark before the comma and the content of a `data:` URL, as in `data:image/png;base64,iVBOR…`.
const BASE64: [u8; 7] = *b";base64";

impl GeneratedText {
    /// Adds a part of a string.
    pub(crate) fn push(&mut self, part: &[u8]) {
        let mut rest = part;
        while !rest.is_empty() {
            if self.is_in_file {
                let is_file = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_\\".contains(byte);
                let end = rest.iter().position(|byte| !is_file(byte));
                rest = &rest[end.unwrap_or(rest.len())..];
                self.is_in_file = end.is_none();
                continue;
            }
            let end = memchr::memchr(b',', rest).map_or(rest.len(), |comma| comma + 1);
            let (text, others) = rest.split_at(end);
            self.add(text);
            rest = others;
        }
    }

    fn add(&mut self, text: &[u8]) {
        let room = MAX_KEPT_BYTES - self.beginning.len();
        self.beginning
            .extend_from_slice(&text[..text.len().min(room)]);
        self.length += text.len();
        let text = match text.split_last() {
            Some((b',', before)) => {
                self.remember(before);
                self.is_in_file = self.last == BASE64;
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

    /// Ends a string: a `data:` URL does not go on in the next one.
    pub(crate) fn end(&mut self) {
        self.last = Default::default();
        self.is_in_file = false;
    }

    /// Removes everything after the first `length` bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = length;
        self.beginning.truncate(length);
        self.end();
    }

    /// Returns the estimated number of tokens, at least one.
    pub(super) fn tokens(&self, model: &str) -> i64 {
        let mut counter = TokenCounter::of(model);
        counter.add(&self.beginning);
        counter.extrapolate(self.length - self.beginning.len());
        counter.tokens().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_file_is_left_out_wherever_the_text_is_cut() {
        let text =
            b"see ![it](data:image/png;base64,iVBORw0KGgo+/=AAAA), or base64, as it is called";
        let left = b"see ![it](data:image/png;base64,), or base64, as it is called";
        for cut in 0..=text.len() {
            let mut read = GeneratedText::default();
            read.push(&text[..cut]);
            read.push(&text[cut..]);
            assert_eq!(read.beginning, left, "cut at {cut}");
            assert_eq!(read.length, left.len());
        }
    }

    #[test]
    fn truncated_text_does_not_count() {
        let mut text = GeneratedText::default();
        text.push(b"kept");
        text.push(&[b'x'; 2 * MAX_KEPT_BYTES]);
        text.truncate(4);
        assert_eq!((text.length, &*text.beginning), (4, &b"kept"[..]));
        text.push(b"!");
        assert_eq!((text.length, &*text.beginning), (5, &b"kept!"[..]));
    }
}
