//! What clients send and get: kept for some days for troubleshooting, off unless configured, and only as far as data
//! retention allows.
//!
//! The gateway clones what passes, up to a bound, and drops it into a bounded queue. One keeper per process encrypts and
//! writes it, after it has asked the database once more what is allowed; and it deletes what has become too old, or what
//! a setting that has changed does not allow any more. What finds no room is not kept; no request waits for any of this.

mod capture;
mod keeper;
mod kept;
mod table;

pub use capture::{About, Bodies, Capture, Holds, MOST_BYTES};
pub use keeper::{BodiesTask, KeeperOptions, MOST_DAYS, start};
pub use kept::{Body, Entry, find, list};

use access::Retention;

/// What a body can hold, as far as settings tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text, or something that can have text in it or beside it, such as a prompt.
    Text,
    /// Nothing but images or sound.
    Media,
}

impl Content {
    /// Whether it may be kept.
    #[must_use]
    pub fn is_allowed(self, by: Retention) -> bool {
        match self {
            Self::Text => by.allows_text(),
            Self::Media => by.allows_media(),
        }
    }
}

/// Which of a request's bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What the client sent.
    Request,
    /// What it got.
    Answer,
}

impl Side {
    /// The word that the database has for it.
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
