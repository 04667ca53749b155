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
    count: usize,
    /// Whose data was asked for, then what: the path with its query. Whether the caller may ask is not part of it.
    by_organization: HashMap<OrganizationId, HashMap<String, Bytes>>,
}

impl Kept {
    /// The answer in this state, if it is known.
    pub(super) fn find(
        &self,
        state: u64,
        organization: &OrganizationId,
        asked: &str,
    ) -> Option<Bytes> {
        let answers = self.lock();
        if answers.state != state {
            return None;
        }
        answers
            .by_organization
            .get(organization)?
            .get(asked)
            .cloned()
    }

    /// Keeps the answer that was read from this state.
    pub(super) fn keep(
        &self,
        state: u64,
        organization: OrganizationId,
        asked: &str,
        answer: &Bytes,
    ) {
        let mut guard = self.lock();
        let answers = &mut *guard;
        if answers.state != state {
            *answers = Answers {
                state,
                ..Answers::default()
            };
        }
        let bytes = answers.bytes + asked.len() + answer.len();
        if bytes > MOST_BYTES || answers.count >= MOST {
            return;
        }
        let of_organization = answers.by_organization.entry(organization).or_default();
        let before = of_organization.insert(asked.to_owned(), answer.clone());
        if before.is_none() {
            answers.bytes = bytes;
            answers.count += 1;
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

    fn organization(name: &str) -> OrganizationId {
        OrganizationId::from_text(name.to_owned())
    }

    #[test]
    fn an_answer_is_of_its_state_and_organization() {
        let kept = Kept::default();
        let (one, other) = (organization("org-1"), organization("org-2"));
        kept.keep(1, one.clone(), "/a", &Bytes::from_static(b"1"));
        assert_eq!(kept.find(1, &one, "/a").as_deref(), Some(&b"1"[..]));
        assert_eq!(kept.find(2, &one, "/a"), None);
        assert_eq!(kept.find(1, &one, "/b"), None);
        assert_eq!(kept.find(1, &other, "/a"), None);
        kept.keep(2, one.clone(), "/b", &Bytes::from_static(b"2"));
        assert_eq!(kept.find(2, &one, "/a"), None, "gone with its state");
        assert!(kept.find(2, &one, "/b").is_some());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let kept = Kept::default();
        let one = organization("org-1");
        let answer = Bytes::from(vec![0; MOST_BYTES / 2]);
        for asked in ["/a", "/b", "/c"] {
            kept.keep(1, one.clone(), asked, &answer);
        }
        assert!(kept.find(1, &one, "/a").is_some());
        assert_eq!(kept.find(1, &one, "/c"), None);
    }
}
