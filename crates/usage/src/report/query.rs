//! Queries of reports, of usage and costs alike, and the groups of their results.

use std::collections::HashMap;
use std::sync::Arc;

use base::ids::OrganizationId;

use super::catalog::{IndexedSeries, SeriesFilter, SeriesIndex};
use super::id_set::IdSet;
use crate::series::SeriesKind;
use crate::{ApiSource, Dimension};
use rollup::Granularity;

/// A query without its span of time.
#[derive(Clone, Debug)]
pub(crate) struct ReportQuery {
    pub(crate) organization: OrganizationId,
    pub(crate) kind: SeriesKind,
    /// The dimensions to group by. In costs, the model is the line item.
    pub(crate) group_by: Vec<Dimension>,
    /// The values that count of each dimension given. The empty value, which stands for a missing one, never counts.
    pub(crate) filters: Vec<(Dimension, Vec<String>)>,
    /// The columns that are returned.
    pub(crate) columns: Vec<usize>,
}

/// The group that a series belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeriesGroup {
    /// The index of the group.
    Group(u32),
    /// The series is excluded by the query.
    Excluded,
}

/// The assignment of a series that is not indexed.
pub(super) const UNKNOWN_ID: u32 = 0;
/// The assignment of a series that is excluded.
pub(super) const EXCLUDED_ID: u32 = 1;
/// The assignment of a series of the first group.
const FIRST_GROUP_ID: u32 = 2;

/// The groups of a query, and the assignment of series to them.
pub(crate) struct Groups {
    /// The assignment by the number of the series.
    of_series: Vec<u32>,
    /// The series that are not indexed and that the query excludes.
    excluded: Arc<IdSet>,
    /// The values of each group, in the order of the query's dimensions.
    pub(crate) values: Vec<Vec<Option<Arc<str>>>>,
}

impl ReportQuery {
    /// Returns the coarsest granularity that keeps the query's dimensions apart.
    pub(crate) fn granularity(&self) -> Granularity {
        let filtered = self.filters.iter().map(|(dimension, _)| *dimension);
        let needed = filtered
            .chain(self.group_by.iter().copied())
            .map(Dimension::granularity);
        needed.max().unwrap_or(Granularity::Model)
    }

    /// Returns the condition by which the query selects series.
    pub(crate) fn filter(&self) -> SeriesFilter {
        SeriesFilter {
            kind: self.kind,
            values: self.filters.clone(),
        }
    }

    /// Assigns the series of an index to groups.
    pub(crate) fn groups(&self, index: &SeriesIndex) -> Groups {
        let wanted = |(dimension, values): &(Dimension, Vec<String>)| {
            let values = values.iter().filter(|value| !value.is_empty());
            let numbers = values.filter_map(|value| index.number(value)).collect();
            (*dimension, numbers)
        };
        let filters: Vec<(Dimension, Vec<u32>)> = self.filters.iter().map(wanted).collect();
        let counts = |series: &IndexedSeries| {
            let passes = |(dimension, wanted): &(Dimension, Vec<u32>)| {
                wanted.contains(&series.values[*dimension as usize])
            };
            filters.iter().all(passes)
        };
        let mut places = index.assignments();
        let mut groups: HashMap<Vec<u32>, u32> = HashMap::new();
        let mut values = Vec::new();
        let mut key = Vec::with_capacity(self.group_by.len());
        for series in index.of_kind(self.kind) {
            if counts(series) {
                key.clear();
                key.extend(self.group_by.iter().map(|by| series.values[*by as usize]));
                let group = groups.get(&key).copied().unwrap_or_else(|| {
                    let group = u32::try_from(values.len()).unwrap_or(u32::MAX);
                    let by = self.group_by.iter().zip(&key);
                    values.push(by.map(|(by, text)| value(*by, index.text(*text))).collect());
                    groups.insert(key.clone(), group);
                    group
                });
                let place = usize::try_from(series.id).unwrap_or_default();
                places[place] = FIRST_GROUP_ID.saturating_add(group);
            }
        }
        Groups {
            of_series: places,
            excluded: index.excluded(&self.filter()),
            values,
        }
    }
}

fn value(dimension: Dimension, text: &Arc<str>) -> Option<Arc<str>> {
    match dimension {
        _ if !text.is_empty() => Some(Arc::clone(text)),
        Dimension::ApiSource => Some(ApiSource::Unlabeled.as_str().into()),
        _ => None,
    }
}

impl Groups {
    /// Returns the groups of an organization that has never used anything.
    pub(crate) fn none() -> Self {
        Self {
            of_series: Vec::new(),
            excluded: Arc::default(),
            values: Vec::new(),
        }
    }

    /// Returns the assignment of a series; `None` if the series is unknown.
    pub(crate) fn of_series(&self, series: i64) -> Option<SeriesGroup> {
        let index = usize::try_from(series).ok()?;
        match self.of_series.get(index).copied().unwrap_or(UNKNOWN_ID) {
            UNKNOWN_ID => (self.excluded.contains(series)).then_some(SeriesGroup::Excluded),
            EXCLUDED_ID => Some(SeriesGroup::Excluded),
            group => Some(SeriesGroup::Group(group - FIRST_GROUP_ID)),
        }
    }
}
