//! What an answer was made from, and so for how long it stays the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use store::Tables;

/// What an answer was made from: tables of the administrative database alone, or something else too, such as the time.
#[derive(Clone, Default)]
pub(super) struct Sources(Arc<Noted>);

#[derive(Default)]
struct Noted {
    others: AtomicBool,
    tables: OnceLock<Tables>,
}

impl Sources {
    /// The answer is made from something besides the tables.
    pub(super) fn add(&self) {
        self.0.others.store(true, Ordering::Relaxed);
    }

    /// The tables that were read; said once.
    pub(super) fn read_from(&self, tables: Tables) {
        // Only the end of a [`Read`](super::Read) says it, so it has not been set.
        let _ = self.0.tables.set(tables);
    }

    /// The tables, when the same question has the same answer for as long as these stay what they are; known once its
    /// [`Read`](super::Read) is dropped.
    pub(super) fn steady(&self) -> Option<Tables> {
        let others = self.0.others.load(Ordering::Relaxed);
        self.0.tables.get().filter(|_| !others).copied()
    }
}
