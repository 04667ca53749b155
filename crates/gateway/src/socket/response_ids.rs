//! The responses of one connection that no model server stores, which a later message on it may continue.

use std::collections::VecDeque;

use base::ids::MAX_ID_LENGTH;

/// The most ids of a connection that are kept; the oldest is dropped first.
const MAX_RESPONSE_IDS: usize = 256;

/// The ids of the responses that were created on a connection and are not stored. They belong to the project of its key; stored
/// ones are found by the records of their owners.
#[derive(Default)]
pub(crate) struct ResponseIds(VecDeque<String>);

impl ResponseIds {
    /// Adds the id of a response.
    pub(crate) fn add(&mut self, id: &str) {
        if id.is_empty() || id.len() > MAX_ID_LENGTH || self.contains(id) {
            return;
        }
        if self.0.len() == MAX_RESPONSE_IDS {
            self.0.pop_front();
        }
        self.0.push_back(id.to_owned());
    }

    /// True if a response with this id was created on the connection.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.0.iter().any(|known| known == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_ids_are_kept() {
        let mut ids = ResponseIds::default();
        for number in 0..=MAX_RESPONSE_IDS {
            ids.add(&format!("resp_{number}"));
            ids.add(&format!("resp_{number}"));
        }
        assert!(!ids.contains("resp_0") && ids.contains("resp_1"));
        assert!(ids.contains(&format!("resp_{MAX_RESPONSE_IDS}")));
        ids.add("");
        ids.add(&"x".repeat(MAX_ID_LENGTH + 1));
        assert_eq!(ids.0.len(), MAX_RESPONSE_IDS);
    }
}
