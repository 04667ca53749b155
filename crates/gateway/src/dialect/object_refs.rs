//! The files, vector stores and containers that a request names.

use std::collections::BTreeSet;

use crate::object_kind::ObjectKind;
use base::ids::MAX_ID_LENGTH;
use serde::{Deserialize, Serialize};

/// The most ids of a kind that one request, or all requests of a batch, may name.
pub(crate) const MAX_OBJECT_REFS: usize = 2_000;

/// The prefix of ids of files in a container. They are useless without the container, which is checked instead.
const CONTAINER_FILE_PREFIX: &str = "cfile_";

/// The ids of the objects that a request names. They are stored with the input of a batch, so the names of the fields stay.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectRefs {
    #[serde(default)]
    pub(crate) files: BTreeSet<String>,
    #[serde(default)]
    pub(crate) vector_stores: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) containers: BTreeSet<String>,
}

impl ObjectRefs {
    /// True if no object is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.max_count() == 0
    }

    /// Returns the number of ids of the kind that has the most.
    pub(crate) fn max_count(&self) -> usize {
        let counts = [&self.files, &self.vector_stores, &self.containers].map(BTreeSet::len);
        counts.into_iter().max().unwrap_or(0)
    }

    /// Adds the ids that another request names.
    pub(crate) fn extend(&mut self, other: &Self) {
        for id in &other.files {
            self.add(ObjectKind::File, id);
        }
        for id in &other.vector_stores {
            self.add(ObjectKind::VectorStore, id);
        }
        for id in &other.containers {
            self.add(ObjectKind::Container, id);
        }
    }

    pub(super) fn add(&mut self, kind: ObjectKind, id: &str) {
        let ids = match kind {
            ObjectKind::File if !id.starts_with(CONTAINER_FILE_PREFIX) => &mut self.files,
            ObjectKind::VectorStore => &mut self.vector_stores,
            ObjectKind::Container => &mut self.containers,
            _ => return,
        };
        // One id beyond the maximum is enough to refuse the request.
        if ids.len() <= MAX_OBJECT_REFS {
            // One character beyond the longest id is enough to show that it is none.
            ids.insert(id.chars().take(MAX_ID_LENGTH + 1).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_ids_are_bounded_in_number_and_length() {
        let mut refs = ObjectRefs::default();
        for id in 0..3 * MAX_OBJECT_REFS {
            refs.add(ObjectKind::File, &id.to_string());
        }
        assert_eq!(refs.max_count(), MAX_OBJECT_REFS + 1);
        let mut others = ObjectRefs::default();
        others.add(ObjectKind::File, "cfile_1");
        assert!(others.is_empty());
        others.add(ObjectKind::VectorStore, &"x".repeat(1_000_000));
        refs.extend(&others);
        let longest = refs.vector_stores.iter().map(String::len).max();
        assert_eq!(longest, Some(MAX_ID_LENGTH + 1));
    }
}
