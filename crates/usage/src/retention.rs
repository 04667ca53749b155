//! Retention of the ledger and its rollups.
//!
//! Expired data is dropped by whole days, a few in each round, and not by the clock alone. Dropping the day table of
//! the ledger is recorded, so that its sums are not taken for wrong; of the rollups, blocks are deleted.

pub(crate) mod periods;

use std::time::Duration;

use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR};
use base::{Clock, UnixTime};
use rollup::Rollup;
use store::{Database, Result};
use tasks::{Task, TaskHandle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::allowance;
use crate::ledger::partition;
use crate::refusals::{self, MAX_REFUSAL_AGE_DAYS};
use crate::rollups::delete_before;
use periods::{MIN_LEDGER_DAYS, RetentionPeriods, first_day};

/// The interval between two rounds.
const ROUND_INTERVAL: Duration = Duration::from_secs(SECONDS_PER_HOUR.unsigned_abs());
/// The number of days for which a day is kept after its events are no longer accepted, so that accepted ones are
/// written by then.
const MARGIN_DAYS_COUNT: i64 = 1;

/// The age of the observation of the clock by which data is dropped.
const CONFIRMATION_AGE: Duration = Duration::from_secs(SECONDS_PER_DAY.unsigned_abs());
/// The most days that are dropped in a round.
const MAX_DROPPED_DAYS: usize = 3;

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

    /// Starts the task that runs a round every hour, on the current runtime.
    #[must_use]
    pub fn start(database: Database, keep: RetentionPeriods, clock: Clock) -> TaskHandle {
        let retention = Self::new(database, keep, clock);
        tasks::start("usage retention", |stop| Rounds { retention, stop })
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
        let oldest = first_day(then.min(now), MAX_REFUSAL_AGE_DAYS);
        transaction.execute(refusals::delete_before(oldest)).await?;
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
