//! Series: combinations of dimensions, each with a number that stands for it in the ledger and its rollups.

mod fingerprint;
mod interner;

use std::hash::{Hash, Hasher};

use rollup::Granularity;
use store::{Result, Row, Statement, Value, sql};

use crate::{Dimension, ItemName, LineItem, UsageEvent, UsageKind};
pub(crate) use interner::{EventSeries, SeriesInterner};

/// The kind of the numbers of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SeriesKind {
    /// The quantities of a usage report.
    Usage(UsageKind),
    /// The charges; the dimension `model` has the line item.
    Costs,
}

const COSTS: &str = "costs";

impl SeriesKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Usage(kind) => kind.as_str(),
            Self::Costs => COSTS,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        if name == COSTS {
            return Some(Self::Costs);
        }
        UsageKind::parse(name).map(Self::Usage)
    }
}

/// A combination of dimensions, of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    /// The number of the organization.
    pub(crate) organization: i64,
    pub(crate) kind: SeriesKind,
    /// The values in the order of [`Dimension::ALL`]: empty where a dimension does not apply, `true` or `false` for
    /// `batch`. Usage that is unlabeled has an empty `api_source`.
    pub(crate) values: [String; Dimension::ALL.len()],
}

/// The series of an event as a key for lookups, borrowed from the event.
#[derive(Clone, Copy)]
pub(crate) struct EventSeriesKey<'a> {
    pub(crate) organization: i64,
    pub(crate) event: &'a UsageEvent,
}

impl Dimension {
    /// Returns the coarsest granularity that keeps the dimension apart.
    pub(crate) fn granularity(self) -> Granularity {
        match self {
            Self::UserId | Self::ApiKeyId => Granularity::Key,
            Self::ProjectId => Granularity::Project,
            _ => Granularity::Model,
        }
    }
}

impl EventSeriesKey<'_> {
    fn value(&self, dimension: Dimension) -> &str {
        self.event.dimension(dimension).unwrap_or_default()
    }

    pub(crate) fn to_series(self) -> Series {
        let values = std::array::from_fn(|index| self.value(Dimension::ALL[index]).to_owned());
        Series {
            organization: self.organization,
            kind: SeriesKind::Usage(self.event.kind),
            values,
        }
    }
}

fn hash<'a, H: Hasher>(
    organization: i64,
    kind: SeriesKind,
    values: impl Iterator<Item = &'a str>,
    state: &mut H,
) {
    (organization, kind).hash(state);
    for value in values {
        value.hash(state);
    }
}

impl Hash for Series {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let values = self.values.iter().map(String::as_str);
        hash(self.organization, self.kind, values, state);
    }
}

impl Hash for EventSeriesKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let values = Dimension::ALL
            .iter()
            .map(|dimension| self.value(*dimension));
        hash(
            self.organization,
            SeriesKind::Usage(self.event.kind),
            values,
            state,
        );
    }
}

impl Series {
    /// Pushes the columns of `usage_series` other than `id`.
    pub(crate) fn push_columns(statement: &mut Statement) {
        statement.push("organization, kind");
        for dimension in Dimension::ALL {
            statement.push(", ").push(dimension.as_str());
        }
    }

    pub(crate) fn read(row: &Row<'_>) -> Result<Self> {
        let (organization, kind) = (
            row.get("organization")?,
            row.word("kind", SeriesKind::parse)?,
        );
        let mut values = [const { String::new() }; Dimension::ALL.len()];
        for (text, dimension) in values.iter_mut().zip(Dimension::ALL) {
            *text = match dimension {
                Dimension::Batch => row.get::<bool>("batch")?.to_string(),
                dimension => row.get(dimension.as_str())?,
            };
        }
        Ok(Self {
            organization,
            kind,
            values,
        })
    }

    pub(crate) fn row(&self) -> Vec<Value> {
        let own = [self.organization.into(), self.kind.as_str().into()];
        let value = |(text, dimension): (&String, &Dimension)| match dimension {
            Dimension::Batch => Value::Boolean(text == "true"),
            _ => text.as_str().into(),
        };
        let values = self.values.iter().zip(Dimension::ALL).map(value);
        own.into_iter().chain(values).collect()
    }

    /// Appends the condition that only this series meets.
    pub(crate) fn push_equals(&self, statement: &mut Statement) {
        let names = ["organization", "kind"];
        let names = names
            .into_iter()
            .chain(Dimension::ALL.iter().map(|by| by.as_str()));
        for (index, (name, value)) in names.zip(self.row()).enumerate() {
            statement.push(if index == 0 { "" } else { " AND " });
            statement.push(name).push(" = ").bind(value);
        }
    }

    /// Returns the series of the costs of a charge: with the dimensions that costs are grouped by, and the line item as
    /// `model`.
    pub(crate) fn of_charge(&self, name: ItemName) -> Self {
        let value = |dimension: Dimension| &self.values[dimension as usize];
        let model = value(Dimension::Model);
        let item = LineItem {
            model: (!model.is_empty()).then(|| model.clone()),
            name,
        };
        let values = std::array::from_fn(|index| match Dimension::ALL[index] {
            Dimension::Model => item.to_string(),
            Dimension::Batch => "false".to_owned(),
            dimension @ (Dimension::ProjectId
            | Dimension::UserId
            | Dimension::ApiKeyId
            | Dimension::ApiSource) => value(dimension).clone(),
            _ => String::new(),
        });
        Self {
            kind: SeriesKind::Costs,
            values,
            ..*self
        }
    }

    /// Returns the series that this one is part of at `granularity`.
    pub(crate) fn coarsened(&self, granularity: Granularity) -> Self {
        let mut series = self.clone();
        for (text, dimension) in series.values.iter_mut().zip(Dimension::ALL) {
            if dimension.granularity() > granularity {
                text.clear();
            }
        }
        series
    }
}

/// Selects series with their ids; the caller adds the condition.
pub(crate) fn select() -> Statement {
    let mut select = sql!("SELECT id, ");
    Series::push_columns(&mut select);
    select.push(" FROM usage_series WHERE ");
    select
}
