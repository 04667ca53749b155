//! The period of a report: a preset or free times, in the time zone of the browser, divided into buckets.

use base::UnixTime;
use base::names;
use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE};
use jiff::ToSpan;
use jiff::Zoned;
use pages::Zone;

names! {
    /// A period that ends now, or with a calendar month.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) enum Preset {
        /// The last hour.
        Hour = "1h",
        /// The last 24 hours.
        Day = "24h",
        /// Today and the six days before.
        Week = "7d",
        /// Today and the 29 days before.
        #[default]
        Days30 = "30d",
        /// Today and the 89 days before.
        Days90 = "90d",
        /// The current calendar month.
        Month = "month",
        /// The calendar month before.
        LastMonth = "last_month",
        /// Today and the 364 days before.
        Year = "365d",
        /// Times that the query names.
        Custom = "custom",
    }
}

impl Preset {
    /// Returns the name for people.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Hour => "Last hour",
            Self::Day => "Last 24 hours",
            Self::Week => "Last 7 days",
            Self::Days30 => "Last 30 days",
            Self::Days90 => "Last 90 days",
            Self::Month => "This month",
            Self::LastMonth => "Last month",
            Self::Year => "Last 365 days",
            Self::Custom => "From … to …",
        }
    }
}

names! {
    /// The width of a bucket, as the reports name it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Bucket {
        /// A minute.
        Minute = "1m",
        /// An hour.
        Hour = "1h",
        /// A day in the time zone of the browser.
        Day = "1d",
    }
}

impl Bucket {
    /// Returns the name for people.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Minute => "Minute",
            Self::Hour => "Hour",
            Self::Day => "Day",
        }
    }

    /// Returns the longest period that is shown in such buckets, in seconds.
    fn max_period_seconds(self) -> i64 {
        match self {
            Self::Minute => 6 * SECONDS_PER_HOUR,
            Self::Hour => 14 * SECONDS_PER_DAY,
            Self::Day => MAX_PERIOD_DAYS * SECONDS_PER_DAY,
        }
    }

    /// Returns the width that a period is shown in unless another is chosen.
    fn fitting(seconds: i64) -> Self {
        match seconds {
            ..=7_200 => Self::Minute,
            7_201..=172_800 => Self::Hour,
            _ => Self::Day,
        }
    }
}

/// Longest period of a report, in days.
pub(crate) const MAX_PERIOD_DAYS: i64 = 400;
/// Longest period that is divided into days of a time zone with a query for each day, in days.
const MAX_SINGLE_QUERIES: usize = 92;

/// A bucket of a report: from the first second to the second after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start: UnixTime,
    pub(crate) end: UnixTime,
}

/// The period of a report.
#[derive(Clone, Debug)]
pub(crate) struct Period {
    pub(crate) preset: Preset,
    pub(crate) bucket: Bucket,
    pub(crate) zone: Zone,
    /// Buckets, oldest first; at least one.
    pub(crate) segments: Vec<Segment>,
    /// Sentences about what was asked for and cannot be shown.
    pub(crate) remarks: Vec<String>,
}

/// The words of a query string that name a period.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeriodWords<'a> {
    pub(crate) range: &'a str,
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) bucket: &'a str,
}

impl Period {
    /// Returns the period that a query string names. Whatever cannot be shown is replaced, and a remark says so.
    pub(crate) fn read(words: &PeriodWords<'_>, now: UnixTime, zone: &Zone) -> Self {
        let mut remarks = Vec::new();
        let preset = if words.range.is_empty() && !words.from.is_empty() {
            Preset::Custom
        } else {
            Preset::parse(words.range).unwrap_or_default()
        };
        let (preset, start, end) = match preset {
            Preset::Custom => match custom(words, now, zone) {
                Ok((start, end)) => (preset, start, end),
                Err(remark) => {
                    remarks.push(remark);
                    let (start, end) = range(Preset::default(), now, zone);
                    (Preset::default(), start, end)
                }
            },
            _ => {
                let (start, end) = range(preset, now, zone);
                (preset, start, end)
            }
        };
        let seconds = end.0 - start.0;
        let fitting = Bucket::fitting(seconds);
        let mut bucket = Bucket::parse(words.bucket).unwrap_or(fitting);
        if seconds > bucket.max_period_seconds() {
            let days = bucket.max_period_seconds() / SECONDS_PER_DAY;
            let longest = if days == 0 {
                "6 hours".to_owned()
            } else {
                format!("{days} days")
            };
            let label = bucket.label().to_lowercase();
            remarks.push(format!(
                "A period of more than {longest} is not shown by {label}."
            ));
            bucket = fitting;
        }
        let (zone, remark) = zone_of_buckets(zone, bucket, (start, end));
        remarks.extend(remark);
        Self {
            preset,
            bucket,
            segments: segments(start, end, bucket, &zone),
            zone,
            remarks,
        }
    }

    /// Returns the first second.
    pub(crate) fn start(&self) -> UnixTime {
        self.segments
            .first()
            .map_or(UnixTime(0), |first| first.start)
    }

    /// Returns the second after the last.
    pub(crate) fn end(&self) -> UnixTime {
        self.segments.last().map_or(UnixTime(0), |last| last.end)
    }

    /// Returns the period of the same number of buckets that ends where this one begins.
    pub(crate) fn before(&self) -> Self {
        let end = self.start();
        let count = i64::try_from(self.segments.len()).unwrap_or(0);
        let start = match self.bucket {
            Bucket::Minute => end.plus(-count * SECONDS_PER_MINUTE),
            Bucket::Hour => end.plus(-count * SECONDS_PER_HOUR),
            Bucket::Day => days_before(&self.zone.at(end), count),
        };
        Self {
            segments: segments(start, end, self.bucket, &self.zone),
            remarks: Vec::new(),
            ..self.clone()
        }
    }

    /// Returns the label of a bucket.
    pub(crate) fn label(&self, segment: Segment) -> String {
        let format = match self.bucket {
            Bucket::Day => "%-d %b %Y",
            Bucket::Hour | Bucket::Minute => "%-d %b, %H:%M",
        };
        self.zone.at(segment.start).strftime(format).to_string()
    }

    /// Returns the index of the bucket that a time is in; times before the first bucket count as in it.
    pub(crate) fn position(&self, time: UnixTime) -> Option<usize> {
        let index = self.segments.partition_point(|segment| segment.end <= time);
        (index < self.segments.len()).then_some(index)
    }

    /// True if buckets begin at multiples of `width` seconds since 1970. The first and the last one may be parts.
    fn is_aligned(&self, width: i64) -> bool {
        let mut inner = self.segments.iter().skip(1);
        inner.all(|segment| segment.start.0.rem_euclid(width) == 0)
    }

    /// Returns the queries that together report every bucket. `has_hours` is false for reports that only know days.
    pub(crate) fn queries(&self, has_hours: bool) -> Vec<ReportQuery> {
        let whole = |width| {
            vec![ReportQuery {
                start: self.start(),
                end: self.end(),
                width,
                segment: None,
            }]
        };
        match self.bucket {
            Bucket::Minute | Bucket::Hour if has_hours => whole(self.bucket),
            _ if self.is_aligned(SECONDS_PER_DAY) => whole(Bucket::Day),
            _ if has_hours && self.is_aligned(SECONDS_PER_HOUR) => whole(Bucket::Hour),
            _ => {
                let segments = self.segments.iter().enumerate();
                let query = |(index, segment): (usize, &Segment)| ReportQuery {
                    start: segment.start,
                    end: segment.end,
                    width: Bucket::Day,
                    segment: Some(index),
                };
                segments.map(query).collect()
            }
        }
    }
}

/// A query of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReportQuery {
    pub(crate) start: UnixTime,
    pub(crate) end: UnixTime,
    pub(crate) width: Bucket,
    /// Index of the bucket that all results are of; `None` if each result belongs to the bucket of its time.
    pub(crate) segment: Option<usize>,
}

impl ReportQuery {
    /// Returns the maximum number of buckets of a page.
    pub(crate) fn page_limit(self, is_cost: bool) -> i64 {
        match self.width {
            _ if is_cost => 180,
            Bucket::Minute => 1440,
            Bucket::Hour => 168,
            Bucket::Day => 31,
        }
    }
}

/// Reads free times.
fn custom(
    words: &PeriodWords<'_>,
    now: UnixTime,
    zone: &Zone,
) -> Result<(UnixTime, UnixTime), String> {
    let start = zone.parse_field(words.from);
    let start = start.ok_or("The start of the period is no time; the last 30 days are shown.")?;
    let end = if words.to.is_empty() {
        Some(now.plus(1))
    } else {
        zone.parse_field(words.to)
    };
    let end = end.ok_or("The end of the period is no time; the last 30 days are shown.")?;
    if start.0 < 0 || start >= end {
        return Err("The period ends before it begins; the last 30 days are shown.".to_owned());
    }
    if end.0 - start.0 > MAX_PERIOD_DAYS * SECONDS_PER_DAY {
        return Err(format!(
            "A period of more than {MAX_PERIOD_DAYS} days is not shown; the last 30 days are."
        ));
    }
    Ok((start, end))
}

/// Returns the range of a preset that is not [`Preset::Custom`].
fn range(preset: Preset, now: UnixTime, zone: &Zone) -> (UnixTime, UnixTime) {
    let local = zone.at(now);
    let tomorrow = days_before(&local, -1);
    let up = |width: i64| now.floor(width).plus(width);
    let month = local.first_of_month().unwrap_or_else(|_| local.clone());
    match preset {
        Preset::Hour => (
            up(SECONDS_PER_MINUTE).plus(-SECONDS_PER_HOUR),
            up(SECONDS_PER_MINUTE),
        ),
        Preset::Day => (
            up(SECONDS_PER_HOUR).plus(-SECONDS_PER_DAY),
            up(SECONDS_PER_HOUR),
        ),
        Preset::Week => (days_before(&local, 6), tomorrow),
        Preset::Days30 | Preset::Custom => (days_before(&local, 29), tomorrow),
        Preset::Days90 => (days_before(&local, 89), tomorrow),
        Preset::Year => (days_before(&local, 364), tomorrow),
        Preset::Month => (days_before(&month, 0), tomorrow),
        Preset::LastMonth => {
            let last = month
                .checked_sub(1.month())
                .unwrap_or_else(|_| month.clone());
            (days_before(&last, 0), days_before(&month, 0))
        }
    }
}

/// Returns the first second of the local day that lies `days` days before a time; after it if negative.
fn days_before(local: &Zoned, days: i64) -> UnixTime {
    let moved = local.checked_sub(days.days());
    let midnight = moved.and_then(|moved| moved.start_of_day());
    UnixTime(midnight.map_or_else(
        |_| local.timestamp().as_second(),
        |day| day.timestamp().as_second(),
    ))
}

/// Divides a range into buckets.
fn segments(start: UnixTime, end: UnixTime, bucket: Bucket, zone: &Zone) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut at = start;
    while at < end && segments.len() < MAX_SEGMENTS {
        let next = match bucket {
            Bucket::Minute => at.floor(SECONDS_PER_MINUTE).plus(SECONDS_PER_MINUTE),
            Bucket::Hour => at.floor(SECONDS_PER_HOUR).plus(SECONDS_PER_HOUR),
            Bucket::Day => days_before(&zone.at(at), -1),
        };
        // A time at the end of what calendars know has no next day.
        let next = if next > at { next.min(end) } else { end };
        segments.push(Segment {
            start: at,
            end: next,
        });
        at = next;
    }
    segments
}

/// Maximum number of buckets: a year and a month of days, six hours of minutes.
const MAX_SEGMENTS: usize = 402;

/// Returns the zone whose days are shown. A long period of a zone whose days do not begin with an hour of UTC is shown in
/// days of UTC, since each local day is a query.
fn zone_of_buckets(
    zone: &Zone,
    bucket: Bucket,
    (start, end): (UnixTime, UnixTime),
) -> (Zone, Option<String>) {
    let days = usize::try_from((end.0 - start.0) / SECONDS_PER_DAY).unwrap_or(usize::MAX);
    if zone.is_utc() || bucket != Bucket::Day || days <= MAX_SINGLE_QUERIES {
        return (zone.clone(), None);
    }
    let remark =
        format!("Days of a period of more than {MAX_SINGLE_QUERIES} days are days in UTC.");
    (Zone::default(), Some(remark))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-12-01T09:05:00Z, a Tuesday.
    const NOW: UnixTime = UnixTime(1_796_115_900);

    fn read(range: &str, zone: &str) -> Period {
        let zone = Zone::find(zone).expect("a zone");
        Period::read(
            &PeriodWords {
                range,
                ..PeriodWords::default()
            },
            NOW,
            &zone,
        )
    }

    fn custom_period(from: &str, to: &str, bucket: &str, zone: &str) -> Period {
        let words = PeriodWords {
            range: "custom",
            from,
            to,
            bucket,
        };
        Period::read(&words, NOW, &Zone::find(zone).expect("a zone"))
    }

    /// Presets, each with a zone, the labels of its first and last bucket, the number of buckets and their width.
    const PRESETS: [(&str, &str, &str, &str, usize, Bucket); 9] = [
        (
            "1h",
            "UTC",
            "1 Dec, 08:06",
            "1 Dec, 09:05",
            60,
            Bucket::Minute,
        ),
        (
            "24h",
            "Europe/Berlin",
            "30 Nov, 11:00",
            "1 Dec, 10:00",
            24,
            Bucket::Hour,
        ),
        ("7d", "UTC", "25 Nov 2026", "1 Dec 2026", 7, Bucket::Day),
        (
            "30d",
            "Europe/Berlin",
            "2 Nov 2026",
            "1 Dec 2026",
            30,
            Bucket::Day,
        ),
        ("", "UTC", "2 Nov 2026", "1 Dec 2026", 30, Bucket::Day),
        (
            "nonsense",
            "UTC",
            "2 Nov 2026",
            "1 Dec 2026",
            30,
            Bucket::Day,
        ),
        ("month", "UTC", "1 Dec 2026", "1 Dec 2026", 24, Bucket::Hour),
        (
            "last_month",
            "America/New_York",
            "1 Nov 2026",
            "30 Nov 2026",
            30,
            Bucket::Day,
        ),
        ("365d", "UTC", "2 Dec 2025", "1 Dec 2026", 365, Bucket::Day),
    ];

    #[test]
    fn presets_end_with_the_current_bucket_of_the_zone() {
        for (range, zone, first, last, count, bucket) in PRESETS {
            let period = read(range, zone);
            assert_eq!(period.bucket, bucket, "{range}");
            assert_eq!(period.segments.len(), count, "{range}");
            let label = |segment: Option<&Segment>| period.label(*segment.expect("a bucket"));
            let (begin, end) = (
                label(period.segments.first()),
                label(period.segments.last()),
            );
            let whole = if bucket == Bucket::Hour && range == "month" {
                (begin.starts_with("1 Dec"), end.starts_with("1 Dec"))
            } else {
                (begin == first, end == last)
            };
            assert_eq!(whole, (true, true), "{range}: {begin} to {end}");
            assert!(
                period.position(NOW).is_some() || range == "last_month",
                "{range}"
            );
        }
    }

    #[test]
    fn days_follow_the_clocks_of_the_zone() {
        // The clocks of New York go back on 1 November: that day has 25 hours.
        let period = custom_period("2026-10-31", "2026-11-03", "1d", "America/New_York");
        let hours: Vec<i64> = period
            .segments
            .iter()
            .map(|segment| (segment.end.0 - segment.start.0) / SECONDS_PER_HOUR)
            .collect();
        assert_eq!(hours, [24, 25, 24]);
    }

    #[test]
    fn queries_have_the_width_that_fits_the_zone() {
        let single = |period: &Period, has_hours| {
            let queries = period.queries(has_hours);
            (
                queries.len(),
                queries[0].width,
                queries[0].segment.is_some(),
            )
        };
        let utc = read("7d", "UTC");
        assert_eq!(single(&utc, true), (1, Bucket::Day, false));
        let berlin = read("7d", "Europe/Berlin");
        assert_eq!(single(&berlin, true), (1, Bucket::Hour, false));
        assert_eq!(
            single(&berlin, false),
            (7, Bucket::Day, true),
            "costs know days only"
        );
        let kolkata = read("7d", "Asia/Kolkata");
        assert_eq!(
            single(&kolkata, true),
            (7, Bucket::Day, true),
            "half an hour"
        );
        let long = read("365d", "Asia/Kolkata");
        assert_eq!(single(&long, true), (1, Bucket::Day, false));
        assert!(long.remarks[0].contains("UTC"), "{:?}", long.remarks);
    }

    #[test]
    fn the_period_before_has_as_many_buckets_and_ends_where_this_one_begins() {
        for (range, zone) in [
            ("1h", "UTC"),
            ("24h", "UTC"),
            ("30d", "America/New_York"),
            ("last_month", "UTC"),
        ] {
            let period = read(range, zone);
            let before = period.before();
            assert_eq!(before.segments.len(), period.segments.len(), "{range}");
            assert_eq!(before.end(), period.start(), "{range}");
        }
    }

    #[test]
    fn bad_times_are_replaced_and_said() {
        for (from, to) in [
            ("x", ""),
            ("2026-11-01", "x"),
            ("2026-11-02", "2026-11-01"),
            ("1900-01-01", "1900-01-02"),
            ("2020-01-01", "2026-11-01"),
            ("9999-12-31", ""),
        ] {
            let period = custom_period(from, to, "", "UTC");
            assert_eq!(period.preset, Preset::Days30, "{from} {to}");
            assert_eq!(period.remarks.len(), 1, "{from} {to}");
        }
        let fine = custom_period("2026-01-01", "2026-03-01", "1m", "UTC");
        assert_eq!(fine.bucket, Bucket::Day);
        assert!(fine.remarks[0].contains("6 hours"), "{:?}", fine.remarks);
        let end = custom_period("9999-12-28", "9999-12-29", "1d", "UTC");
        assert!(end.segments.len() <= 2);
    }
}
