//! A document of an answer, the whole of it or an event, as far as it tells what was consumed: found as it passes, in a
//! document of any length.

use proxy::ErrorCause;

use super::json::{Scanner, Sink};
use super::place::{Place, Word as Known};
use super::word::Word;
use crate::dialect::{Items, Text, Usage, report_number};

/// A failure that a document reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request is to blame, as with a status of 4xx.
    OfRequest,
    /// The model server is to blame.
    OfServer,
}

/// The things that a document tells.
#[derive(Default)]
pub(crate) struct Document {
    /// The usage that it reports, if it is an object.
    pub(crate) usage: Option<Usage>,
    /// True if it has a member `usage` that is not null.
    pub(crate) has_usage: bool,
    /// The type of an event.
    pub(crate) kind: Word,
    pub(crate) status: Word,
    pub(crate) service_tier: Word,
    pub(crate) size: Word,
    /// The number of choices, if it has any member `choices` that is a list.
    pub(crate) choices: Option<i64>,
    /// True if a choice has more than its index and what is empty.
    pub(crate) says_more: bool,
    /// True if a choice has a reason for its end.
    pub(crate) is_finished: bool,
    /// True if there are objects or lists in it that have no known meaning.
    pub(crate) has_unknown_parts: bool,
    /// The number of elements of `data`, if that is a list.
    pub(crate) data: Option<i64>,
    /// True if it has the member that answers of its kind have: `choices`, `output`, `data` or `results`.
    pub(crate) has_answer: bool,
    /// True if it has a response.
    pub(crate) has_response: bool,
    /// The length of a recording, in seconds.
    pub(crate) duration: Option<f64>,
    /// The hosted tools that were used, by the list `output`.
    pub(crate) items: Items,
    /// The hosted tool that was used, by the member `item`.
    pub(crate) item: Items,
    /// The status of an answer in the output of a batch.
    pub(crate) status_code: Option<i64>,
    /// Usage in a place where only some servers have it.
    other_usage: Option<Usage>,
    /// The usage at hand: what is not whole is none.
    open_usage: Usage,
    /// True if the document is a whole object.
    pub(crate) is_whole: bool,
    has_error: bool,
    /// Cause of the error, as far as its type and code name one.
    cause: Option<ErrorCause>,
    object: Word,
    finish: Word,
    part: Part,
    /// The string at hand.
    word: Word,
    /// The length of the text before this document.
    text_before: usize,
}

/// The item at hand of the list `output`.
#[derive(Default)]
struct Part {
    kind: Word,
    action: Word,
    container: Word,
}

impl Document {
    /// Returns a document of which nothing has come, after so much text.
    pub(crate) fn after(text: &Text) -> Self {
        Self {
            text_before: text.length,
            ..Self::default()
        }
    }

    /// Reads all of a document; its text is added to `text`.
    pub(crate) fn of(json: &[u8], text: &mut Text) -> Self {
        let mut document = Self::after(text);
        let mut reader = Reader {
            document: &mut document,
            text,
        };
        reader.read(json);
        document
    }

    /// Returns the usage, wherever it stands.
    pub(crate) fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref().or(self.other_usage.as_ref())
    }

    /// Returns the failure that it reports.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let is_error = self.has_error
            || self.kind.text() == "error"
            || self.object.text() == "error"
            || self.finish.text() == "error";
        is_error.then_some(match self.cause {
            // As with a status of 429, the upstream is well.
            Some(ErrorCause::Request | ErrorCause::RateLimit) => Fault::OfRequest,
            Some(ErrorCause::Upstream) | None => Fault::OfServer,
        })
    }

    /// Takes it for an error, whatever it has.
    pub(crate) fn mark_error(&mut self) {
        self.has_error = true;
    }

    /// True if it has added to the text.
    pub(crate) fn has_text(&self, text: &Text) -> bool {
        text.length > self.text_before
    }

    /// Returns the length of the text before this document.
    pub(crate) fn text_before(&self) -> usize {
        self.text_before
    }

    fn take_scalar(&mut self, place: Place, word: &[u8]) {
        match place {
            Place::Amount(amount) => self.open_usage.set(amount, word),
            Place::Seconds => self.open_usage.set_seconds(word),
            Place::Duration => self.duration = report_number(word),
            Place::StatusCode => {
                self.status_code = std::str::from_utf8(word)
                    .ok()
                    .and_then(|it| it.parse().ok());
            }
            Place::Blame => {
                let code = std::str::from_utf8(word).unwrap_or_default();
                self.cause = self.cause.max(ErrorCause::of_code(code));
            }
            Place::Usage => self.has_usage |= word != b"null",
            Place::Said | Place::Aside | Place::Choice => self.says_more |= word != b"null",
            _ => {}
        }
    }
}

/// A document and the text that its strings are added to.
pub(crate) struct Reader<'a> {
    pub(crate) document: &'a mut Document,
    pub(crate) text: &'a mut Text,
}

impl Reader<'_> {
    fn read(&mut self, json: &[u8]) {
        let mut scanner = Scanner::new(Place::Root);
        scanner.feed(self, json);
        self.document.is_whole = scanner.is_whole_object();
    }
}

impl Sink for Reader<'_> {
    type Place = Place;
    const SKIPPED: Place = Place::Skipped;

    fn is_skipped(place: Place) -> bool {
        place == Place::Skipped
    }

    fn member(&mut self, of: Place, key: &[u8]) -> Place {
        of.member(key)
    }

    fn element(&mut self, of: Place) -> Place {
        let count = match of {
            Place::Choices => &mut self.document.choices,
            Place::Data => &mut self.document.data,
            _ => return of.element(),
        };
        *count = Some(count.unwrap_or(0).saturating_add(1));
        of.element()
    }

    fn begin(&mut self, place: Place, is_object: bool) {
        let document = &mut *self.document;
        match place {
            Place::Usage => {
                document.has_usage = true;
                document.open_usage = Usage::default();
            }
            Place::OtherUsage => document.open_usage = Usage::default(),
            Place::Choices | Place::Data if !is_object => {
                let count = match place {
                    Place::Choices => &mut document.choices,
                    _ => &mut document.data,
                };
                *count = Some(0);
                document.has_answer = true;
            }
            Place::Output | Place::Results => document.has_answer = true,
            Place::Response => document.has_response = true,
            Place::Error => document.has_error = true,
            Place::Item | Place::LoneItem if is_object => document.part = Part::default(),
            Place::Unknown => document.has_unknown_parts = true,
            _ => {}
        }
    }

    fn end(&mut self, place: Place) {
        let items = match place {
            Place::Usage => {
                self.document.usage = Some(self.document.open_usage);
                return;
            }
            Place::OtherUsage => {
                self.document.other_usage = Some(self.document.open_usage);
                return;
            }
            Place::Item => &mut self.document.items,
            Place::LoneItem => &mut self.document.item,
            _ => return,
        };
        let part = &self.document.part;
        items.add(part.kind.text(), part.action.text(), part.container);
    }

    fn text(&mut self, place: Place, part: &[u8]) {
        let document = &mut *self.document;
        match place {
            Place::Text => {
                document.says_more = true;
                self.text.push(part);
            }
            Place::Delta | Place::ItemText => self.text.push(part),
            Place::Said | Place::Aside | Place::Choice => document.says_more = true,
            Place::Finish => {
                document.says_more = true;
                document.word.push(part);
            }
            Place::Error => document.has_error = true,
            Place::Usage => document.has_usage = true,
            place if place.is_word() => document.word.push(part),
            _ => {}
        }
    }

    fn end_text(&mut self, place: Place) {
        if place.is_text() {
            self.text.end();
        }
        if !place.is_word() {
            return;
        }
        // What is cut off may be the beginning of any word.
        let word = std::mem::take(&mut self.document.word);
        match place {
            Place::Word(known) => *self.document.known(known) = word,
            Place::Finish => {
                self.document.is_finished |= !word.is_empty();
                self.document.finish = word;
            }
            place => self.document.take_scalar(place, word.text().as_bytes()),
        }
    }

    fn scalar(&mut self, place: Place, word: &[u8]) {
        self.document.take_scalar(place, word);
    }
}

impl Document {
    fn known(&mut self, word: Known) -> &mut Word {
        match word {
            Known::Kind => &mut self.kind,
            Known::Object => &mut self.object,
            Known::Status => &mut self.status,
            Known::ServiceTier => &mut self.service_tier,
            Known::Size => &mut self.size,
            Known::Item => &mut self.part.kind,
            Known::Action => &mut self.part.action,
            Known::Container => &mut self.part.container,
        }
    }
}
