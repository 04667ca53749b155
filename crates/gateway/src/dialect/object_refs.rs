//! The objects of an upstream that a request names.

use std::collections::BTreeSet;

use crate::object_kind::ObjectKind;
use base::Error;
use base::ids::MAX_ID_LENGTH;
use serde::{Deserialize, Serialize};

/// The most ids of a kind that one request, or all requests of a batch, may name.
pub(crate) const MAX_OBJECT_REFS: usize = 2_000;

/// The prefix of ids of files in a container. They are useless without the container, which is checked instead.
const CONTAINER_FILE_PREFIX: &str = "cfile_";

/// Ids of one kind.
type Ids = BTreeSet<String>;

/// The ids of the objects that a request names. They are stored with the input of a batch, so the names of the fields stay.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectRefs {
    #[serde(default)]
    pub(crate) files: Ids,
    #[serde(default)]
    pub(crate) vector_stores: Ids,
    #[serde(default, skip_serializing_if = "Ids::is_empty")]
    pub(crate) containers: Ids,
    #[serde(default, skip_serializing_if = "Ids::is_empty")]
    pub(crate) responses: Ids,
    /// Responses whose use of the prompt cache is compared.
    #[serde(default, skip_serializing_if = "Ids::is_empty")]
    pub(crate) compared_responses: Ids,
    #[serde(default, skip_serializing_if = "Ids::is_empty")]
    pub(crate) conversations: Ids,
    #[serde(default, skip_serializing_if = "Ids::is_empty")]
    pub(crate) items: Ids,
    /// Items of earlier answers that are sent again without their content, which an upstream that stores them looks up.
    #[serde(default, skip_serializing_if = "Ids::is_empty")]
    pub(crate) bare_items: Ids,
}

/// Ids of one kind, and the member that names them in errors.
pub(crate) struct NamedIds<'a> {
    pub(crate) kind: ObjectKind,
    pub(crate) param: &'static str,
    pub(crate) ids: &'a Ids,
}

/// The place of a reference in a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RefPlace {
    Ordinary,
    /// The response whose use of the prompt cache is compared.
    Comparison,
    /// An item without its content.
    BareItem,
}

impl ObjectRefs {
    /// True if no object is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.max_count() == 0
    }

    /// Returns the number of ids of the kind that has the most.
    pub(crate) fn max_count(&self) -> usize {
        let counts = self.all().map(|named| named.ids.len());
        counts.into_iter().max().unwrap_or(0)
    }

    /// Returns the ids by kind and member.
    pub(crate) fn all(&self) -> [NamedIds<'_>; 8] {
        let named = |kind, param, ids| NamedIds { kind, param, ids };
        [
            named(ObjectKind::File, "file_id", &self.files),
            named(
                ObjectKind::VectorStore,
                "vector_store_ids",
                &self.vector_stores,
            ),
            named(ObjectKind::Container, "container", &self.containers),
            named(
                ObjectKind::Response,
                "previous_response_id",
                &self.responses,
            ),
            named(
                ObjectKind::Response,
                "comparison_response_id",
                &self.compared_responses,
            ),
            named(
                ObjectKind::Conversation,
                "conversation",
                &self.conversations,
            ),
            named(ObjectKind::ResponseItem, "input", &self.items),
            named(ObjectKind::ResponseItem, "input", &self.bare_items),
        ]
    }

    /// Returns the first reference to what a request to a model has left at an upstream. A bare item counts as none: an
    /// upstream that stores nothing reads it as it is.
    pub(crate) fn first_state(&self) -> Option<(ObjectKind, &'static str, &str)> {
        let all = self.all().into_iter();
        let mut state =
            all.filter(|named| named.kind.is_state() && !std::ptr::eq(named.ids, &self.bare_items));
        state.find_map(|named| Some((named.kind, named.param, named.ids.first()?.as_str())))
    }

    /// Adds the ids that another request names.
    pub(crate) fn extend(&mut self, other: &Self) {
        let sets = self.sets().into_iter().zip(other.all());
        for (ids, more) in sets {
            for id in more.ids {
                add(ids, id);
            }
        }
    }

    pub(super) fn add(&mut self, kind: ObjectKind, place: RefPlace, id: &str) {
        let ids = match (kind, place) {
            (ObjectKind::File, _) if id.starts_with(CONTAINER_FILE_PREFIX) => return,
            (ObjectKind::File, _) => &mut self.files,
            (ObjectKind::VectorStore, _) => &mut self.vector_stores,
            (ObjectKind::Container, _) => &mut self.containers,
            (ObjectKind::Response, RefPlace::Comparison) => &mut self.compared_responses,
            (ObjectKind::Response, _) => &mut self.responses,
            (ObjectKind::Conversation, _) => &mut self.conversations,
            (ObjectKind::ResponseItem, RefPlace::BareItem) => &mut self.bare_items,
            (ObjectKind::ResponseItem, _) => &mut self.items,
            // No member of a request names one.
            (
                ObjectKind::Batch
                | ObjectKind::ChatCompletion
                | ObjectKind::Upload
                | ObjectKind::UploadPart,
                _,
            ) => return,
        };
        add(ids, id);
    }

    /// Returns the sets, in the order of [`Self::all`].
    fn sets(&mut self) -> [&mut Ids; 8] {
        [
            &mut self.files,
            &mut self.vector_stores,
            &mut self.containers,
            &mut self.responses,
            &mut self.compared_responses,
            &mut self.conversations,
            &mut self.items,
            &mut self.bare_items,
        ]
    }
}

fn add(ids: &mut Ids, id: &str) {
    // One id beyond the maximum is enough to refuse the request.
    if ids.len() <= MAX_OBJECT_REFS {
        // One character beyond the longest id is enough to show that it is none.
        ids.insert(id.chars().take(MAX_ID_LENGTH + 1).collect());
    }
}

/// Returns the error for a member whose value has another type than expected.
pub(super) fn must_be(name: &'static str, expected: &str) -> Error {
    Error::invalid(name, format!("{name} must be {expected}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_ids_are_bounded_in_number_and_length() {
        let mut refs = ObjectRefs::default();
        for id in 0..3 * MAX_OBJECT_REFS {
            refs.add(ObjectKind::File, RefPlace::Ordinary, &id.to_string());
        }
        assert_eq!(refs.max_count(), MAX_OBJECT_REFS + 1);
        let mut others = ObjectRefs::default();
        others.add(ObjectKind::File, RefPlace::Ordinary, "cfile_1");
        assert!(others.is_empty());
        let long = "x".repeat(1_000_000);
        others.add(ObjectKind::VectorStore, RefPlace::Ordinary, &long);
        refs.extend(&others);
        let longest = refs.vector_stores.iter().map(String::len).max();
        assert_eq!(longest, Some(MAX_ID_LENGTH + 1));
    }

    #[test]
    fn every_kind_is_added_to_its_own_set() {
        let mut refs = ObjectRefs::default();
        for (kind, place) in [
            (ObjectKind::File, RefPlace::Ordinary),
            (ObjectKind::VectorStore, RefPlace::Ordinary),
            (ObjectKind::Container, RefPlace::Ordinary),
            (ObjectKind::ResponseItem, RefPlace::BareItem),
        ] {
            refs.add(kind, place, "a");
        }
        assert!(refs.first_state().is_none());
        for (kind, place) in [
            (ObjectKind::Response, RefPlace::Ordinary),
            (ObjectKind::Response, RefPlace::Comparison),
            (ObjectKind::Conversation, RefPlace::Ordinary),
            (ObjectKind::ResponseItem, RefPlace::Ordinary),
        ] {
            refs.add(kind, place, "a");
        }
        assert!(refs.all().iter().all(|named| named.ids.len() == 1));
        let (_, param, id) = refs.first_state().expect("state");
        assert_eq!((param, id), ("previous_response_id", "a"));
        let mut sum = ObjectRefs::default();
        sum.extend(&refs);
        assert_eq!(sum, refs);
    }
}
