//! The numbers of organizations and series, as the ledger's writer knows them.

use std::collections::BTreeSet;

use base::ids::OrganizationId;
use hashbrown::{HashMap, HashSet};
use store::{Error, Result, Row, Statement, Transaction, cooperative, sql};

use crate::series::{About, Series, SeriesOf, select};
use crate::sums::Detail;
use crate::{Charge, ItemName, UsageEvent};

/// How many series are kept in memory; when there are more, they are looked up again.
const MOST_KNOWN: usize = 200_000;
/// How many ids are looked for at once.
const AT_ONCE: usize = 500;

/// What is known from transactions that were committed, and what this one has found.
#[derive(Default)]
pub(crate) struct Dictionary {
    known: Numbers,
    found: Numbers,
}

#[derive(Default)]
struct Numbers {
    organizations: HashMap<OrganizationId, i64>,
    series: HashMap<Series, i64>,
    /// The series of costs, by that of usage and the line.
    lines: HashMap<(i64, ItemName), i64>,
    /// The series where less is told apart, by the series.
    wider: HashMap<i64, Wider>,
}

/// The numbers of an event: its organization's, its series', and those of the costs of each line of its bill.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) organization: i64,
    pub(crate) series: i64,
    pub(crate) lines: Vec<i64>,
}

/// The series that a series belongs to where users and keys, and where projects too, are not told apart.
#[derive(Clone, Copy)]
pub(crate) struct Wider {
    pub(crate) project: i64,
    pub(crate) model: i64,
    pub(crate) is_costs: bool,
}

impl Dictionary {
    /// Begins anew, for a transaction: what the one before has found is not there if it was not committed.
    pub(crate) fn begin(&mut self) {
        self.found = Numbers::default();
        if self.known.series.len() > MOST_KNOWN || self.known.wider.len() > MOST_KNOWN {
            self.known = Numbers::default();
        }
    }

    /// Keeps what the transaction has found, which was committed.
    pub(crate) fn committed(&mut self) {
        let found = std::mem::take(&mut self.found);
        self.known.organizations.extend(found.organizations);
        self.known.series.extend(found.series);
        self.known.lines.extend(found.lines);
        self.known.wider.extend(found.wider);
    }

    fn organization(&self, id: &OrganizationId) -> Option<i64> {
        let number = |numbers: &Numbers| numbers.organizations.get(id).copied();
        number(&self.known).or_else(|| number(&self.found))
    }

    fn series(&self, of: SeriesOf<'_>) -> Option<i64> {
        let number = |numbers: &Numbers| numbers.series.get(&of).copied();
        number(&self.known).or_else(|| number(&self.found))
    }

    fn line(&self, series: i64, name: ItemName) -> Option<i64> {
        let number = |numbers: &Numbers| numbers.lines.get(&(series, name)).copied();
        number(&self.known).or_else(|| number(&self.found))
    }

    /// What a series that was looked up belongs to.
    pub(crate) fn wider(&self, series: i64) -> Option<Wider> {
        let wider = |numbers: &Numbers| numbers.wider.get(&series).copied();
        wider(&self.known).or_else(|| wider(&self.found))
    }

    /// The numbers of these events, in their order; those that nobody has met before are added.
    pub(crate) async fn look_up<'a>(
        &mut self,
        transaction: &mut Transaction,
        bills: impl Iterator<Item = (&'a UsageEvent, &'a [Charge])> + Clone,
    ) -> Result<Vec<Known>> {
        let organizations = bills.clone().map(|(event, _)| &event.organization_id);
        self.look_up_organizations(transaction, organizations)
            .await?;
        let mut all = Vec::new();
        let mut missing = Vec::new();
        for (index, (event, _)) in cooperative::yield_every(bills.clone()).enumerate() {
            let organization = self.organization(&event.organization_id);
            let organization = organization.ok_or(Error::NoRow)?;
            let of = SeriesOf {
                organization,
                event,
            };
            let series = self.series(of);
            if series.is_none() {
                missing.push((index, of));
            }
            all.push(Known {
                organization,
                series: series.unwrap_or_default(),
                lines: Vec::new(),
            });
        }
        let new = missing.iter().map(|(_, of)| of.to_series()).collect();
        self.intern(transaction, new).await?;
        for (index, of) in missing {
            all[index].series = self.series(of).ok_or(Error::NoRow)?;
        }
        self.look_up_lines(transaction, bills, &mut all).await?;
        Ok(all)
    }

    async fn look_up_organizations<'a>(
        &mut self,
        transaction: &mut Transaction,
        ids: impl Iterator<Item = &'a OrganizationId>,
    ) -> Result<()> {
        let missing: BTreeSet<_> = ids.filter(|id| self.organization(id).is_none()).collect();
        let rows = missing.into_iter().map(|id| vec![id.into()]).collect();
        let head = sql!("INSERT INTO usage_organizations (organization_id) VALUES ");
        let tail = sql!(
            " ON CONFLICT (organization_id) DO UPDATE SET organization_id = excluded.organization_id \
             RETURNING organization_id, number"
        );
        let read = |row: &Row<'_>| Ok((row.id("organization_id")?, row.get("number")?));
        let found = transaction.write_rows(&head, rows, &tail, read).await?;
        self.found.organizations.extend(found);
        Ok(())
    }

    async fn look_up_lines<'a>(
        &mut self,
        transaction: &mut Transaction,
        bills: impl Iterator<Item = (&'a UsageEvent, &'a [Charge])> + Clone,
        all: &mut [Known],
    ) -> Result<()> {
        let mut missing: HashMap<(i64, ItemName), Series> = HashMap::new();
        for ((event, lines), known) in cooperative::yield_every(bills.clone().zip(&mut *all)) {
            let (organization, series) = (known.organization, known.series);
            for line in lines {
                let number = self.line(series, line.name);
                known.lines.push(number.unwrap_or_default());
                if number.is_none() {
                    let of = SeriesOf {
                        organization,
                        event,
                    };
                    let of_line = || of.to_series().of_line(line.name);
                    missing.entry((series, line.name)).or_insert_with(of_line);
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let new = missing.values().filter(|series| !self.has(series));
        let new = new.cloned().collect();
        self.intern(transaction, new).await?;
        for (line, series) in missing {
            let number = self.number(&series)?;
            self.found.lines.insert(line, number);
        }
        for ((_, lines), known) in bills.zip(all) {
            for (number, line) in known.lines.iter_mut().zip(lines) {
                *number = self.line(known.series, line.name).ok_or(Error::NoRow)?;
            }
        }
        Ok(())
    }

    /// Looks up what these series belong to.
    pub(crate) async fn widen(
        &mut self,
        transaction: &mut Transaction,
        series: impl Iterator<Item = i64>,
    ) -> Result<()> {
        let missing: HashSet<i64> = series.filter(|id| self.wider(*id).is_none()).collect();
        let missing: Vec<i64> = missing.into_iter().collect();
        for some in missing.chunks(AT_ONCE) {
            let mut wanted = select();
            wanted.push("id IN ").bind_list(some.iter().copied());
            let read = |row: &Row<'_>| Ok((row.get::<i64>("id")?, Series::read(row)?));
            let narrow = transaction.fetch_all(wanted, read).await?;
            let details = [Detail::Project, Detail::Model];
            let wider = |(_, series): &(i64, Series)| details.map(|detail| series.with(detail));
            let wider: BTreeSet<Series> = narrow.iter().flat_map(wider).collect();
            let missing = wider.into_iter().filter(|series| !self.has(series));
            self.intern(transaction, missing.collect()).await?;
            for (id, series) in narrow {
                let wider = Wider {
                    project: self.number(&series.with(Detail::Project))?,
                    model: self.number(&series.with(Detail::Model))?,
                    is_costs: series.about == About::Costs,
                };
                self.found.wider.insert(id, wider);
                self.found.wider.insert(wider.project, wider);
            }
        }
        Ok(())
    }

    fn has(&self, series: &Series) -> bool {
        self.number(series).is_ok()
    }

    fn number(&self, series: &Series) -> Result<i64> {
        let number = |numbers: &Numbers| numbers.series.get(series).copied();
        let number = number(&self.known).or_else(|| number(&self.found));
        number.ok_or(Error::NoRow)
    }

    /// Adds those that nobody has met before, and looks up the others: each once, as a statement must not meet the same
    /// row twice; and always in the same order, so that two programs never wait for each other's rows.
    async fn intern(
        &mut self,
        transaction: &mut Transaction,
        series: BTreeSet<Series>,
    ) -> Result<()> {
        let rows = series.iter().map(Series::row).collect();
        let (head, tail) = insert();
        let read = |row: &Row<'_>| Ok((Series::read(row)?, row.get::<i64>("id")?));
        let found = transaction.write_rows(&head, rows, &tail, read).await?;
        self.found.series.extend(found);
        Ok(())
    }
}

/// Inserts series, and returns also those that are there.
fn insert() -> (Statement, Statement) {
    let mut head = sql!("INSERT INTO usage_series (");
    Series::push_columns(&mut head);
    head.push(") VALUES ");
    let mut tail = sql!(" ON CONFLICT (");
    Series::push_columns(&mut tail);
    tail.push(") DO UPDATE SET kind = excluded.kind RETURNING id, ");
    Series::push_columns(&mut tail);
    (head, tail)
}
