//! What is asked of a report: usage and costs alike.

use std::collections::HashMap;
use std::sync::Arc;

use base::ids::OrganizationId;

use super::catalog::{Known, Named};
use crate::Dimension;
use crate::series::About;
use crate::sums::Detail;

/// A question, but for its span of time.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) organization: OrganizationId,
    pub(crate) about: About,
    /// What to group by. Of costs, the model is the line item.
    pub(crate) group_by: Vec<Dimension>,
    /// For each dimension given, the values that count. No series has the empty one, which stands for none.
    pub(crate) filters: Vec<(Dimension, Vec<String>)>,
    /// The columns of the sums that are wanted.
    pub(crate) columns: Vec<usize>,
}

/// The group that a series belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The one with this number.
    Group(u32),
    /// None: it does not count.
    Out,
}

/// The groups of a question, and which series belongs to which.
pub(crate) struct Groups {
    /// By the number of the series; `None` of what was not known when it was asked.
    places: Vec<Option<Place>>,
    /// The values of each group, in the order of the question's dimensions.
    pub(crate) values: Vec<Vec<Option<Arc<str>>>>,
}

impl Question {
    /// How much must be told apart to answer it.
    pub(crate) fn detail(&self) -> Detail {
        let filtered = self.filters.iter().map(|(dimension, _)| *dimension);
        let needed = filtered
            .chain(self.group_by.iter().copied())
            .map(Detail::of);
        needed.max().unwrap_or(Detail::Model)
    }

    /// Sorts the series that are known into groups.
    pub(crate) fn groups(&self, known: &Known) -> Groups {
        let wanted = |(dimension, values): &(Dimension, Vec<String>)| {
            let values = values.iter().filter(|value| !value.is_empty());
            let numbers = values.filter_map(|value| known.number(value)).collect();
            (*dimension, numbers)
        };
        let filters: Vec<(Dimension, Vec<u32>)> = self.filters.iter().map(wanted).collect();
        let counts = |series: &Named| {
            let passes = |(dimension, wanted): &(Dimension, Vec<u32>)| {
                wanted.contains(&series.values[*dimension as usize])
            };
            series.about == self.about && filters.iter().all(passes)
        };
        let mut places = Vec::new();
        let mut groups: HashMap<Vec<u32>, u32> = HashMap::new();
        let mut values = Vec::new();
        let mut key = Vec::with_capacity(self.group_by.len());
        for series in &known.series {
            let index = usize::try_from(series.id).unwrap_or_default();
            places.resize(places.len().max(index + 1), None);
            places[index] = Some(Place::Out);
            if counts(series) {
                key.clear();
                key.extend(self.group_by.iter().map(|by| series.values[*by as usize]));
                let group = groups.get(&key).copied().unwrap_or_else(|| {
                    let group = u32::try_from(values.len()).unwrap_or(u32::MAX);
                    values.push(key.iter().map(|text| value(known.text(*text))).collect());
                    groups.insert(key.clone(), group);
                    group
                });
                places[index] = Some(Place::Group(group));
            }
        }
        Groups { places, values }
    }
}

fn value(text: &Arc<str>) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| Arc::clone(text))
}

impl Groups {
    /// Those of an organization that has never used anything.
    pub(crate) fn none() -> Self {
        Self {
            places: Vec::new(),
            values: Vec::new(),
        }
    }

    /// The place of a series, if it is known.
    pub(crate) fn place(&self, series: i64) -> Option<Place> {
        let index = usize::try_from(series).ok()?;
        *self.places.get(index)?
    }
}
