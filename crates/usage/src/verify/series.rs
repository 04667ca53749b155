//! The series of an organization during verification. Nothing is written to the database.

use std::collections::HashMap;
use std::sync::Arc;

use store::{Connection, Result, Row};

use crate::series::{Series, SeriesKind, select};
use crate::{Dimension, ItemName};
use rollup::{Granularity, Rollup};

/// The series that are in the database, and those that should be, which have negative numbers.
#[derive(Default)]
pub(super) struct SeriesNames {
    series: HashMap<i64, Arc<Series>>,
    numbers: HashMap<Arc<Series>, i64>,
    charges: HashMap<(i64, ItemName), i64>,
    parents: HashMap<(i64, Granularity), i64>,
}

impl SeriesNames {
    pub(super) async fn of(connection: &mut Connection, organization: i64) -> Result<Self> {
        let mut all = select();
        all.push("organization = ").bind(organization);
        let read = |row: &Row<'_>| Ok((row.get::<i64>("id")?, Series::read(row)?));
        let mut names = Self::default();
        for (number, series) in connection.fetch_all(all, read).await? {
            names.add(number, series);
        }
        Ok(names)
    }

    fn add(&mut self, number: i64, series: Series) {
        let series = Arc::new(series);
        self.series.insert(number, Arc::clone(&series));
        self.numbers.insert(series, number);
    }

    pub(super) fn get(&self, series: i64) -> Option<&Series> {
        self.series.get(&series).map(Arc::as_ref)
    }

    fn number(&mut self, series: Series) -> i64 {
        if let Some(number) = self.numbers.get(&series) {
            return *number;
        }
        let number = -1 - i64::try_from(self.numbers.len()).unwrap_or(i64::MAX);
        self.add(number, series);
        number
    }

    /// Returns the series of the costs of a charge; `None` if the series of the usage is unknown.
    pub(super) fn charge(&mut self, series: i64, name: ItemName) -> Option<i64> {
        if let Some(number) = self.charges.get(&(series, name)) {
            return Some(*number);
        }
        let of_charge = self.get(series)?.of_charge(name);
        let number = self.number(of_charge);
        self.charges.insert((series, name), number);
        Some(number)
    }

    /// Returns the series that stands for a series in a rollup; `None` if the rollup does not have it.
    pub(super) fn in_rollup(&mut self, rollup: Rollup, series: i64) -> Option<i64> {
        let Some(of) = self.get(series) else {
            return Some(series);
        };
        if of.kind == SeriesKind::Costs && !rollup.has_costs() {
            return None;
        }
        let granularity = rollup.granularity();
        if let Some(number) = self.parents.get(&(series, granularity)) {
            return Some(*number);
        }
        let parent = of.coarsened(granularity);
        let number = self.number(parent);
        self.parents.insert((series, granularity), number);
        Some(number)
    }

    /// Describes a series for people: `completions, project_id proj_a, model m`.
    pub(super) fn describe(&self, number: i64) -> String {
        let Some(series) = self.get(number) else {
            return format!("series {number}, which is unknown");
        };
        let mut text = series.kind.as_str().to_owned();
        for (value, dimension) in series.values.iter().zip(Dimension::ALL) {
            let is_there = match dimension {
                Dimension::Batch => value == "true",
                _ => !value.is_empty(),
            };
            if is_there {
                text += &format!(", {} {value}", dimension.as_str());
            }
        }
        text
    }
}
