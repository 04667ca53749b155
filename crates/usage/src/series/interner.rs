//! The interner of the ledger's writer: the numbers that the database has given to organizations and series.

use std::collections::BTreeSet;

use base::ids::OrganizationId;
use hashbrown::{HashMap, HashSet};
use rollup::{Granularity, Interner, Parents};
use store::{Error, Result, Row, Statement, Transaction, cooperative, sql};

use super::fingerprint::{Fingerprints, SeriesFingerprint};
use super::{EventSeriesKey, Series, SeriesKind, select};
use crate::{Charge, ItemName, UsageEvent};

/// The most series, and the most parents of series, that are kept in memory: about 60 bytes each. Beyond that all are
/// forgotten, and looked up again.
const MAX_SERIES: usize = 1_000_000;
/// The most charges that are kept in memory, about 35 bytes each: most series have two or three.
const MAX_CHARGES: usize = 3 * MAX_SERIES;
/// The most ids that one statement looks up.
const MAX_LOOKUP_IDS: usize = 500;

/// The numbers that are known from committed transactions, and those that the current one has found.
#[derive(Default)]
pub(crate) struct SeriesInterner {
    organizations: Interner<OrganizationId>,
    fingerprints: Fingerprints,
    series: Interner<SeriesFingerprint>,
    /// The series of the costs of a charge, by the series of the usage and the charge's name.
    charges: Interner<(i64, ItemName)>,
    parents: Interner<i64, Parents>,
}

/// The numbers of an event: of its organization, of its series, and of the series of the costs of each charge.
#[derive(Clone, Debug)]
pub(crate) struct EventSeries {
    pub(crate) organization: i64,
    pub(crate) series: i64,
    pub(crate) charges: Vec<i64>,
}

impl SeriesInterner {
    /// Must be called when a transaction begins: numbers that an earlier one found without committing are forgotten.
    pub(crate) fn begin(&mut self) {
        self.organizations.begin();
        self.series.begin();
        self.charges.begin();
        self.parents.begin();
        if self.organizations.len() > MAX_SERIES {
            self.organizations.clear();
        }
        if self.series.len() > MAX_SERIES {
            self.series.clear();
        }
        if self.charges.len() > MAX_CHARGES {
            self.charges.clear();
        }
        if self.parents.len() > MAX_SERIES {
            self.parents.clear();
        }
    }

    /// Must be called when the transaction has committed.
    pub(crate) fn committed(&mut self) {
        self.organizations.committed();
        self.series.committed();
        self.charges.committed();
        self.parents.committed();
    }

    /// Returns the parents of a series, which [`Self::find_parents`] must have found.
    pub(crate) fn parents(&self, series: i64) -> Option<Parents> {
        self.parents.get(&series)
    }

    /// Returns the numbers of events, in the order of the events. Organizations and series that are new are inserted.
    pub(crate) async fn resolve<'a>(
        &mut self,
        transaction: &mut Transaction,
        events: impl Iterator<Item = (&'a UsageEvent, &'a [Charge])> + Clone,
    ) -> Result<Vec<EventSeries>> {
        let organizations = events.clone().map(|(event, _)| &event.organization_id);
        self.resolve_organizations(transaction, organizations)
            .await?;
        let mut all = Vec::new();
        let mut missing = Vec::new();
        for (index, (event, _)) in cooperative::yield_every(events.clone()).enumerate() {
            let organization = self.organizations.get(&event.organization_id);
            let organization = organization.ok_or(Error::NoRow)?;
            let key = EventSeriesKey {
                organization,
                event,
            };
            let fingerprint = self.fingerprints.of(&key);
            let series = self.series.get(&fingerprint);
            if series.is_none() {
                missing.push((index, key, fingerprint));
            }
            all.push(EventSeries {
                organization,
                series: series.unwrap_or_default(),
                charges: Vec::new(),
            });
        }
        let new = missing.iter().map(|(_, key, _)| key.to_series()).collect();
        self.intern(transaction, new).await?;
        for (index, _, fingerprint) in missing {
            all[index].series = self.series.get(&fingerprint).ok_or(Error::NoRow)?;
        }
        self.resolve_charges(transaction, events, &mut all).await?;
        Ok(all)
    }

    async fn resolve_organizations<'a>(
        &mut self,
        transaction: &mut Transaction,
        ids: impl Iterator<Item = &'a OrganizationId>,
    ) -> Result<()> {
        let missing = ids.filter(|id| self.organizations.get(*id).is_none());
        let missing: BTreeSet<_> = missing.collect();
        let rows = missing.into_iter().map(|id| vec![id.into()]).collect();
        let head = sql!("INSERT INTO usage_organizations (organization_id) VALUES ");
        let tail = sql!(
            " ON CONFLICT (organization_id) DO UPDATE SET organization_id = excluded.organization_id \
             RETURNING organization_id, number"
        );
        let read = |row: &Row<'_>| Ok((row.id("organization_id")?, row.get("number")?));
        let found = transaction.write_rows(&head, rows, &tail, read).await?;
        self.organizations.extend(found);
        Ok(())
    }

    async fn resolve_charges<'a>(
        &mut self,
        transaction: &mut Transaction,
        events: impl Iterator<Item = (&'a UsageEvent, &'a [Charge])> + Clone,
        all: &mut [EventSeries],
    ) -> Result<()> {
        let mut missing: HashMap<(i64, ItemName), Series> = HashMap::new();
        for ((event, charges), numbers) in cooperative::yield_every(events.clone().zip(&mut *all)) {
            let (organization, series) = (numbers.organization, numbers.series);
            for charge in charges {
                let number = self.charges.get(&(series, charge.name));
                numbers.charges.push(number.unwrap_or_default());
                if number.is_none() {
                    let key = EventSeriesKey {
                        organization,
                        event,
                    };
                    let of_charge = || key.to_series().of_charge(charge.name);
                    missing
                        .entry((series, charge.name))
                        .or_insert_with(of_charge);
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let new = missing.values().filter(|series| !self.has(series));
        let new = new.cloned().collect();
        self.intern(transaction, new).await?;
        for (charge, series) in missing {
            let number = self.number(&series)?;
            self.charges.insert(charge, number);
        }
        for ((_, charges), numbers) in events.zip(all) {
            for (number, charge) in numbers.charges.iter_mut().zip(charges) {
                let found = self.charges.get(&(numbers.series, charge.name));
                *number = found.ok_or(Error::NoRow)?;
            }
        }
        Ok(())
    }

    /// Finds the parents of series. Parents that are new are inserted.
    pub(crate) async fn find_parents(
        &mut self,
        transaction: &mut Transaction,
        series: impl Iterator<Item = i64>,
    ) -> Result<()> {
        let missing: HashSet<i64> = series.filter(|id| self.parents(*id).is_none()).collect();
        let missing: Vec<i64> = missing.into_iter().collect();
        for ids in missing.chunks(MAX_LOOKUP_IDS) {
            let mut wanted = select();
            wanted.push("id IN ").bind_list(ids.iter().copied());
            let read = |row: &Row<'_>| Ok((row.get::<i64>("id")?, Series::read(row)?));
            let children = transaction.fetch_all(wanted, read).await?;
            let coarser = [Granularity::Project, Granularity::Model];
            let parents = |(_, series): &(i64, Series)| coarser.map(|to| series.coarsened(to));
            let parents: BTreeSet<Series> = children.iter().flat_map(parents).collect();
            let missing = parents.into_iter().filter(|series| !self.has(series));
            self.intern(transaction, missing.collect()).await?;
            for (id, series) in children {
                let parents = Parents {
                    project: self.number(&series.coarsened(Granularity::Project))?,
                    model: self.number(&series.coarsened(Granularity::Model))?,
                    is_costs: series.kind == SeriesKind::Costs,
                };
                self.parents.insert(id, parents);
                self.parents.insert(parents.project, parents);
            }
        }
        Ok(())
    }

    fn has(&self, series: &Series) -> bool {
        self.series.get(&self.fingerprints.of(series)).is_some()
    }

    fn number(&self, series: &Series) -> Result<i64> {
        let fingerprint = self.fingerprints.of(series);
        self.series.get(&fingerprint).ok_or(Error::NoRow)
    }

    /// Inserts the series that are new, and finds the numbers of all. A set, since a statement must not meet a row twice;
    /// ordered, so that two programs never wait for each other's rows.
    async fn intern(
        &mut self,
        transaction: &mut Transaction,
        series: BTreeSet<Series>,
    ) -> Result<()> {
        let rows = series.iter().map(Series::row).collect();
        let (head, tail) = upsert();
        let read = |row: &Row<'_>| Ok((Series::read(row)?, row.get::<i64>("id")?));
        let found = transaction.write_rows(&head, rows, &tail, read).await?;
        let found = found.into_iter();
        let found = found.map(|(series, id)| (self.fingerprints.of(&series), id));
        self.series.extend(found);
        Ok(())
    }
}

/// Returns the statement, around its rows, that inserts series and returns also those that are there.
fn upsert() -> (Statement, Statement) {
    let mut head = sql!("INSERT INTO usage_series (");
    Series::push_columns(&mut head);
    head.push(") VALUES ");
    let mut tail = sql!(" ON CONFLICT (");
    Series::push_columns(&mut tail);
    tail.push(") DO UPDATE SET kind = excluded.kind RETURNING id, ");
    Series::push_columns(&mut tail);
    (head, tail)
}
