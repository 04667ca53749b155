//! Ids of tokens that were used, for as long as the tokens could be used again.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use base::UnixTime;

/// Maximum number of remembered ids.
const MAX_IDS: usize = 10_000;

/// Memory of ids that may be used once. Beyond its capacity the oldest ids are forgotten.
#[derive(Default)]
pub(crate) struct ReplayGuard(Mutex<UsedIds>);

#[derive(Default)]
struct UsedIds {
    ids: HashSet<String>,
    /// Ids in the order of their use, each with the time at which it may be forgotten.
    order: VecDeque<(UnixTime, String)>,
}

impl ReplayGuard {
    /// Returns true at the first use of an id, false until `end` at further ones.
    pub(crate) fn is_first(&self, id: &str, now: UnixTime, end: UnixTime) -> bool {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let UsedIds { ids, order } = &mut *used;
        while let Some((oldest, _)) = order.front()
            && (*oldest <= now || order.len() >= MAX_IDS)
            && let Some((_, id)) = order.pop_front()
        {
            ids.remove(&id);
        }
        if !ids.insert(id.to_owned()) {
            return false;
        }
        order.push_back((end, id.to_owned()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_used_once_until_its_end() {
        let guard = ReplayGuard::default();
        assert!(guard.is_first("a", UnixTime(0), UnixTime(10)));
        assert!(!guard.is_first("a", UnixTime(9), UnixTime(19)));
        assert!(guard.is_first("b", UnixTime(9), UnixTime(19)));
        assert!(guard.is_first("a", UnixTime(10), UnixTime(20)));
    }

    #[test]
    fn memory_of_ids_is_bounded() {
        let guard = ReplayGuard::default();
        for number in 0..MAX_IDS + 5 {
            assert!(guard.is_first(&number.to_string(), UnixTime(0), UnixTime(10)));
        }
        let used = guard.0.lock().expect("no panic");
        assert_eq!((used.ids.len(), used.order.len()), (MAX_IDS, MAX_IDS));
    }
}
