//! The files and vector stores that a request names.

use std::collections::BTreeSet;

use crate::object_kind::ObjectKind;
use base::ids::MAX_ID_LENGTH;
use serde::{Deserialize, Serialize};

/// The most ids of a kind that one request, or all requests of a batch, may name.
pub(crate) const MAX_MENTIONS: usize = 2_000;

/// The prefix of ids of files in a container: they are of no use without the container.
const OF_CONTAINER: &str = "cfile_";

/// The ids that are named.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mentions {
    #[serde(default)]
    pub(crate) files: BTreeSet<String>,
    #[serde(default)]
    pub(crate) vector_stores: BTreeSet<String>,
}

impl Mentions {
    /// True if nothing is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.vector_stores.is_empty()
    }

    /// Returns the number of ids of the kind that has most of them.
    pub(crate) fn most(&self) -> usize {
        self.files.len().max(self.vector_stores.len())
    }

    /// Adds what another request names.
    pub(crate) fn extend(&mut self, other: &Self) {
        for id in &other.files {
            self.add(ObjectKind::File, id);
        }
        for id in &other.vector_stores {
            self.add(ObjectKind::VectorStore, id);
        }
    }

    pub(super) fn add(&mut self, kind: ObjectKind, id: &str) {
        let ids = match kind {
            ObjectKind::File if !id.starts_with(OF_CONTAINER) => &mut self.files,
            ObjectKind::VectorStore => &mut self.vector_stores,
            _ => return,
        };
        // One more than may be is enough to see that it is too many.
        if ids.len() <= MAX_MENTIONS {
            // One letter more than an id can have is enough to see that it is none.
            ids.insert(id.chars().take(MAX_ID_LENGTH + 1).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_can_be_asked_for_is_kept() {
        let mut mentions = Mentions::default();
        for id in 0..3 * MAX_MENTIONS {
            mentions.add(ObjectKind::File, &id.to_string());
        }
        assert_eq!(mentions.most(), MAX_MENTIONS + 1);
        let mut others = Mentions::default();
        others.add(ObjectKind::File, "cfile_1");
        assert!(others.is_empty());
        others.add(ObjectKind::VectorStore, &"x".repeat(1_000_000));
        mentions.extend(&others);
        let longest = mentions.vector_stores.iter().map(String::len).max();
        assert_eq!(longest, Some(MAX_ID_LENGTH + 1));
    }
}
