//! The series of one organization, as whoever verifies it knows them. Nothing is added to the database.

use std::collections::HashMap;
use std::sync::Arc;

use store::{Connection, Result, Row};

use crate::series::{About, Series, select};
use crate::sums::{Detail, Shape};
use crate::{Dimension, ItemName};

/// The series that are in the database, and those that should be: these have numbers below 0.
#[derive(Default)]
pub(super) struct Names {
    series: HashMap<i64, Arc<Series>>,
    numbers: HashMap<Arc<Series>, i64>,
    lines: HashMap<(i64, ItemName), i64>,
    wider: HashMap<(i64, Detail), i64>,
}

impl Names {
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

    /// The series of a line's costs; none where that of its usage is unknown.
    pub(super) fn line(&mut self, series: i64, name: ItemName) -> Option<i64> {
        if let Some(number) = self.lines.get(&(series, name)) {
            return Some(*number);
        }
        let of_line = self.get(series)?.of_line(name);
        let number = self.number(of_line);
        self.lines.insert((series, name), number);
        Some(number)
    }

    /// The series that rows of a series belong to in a shape; none where it has no such rows.
    pub(super) fn place(&mut self, shape: Shape, series: i64) -> Option<i64> {
        let Some(of) = self.get(series) else {
            return Some(series);
        };
        if of.about == About::Costs && !shape.has_costs() {
            return None;
        }
        let detail = shape.detail();
        if let Some(number) = self.wider.get(&(series, detail)) {
            return Some(*number);
        }
        let wider = of.with(detail);
        let number = self.number(wider);
        self.wider.insert((series, detail), number);
        Some(number)
    }

    /// For people: `completions, project_id proj_a, model m`.
    pub(super) fn describe(&self, number: i64) -> String {
        let Some(series) = self.get(number) else {
            return format!("series {number}, which is unknown");
        };
        let mut text = series.about.as_str().to_owned();
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
