//! For how long the ledger and its sums are kept.
//!
//! What is too old goes in whole days: the table of a day of the ledger is dropped, which is noted, so that nothing makes
//! it again and nothing takes its sums for wrong; and the blocks of a span of sums are deleted.

use std::time::Duration;

use base::time::{DAY, HOUR};
use base::{Clock, UnixTime};
use store::{Database, Result};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Width;
use crate::ledger::partition;
use crate::sums::{Shape, forget_before};

/// How often is looked for what is too old.
const EVERY: Duration = Duration::from_secs(HOUR.unsigned_abs());
/// For how many days longer than its events are taken a day is there: one that was taken is written by then.
const MARGIN: i64 = 1;

/// The fewest days that the ledger is kept for: the spend of this month and of the last one can be computed anew.
pub const FEWEST_DAYS: u32 = 62;

/// For how many days before the current one something is kept; for ever where nothing is said. Sums are kept at least as
/// long as finer ones and the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// The ledger.
    pub events: Option<u32>,
    /// Sums by the minute.
    pub minutes: Option<u32>,
    /// Sums by the hour.
    pub hours: Option<u32>,
    /// Sums by the day.
    pub days: Option<u32>,
}

impl Keep {
    /// From when on events are taken.
    #[must_use]
    pub fn oldest_event(&self, now: UnixTime) -> Option<UnixTime> {
        Some(first_day(now, self.events?))
    }

    fn of(&self, width: Width) -> Option<u32> {
        match width {
            Width::Minute => self.minutes,
            Width::Hour => self.hours,
            Width::Day => self.days,
        }
    }
}

fn first_day(now: UnixTime, days: u32) -> UnixTime {
    now.floor(DAY).plus(-i64::from(days) * DAY)
}

/// Drops what is not kept any more.
///
/// # Errors
/// What the database said; what is left to drop is found the next time.
pub async fn forget(database: &Database, keep: Keep, now: UnixTime) -> Result<()> {
    if let Some(oldest) = keep.oldest_event(now) {
        let end = oldest.plus(-MARGIN * DAY);
        let start = UnixTime(i64::MIN);
        let days = partition::days(&mut *database.read().await?, start, end).await?;
        for day in days {
            let mut transaction = database.begin().await?;
            if partition::drop_day(&mut transaction, day).await? {
                transaction.commit().await?;
                tracing::info!(day = day.date_digits(), "a day of the ledger was dropped");
            }
        }
    }
    for shape in Shape::derived() {
        if let Some(days) = keep.of(shape.width()) {
            let mut transaction = database.begin().await?;
            let oldest = first_day(now, days).plus(-MARGIN * DAY);
            transaction.execute(forget_before(shape, oldest)).await?;
            transaction.commit().await?;
        }
    }
    Ok(())
}

/// Looks for what is too old, hour by hour.
pub struct RetentionTask {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl RetentionTask {
    /// Starts it, on the runtime that this is called in.
    #[must_use]
    pub fn start(database: Database, keep: Keep, clock: Clock) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = forget(&database, keep, clock.now()).await {
                    tracing::warn!(%error, "old usage could not be dropped; trying again in an hour");
                }
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => {}
                    _ = &mut stopped => return,
                }
            }
        });
        Self { stop, task }
    }

    /// Ends it after what is under way.
    pub async fn stop(self) {
        // A task that has ended already needs no word.
        let _ = self.stop.send(());
        if self.task.await.is_err() {
            tracing::error!("the task that drops old usage has failed");
        }
    }
}
