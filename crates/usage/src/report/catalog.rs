//! The series of an organization, in memory, so that a report knows without a query what each number stands for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use base::ids::OrganizationId;
use store::{Connection, Result, Row};

use crate::ledger::read::number_of;
use crate::series::{About, Series, select};
use crate::{Dimension, ItemName};

/// How many series of all organizations are in memory at the most, unless one alone has more.
const MOST: usize = 1_000_000;

/// What is known of organizations. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Catalog(Arc<Mutex<HashMap<OrganizationId, Arc<Names>>>>);

/// The series of one organization, which only grow.
pub(crate) struct Names {
    /// The organization's number.
    pub(crate) organization: i64,
    known: RwLock<Known>,
}

/// What is known of them.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) series: Vec<Named>,
    /// Those of costs, by their values.
    costs: HashMap<Values, i64>,
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

/// The texts of a series, by their numbers.
type Values = [u32; Dimension::ALL.len()];

/// A series.
pub(crate) struct Named {
    pub(crate) id: i64,
    pub(crate) about: About,
    pub(crate) values: Values,
}

impl Catalog {
    /// The series of an organization, with all that were committed before; none when it has never used anything.
    pub(crate) async fn of(
        &self,
        connection: &mut Connection,
        organization: &OrganizationId,
    ) -> Result<Option<Arc<Names>>> {
        let names = self.lock().get(organization).cloned();
        let names = match names {
            Some(names) => names,
            None => {
                let Some(number) = number_of(connection, organization).await? else {
                    return Ok(None);
                };
                self.enter(organization, number)
            }
        };
        names.catch_up(connection).await?;
        Ok(Some(names))
    }

    fn enter(&self, organization: &OrganizationId, number: i64) -> Arc<Names> {
        let mut all = self.lock();
        if all
            .values()
            .map(|names| names.known().series.len())
            .sum::<usize>()
            > MOST
        {
            all.clear();
        }
        let names = || {
            Arc::new(Names {
                organization: number,
                known: RwLock::default(),
            })
        };
        Arc::clone(all.entry(organization.clone()).or_insert_with(names))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<OrganizationId, Arc<Names>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    pub(crate) fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the series that came after the last one.
    async fn catch_up(&self, connection: &mut Connection) -> Result<()> {
        let last = self.known().series.last().map_or(0, |last| last.id);
        let more = self.after(connection, last).await?;
        if !more.is_empty() {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            // Somebody else may have caught up meanwhile.
            let last = known.series.last().map_or(0, |last| last.id);
            let more = more.into_iter().filter(|(id, _)| *id > last);
            more.for_each(|(id, series)| known.push(id, &series));
        }
        Ok(())
    }

    /// Reads all series anew: one with a lower number may be committed after one with a higher one.
    pub(crate) async fn start_over(&self, connection: &mut Connection) -> Result<()> {
        let all = self.after(connection, 0).await?;
        let mut fresh = Known::default();
        all.iter().for_each(|(id, series)| fresh.push(*id, series));
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = fresh;
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

impl Known {
    fn push(&mut self, id: i64, series: &Series) {
        let values = std::array::from_fn(|index| self.number_or_new(&series.values[index]));
        if series.about == About::Costs {
            self.costs.insert(values, id);
        }
        self.series.push(Named {
            id,
            about: series.about,
            values,
        });
    }

    fn number_or_new(&mut self, text: &str) -> u32 {
        if let Some(number) = self.number(text) {
            return number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }

    /// The series of the costs of a line of a series' bills, if both are known.
    pub(crate) fn line(&self, id: i64, name: ItemName) -> Option<i64> {
        let of_line = self.series(id)?.of_line(name);
        let mut values = Values::default();
        for (number, text) in values.iter_mut().zip(&of_line.values) {
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
            about: named.about,
            values: named.values.map(|number| self.text(number).to_string()),
        })
    }

    /// The number of a text, if any series has it.
    pub(crate) fn number(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    /// The text with a number.
    pub(crate) fn text(&self, number: u32) -> &Arc<str> {
        &self.texts[number as usize]
    }
}
