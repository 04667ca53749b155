//! `[usage]`: retention of the ledger and its rollups, and the maximum age of reported events.

use ::usage::{DEFAULT_MAX_EVENT_AGE_DAYS, FEWEST_DAYS, Keep};
use anyhow::ensure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Retention of the ledger and its rollups, the same on every node. Each at least 62 days and at least the one before.
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageTable {
    /// Retention of ledger rows, in days.
    #[schemars(extend("x-default" = "unlimited"))]
    keep_events_days: Option<u32>,
    /// Retention of rollups by minute, in days.
    #[schemars(extend("x-default" = "unlimited"))]
    keep_minutes_days: Option<u32>,
    /// Retention of rollups by hour, in days.
    #[schemars(extend("x-default" = "unlimited"))]
    keep_hours_days: Option<u32>,
    /// Retention of rollups by day, in days.
    #[schemars(extend("x-default" = "unlimited"))]
    keep_days_days: Option<u32>,
    /// Maximum age of reported events, in days; at least 1.
    #[schemars(extend("x-default" = "400"))]
    max_event_age_days: Option<u32>,
}

impl UsageTable {
    pub(super) fn shown(keep: Keep) -> Self {
        Self {
            keep_events_days: keep.events,
            keep_minutes_days: keep.minutes,
            keep_hours_days: keep.hours,
            keep_days_days: keep.days,
            max_event_age_days: Some(keep.max_event_age_days),
        }
    }

    /// Validates the retention: coarser rollups can be computed from finer ones, not the other way round.
    pub(super) fn keep(&self) -> anyhow::Result<Keep> {
        let all = [
            ("keep_events_days", self.keep_events_days),
            ("keep_minutes_days", self.keep_minutes_days),
            ("keep_hours_days", self.keep_hours_days),
            ("keep_days_days", self.keep_days_days),
        ];
        for (name, days) in all {
            ensure!(
                days.is_none_or(|days| days >= FEWEST_DAYS),
                "[usage] {name} must be at least {FEWEST_DAYS}"
            );
        }
        for [(fine, of_fine), (coarse, of_coarse)] in all.array_windows() {
            let for_ever = u32::MAX;
            ensure!(
                of_fine.unwrap_or(for_ever) <= of_coarse.unwrap_or(for_ever),
                "[usage] {coarse} must be at least as long as {fine}, which is for ever where it is not set"
            );
        }
        let max_event_age_days = self
            .max_event_age_days
            .unwrap_or(DEFAULT_MAX_EVENT_AGE_DAYS);
        ensure!(
            max_event_age_days >= 1,
            "[usage] max_event_age_days must be at least 1"
        );
        Ok(Keep {
            max_event_age_days,
            events: self.keep_events_days,
            minutes: self.keep_minutes_days,
            hours: self.keep_hours_days,
            days: self.keep_days_days,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarser_sums_are_kept_at_least_as_long_as_finer_ones() {
        let keep = |text: &str| toml::from_str::<UsageTable>(text).expect("a table").keep();
        assert_eq!(keep("").expect("for ever"), Keep::default());
        let all = "keep_events_days = 62\nkeep_minutes_days = 90\nkeep_hours_days = 90\nkeep_days_days = 800";
        let kept = keep(all).expect("possible");
        assert_eq!((kept.events, kept.days), (Some(62), Some(800)));
        for (text, wrong) in [
            (
                "max_event_age_days = 0",
                "max_event_age_days must be at least 1",
            ),
            (
                "keep_events_days = 61",
                "keep_events_days must be at least 62",
            ),
            (
                "keep_hours_days = 90",
                "keep_hours_days must be at least as long as keep_minutes_days",
            ),
            (
                "keep_events_days = 91\nkeep_minutes_days = 90",
                "keep_minutes_days must be at least as long as keep_events_days",
            ),
        ] {
            let error = keep(text).expect_err(text).to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
