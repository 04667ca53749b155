//! The rollups: each has a width of its buckets and a granularity of its series, and is added up from a finer one.

use base::UnixTime;
use base::names;
use base::time::{SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE};

/// The length of the span whose buckets of a day share a block.
const DAYS_PERIOD_SECONDS: i64 = 32 * SECONDS_PER_DAY;

/// The width of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A UTC day.
    Day,
}

impl Width {
    /// Returns the width named `1m`, `1h` or `1d`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "1m" => Some(Self::Minute),
            "1h" => Some(Self::Hour),
            "1d" => Some(Self::Day),
            _ => None,
        }
    }

    /// Returns the width in seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Minute => SECONDS_PER_MINUTE,
            Self::Hour => SECONDS_PER_HOUR,
            Self::Day => SECONDS_PER_DAY,
        }
    }
}

/// The dimensions that the series of a rollup keep apart, coarsest first. Dimensions other than those of the consumer are
/// kept apart by every granularity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Granularity {
    /// By model; projects, users and keys are added together.
    Model,
    /// By project, too.
    Project,
    /// By user and key, too.
    Key,
}

names! {
    /// A rollup: the sums of all series at one width and granularity.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[expect(missing_docs, reason = "the names say it")]
    pub enum Rollup {
        /// Rows by the minute that were added lately and are in no other rollup yet.
        New = "new",
        Minutes = "minutes",
        MinutesByModel = "minutes_by_model",
        Hours = "hours",
        HoursByProject = "hours_by_project",
        Days = "days",
        DaysByProject = "days_by_project",
        DaysByModel = "days_by_model",
    }
}

impl Rollup {
    /// Returns all rollups but [`Self::New`], each after its [`parent`](Self::parent).
    pub fn derived() -> impl Iterator<Item = Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(|rollup| *rollup != Self::New)
    }

    /// Returns the finer rollup whose rows are added up to make this one's.
    #[must_use]
    pub fn parent(self) -> Self {
        match self {
            Self::New | Self::Minutes => Self::New,
            Self::MinutesByModel | Self::Hours => Self::Minutes,
            Self::HoursByProject | Self::Days => Self::Hours,
            Self::DaysByProject => Self::Days,
            Self::DaysByModel => Self::DaysByProject,
        }
    }

    /// Returns the smallest rollup with buckets of `width` and at least this granularity, which has costs if `has_costs`.
    #[must_use]
    pub fn smallest(width: Width, granularity: Granularity, has_costs: bool) -> Self {
        match (width, granularity) {
            (Width::Minute, Granularity::Model) if !has_costs => Self::MinutesByModel,
            (Width::Minute, _) => Self::Minutes,
            (Width::Hour, Granularity::Key) => Self::Hours,
            (Width::Hour, _) => Self::HoursByProject,
            (Width::Day, Granularity::Key) => Self::Days,
            (Width::Day, Granularity::Project) => Self::DaysByProject,
            (Width::Day, Granularity::Model) => Self::DaysByModel,
        }
    }

    /// Returns the width of its buckets.
    #[must_use]
    pub fn width(self) -> Width {
        match self {
            Self::New | Self::Minutes | Self::MinutesByModel => Width::Minute,
            Self::Hours | Self::HoursByProject => Width::Hour,
            Self::Days | Self::DaysByProject | Self::DaysByModel => Width::Day,
        }
    }

    /// Returns the granularity of its series.
    #[must_use]
    pub fn granularity(self) -> Granularity {
        match self {
            Self::New | Self::Minutes | Self::Hours | Self::Days => Granularity::Key,
            Self::HoursByProject | Self::DaysByProject => Granularity::Project,
            Self::MinutesByModel | Self::DaysByModel => Granularity::Model,
        }
    }

    /// True if the rollup has costs. Costs by the minute are read only at the edges of a range, so they are not kept by
    /// model.
    #[must_use]
    pub fn has_costs(self) -> bool {
        self != Self::MinutesByModel
    }

    /// Returns the first second of the span whose buckets share blocks with `bucket`.
    #[must_use]
    pub fn period(self, bucket: i64) -> i64 {
        match self.width() {
            _ if self == Self::New => 0,
            Width::Minute | Width::Hour => UnixTime(bucket).floor(SECONDS_PER_DAY).0,
            Width::Day => UnixTime(bucket).floor(DAYS_PERIOD_SECONDS).0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_comes_first_and_is_at_least_as_fine() {
        let mut seen = vec![Rollup::New];
        for rollup in Rollup::derived() {
            let parent = rollup.parent();
            assert!(seen.contains(&parent), "{rollup:?}");
            assert!(parent.width() <= rollup.width(), "{rollup:?}");
            assert!(parent.granularity() >= rollup.granularity(), "{rollup:?}");
            assert!(parent.has_costs() || !rollup.has_costs(), "{rollup:?}");
            seen.push(rollup);
        }
    }

    #[test]
    fn the_smallest_rollup_has_what_was_asked_for() {
        for width in [Width::Minute, Width::Hour, Width::Day] {
            for granularity in [Granularity::Model, Granularity::Project, Granularity::Key] {
                for has_costs in [false, true] {
                    let rollup = Rollup::smallest(width, granularity, has_costs);
                    assert_eq!(rollup.width(), width);
                    assert!(rollup.granularity() >= granularity);
                    assert!(rollup.has_costs() || !has_costs);
                }
            }
        }
    }
}
