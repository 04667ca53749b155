//! Time windows of reports, and their paging.

use ::usage::Width;
use base::{Error, Result, UnixTime};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Deserialize;

/// Width of a bucket.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) enum BucketWidth {
    /// A minute.
    #[serde(rename = "1m")]
    Minute,
    /// An hour.
    #[serde(rename = "1h")]
    Hour,
    /// A day in UTC.
    #[default]
    #[serde(rename = "1d")]
    Day,
}

impl BucketWidth {
    fn width(self) -> Width {
        match self {
            Self::Minute => Width::Minute,
            Self::Hour => Width::Hour,
            Self::Day => Width::Day,
        }
    }

    /// Returns the default and the maximum number of buckets on a page.
    fn limits(self) -> (i64, i64) {
        match self {
            Self::Minute => (60, 1440),
            Self::Hour => (24, 168),
            Self::Day => (7, 31),
        }
    }
}

/// A period that is divided into buckets.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) start: UnixTime,
    pub(super) end: UnixTime,
    pub(super) width: Width,
    pub(super) limit: i64,
}

/// The end of the year 9999. Larger numbers are probably milliseconds.
pub(super) const MAX_TIME_SECONDS: i64 = 253_402_300_799;

impl Window {
    /// Validates the parameters of a report.
    ///
    /// # Errors
    /// 400 naming the invalid parameter.
    pub(super) fn new(
        start_time: i64,
        end_time: Option<i64>,
        bucket_width: BucketWidth,
        limit: Option<i64>,
        page: Option<String>,
        now: UnixTime,
    ) -> Result<Self> {
        Self::with_limits(
            start_time,
            end_time,
            bucket_width.width(),
            bucket_width.limits(),
            limit,
            page,
            now,
        )
    }

    /// Validates the parameters of a costs report, whose buckets are days.
    ///
    /// # Errors
    /// 400 naming the invalid parameter.
    pub(super) fn of_days(
        start_time: i64,
        end_time: Option<i64>,
        limit: Option<i64>,
        page: Option<String>,
        now: UnixTime,
    ) -> Result<Self> {
        Self::with_limits(start_time, end_time, Width::Day, (7, 180), limit, page, now)
    }

    fn with_limits(
        start_time: i64,
        end_time: Option<i64>,
        width: Width,
        (default, most): (i64, i64),
        limit: Option<i64>,
        page: Option<String>,
        now: UnixTime,
    ) -> Result<Self> {
        let limit = limit.unwrap_or(default);
        if !(1..=most).contains(&limit) {
            return Err(Error::invalid(
                "limit",
                format!("limit must be 1 to {most} with this bucket_width."),
            ));
        }
        if !(0..=MAX_TIME_SECONDS).contains(&start_time) {
            let message =
                "start_time must be in seconds since 1970, not in milliseconds and not negative.";
            return Err(Error::invalid("start_time", message));
        }
        let end = end_time.unwrap_or(now.0 + 1);
        if end_time.is_some() && !(start_time + 1..=MAX_TIME_SECONDS).contains(&end) {
            let message =
                "end_time must be after start_time, in seconds since 1970, not in milliseconds.";
            return Err(Error::invalid("end_time", message));
        }
        let mut window = Self {
            start: UnixTime(start_time),
            end: UnixTime(end),
            width,
            limit,
        };
        if let Some(page) = page {
            window.start = window.resume(&page).ok_or_else(|| {
                Error::invalid(
                    "page",
                    "page must be the next_page of an earlier answer to the same question.",
                )
            })?;
        }
        Ok(window)
    }

    fn resume(&self, page: &str) -> Option<UnixTime> {
        let bytes = URL_SAFE_NO_PAD.decode(page.strip_prefix(PREFIX)?).ok()?;
        let start = UnixTime(i64::from_be_bytes(bytes.try_into().ok()?));
        let fits = start.floor(self.width.seconds()) == start && start > self.start;
        fits.then_some(start)
    }
}

const PREFIX: &str = "page_";

/// Returns the cursor of the page that begins with the bucket at `start`.
pub(super) fn next_page(start: UnixTime) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(start.0.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(
        start: i64,
        end: Option<i64>,
        limit: Option<i64>,
        page: Option<&str>,
    ) -> Result<Window> {
        Window::new(
            start,
            end,
            BucketWidth::Day,
            limit,
            page.map(str::to_owned),
            UnixTime(1_000_000),
        )
    }

    #[test]
    fn a_bad_parameter_is_named() {
        let cases = [
            (window(-1, None, None, None), "start_time"),
            (window(1_700_000_000_000, None, None, None), "start_time"),
            (window(10, Some(10), None, None), "end_time"),
            (window(10, Some(i64::MAX), None, None), "end_time"),
            (window(10, None, Some(0), None), "limit"),
            (window(10, None, Some(32), None), "limit"),
            (window(10, None, None, Some("page_x")), "page"),
            (
                window(10, None, None, Some(&next_page(UnixTime(86_401)))),
                "page",
            ),
        ];
        for (result, param) in cases {
            assert_eq!(result.expect_err(param).param.as_deref(), Some(param));
        }
    }

    #[test]
    fn a_page_goes_on_where_the_last_one_ended() {
        let cursor = next_page(UnixTime(86_400));
        assert_eq!(
            window(10, None, None, Some(&cursor))
                .expect("a window")
                .start,
            UnixTime(86_400)
        );
        assert_eq!(
            window(10, None, None, None).expect("a window").end,
            UnixTime(1_000_001),
            "now is included"
        );
    }
}
