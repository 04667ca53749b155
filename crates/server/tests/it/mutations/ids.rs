//! The ids that requests name. What the requests themselves stand on is never among those that are deleted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::dice::Dice;

/// The number of ids of a kind that are remembered, those last made.
const ID_CAPACITY: usize = 64;

/// By the name of the path's parameter.
#[derive(Default)]
pub(super) struct Ids {
    /// Ids that may be named, but not deleted.
    lasting: BTreeMap<&'static str, Vec<String>>,
    /// Ids that requests made, which may be deleted.
    made: Mutex<BTreeMap<&'static str, Vec<String>>>,
}

/// The last word of the path of a list, and the parameter that names one of its items.
const LISTS: [(&str, &str); 16] = [
    ("projects", "project_id"),
    ("groups", "group_id"),
    ("roles", "role_id"),
    ("api_keys", "api_key_id"),
    ("admin_api_keys", "key_id"),
    ("certificates", "certificate_id"),
    ("invites", "invite_id"),
    ("service_accounts", "service_account_id"),
    ("spend_alerts", "alert_id"),
    ("files", "file_id"),
    ("batches", "batch_id"),
    ("vector_stores", "vector_store_id"),
    ("file_batches", "file_batch_id"),
    ("responses", "response_id"),
    ("conversations", "conversation_id"),
    ("completions", "completion_id"),
];

impl Ids {
    pub(super) fn last(&mut self, parameter: &'static str, id: &str) {
        self.lasting
            .entry(parameter)
            .or_default()
            .push(id.to_owned());
    }

    /// Adds something that may be deleted.
    pub(super) fn spare(&self, parameter: &'static str, id: &str) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.entry(parameter).or_default();
        if made.len() >= ID_CAPACITY {
            made.remove(0);
        }
        made.push(id.to_owned());
    }

    /// An id for the parameter. One that a request made, if it is to be deleted.
    pub(super) fn pick(&self, parameter: &str, deletes: bool, dice: &Dice) -> Option<String> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.get(parameter).filter(|made| !made.is_empty());
        let lasting = self.lasting.get(parameter);
        match (made, lasting) {
            (Some(made), _) if deletes || lasting.is_none() || dice.one_in(3) => {
                Some(dice.pick(made).clone())
            }
            (_, Some(lasting)) if !deletes => Some(dice.pick(lasting).clone()),
            _ => None,
        }
    }

    /// Takes the id of what a request made.
    pub(super) fn learn(&self, path: &str, answer: &[u8]) {
        let list = path.rsplit('/').next().unwrap_or_default();
        let Some((_, parameter)) = LISTS.iter().find(|(noun, _)| *noun == list) else {
            return;
        };
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        if let Some(id) = answer["id"].as_str() {
            self.spare(parameter, id);
        }
    }
}
