//! Calendar months in UTC.

use std::fmt;

use base::UnixTime;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A calendar month in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    /// The first second.
    pub start: UnixTime,
    /// The first second of the next month.
    pub end: UnixTime,
}

impl Month {
    /// Returns the month that `time` lies in.
    #[must_use]
    pub fn of(time: UnixTime) -> Self {
        let start = |date: Date| {
            let start = date.to_zoned(TimeZone::UTC);
            start.map_or(time, |start| UnixTime(start.timestamp().as_second()))
        };
        let Ok(moment) = Timestamp::from_second(time.0) else {
            return Self {
                start: time,
                end: time,
            };
        };
        let first = moment.to_zoned(TimeZone::UTC).date().first_of_month();
        let next = first.checked_add(1.month()).unwrap_or(first);
        Self {
            start: start(first),
            end: start(next),
        }
    }

    /// Returns the month before this one.
    #[must_use]
    pub fn before(self) -> Self {
        Self::of(self.start.plus(-1))
    }

    /// True if `time` lies in the month.
    #[must_use]
    pub fn contains(self, time: UnixTime) -> bool {
        (self.start..self.end).contains(&time)
    }
}

/// Displays as `January 2026`.
impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_second(self.start.0) {
            Ok(start) => write!(f, "{}", start.strftime("%B %Y")),
            Err(_) => write!(f, "the month from {}", self.start.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        // 2024-02-29T12:00:00Z lies between February and March of a leap year.
        let february = Month::of(UnixTime(1_709_208_000));
        let (start, end) = (february.start, february.end);
        assert_eq!((start.0, end.0), (1_706_745_600, 1_709_251_200));
        assert_eq!(Month::of(start), february);
        assert_eq!(Month::of(end).start, end);
        assert_eq!(february.before().end, start);
        assert_eq!(february.to_string(), "February 2024");
        assert!(february.contains(start) && !february.contains(end));
        assert_eq!(Month::of(UnixTime(i64::MAX)).start, UnixTime(i64::MAX));
    }
}
