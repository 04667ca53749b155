//! Answers to reads, kept while nothing changes: whoever asks again gets the same one without a query.
//!
//! Pictures, pagers and configuration tools ask the same over and over. An answer is kept only when its handler looked
//! at nothing but the administrative database, and only for the state of that database that it was read from.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::ids::OrganizationId;
use bytes::Bytes;

/// How many bytes of answers are kept at the most, without what keeping them costs.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// How many answers are kept at the most.
const MOST: usize = 10_000;

/// The answers of one state.
#[derive(Default)]
pub struct Kept(Mutex<Answers>);

#[derive(Default)]
struct Answers {
    state: u64,
    bytes: usize,
    by_question: HashMap<Question, Bytes>,
}

/// Whose data is asked for, and the path with its query. Whether the caller may ask is not part of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) organization: OrganizationId,
    pub(super) uri: String,
}

impl Kept {
    /// The answer in this state, if it is known.
    pub(super) fn find(&self, state: u64, question: &Question) -> Option<Bytes> {
        let answers = self.lock();
        let is_current = answers.state == state;
        is_current.then(|| answers.by_question.get(question).cloned())?
    }

    /// Keeps the answer that was read from this state.
    pub(super) fn keep(&self, state: u64, question: Question, answer: &Bytes) {
        let mut answers = self.lock();
        if answers.state != state {
            *answers = Answers {
                state,
                ..Answers::default()
            };
        }
        let bytes = answers.bytes + question.uri.len() + answer.len();
        if bytes <= MOST_BYTES && answers.by_question.len() < MOST {
            answers.bytes = bytes;
            answers.by_question.insert(question, answer.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use base::ids::Id;

    use super::*;

    fn question(uri: &str) -> Question {
        Question {
            organization: OrganizationId::from_text("org-1".to_owned()),
            uri: uri.to_owned(),
        }
    }

    #[test]
    fn an_answer_is_of_its_state() {
        let kept = Kept::default();
        let (one, other) = (question("/a"), question("/b"));
        kept.keep(1, one.clone(), &Bytes::from_static(b"1"));
        assert_eq!(kept.find(1, &one).as_deref(), Some(&b"1"[..]));
        assert_eq!((kept.find(2, &one), kept.find(1, &other)), (None, None));
        kept.keep(2, other.clone(), &Bytes::from_static(b"2"));
        assert_eq!(kept.find(2, &one), None, "gone with its state");
        assert!(kept.find(2, &other).is_some());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let kept = Kept::default();
        let answer = Bytes::from(vec![0; MOST_BYTES / 2]);
        for uri in ["/a", "/b", "/c"] {
            kept.keep(1, question(uri), &answer);
        }
        assert!(kept.find(1, &question("/a")).is_some());
        assert_eq!(kept.find(1, &question("/c")), None);
    }
}
