//! Combinations of dimensions, each with a number, so that the ledger and its sums need no more than that.

use std::hash::{Hash, Hasher};

use hashbrown::Equivalent;
use store::{Result, Row, Statement, Value, sql};

use crate::sums::Detail;
use crate::{Dimension, ItemName, Kind, LineItem, UsageEvent};

/// What the sums of a series are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum About {
    /// What a report counts.
    Usage(Kind),
    /// The bills; `model` is the line item.
    Costs,
}

const COSTS: &str = "costs";

impl About {
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
        Kind::parse(name).map(Self::Usage)
    }
}

/// A combination of dimensions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    /// The organization's number.
    pub(crate) organization: i64,
    pub(crate) about: About,
    /// In the order of [`Dimension::ALL`]; empty where one does not apply, `true` or `false` for `batch`.
    pub(crate) values: [String; Dimension::ALL.len()],
}

/// That of an event, to be looked for.
#[derive(Clone, Copy)]
pub(crate) struct SeriesOf<'a> {
    pub(crate) organization: i64,
    pub(crate) event: &'a UsageEvent,
}

impl SeriesOf<'_> {
    fn value(&self, dimension: Dimension) -> &str {
        self.event.dimension(dimension).unwrap_or_default()
    }

    pub(crate) fn to_series(self) -> Series {
        let values = std::array::from_fn(|index| self.value(Dimension::ALL[index]).to_owned());
        Series {
            organization: self.organization,
            about: About::Usage(self.event.kind),
            values,
        }
    }
}

fn hash<'a, H: Hasher>(
    organization: i64,
    about: About,
    values: impl Iterator<Item = &'a str>,
    state: &mut H,
) {
    (organization, about).hash(state);
    for value in values {
        value.hash(state);
    }
}

impl Hash for Series {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let values = self.values.iter().map(String::as_str);
        hash(self.organization, self.about, values, state);
    }
}

impl Hash for SeriesOf<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let values = Dimension::ALL
            .iter()
            .map(|dimension| self.value(*dimension));
        hash(
            self.organization,
            About::Usage(self.event.kind),
            values,
            state,
        );
    }
}

impl Equivalent<Series> for SeriesOf<'_> {
    fn equivalent(&self, series: &Series) -> bool {
        let mut values = series.values.iter().zip(Dimension::ALL);
        self.organization == series.organization
            && About::Usage(self.event.kind) == series.about
            && values.all(|(value, dimension)| value == self.value(*dimension))
    }
}

impl Series {
    /// The columns of `usage_series`, but for `id`.
    pub(crate) fn push_columns(statement: &mut Statement) {
        statement.push("organization, kind");
        for dimension in Dimension::ALL {
            statement.push(", ").push(dimension.as_str());
        }
    }

    pub(crate) fn read(row: &Row<'_>) -> Result<Self> {
        let (organization, about) = (row.get("organization")?, row.word("kind", About::parse)?);
        let mut values = [const { String::new() }; Dimension::ALL.len()];
        for (text, dimension) in values.iter_mut().zip(Dimension::ALL) {
            *text = match dimension {
                Dimension::Batch => row.get::<bool>("batch")?.to_string(),
                dimension => row.get(dimension.as_str())?,
            };
        }
        Ok(Self {
            organization,
            about,
            values,
        })
    }

    pub(crate) fn row(&self) -> Vec<Value> {
        let own = [self.organization.into(), self.about.as_str().into()];
        let value = |(text, dimension): (&String, &Dimension)| match dimension {
            Dimension::Batch => Value::Boolean(text == "true"),
            _ => text.as_str().into(),
        };
        let values = self.values.iter().zip(Dimension::ALL).map(value);
        own.into_iter().chain(values).collect()
    }

    /// That of the costs of a line of its bills: what costs are grouped by, and the line item as `model`.
    pub(crate) fn of_line(&self, name: ItemName) -> Self {
        let value = |dimension: Dimension| &self.values[dimension as usize];
        let model = value(Dimension::Model);
        let item = LineItem {
            model: (!model.is_empty()).then(|| model.clone()),
            name,
        };
        let values = std::array::from_fn(|index| match Dimension::ALL[index] {
            Dimension::Model => item.to_string(),
            Dimension::Batch => "false".to_owned(),
            dimension @ (Dimension::ProjectId | Dimension::UserId | Dimension::ApiKeyId) => {
                value(dimension).clone()
            }
            _ => String::new(),
        });
        Self {
            about: About::Costs,
            values,
            ..*self
        }
    }

    /// The series that it belongs to where no more than `detail` is told apart.
    pub(crate) fn with(&self, detail: Detail) -> Self {
        let mut series = self.clone();
        for (text, dimension) in series.values.iter_mut().zip(Dimension::ALL) {
            if !detail.has(*dimension) {
                text.clear();
            }
        }
        series
    }
}

/// Selects series with their ids.
pub(crate) fn select() -> Statement {
    let mut select = sql!("SELECT id, ");
    Series::push_columns(&mut select);
    select.push(" FROM usage_series WHERE ");
    select
}
