//! Times for people: in a time zone, with UTC beside.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use base::UnixTime;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};

/// The longest name of a time zone, in bytes.
const MAX_ZONE_NAME_BYTES: usize = 64;
const SECONDS_PER_MINUTE: i64 = base::time::SECONDS_PER_MINUTE;
const SECONDS_PER_HOUR: i64 = base::time::SECONDS_PER_HOUR;
const SECONDS_PER_DAY: i64 = base::time::SECONDS_PER_DAY;

/// A time zone of the IANA database, which is part of the program.
#[derive(Clone, Debug)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Default for Zone {
    fn default() -> Self {
        Self {
            name: "UTC".to_owned(),
            zone: TimeZone::UTC,
        }
    }
}

impl Zone {
    /// Returns the time zone that a name such as `Europe/Berlin` names.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        if name.len() > MAX_ZONE_NAME_BYTES || name.is_empty() {
            return None;
        }
        if name.eq_ignore_ascii_case("UTC") {
            return Some(Self::default());
        }
        let zone = TimeZoneDatabase::bundled().get(name).ok()?;
        let name = zone.iana_name()?.to_owned();
        Some(Self { name, zone })
    }

    /// Returns the names of all time zones, in alphabetical order.
    #[must_use]
    pub fn names() -> Vec<String> {
        let database = TimeZoneDatabase::bundled();
        let names = database.available().map(|name| name.to_string());
        let mut names: Vec<String> = names
            .filter(|name| name.contains('/') && !name.starts_with("Etc/"))
            .collect();
        names.sort();
        names.insert(0, "UTC".to_owned());
        names
    }

    /// Returns the name in the IANA database.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True if the time zone is UTC.
    #[must_use]
    pub fn is_utc(&self) -> bool {
        self.name == "UTC"
    }

    /// Returns the time in this zone.
    #[must_use]
    pub fn at(&self, time: UnixTime) -> Zoned {
        let stamp = Timestamp::from_second(time.0).unwrap_or_default();
        stamp.to_zoned(self.zone.clone())
    }

    /// Formats the difference to UTC at a time: `UTC+01:00`, or `UTC`.
    #[must_use]
    pub fn offset(&self, at: UnixTime) -> String {
        if self.is_utc() {
            return "UTC".to_owned();
        }
        format!("UTC{}", self.at(at).strftime("%:z"))
    }

    /// Formats date and time of day: `1 Dec 2026, 10:05`.
    #[must_use]
    pub fn date_time(&self, time: UnixTime) -> String {
        self.at(time).strftime("%-d %b %Y, %H:%M").to_string()
    }

    /// Formats the date: `1 Dec 2026`.
    #[must_use]
    pub fn date(&self, time: UnixTime) -> String {
        self.at(time).strftime("%-d %b %Y").to_string()
    }

    /// Formats a time as fields of type `datetime-local` have it: `2026-12-01T10:05`.
    #[must_use]
    pub fn field_value(&self, time: UnixTime) -> String {
        self.at(time).strftime("%Y-%m-%dT%H:%M").to_string()
    }

    /// Parses the value of a field of type `datetime-local` or `date` as a time in this zone. A time that the clocks
    /// skip or repeat is the one before the change of the clocks.
    #[must_use]
    pub fn parse_field(&self, text: &str) -> Option<UnixTime> {
        let text = text.trim();
        let local: DateTime = match text.parse() {
            Ok(local) => local,
            Err(_) => text.parse::<jiff::civil::Date>().ok()?.into(),
        };
        let zoned = local.to_zoned(self.zone.clone()).ok()?;
        Some(UnixTime(zoned.timestamp().as_second()))
    }
}

/// A time on a page: in the zone of the browser, with UTC in its title, and machine readable.
#[derive(Clone, Debug, Template)]
#[template(
    source = "<time datetime=\"{{ machine }}\" title=\"{{ utc }}\">{{ text }}</time>",
    ext = "html"
)]
pub struct Moment {
    machine: String,
    utc: String,
    text: String,
}

impl HtmlSafe for Moment {}

impl Moment {
    /// Returns date and time of day.
    #[must_use]
    pub fn new(time: UnixTime, zone: &Zone) -> Self {
        Self::with_text(time, zone.date_time(time))
    }

    /// Returns the date alone.
    #[must_use]
    pub fn date(time: UnixTime, zone: &Zone) -> Self {
        Self::with_text(time, zone.date(time))
    }

    /// Returns the distance to `now` in words: `3 hours ago`, `in 5 days`.
    #[must_use]
    pub fn relative(time: UnixTime, now: UnixTime) -> Self {
        Self::with_text(time, distance(time, now))
    }

    fn with_text(time: UnixTime, text: String) -> Self {
        let utc = Zone::default().at(time);
        Self {
            machine: utc.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            utc: utc.strftime("%-d %b %Y, %H:%M:%S UTC").to_string(),
            text,
        }
    }

    /// Returns the text without markup.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Returns the distance between two times in words, in one unit.
fn distance(time: UnixTime, now: UnixTime) -> String {
    let seconds = time.0.saturating_sub(now.0);
    let size = seconds.saturating_abs();
    let (count, unit) = match size {
        _ if size < SECONDS_PER_MINUTE => return "now".to_owned(),
        _ if size < SECONDS_PER_HOUR => (size / SECONDS_PER_MINUTE, "minute"),
        _ if size < 2 * SECONDS_PER_DAY => (size / SECONDS_PER_HOUR, "hour"),
        _ if size < 60 * SECONDS_PER_DAY => (size / SECONDS_PER_DAY, "day"),
        _ if size < 730 * SECONDS_PER_DAY => (size / (30 * SECONDS_PER_DAY), "month"),
        _ => (size / (365 * SECONDS_PER_DAY), "year"),
    };
    let words = fmt::from_fn(|formatter| {
        let plural = if count == 1 { "" } else { "s" };
        write!(formatter, "{count} {unit}{plural}")
    });
    if seconds < 0 {
        format!("{words} ago")
    } else {
        format!("in {words}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-12-01T09:05:00Z.
    const TIME: UnixTime = UnixTime(1_796_115_900);

    #[test]
    fn a_time_is_shown_in_its_zone_with_utc_beside() {
        let berlin = Zone::find("Europe/Berlin").expect("a zone");
        let moment = Moment::new(TIME, &berlin);
        assert_eq!(moment.text(), "1 Dec 2026, 10:05");
        assert_eq!(
            moment.to_string(),
            "<time datetime=\"2026-12-01T09:05:00Z\" title=\"1 Dec 2026, 09:05:00 UTC\">1 Dec 2026, 10:05</time>"
        );
        assert_eq!(berlin.offset(TIME), "UTC+01:00");
        assert_eq!(Zone::default().offset(TIME), "UTC");
        let kathmandu = Zone::find("asia/kathmandu").expect("a zone");
        assert_eq!(kathmandu.name(), "Asia/Kathmandu");
        assert_eq!(kathmandu.offset(TIME), "UTC+05:45");
    }

    #[test]
    fn fields_are_parsed_as_they_are_shown() {
        for name in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"] {
            let zone = Zone::find(name).expect("a zone");
            let value = zone.field_value(TIME);
            assert_eq!(zone.parse_field(&value), Some(TIME), "{name} {value}");
        }
        let berlin = Zone::find("Europe/Berlin").expect("a zone");
        assert_eq!(
            berlin.parse_field("2026-12-01"),
            Some(UnixTime(1_796_079_600))
        );
        for bad in ["", "x", "2026-13-01", "2026-12-01T25:00", "99999-01-01"] {
            assert_eq!(berlin.parse_field(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_of_zones_are_known_and_bounded() {
        let names = Zone::names();
        assert_eq!(names[0], "UTC");
        assert!(names.len() > 300, "{}", names.len());
        for name in &names {
            assert!(Zone::find(name).is_some(), "{name}");
        }
        for bad in ["", "Mars/Olympus", "../UTC", &"a".repeat(1000)] {
            assert!(Zone::find(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn distances_have_one_unit() {
        for (seconds, expected) in [
            (0, "now"),
            (-59, "now"),
            (-60, "1 minute ago"),
            (-7200, "2 hours ago"),
            (86_400 * 3, "in 3 days"),
            (-86_400 * 90, "3 months ago"),
            (86_400 * 800, "in 2 years"),
            (i64::MAX, "in 292471208677 years"),
        ] {
            let now = UnixTime(0);
            assert_eq!(distance(UnixTime(seconds), now), expected);
        }
    }
}
