//! The series of organizations, cached in memory, so that a report resolves the number of a series without a query.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use base::ids::OrganizationId;
use store::{Connection, Result, Row};

use super::query::SeriesGroup;
use crate::ledger::read::number_of;
use crate::series::{Series, SeriesKind, select};
use crate::{Dimension, ItemName};

/// The most series of all organizations that are cached, unless one organization alone has more.
const MAX_CACHED_SERIES: usize = 1_000_000;

/// The series of organizations. Clones share the cache.
#[derive(Clone, Default)]
pub(crate) struct SeriesCatalog(Arc<Mutex<HashMap<OrganizationId, Arc<OrganizationSeries>>>>);

/// The series of one organization.
pub(crate) struct OrganizationSeries {
    /// The number of the organization.
    pub(crate) organization: i64,
    index: RwLock<SeriesIndex>,
}

/// An index of series, and of the texts that their dimensions have.
#[derive(Default)]
pub(crate) struct SeriesIndex {
    pub(crate) series: Vec<IndexedSeries>,
    /// The indices of the series of each kind.
    of_kind: HashMap<SeriesKind, Vec<usize>>,
    /// The assignment of series of a report that excludes them all.
    excluded: Vec<Option<SeriesGroup>>,
    /// The series of costs, by their values.
    costs: HashMap<Values, i64>,
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

/// The values of the dimensions of a series, as numbers of texts.
type Values = [u32; Dimension::ALL.len()];

/// A series in the index.
pub(crate) struct IndexedSeries {
    pub(crate) id: i64,
    pub(crate) kind: SeriesKind,
    pub(crate) values: Values,
}

impl SeriesCatalog {
    /// Returns the series of an organization, including all that were committed before the call; `None` if it has never
    /// used anything.
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
        known_series.read_new(connection).await?;
        Ok(Some(known_series))
    }

    fn insert(&self, organization: &OrganizationId, number: i64) -> Arc<OrganizationSeries> {
        let mut all = self.lock();
        if all
            .values()
            .map(|known_series| known_series.index().series.len())
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

    /// Reads the series that were added after the last one that is known.
    async fn read_new(&self, connection: &mut Connection) -> Result<()> {
        let last = self.index().series.last().map_or(0, |last| last.id);
        let more = self.after(connection, last).await?;
        if !more.is_empty() {
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            // Another report may have added them meanwhile.
            let last = index.series.last().map_or(0, |last| last.id);
            let more = more.into_iter().filter(|(id, _)| *id > last);
            more.for_each(|(id, series)| index.push(id, &series));
        }
        Ok(())
    }

    /// Reads all series again, since one with a lower number may be committed after one with a higher number.
    pub(crate) async fn reload(&self, connection: &mut Connection) -> Result<()> {
        let all = self.after(connection, 0).await?;
        let mut fresh = SeriesIndex::default();
        all.iter().for_each(|(id, series)| fresh.push(*id, series));
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    async fn after(&self, connection: &mut Connection, last: i64) -> Result<Vec<(i64, Series)>> {
        let mut after = select();
        after.push("organization = ").bind(self.organization);
        after.push(" AND id > ").bind(last).push(" ORDER BY id");
        let read = |row: &Row<'_>| Ok((row.get::<i64>("id")?, Series::read(row)?));
        connection.fetch_all(after, read).await
    }
}

impl SeriesIndex {
    fn push(&mut self, id: i64, series: &Series) {
        let values = std::array::from_fn(|index| self.intern(&series.values[index]));
        if series.kind == SeriesKind::Costs {
            self.costs.insert(values, id);
        }
        let place = usize::try_from(id).unwrap_or_default();
        self.excluded
            .resize(self.excluded.len().max(place + 1), None);
        self.excluded[place] = Some(SeriesGroup::Excluded);
        let of_kind = self.of_kind.entry(series.kind).or_default();
        of_kind.push(self.series.len());
        self.series.push(IndexedSeries {
            id,
            kind: series.kind,
            values,
        });
    }

    /// Returns the series of a kind.
    pub(crate) fn of_kind(&self, kind: SeriesKind) -> impl Iterator<Item = &IndexedSeries> {
        let indices = self.of_kind.get(&kind).into_iter().flatten();
        indices.map(|index| &self.series[*index])
    }

    /// Returns the assignment of series of a report that excludes them all.
    pub(crate) fn excluded(&self) -> Vec<Option<SeriesGroup>> {
        self.excluded.clone()
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

    /// Returns the series of the costs of a charge for usage of a series; `None` if either is unknown.
    pub(crate) fn charge(&self, id: i64, name: ItemName) -> Option<i64> {
        let of_charge = self.series(id)?.of_charge(name);
        let mut values = Values::default();
        for (number, text) in values.iter_mut().zip(&of_charge.values) {
            *number = self.number(text)?;
        }
        self.costs.get(&values).copied()
    }

    fn series(&self, id: i64) -> Option<Series> {
        let index = self
            .series
            .binary_search_by_key(&id, |named| named.id)
            .ok()?;
        let named = &self.series[index];
        Some(Series {
            organization: 0,
            kind: named.kind,
            values: named.values.map(|number| self.text(number).to_string()),
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
