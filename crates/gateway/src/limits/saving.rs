//! The task that saves the windows of the only node of a database, so that a restart finds them.

use std::sync::Arc;
use std::time::Duration;

use slices::SavedUse;
use store::Database;
use tasks::Task;
use tokio_util::sync::CancellationToken;

use super::windows::save;
use super::{Counters, LimitClock};

/// The interval between two looks for changed windows.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// The most rows of one transaction, so that other writers get their turn.
const MAX_ROWS: usize = 500;

/// The task that saves windows, and once more when it is stopped.
pub(super) struct SavingTask {
    pub(super) counters: Arc<Counters>,
    pub(super) clock: LimitClock,
    pub(super) database: Database,
    pub(super) stop: CancellationToken,
    /// Windows whose transaction is under way.
    pub(super) saving: Vec<SavedUse>,
}

impl SavingTask {
    /// Saves what has changed. Returns false if that failed.
    async fn save_changed(&mut self) -> bool {
        loop {
            let now = self.clock.now();
            self.saving = self.counters.changed(now, MAX_ROWS);
            if self.saving.is_empty() {
                return true;
            }
            if let Err(error) = save(&self.database, &self.saving, now.lo).await {
                tracing::warn!(%error, names = self.saving.len(), "failed to save rate limit windows; trying again");
                self.recover();
                return false;
            }
            self.saving.clear();
        }
    }
}

impl Task for SavingTask {
    async fn run(&mut self) {
        while !self.stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(SAVE_INTERVAL) => {}
                () = self.stop.cancelled() => {}
            }
            self.save_changed().await;
        }
    }

    fn recover(&mut self) {
        for saved in self.saving.drain(..) {
            self.counters.unsave(&saved);
        }
    }
}
