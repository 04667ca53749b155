//! The periods for which usage data is kept.

use base::UnixTime;
use base::time::SECONDS_PER_DAY;

use crate::Width;

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

    pub(crate) fn of(&self, width: Width) -> Option<u32> {
        match width {
            Width::Minute => self.minutes,
            Width::Hour => self.hours,
            Width::Day => self.days,
        }
    }
}

/// Returns the start of the first of the `days` before the current one.
pub(crate) fn first_day(now: UnixTime, days: u32) -> UnixTime {
    now.floor(SECONDS_PER_DAY)
        .plus(-i64::from(days) * SECONDS_PER_DAY)
}
