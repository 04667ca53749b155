//! Which sums there are: by what width, and by which dimensions.

use base::UnixTime;
use base::names;
use base::time::{DAY, MINUTE};

use crate::{Dimension, Width};

/// How many seconds of buckets of a day share a block.
const DAYS_TOGETHER: i64 = 32 * DAY;

/// How much a sum tells apart. Whatever is not about who consumed, each does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Detail {
    /// Models.
    Model,
    /// Projects too.
    Project,
    /// Users and keys too.
    Key,
}

impl Detail {
    /// What is needed to tell `dimension` apart.
    pub(crate) fn of(dimension: Dimension) -> Self {
        match dimension {
            Dimension::UserId | Dimension::ApiKeyId => Self::Key,
            Dimension::ProjectId => Self::Project,
            _ => Self::Model,
        }
    }

    /// Whether `dimension` is told apart.
    pub(crate) fn has(self, dimension: Dimension) -> bool {
        Self::of(dimension) <= self
    }
}

/// A set of sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Shape {
    /// What was added lately, by the minute: all other sums lack it.
    New,
    Minutes,
    MinutesByModel,
    Hours,
    HoursByProject,
    Days,
    DaysByProject,
    DaysByModel,
}

names! { Shape {
    New = "new",
    Minutes = "minutes",
    MinutesByModel = "minutes_by_model",
    Hours = "hours",
    HoursByProject = "hours_by_project",
    Days = "days",
    DaysByProject = "days_by_project",
    DaysByModel = "days_by_model",
}}

impl Shape {
    /// All that rows move on to from [`Self::New`].
    pub(crate) fn derived() -> impl Iterator<Item = Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(|shape| *shape != Self::New)
    }

    /// The one whose rows are added up to make this one's: it comes before it.
    pub(crate) fn made_of(self) -> Self {
        match self {
            Self::New | Self::Minutes => Self::New,
            Self::MinutesByModel | Self::Hours => Self::Minutes,
            Self::HoursByProject | Self::Days => Self::Hours,
            Self::DaysByProject => Self::Days,
            Self::DaysByModel => Self::DaysByProject,
        }
    }

    /// The smallest that tells apart what `detail` does, by `width`, and has costs if they are asked for.
    pub(crate) fn that_has(width: Width, detail: Detail, costs: bool) -> Self {
        match (width, detail) {
            (Width::Minute, Detail::Model) if !costs => Self::MinutesByModel,
            (Width::Minute, _) => Self::Minutes,
            (Width::Hour, Detail::Key) => Self::Hours,
            (Width::Hour, _) => Self::HoursByProject,
            (Width::Day, Detail::Key) => Self::Days,
            (Width::Day, Detail::Project) => Self::DaysByProject,
            (Width::Day, Detail::Model) => Self::DaysByModel,
        }
    }

    /// How long its buckets are.
    pub(crate) fn width(self) -> Width {
        match self {
            Self::New | Self::Minutes | Self::MinutesByModel => Width::Minute,
            Self::Hours | Self::HoursByProject => Width::Hour,
            Self::Days | Self::DaysByProject | Self::DaysByModel => Width::Day,
        }
    }

    /// How much it tells apart.
    pub(crate) fn detail(self) -> Detail {
        match self {
            Self::New | Self::Minutes | Self::Hours | Self::Days => Detail::Key,
            Self::HoursByProject | Self::DaysByProject => Detail::Project,
            Self::MinutesByModel | Self::DaysByModel => Detail::Model,
        }
    }

    /// Whether it has costs: those of a minute are asked for at the edges of a range only, which is seldom.
    pub(crate) fn has_costs(self) -> bool {
        self != Self::MinutesByModel
    }

    /// The first second of the span whose buckets share a block.
    pub(crate) fn period(self, bucket: i64) -> i64 {
        match self.width() {
            _ if self == Self::New => 0,
            Width::Minute | Width::Hour => UnixTime(bucket).floor(DAY).0,
            Width::Day => UnixTime(bucket).floor(DAYS_TOGETHER).0,
        }
    }
}

/// The bucket by the minute that a moment lies in.
pub(crate) fn minute_of(time: UnixTime) -> UnixTime {
    time.floor(MINUTE)
}
