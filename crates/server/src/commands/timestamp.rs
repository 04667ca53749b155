//! Timestamps on the command line.

use base::UnixTime;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Parses a timestamp: a UTC day, RFC 3339 or seconds since 1970.
pub(super) fn timestamp(text: &str) -> Result<UnixTime, &'static str> {
    let wrong = "must be a day (2026-11-22), a time (2026-11-22T08:30:00Z) or seconds since 1970";
    if let Ok(seconds) = text.parse() {
        return Ok(UnixTime(seconds));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(UnixTime(time.as_second()));
    }
    let day = text.parse::<Date>().map_err(|_| wrong)?;
    let midnight = day.to_zoned(TimeZone::UTC).map_err(|_| wrong)?;
    Ok(UnixTime(midnight.timestamp().as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_three_ways() {
        for text in [
            "1795305600",
            "2026-11-22",
            "2026-11-22T00:00:00Z",
            "2026-11-22T01:00:00+01:00",
        ] {
            assert_eq!(timestamp(text), Ok(UnixTime(1_795_305_600)), "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "08:30"] {
            assert!(timestamp(text).is_err(), "{text}");
        }
    }
}
