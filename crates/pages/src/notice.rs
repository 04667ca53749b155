//! Notices: a sentence about the outcome of what a person did, at the top of a page.

use askama::Template;
use askama::filters::HtmlSafe;

/// The kind of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// A change that was made.
    Success,
    /// A fact.
    Information,
    /// A fact that needs attention.
    Warning,
    /// A refusal or a failure.
    Failure,
}

impl NoticeKind {
    fn class(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Information => "information",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }

    /// Returns the role for screen readers: failures interrupt, everything else waits.
    fn role(self) -> &'static str {
        match self {
            Self::Failure | Self::Warning => "alert",
            Self::Success | Self::Information => "status",
        }
    }
}

/// A sentence about the outcome of what a person did, with details if there are any.
#[derive(Clone, Debug, Template)]
#[template(path = "notice.html")]
pub struct Notice {
    kind: NoticeKind,
    message: String,
    detail: String,
}

impl HtmlSafe for Notice {}

impl Notice {
    /// Creates a notice.
    #[must_use]
    pub fn new(kind: NoticeKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            detail: String::new(),
        }
    }

    /// Creates the notice of a change that was made.
    #[must_use]
    pub fn success(message: impl Into<String>) -> Self {
        Self::new(NoticeKind::Success, message)
    }

    /// Creates the notice of a refusal or failure.
    #[must_use]
    pub fn failure(message: impl Into<String>) -> Self {
        Self::new(NoticeKind::Failure, message)
    }

    /// Adds a second sentence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}
