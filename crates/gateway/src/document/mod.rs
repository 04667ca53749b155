//! A document of an answer, which is the whole answer or an event of a stream, reduced to what matters for its usage. It is
//! read as it comes, at any length.

mod generated_text;
mod hosted_tool_usage;
mod json_path;
mod json_scanner;
mod message_path;
mod reported_usage;
mod short_text;
mod speech_audio;
mod stored_ids;

pub(crate) use generated_text::GeneratedText;
pub(crate) use hosted_tool_usage::{HostedToolUsage, OutputItems};
pub(crate) use json_path::JsonPath;
pub(crate) use json_scanner::JsonScanner;
pub(crate) use message_path::MessagePath;
pub(crate) use reported_usage::ReportedUsage;
pub(crate) use short_text::ShortText;
pub(crate) use speech_audio::SpeechAudio;
pub(crate) use stored_ids::{StoredAnswer, StoredIdScanner};

use proxy::ErrorCause;

use json_path::TextField;
use json_scanner::JsonVisitor;
use reported_usage::parse_finite;

/// The side that an error is attributed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportedError {
    /// The client, as with a status of 4xx: the model server is healthy.
    Client,
    /// The model server, as with a status of 5xx.
    Server,
}

/// The values of a document that matter.
#[derive(Default)]
pub(crate) struct Document {
    /// The usage, if it is an object.
    pub(crate) usage: Option<ReportedUsage>,
    /// True if there is a member `usage` that is not null.
    pub(crate) has_usage: bool,
    /// The type of an event.
    pub(crate) event_type: ShortText,
    pub(crate) status: ShortText,
    pub(crate) service_tier: ShortText,
    /// The speed of a sampling in Anthropic's format.
    pub(crate) speed: ShortText,
    pub(crate) size: ShortText,
    /// The number of choices, if there is a list of them.
    pub(crate) choices: Option<i64>,
    /// True if a choice has more than its index and empty content.
    pub(crate) has_content: bool,
    /// True if a choice has a finish reason.
    pub(crate) is_finished: bool,
    /// True if there are objects or lists without a known meaning.
    pub(crate) has_unknown_members: bool,
    /// The number of elements of `data`, if that is a list.
    pub(crate) data: Option<i64>,
    /// True if there is the member that every answer of an endpoint has: `choices`, `output`, `data`, `results`, `answers`,
    /// or in Anthropic's format `content` or `input_tokens`.
    pub(crate) has_answer: bool,
    /// True if there is a member `response`.
    pub(crate) has_response: bool,
    /// The duration of a recording, in seconds.
    pub(crate) duration: Option<f64>,
    /// The items of the list `output`.
    pub(crate) items: OutputItems,
    /// The member `item` of an event.
    pub(crate) item: OutputItems,
    /// The status of an answer in the output of a batch.
    pub(crate) status_code: Option<i64>,
    /// Usage in an extension object, where only some servers have it.
    extension_usage: Option<ReportedUsage>,
    /// The usage that is being read; it counts once its object is complete.
    open_usage: ReportedUsage,
    /// The usage of the sampling that is being read.
    open_iteration: ReportedUsage,
    /// True if the document is a complete object.
    pub(crate) is_whole: bool,
    has_error: bool,
    /// Cause of the error, as far as its type and code name one.
    cause: Option<ErrorCause>,
    object: ShortText,
    finish_reason: ShortText,
    open_item: OutputItem,
    /// The string that is being read.
    open_text: ShortText,
    /// The length of the generated text before this document.
    text_before: usize,
}

/// An item of the list `output`.
#[derive(Default)]
struct OutputItem {
    item_type: ShortText,
    action_type: ShortText,
    container: ShortText,
}

impl Document {
    /// Returns a document of which nothing has come, after this text.
    pub(crate) fn after(text: &GeneratedText) -> Self {
        Self {
            text_before: text.length,
            ..Self::default()
        }
    }

    /// Reads a complete document, and adds its generated text to `text`.
    pub(crate) fn of(json: &[u8], text: &mut GeneratedText) -> Self {
        Self::at(JsonPath::Root, json, text)
    }

    /// Reads a complete document whose path is `root`, as [`Self::of`] does.
    pub(crate) fn at(root: JsonPath, json: &[u8], text: &mut GeneratedText) -> Self {
        let mut document = Self::after(text);
        let mut scanner = JsonScanner::new(root);
        let mut visitor = DocumentVisitor {
            document: &mut document,
            text,
        };
        scanner.feed(&mut visitor, json);
        document.is_whole = scanner.is_whole_object();
        document
    }

    /// Returns the reported usage, wherever it stands.
    pub(crate) fn usage(&self) -> Option<&ReportedUsage> {
        self.usage.as_ref().or(self.extension_usage.as_ref())
    }

    /// Returns the error that the document reports.
    pub(crate) fn error(&self) -> Option<ReportedError> {
        let mut texts = [self.event_type, self.object, self.finish_reason].into_iter();
        let is_error = self.has_error || texts.any(|text| text.as_str() == "error");
        is_error.then_some(match self.cause {
            // As with a status of 429, the upstream is healthy.
            Some(ErrorCause::Request | ErrorCause::RateLimit) => ReportedError::Client,
            Some(ErrorCause::Upstream) | None => ReportedError::Server,
        })
    }

    /// Makes the document an error, whatever it holds.
    pub(crate) fn mark_error(&mut self) {
        self.has_error = true;
    }

    /// True if the document has added to the generated text.
    pub(crate) fn has_text(&self, text: &GeneratedText) -> bool {
        text.length > self.text_before
    }

    /// Returns the length of the generated text before this document.
    pub(crate) fn text_before(&self) -> usize {
        self.text_before
    }

    fn set_scalar(&mut self, path: JsonPath, token: &[u8]) {
        match path {
            JsonPath::Tokens(field) => self.open_usage.set(field, token),
            JsonPath::Seconds => self.open_usage.set_seconds(token),
            JsonPath::Message(MessagePath::IterationTokens(field)) => {
                self.open_iteration.set(field, token);
            }
            JsonPath::Message(MessagePath::TokenCount) => self.has_answer = true,
            JsonPath::Cost => self.open_usage.set_cost(token),
            JsonPath::Duration => self.duration = parse_finite(token),
            JsonPath::StatusCode => {
                self.status_code = std::str::from_utf8(token)
                    .ok()
                    .and_then(|it| it.parse().ok());
            }
            JsonPath::ErrorCode => {
                let code = std::str::from_utf8(token).unwrap_or_default();
                self.cause = self.cause.max(ErrorCause::of_code(code));
            }
            JsonPath::Usage => self.has_usage |= token != b"null",
            JsonPath::Content | JsonPath::OtherContent | JsonPath::Choice => {
                self.has_content |= token != b"null";
            }
            _ => {}
        }
    }

    /// Adds the usage of a sampling to that of the request, which does not include samplings that compact the conversation.
    fn end_iteration(&mut self) {
        if self.open_item.item_type.as_str() == "compaction" {
            self.open_usage.add_iteration(&self.open_iteration);
        }
    }

    fn field(&mut self, field: TextField) -> &mut ShortText {
        match field {
            TextField::Type => &mut self.event_type,
            TextField::Object => &mut self.object,
            TextField::Status => &mut self.status,
            TextField::ServiceTier => &mut self.service_tier,
            TextField::Speed => &mut self.speed,
            TextField::Size => &mut self.size,
            TextField::ItemType => &mut self.open_item.item_type,
            TextField::ActionType => &mut self.open_item.action_type,
            TextField::Container => &mut self.open_item.container,
        }
    }
}

/// A visitor that reads a document and the generated text in it.
pub(crate) struct DocumentVisitor<'a> {
    pub(crate) document: &'a mut Document,
    pub(crate) text: &'a mut GeneratedText,
}

impl JsonVisitor for DocumentVisitor<'_> {
    type Path = JsonPath;
    const SKIPPED: JsonPath = JsonPath::Skipped;

    fn is_skipped(path: JsonPath) -> bool {
        path == JsonPath::Skipped
    }

    fn member(&mut self, of: JsonPath, key: &[u8]) -> JsonPath {
        of.member(key)
    }

    fn element(&mut self, of: JsonPath) -> JsonPath {
        let count = match of {
            JsonPath::Choices => &mut self.document.choices,
            JsonPath::Data => &mut self.document.data,
            _ => return of.element(),
        };
        *count = Some(count.unwrap_or(0).saturating_add(1));
        of.element()
    }

    fn begin(&mut self, path: JsonPath, is_object: bool) {
        let document = &mut *self.document;
        match path {
            JsonPath::Usage | JsonPath::Message(MessagePath::Usage) => {
                document.has_usage = true;
                document.open_usage = ReportedUsage::default();
            }
            JsonPath::Message(MessagePath::Content) if !is_object => document.has_answer = true,
            JsonPath::Message(MessagePath::Iteration) => {
                document.open_iteration = ReportedUsage::default();
                document.open_item = OutputItem::default();
            }
            JsonPath::ExtensionUsage => document.open_usage = ReportedUsage::default(),
            JsonPath::Choices | JsonPath::Data if !is_object => {
                let count = match path {
                    JsonPath::Choices => &mut document.choices,
                    _ => &mut document.data,
                };
                *count = Some(0);
                document.has_answer = true;
            }
            JsonPath::Output | JsonPath::Results => document.has_answer = true,
            JsonPath::Response => document.has_response = true,
            JsonPath::Error => document.has_error = true,
            JsonPath::Item | JsonPath::EventItem if is_object => {
                document.open_item = OutputItem::default();
            }
            JsonPath::Unknown => document.has_unknown_members = true,
            _ => {}
        }
    }

    fn end(&mut self, path: JsonPath) {
        let items = match path {
            JsonPath::Usage | JsonPath::Message(MessagePath::Usage) => {
                self.document.usage = Some(self.document.open_usage);
                return;
            }
            JsonPath::Message(MessagePath::Iteration) => return self.document.end_iteration(),
            JsonPath::ExtensionUsage => {
                self.document.extension_usage = Some(self.document.open_usage);
                return;
            }
            JsonPath::Item => &mut self.document.items,
            JsonPath::EventItem => &mut self.document.item,
            _ => return,
        };
        let item = &self.document.open_item;
        let (item_type, action_type) = (item.item_type.as_str(), item.action_type.as_str());
        items.add(item_type, action_type, item.container);
    }

    fn text(&mut self, path: JsonPath, part: &[u8]) {
        let document = &mut *self.document;
        match path {
            JsonPath::Text => {
                document.has_content = true;
                self.text.push(part);
            }
            JsonPath::Delta | JsonPath::ItemText | JsonPath::Message(MessagePath::Input) => {
                self.text.push(part);
            }
            JsonPath::Content | JsonPath::OtherContent | JsonPath::Choice => {
                document.has_content = true;
            }
            JsonPath::FinishReason => {
                document.has_content = true;
                document.open_text.push(part);
            }
            JsonPath::Error => document.has_error = true,
            JsonPath::Usage => document.has_usage = true,
            path if path.is_short_text() => document.open_text.push(part),
            _ => {}
        }
    }

    fn end_text(&mut self, path: JsonPath) {
        if path.is_text() {
            self.text.end();
        }
        if !path.is_short_text() {
            return;
        }
        // Short texts are set at their end, because a part of one could be another one.
        let text = std::mem::take(&mut self.document.open_text);
        match path {
            JsonPath::Field(field) => *self.document.field(field) = text,
            JsonPath::FinishReason => {
                self.document.is_finished |= !text.is_empty();
                self.document.finish_reason = text;
            }
            path => self.document.set_scalar(path, text.as_str().as_bytes()),
        }
    }

    fn scalar(&mut self, path: JsonPath, token: &[u8]) {
        self.document.set_scalar(path, token);
    }
}
