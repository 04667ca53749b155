//! Bodies of requests and answers, kept for some days for troubleshooting. Off unless configured, and only as far as
//! data retention allows.
//!
//! The gateway clones passing bytes, up to a bound, and hands them to a bounded queue. One body writer for each process
//! checks retention in the database once more, encrypts and writes the bodies, and deletes those that have expired or
//! that a changed setting forbids. Bodies beyond the bounds are lost; no request waits for any of this.

mod body_writer;
mod capture;
mod stored;
mod table;

pub use body_writer::{BodiesTask, BodyWriterOptions, MAX_KEEP_DAYS, start};
pub use capture::{Bodies, BodyContents, Capture, MAX_BODY_BYTES, RequestInfo};
pub use stored::{BodyEntry, StoredBody, find, list};

use access::Retention;

/// The content of a body, as far as data retention tells it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text, or something that can have text in it or beside it, such as a prompt.
    Text,
    /// Images or sound only.
    Media,
}

impl Content {
    /// True if the content may be kept.
    #[must_use]
    pub fn is_allowed(self, by: Retention) -> bool {
        match self {
            Self::Text => by.allows_text(),
            Self::Media => by.allows_media(),
        }
    }
}

/// The side of an exchange that a body is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The body of the request.
    Request,
    /// The body of the answer.
    Answer,
}

impl Side {
    /// Returns the name in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Answer => "answer",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Request, Self::Answer]
            .into_iter()
            .find(|side| side.as_str() == word)
    }
}
