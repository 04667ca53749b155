//! Retention of the ledger and its rollups.
//!
//! Expired data is dropped by whole days, a few in each round, and not by the clock alone. Dropping the day table of
//! the ledger is recorded, so that its sums are not taken for wrong; of the rollups, blocks are deleted.

use std::time::Duration;

use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR};
use base::{Clock, UnixTime};
use rollup::Rollup;
use store::{Database, Result};
use tasks::{Health, Task, TaskHandle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ledger::partition;
use crate::rollups::delete_before;
use crate::{Width, allowance};

/// The interval between two rounds.
const ROUND_INTERVAL: Duration = Duration::from_secs(SECONDS_PER_HOUR.unsigned_abs());
/// The number of days for which a day is kept after its events are no longer accepted, so that accepted ones are
/// written by then.
const MARGIN_DAYS_COUNT: i64 = 1;

/// The age of the observation of the clock by which data is dropped.
const CONFIRMATION_AGE: Duration = Duration::from_secs(SECONDS_PER_DAY.unsigned_abs());
/// The most days that are dropped in a round.
const MAX_DROPPED_DAYS: usize = 3;

/// The least number of days for which the ledger is kept, so that the spend of this month and the last one can be
/// rebuilt.
pub const MIN_LEDGER_DAYS: u32 = 62;

/// The default of [`RetentionPeriods::max_event_age_days`].
pub const DEFAULT_MAX_EVENT_AGE_DAYS: u32 = 400;

/// The number of days before the current one for which data is kept; `None` to keep it for ever. Coarser rollups are
/// kept at least as long as finer ones and the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionPeriods {
    /// The days of the ledger.
    pub events: Option<u32>,
    /// The days of rollups by the minute.
    pub minutes: Option<u32>,
    /// The days of rollups by the hour.
    pub hours: Option<u32>,
    /// The days of rollups by the day.
    pub days: Option<u32>,
    /// The age in days up to which reported events are accepted.
    pub max_event_age_days: u32,
}

impl Default for RetentionPeriods {
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

impl RetentionPeriods {
    /// Returns the time from which on events are accepted; `None` for all.
    #[must_use]
    pub fn oldest_event(&self, now: UnixTime) -> Option<UnixTime> {
        Some(first_day(now, self.events?))
    }

    /// Returns the time from which on reported events are accepted, if the ledger is kept as long.
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
    now.floor(SECONDS_PER_DAY)
        .plus(-i64::from(days) * SECONDS_PER_DAY)
}

/// Drops data that is expired at `now`, which must be beyond doubt.
///
/// # Errors
/// The database failed; the next call finds the rest.
pub async fn forget(database: &Database, keep: RetentionPeriods, now: UnixTime) -> Result<()> {
    forget_some(database, keep, now, usize::MAX).await
}

/// Drops expired data, but at most `max_days` days of the ledger, oldest first, and of the rollups only when no such
/// days are left.
async fn forget_some(
    database: &Database,
    keep: RetentionPeriods,
    now: UnixTime,
    max_days: usize,
) -> Result<()> {
    if let Some(oldest) = keep.oldest_event(now) {
        let end = oldest.plus(-MARGIN_DAYS_COUNT * SECONDS_PER_DAY);
        let start = UnixTime(i64::MIN);
        let days = partition::days(&mut *database.read().await?, start, end).await?;
        for day in days.iter().take(max_days) {
            let mut transaction = database.begin().await?;
            if partition::drop_day(&mut transaction, *day).await? {
                transaction.commit().await?;
                tracing::info!(day = day.date_digits(), "ledger day dropped");
            }
        }
        if days.len() > max_days {
            return Ok(());
        }
    }
    for rollup in Rollup::derived() {
        if let Some(days) = keep.of(rollup.width()) {
            let mut transaction = database.begin().await?;
            let oldest = first_day(now, days).plus(-MARGIN_DAYS_COUNT * SECONDS_PER_DAY);
            let forget = delete_before(&mut transaction, rollup, oldest, max_days);
            forget.await?;
            transaction.commit().await?;
        }
    }
    Ok(())
}

/// Drops expired data, a few days in each round. The clock alone is not trusted: it may be wrong for a moment, and
/// dropped data does not come back.
pub struct Retention {
    database: Database,
    keep: RetentionPeriods,
    clock: Clock,
    /// The clock at an observation at least [`CONFIRMATION_AGE`] ago by monotonic time; `None` until then.
    confirmed: Option<UnixTime>,
    /// The clock at the last observation, which is not confirmed yet, and the monotonic time of it.
    observed: (UnixTime, Instant),
}

impl Retention {
    /// Returns the retention of a database. Observations of other processes or of earlier runs are not known.
    #[must_use]
    pub fn new(database: Database, keep: RetentionPeriods, clock: Clock) -> Self {
        let observed = (clock.now(), Instant::now());
        Self {
            database,
            keep,
            clock,
            confirmed: None,
            observed,
        }
    }

    /// Drops data that is expired by the clock, as far as the clock is confirmed.
    ///
    /// # Errors
    /// Those of [`forget`].
    pub async fn round(&mut self) -> Result<()> {
        let now = self.clock.now();
        if now < self.observed.0 {
            // The clock was set back, so it was wrong.
            (self.confirmed, self.observed) = (None, (now, Instant::now()));
        } else if self.observed.1.elapsed() >= CONFIRMATION_AGE {
            self.confirmed = Some(self.observed.0);
            self.observed = (now, Instant::now());
        }
        let of_ledger = self.newest_day(now).await?;
        let Some(then) = self.confirmed.max(of_ledger) else {
            return Ok(());
        };
        forget_some(&self.database, self.keep, then.min(now), MAX_DROPPED_DAYS).await?;
        let mut transaction = self.database.begin().await?;
        let oldest = first_day(then.min(now), MIN_LEDGER_DAYS);
        transaction
            .execute(allowance::delete_before(oldest))
            .await?;
        transaction.commit().await
    }

    /// Returns the start of the day before the newest day of the ledger that ended at least [`CONFIRMATION_AGE`] ago: a
    /// time that has certainly passed, since reports may be at most a day ahead.
    async fn newest_day(&self, now: UnixTime) -> Result<Option<UnixTime>> {
        let end = now.plus(-2 * SECONDS_PER_DAY);
        let mut connection = self.database.read().await?;
        let days = partition::days(&mut connection, UnixTime(i64::MIN), end).await?;
        Ok(days.last().map(|day| day.plus(-SECONDS_PER_DAY)))
    }
}

/// The task that runs a round of retention every hour.
pub struct RetentionTask(TaskHandle);

/// The loop of the task.
struct Rounds {
    retention: Retention,
    stop: CancellationToken,
}

impl Task for Rounds {
    async fn run(&mut self) {
        loop {
            if let Err(error) = self.retention.round().await {
                tracing::warn!(%error, "failed to drop old usage; trying again in an hour");
            }
            tokio::select! {
                () = tokio::time::sleep(ROUND_INTERVAL) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }
}

impl RetentionTask {
    /// Starts the task on the current runtime.
    #[must_use]
    pub fn start(database: Database, keep: RetentionPeriods, clock: Clock) -> Self {
        let retention = Retention::new(database, keep, clock);
        Self(tasks::start("usage retention", |stop| Rounds {
            retention,
            stop,
        }))
    }

    /// Stops the task after the current round.
    pub async fn stop(self) {
        self.0.stop().await;
    }

    /// Returns the health of the task.
    #[must_use]
    pub fn health(&self) -> &Health {
        self.0.health()
    }
}
