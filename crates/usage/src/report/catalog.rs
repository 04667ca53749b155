//! The series of organizations, cached in memory as reports meet them, so that most reports resolve the number of a series
//! without a query. An organization may have millions, of which a report needs few.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use base::ids::OrganizationId;
use store::{Connection, Read, Result, Row, Statement, Value};

use super::id_set::IdSet;
use super::query::{EXCLUDED_ID, UNKNOWN_ID};
use crate::ledger::read::number_of;
use crate::series::{Series, SeriesKind, select};
use crate::{Dimension, ItemName};

/// The most series of all organizations that are cached, unless one organization alone has more.
const MAX_CACHED_SERIES: usize = 1_000_000;
/// The most series that are looked up by their ids for a report without a filter.
const MAX_LOOKUPS: usize = 100_000;
/// The most series that are looked up by their ids for a report with a filter, which few of them may match.
const MAX_FILTERED_LOOKUPS: usize = 2_000;
/// The most ids that one statement looks up.
const MAX_LOOKUP_IDS: usize = 500;
/// The most series that one statement looks up by their values.
const MAX_LOOKUP_VALUES: usize = 16;
/// The most filters for which excluded series are remembered.
const MAX_EXCLUDING_FILTERS: usize = 16;

/// The series of organizations. Clones share the cache.
#[derive(Clone, Default)]
pub(crate) struct SeriesCatalog(Arc<Mutex<HashMap<OrganizationId, Arc<OrganizationSeries>>>>);

/// The series of one organization that reports have met.
pub(crate) struct OrganizationSeries {
    /// The number of the organization.
    pub(crate) organization: i64,
    index: RwLock<SeriesIndex>,
}

/// An index of series, and of the texts that their dimensions have.
#[derive(Default)]
pub(crate) struct SeriesIndex {
    /// The series of each kind, by id.
    of_kind: HashMap<SeriesKind, Vec<IndexedSeries>>,
    /// The assignment of series of a report that excludes all that are indexed.
    assignments: Vec<u32>,
    /// The series of costs that were looked up by their values.
    costs: HashMap<Values, i64>,
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
    /// The ids of series that are not indexed and that do not match a filter; filters used last come last.
    excluded: Vec<(SeriesFilter, Arc<IdSet>)>,
}

/// The condition by which a query selects series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeriesFilter {
    pub(crate) kind: SeriesKind,
    /// The values that count of each dimension given.
    pub(crate) values: Vec<(Dimension, Vec<String>)>,
}

/// The series that a report has met and that are not indexed.
#[derive(Default)]
pub(crate) struct UnknownSeries {
    pub(crate) ids: IdSet,
    /// Series of usage, and the names of charges whose series of costs are unknown.
    pub(crate) charges: HashSet<(i64, ItemName)>,
}

impl UnknownSeries {
    pub(crate) fn is_empty(&self) -> bool {
        self.ids.len() == 0 && self.charges.is_empty()
    }
}

/// The values of the dimensions of a series, as numbers of texts.
type Values = [u32; Dimension::ALL.len()];

/// A series in the index.
pub(crate) struct IndexedSeries {
    pub(crate) id: i64,
    pub(crate) values: Values,
}

impl SeriesCatalog {
    /// Returns the series of an organization, as far as reports have met them; `None` if it has never used anything.
    pub(crate) async fn of(
        &self,
        connection: &mut Connection,
        organization: &OrganizationId,
    ) -> Result<Option<Arc<OrganizationSeries>>> {
        let known_series = self.lock().get(organization).cloned();
        let known_series = match known_series {
            Some(known_series) => known_series,
            None => {
                let Some(number) = number_of(connection, organization).await? else {
                    return Ok(None);
                };
                self.insert(organization, number)
            }
        };
        Ok(Some(known_series))
    }

    fn insert(&self, organization: &OrganizationId, number: i64) -> Arc<OrganizationSeries> {
        let mut all = self.lock();
        if all
            .values()
            .map(|known_series| known_series.index().len())
            .sum::<usize>()
            > MAX_CACHED_SERIES
        {
            all.clear();
        }
        let known_series = || {
            Arc::new(OrganizationSeries {
                organization: number,
                index: RwLock::default(),
            })
        };
        Arc::clone(all.entry(organization.clone()).or_insert_with(known_series))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<OrganizationId, Arc<OrganizationSeries>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OrganizationSeries {
    pub(crate) fn index(&self) -> RwLockReadGuard<'_, SeriesIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up the series that a report has met: by their ids, or, if they are many, all that match the report's filter,
    /// which excludes the others.
    pub(crate) async fn learn(
        &self,
        mut read: Read,
        filter: &SeriesFilter,
        unknown: UnknownSeries,
    ) -> Result<Read> {
        let max_lookups = match filter.values.is_empty() {
            true => MAX_LOOKUPS,
            false => MAX_FILTERED_LOOKUPS,
        };
        let is_by_id = unknown.ids.len() <= max_lookups;
        let mut statements = Vec::new();
        if is_by_id {
            for ids in unknown.ids.to_vec().chunks(MAX_LOOKUP_IDS) {
                // Without the organization, by whose index SQLite would read all of its series instead.
                let mut by_id = select();
                by_id.push("id IN ").bind_list(ids.iter().copied());
                statements.push(by_id);
            }
        } else {
            let mut matching = self.select();
            filter.push(&mut matching);
            statements.push(matching);
        }
        let mut found = Vec::new();
        for statement in statements {
            let more;
            (read, more) = read.fetch_all_blocking(statement, read_series).await?;
            found.extend(more);
        }
        self.write().extend(found);
        if !is_by_id {
            self.write().exclude(filter, &unknown.ids);
        }
        self.learn_charges(read, &unknown).await
    }

    /// Looks up the series of the costs of charges by their values.
    async fn learn_charges(&self, mut read: Read, unknown: &UnknownSeries) -> Result<Read> {
        let of_charges: Vec<Series> = {
            let index = self.index();
            let of_charge = |(id, name): &(i64, ItemName)| {
                let series = index.series(*id)?.of_charge(*name);
                let organization = self.organization;
                Some(Series {
                    organization,
                    ..series
                })
            };
            unknown.charges.iter().filter_map(of_charge).collect()
        };
        for some in of_charges.chunks(MAX_LOOKUP_VALUES) {
            let mut by_values = select();
            for (index, series) in some.iter().enumerate() {
                by_values.push(if index == 0 { "(" } else { " OR (" });
                series.push_equals(&mut by_values);
                by_values.push(")");
            }
            let found;
            (read, found) = read.fetch_all_blocking(by_values, read_series).await?;
            self.write().extend_costs(found);
        }
        Ok(read)
    }

    /// Returns a query of all series of the organization, to which conditions may be added.
    fn select(&self) -> Statement {
        let mut select = select();
        select.push("organization = ").bind(self.organization);
        select
    }

    fn write(&self) -> RwLockWriteGuard<'_, SeriesIndex> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_series(row: &Row<'_>) -> Result<(i64, Series)> {
    Ok((row.get("id")?, Series::read(row)?))
}

impl SeriesFilter {
    /// Appends the condition.
    fn push(&self, select: &mut Statement) {
        select.push(" AND kind = ").bind(self.kind.as_str());
        for (dimension, values) in &self.values {
            // The empty value stands for a missing one, which never counts.
            let values = values.iter().filter(|value| !value.is_empty());
            let value = |value: &String| match dimension {
                Dimension::Batch => Value::Boolean(value == "true"),
                _ => value.as_str().into(),
            };
            select.push(" AND ").push(dimension.as_str()).push(" IN ");
            select.bind_list(values.map(value));
        }
    }
}

impl SeriesIndex {
    /// Returns the number of series.
    fn len(&self) -> usize {
        self.of_kind.values().map(Vec::len).sum()
    }

    /// Returns the series of a kind.
    pub(crate) fn of_kind(&self, kind: SeriesKind) -> impl Iterator<Item = &IndexedSeries> {
        self.of_kind.get(&kind).into_iter().flatten()
    }

    /// Returns the assignment of series of a report that excludes all that are indexed.
    pub(crate) fn assignments(&self) -> Vec<u32> {
        self.assignments.clone()
    }

    /// Adds series, some of which may be indexed already.
    fn extend(&mut self, more: Vec<(i64, Series)>) {
        let mut kinds = HashSet::new();
        for (id, series) in more {
            kinds.insert(series.kind);
            self.push(id, &series);
        }
        for kind in kinds {
            let of_kind = self.of_kind.entry(kind).or_default();
            of_kind.sort_by_key(|series| series.id);
            of_kind.dedup_by_key(|series| series.id);
        }
    }

    /// Adds series of costs, which are found by their values from now on.
    fn extend_costs(&mut self, more: Vec<(i64, Series)>) {
        for (id, series) in &more {
            let values = std::array::from_fn(|index| self.intern(&series.values[index]));
            self.costs.insert(values, *id);
        }
        self.extend(more);
    }

    fn push(&mut self, id: i64, series: &Series) {
        let values = std::array::from_fn(|index| self.intern(&series.values[index]));
        let place = usize::try_from(id).unwrap_or_default();
        if self.assignments.len() <= place {
            self.assignments.resize(place + 1, UNKNOWN_ID);
        }
        self.assignments[place] = EXCLUDED_ID;
        let of_kind = self.of_kind.entry(series.kind).or_default();
        of_kind.push(IndexedSeries { id, values });
    }

    /// Remembers that those of the ids that are not indexed do not match a filter.
    fn exclude(&mut self, filter: &SeriesFilter, ids: &IdSet) {
        let known = self.excluded.iter().position(|(of, _)| of == filter);
        let known = known.map(|index| self.excluded.remove(index));
        let (filter, mut excluded) = known.unwrap_or_else(|| (filter.clone(), Arc::default()));
        let set = Arc::make_mut(&mut excluded);
        for id in ids.to_vec() {
            let place = usize::try_from(id).unwrap_or_default();
            if self
                .assignments
                .get(place)
                .is_none_or(|one| *one == UNKNOWN_ID)
            {
                set.insert(id);
            }
        }
        if self.excluded.len() >= MAX_EXCLUDING_FILTERS {
            self.excluded.remove(0);
        }
        self.excluded.push((filter, excluded));
    }

    /// Returns the ids of series that are not indexed and that do not match a filter, as far as they are known.
    pub(crate) fn excluded(&self, filter: &SeriesFilter) -> Arc<IdSet> {
        let known = self.excluded.iter().find(|(of, _)| of == filter);
        known.map_or_else(Arc::default, |(_, excluded)| Arc::clone(excluded))
    }

    fn intern(&mut self, text: &str) -> u32 {
        if let Some(number) = self.number(text) {
            return number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }

    /// Returns the series of the costs of a charge for usage of a series; adds to `unknown` the one that is not known.
    pub(crate) fn charge(
        &self,
        id: i64,
        name: ItemName,
        unknown: &mut UnknownSeries,
    ) -> Option<i64> {
        let Some(series) = self.series(id) else {
            unknown.ids.insert(id);
            return None;
        };
        let known = self.known_charge(&series.of_charge(name));
        if known.is_none() {
            unknown.charges.insert((id, name));
        }
        known
    }

    fn known_charge(&self, of_charge: &Series) -> Option<i64> {
        let mut values = Values::default();
        for (number, text) in values.iter_mut().zip(&of_charge.values) {
            *number = self.number(text)?;
        }
        self.costs.get(&values).copied()
    }

    fn series(&self, id: i64) -> Option<Series> {
        self.of_kind.iter().find_map(|(kind, all)| {
            let index = all.binary_search_by_key(&id, |series| series.id).ok()?;
            let values = all[index].values;
            Some(Series {
                organization: 0,
                kind: *kind,
                values: values.map(|number| self.text(number).to_string()),
            })
        })
    }

    /// Returns the number of a text; `None` if no series has it.
    pub(crate) fn number(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    /// Returns the text with a number.
    pub(crate) fn text(&self, number: u32) -> &Arc<str> {
        &self.texts[number as usize]
    }
}
