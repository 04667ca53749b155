//! For how long the ledger and its sums are kept.
//!
//! Data that is too old goes in whole days, a few in each round, and not by the clock alone: the table of a day of the
//! ledger is dropped, which is noted, so that nothing takes its sums for wrong; and the blocks of a span of sums are
//! deleted.

use std::time::Duration;

use base::time::{DAY, HOUR};
use base::{Clock, UnixTime};
use store::{Database, Result};
use tasks::{Health, Task, TaskHandle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ledger::partition;
use crate::sums::{Shape, forget_before};
use crate::{Width, allowance};

/// How often is looked for what is too old.
const EVERY: Duration = Duration::from_secs(HOUR.unsigned_abs());
/// For how many days longer than its events are taken a day is there: one that was taken is written by then.
const MARGIN: i64 = 1;

/// The time for which the clock must have said that something is too old before it is dropped.
const CONFIRMATION: Duration = Duration::from_secs(DAY.unsigned_abs());
/// The most days that are dropped in a round.
const MAX_DROPPED_DAYS: usize = 3;

/// The fewest days that the ledger is kept for: the spend of this month and of the last one can be computed anew.
pub const FEWEST_DAYS: u32 = 62;

/// The age in days up to which reported events are taken, where nothing is said.
pub const DEFAULT_MAX_EVENT_AGE_DAYS: u32 = 400;

/// For how many days before the current one something is kept; for ever where nothing is said. Sums are kept at least as
/// long as finer ones and the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The ledger.
    pub events: Option<u32>,
    /// Sums by the minute.
    pub minutes: Option<u32>,
    /// Sums by the hour.
    pub hours: Option<u32>,
    /// Sums by the day.
    pub days: Option<u32>,
    /// The age in days up to which reported events are taken.
    pub max_event_age_days: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            events: None,
            minutes: None,
            hours: None,
            days: None,
            max_event_age_days: DEFAULT_MAX_EVENT_AGE_DAYS,
        }
    }
}

impl Keep {
    /// From when on events are taken.
    #[must_use]
    pub fn oldest_event(&self, now: UnixTime) -> Option<UnixTime> {
        Some(first_day(now, self.events?))
    }

    /// Returns the moment from which on reported events are taken, unless the ledger is kept for less.
    #[must_use]
    pub fn oldest_reported(&self, now: UnixTime) -> UnixTime {
        first_day(now, self.max_event_age_days)
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

/// Drops what is not kept any more at `now`, which must be beyond doubt.
///
/// # Errors
/// What the database said; what is left to drop is found the next time.
pub async fn forget(database: &Database, keep: Keep, now: UnixTime) -> Result<()> {
    forget_some(database, keep, now, usize::MAX).await
}

/// Drops what [`forget`] does, but at most so many days of the ledger, the oldest first, and sums only when no days are
/// left.
async fn forget_some(
    database: &Database,
    keep: Keep,
    now: UnixTime,
    max_days: usize,
) -> Result<()> {
    if let Some(oldest) = keep.oldest_event(now) {
        let end = oldest.plus(-MARGIN * DAY);
        let start = UnixTime(i64::MIN);
        let days = partition::days(&mut *database.read().await?, start, end).await?;
        for day in days.iter().take(max_days) {
            let mut transaction = database.begin().await?;
            if partition::drop_day(&mut transaction, *day).await? {
                transaction.commit().await?;
                tracing::info!(day = day.date_digits(), "a day of the ledger was dropped");
            }
        }
        if days.len() > max_days {
            return Ok(());
        }
    }
    for shape in Shape::derived() {
        if let Some(days) = keep.of(shape.width()) {
            let mut transaction = database.begin().await?;
            let oldest = first_day(now, days).plus(-MARGIN * DAY);
            let forget = forget_before(&mut transaction, shape, oldest, max_days);
            forget.await?;
            transaction.commit().await?;
        }
    }
    Ok(())
}

/// Drops what is not kept any more, a few days in each round. The clock alone is not believed: it may be wrong for a
/// moment, and what is dropped does not come back.
pub struct Retention {
    database: Database,
    keep: Keep,
    clock: Clock,
    /// The clock at a look at least [`CONFIRMATION`] ago, by the time that only runs forward; none until then.
    confirmed: Option<UnixTime>,
    /// The clock at the last look that is to be confirmed, and when that was.
    looked: (UnixTime, Instant),
}

impl Retention {
    /// Returns the retention of a database, which knows nothing of what other programs saw, or of what was seen before.
    #[must_use]
    pub fn new(database: Database, keep: Keep, clock: Clock) -> Self {
        let looked = (clock.now(), Instant::now());
        Self {
            database,
            keep,
            clock,
            confirmed: None,
            looked,
        }
    }

    /// Drops what is too old by the clock, as far as that is confirmed.
    ///
    /// # Errors
    /// Those of [`forget`].
    pub async fn round(&mut self) -> Result<()> {
        let now = self.clock.now();
        if now < self.looked.0 {
            // It was set back, so it was wrong.
            (self.confirmed, self.looked) = (None, (now, Instant::now()));
        } else if self.looked.1.elapsed() >= CONFIRMATION {
            self.confirmed = Some(self.looked.0);
            self.looked = (now, Instant::now());
        }
        let of_ledger = self.newest_day(now).await?;
        let Some(then) = self.confirmed.max(of_ledger) else {
            return Ok(());
        };
        forget_some(&self.database, self.keep, then.min(now), MAX_DROPPED_DAYS).await?;
        let mut transaction = self.database.begin().await?;
        let oldest = first_day(then.min(now), FEWEST_DAYS);
        transaction
            .execute(allowance::forget_before(oldest))
            .await?;
        transaction.commit().await
    }

    /// The newest day of the ledger that ended at least [`CONFIRMATION`] ago: a row came then, or a day before at the
    /// earliest, since reports may be a day ahead.
    async fn newest_day(&self, now: UnixTime) -> Result<Option<UnixTime>> {
        let end = now.plus(-2 * DAY);
        let mut connection = self.database.read().await?;
        let days = partition::days(&mut connection, UnixTime(i64::MIN), end).await?;
        Ok(days.last().map(|day| day.plus(-DAY)))
    }
}

/// Looks for what is too old, hour by hour.
pub struct RetentionTask(TaskHandle);

/// The rounds of retention.
struct Rounds {
    retention: Retention,
    stop: CancellationToken,
}

impl Task for Rounds {
    async fn run(&mut self) {
        loop {
            if let Err(error) = self.retention.round().await {
                tracing::warn!(%error, "old usage could not be dropped; trying again in an hour");
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }
}

impl RetentionTask {
    /// Starts it, on the runtime that this is called in.
    #[must_use]
    pub fn start(database: Database, keep: Keep, clock: Clock) -> Self {
        let retention = Retention::new(database, keep, clock);
        Self(tasks::start("usage retention", |stop| Rounds {
            retention,
            stop,
        }))
    }

    /// Ends it after what is under way.
    pub async fn stop(self) {
        self.0.stop().await;
    }

    /// Returns the health of the task.
    #[must_use]
    pub fn health(&self) -> &Health {
        self.0.health()
    }
}
