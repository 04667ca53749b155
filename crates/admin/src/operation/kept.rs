//! Answers to reads, kept while what they were read from stays: whoever asks again gets the same one without a query.
//!
//! Pictures, pagers and configuration tools ask the same over and over. An answer is kept only when its handler looked
//! at nothing but the administrative database, and it is good until one of the tables that it was read from is written
//! to.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::ids::OrganizationId;
use bytes::Bytes;
use store::Tables;

/// How many shelves there are: to clear one takes less than a millisecond.
const SHELVES: usize = 64;
/// How many bytes are kept on a shelf at the most, with what it takes to keep them.
const MOST_BYTES: usize = 1024 * 1024;
/// What an answer and its question take beside their own bytes.
const BYTES_EACH: usize = 160;
/// What an organization takes on a shelf beside its answers.
const BYTES_ORGANIZATION: usize = 480;

/// The answers.
pub struct Kept {
    shelves: [Mutex<Shelf>; SHELVES],
    by: RandomState,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            shelves: std::array::from_fn(|_| Mutex::default()),
            by: RandomState::new(),
        }
    }
}

/// Some of the answers: those to the questions that have a hash in common.
#[derive(Default)]
struct Shelf {
    bytes: usize,
    /// Whose data was asked for, then what: the path with its query. Whether the caller may ask is not part of it.
    by_organization: HashMap<OrganizationId, HashMap<String, Made>>,
}

/// An answer, and what it was made from.
pub(super) struct Made {
    pub(super) answer: Bytes,
    /// The tables that were read.
    pub(super) tables: Tables,
    /// The state of the database that was read, or an older one.
    pub(super) state: u64,
}

impl Kept {
    /// The answer, if it is known and what it was made from has not changed.
    pub(super) fn find(
        &self,
        organization: &OrganizationId,
        asked: &str,
        is_unchanged: impl FnOnce(Tables, u64) -> bool,
    ) -> Option<Bytes> {
        let shelf = self.shelf(asked);
        let made = shelf.by_organization.get(organization)?.get(asked)?;
        is_unchanged(made.tables, made.state).then(|| made.answer.clone())
    }

    /// Keeps an answer in place of the one before. When its shelf has no room for it, what is there makes way.
    pub(super) fn keep(&self, organization: OrganizationId, asked: &str, made: Made) {
        let bytes = asked.len() + made.answer.len() + BYTES_EACH;
        if bytes + BYTES_ORGANIZATION > MOST_BYTES {
            return;
        }
        let shelf = &mut *self.shelf(asked);
        if shelf.bytes + bytes + BYTES_ORGANIZATION > MOST_BYTES {
            *shelf = Shelf::default();
        }
        let of_organization = shelf.by_organization.entry(organization);
        let of_organization = of_organization.or_insert_with(|| {
            shelf.bytes += BYTES_ORGANIZATION;
            HashMap::new()
        });
        let before = of_organization.insert(asked.to_owned(), made);
        shelf.bytes += bytes;
        if let Some(before) = before {
            shelf.bytes -= asked.len() + before.answer.len() + BYTES_EACH;
        }
    }

    fn shelf(&self, asked: &str) -> MutexGuard<'_, Shelf> {
        let place = self.by.hash_one(asked) as usize % SHELVES;
        let shelf = self.shelves[place].lock();
        shelf.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use base::ids::Id;

    use super::*;

    fn organization(name: &str) -> OrganizationId {
        OrganizationId::from_text(name.to_owned())
    }

    fn made(bytes: usize) -> Made {
        Made {
            answer: Bytes::from(vec![0; bytes]),
            tables: Tables::ALL,
            state: 7,
        }
    }

    #[test]
    fn an_answer_is_of_its_question_and_organization_and_good_while_nothing_changes() {
        let kept = Kept::default();
        let (one, other) = (organization("org-1"), organization("org-2"));
        let length = |whose, asked| {
            kept.find(whose, asked, |_, _| true)
                .map(|answer| answer.len())
        };
        kept.keep(one.clone(), "/a", made(1));
        assert_eq!(length(&one, "/a"), Some(1));
        assert_eq!(length(&one, "/b"), None);
        assert_eq!(length(&other, "/a"), None);
        kept.keep(one.clone(), "/a", made(2));
        assert_eq!(length(&one, "/a"), Some(2), "the newer one");
        let changed = |tables, state| (tables, state) != (Tables::ALL, 7);
        assert!(kept.find(&one, "/a", changed).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let kept = Kept::default();
        let one = organization("org-1");
        let is_kept = |asked: &str| kept.find(&one, asked, |_, _| true).is_some();
        let large = MOST_BYTES / 2 + 1;
        for _ in 0..3 {
            kept.keep(one.clone(), "/a", made(large));
        }
        assert!(is_kept("/a"));
        let questions: Vec<_> = (0..3 * SHELVES)
            .map(|number| format!("/{number}"))
            .collect();
        for asked in &questions {
            kept.keep(one.clone(), asked, made(large));
            assert!(is_kept(asked), "the newest one");
        }
        let count = questions.iter().filter(|asked| is_kept(asked)).count();
        assert!(count <= SHELVES, "{count} that take half a shelf and more");
        kept.keep(one.clone(), "/b", made(MOST_BYTES));
        assert!(!is_kept("/b"), "larger than a shelf");
    }
}
