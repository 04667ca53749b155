//! The verification of one organization.

use std::collections::{BTreeMap, BTreeSet};

use base::time::SECONDS_PER_DAY;
use base::{NanoDollars, UnixTime};
use rollup::{Amounts, MAX_COLUMNS, Rollup, Rows, Width};
use store::{Connection, Result, Row, USAGE_EVENTS, sql};

use super::series::SeriesNames;
use super::{Verified, compared, moment, spend_of};
use crate::ledger::{packed, total};
use crate::rollups::{
    BlockRange, amounts_of, amounts_of_charge, column_name, minute_of, select_blocks,
};
use crate::{Charge, Dimension, Month, Quantities};

/// The number of rows of the ledger that are read at once.
const PAGE_ROWS_COUNT: i64 = 5_000;
/// The most rows in memory before those of one series and bucket are added up.
const MAX_UNSUMMED_ROWS: usize = 1_000_000;

/// The state of the verification of an organization.
pub(super) struct Proof<'a> {
    connection: &'a mut Connection,
    number: i64,
    id: &'a str,
    /// The days that have a ledger.
    days: &'a [UnixTime],
    /// The days whose ledger was dropped.
    dropped: &'a BTreeSet<UnixTime>,
    verified: &'a mut Verified,
    names: SeriesNames,
    /// The rows of [`Rollup::New`].
    new: Rows,
    /// The spend by the ledger, by month and project.
    spend: BTreeMap<(UnixTime, String), i128>,
}

/// A row of the ledger, without the columns that need no verification.
struct ProofRow {
    id: String,
    at: UnixTime,
    series: i64,
    quantities: Quantities,
    charges: Vec<Charge>,
    amount: NanoDollars,
}

impl ProofRow {
    fn read(row: &Row<'_>) -> Result<Self> {
        let (quantities, charges) = packed::read(row)?;
        Ok(Self {
            id: row.get("id")?,
            at: row.time("timestamp")?,
            series: row.get("series")?,
            quantities,
            charges,
            amount: NanoDollars(row.get("amount")?),
        })
    }
}

impl<'a> Proof<'a> {
    pub(super) async fn of(
        connection: &'a mut Connection,
        (number, id): (i64, &'a str),
        (days, dropped): (&'a [UnixTime], &'a BTreeSet<UnixTime>),
        verified: &'a mut Verified,
    ) -> Result<Self> {
        let names = SeriesNames::of(connection, number).await?;
        let mut proof = Self {
            connection,
            number,
            id,
            days,
            dropped,
            verified,
            names,
            new: Rows::default(),
            spend: BTreeMap::new(),
        };
        proof.new = proof.found(Rollup::New, Rollup::New.period(0)).await?;
        Ok(proof)
    }

    pub(super) async fn run(&mut self, progress: &mut impl FnMut(u64)) -> Result<()> {
        for (span, days) in self.spans().await? {
            let mut whole = Rows::default();
            for day in days {
                let mut rows = self.ledger(day, progress).await?;
                for rollup in Rollup::derived().filter(|rollup| rollup.width() != Width::Day) {
                    self.compare(rollup, day.0, &mut rows).await?;
                }
                let by_day =
                    |series, bucket| Some((series, UnixTime(bucket).floor(SECONDS_PER_DAY).0));
                whole.append(&rows.merged(by_day));
            }
            for rollup in Rollup::derived().filter(|rollup| rollup.width() == Width::Day) {
                self.compare(rollup, span, &mut whole).await?;
            }
        }
        self.compare_spend().await
    }

    /// Returns the periods whose days share blocks, with the days of each that have a ledger or sums.
    async fn spans(&mut self) -> Result<BTreeMap<i64, BTreeSet<UnixTime>>> {
        let periods = sql!(
            "SELECT DISTINCT shape, period FROM usage_sums WHERE organization = $1",
            self.number
        );
        let read =
            |row: &Row<'_>| Ok((row.word("shape", Rollup::parse)?, row.get::<i64>("period")?));
        let periods = self.connection.fetch_all(periods, read).await?;
        let mut spans: BTreeMap<i64, BTreeSet<UnixTime>> = BTreeMap::new();
        let of_new = self.new.iter().map(|((_, bucket), _)| bucket);
        let mut days: BTreeSet<UnixTime> = of_new
            .map(|at| UnixTime(at).floor(SECONDS_PER_DAY))
            .collect();
        days.extend(self.days);
        for (rollup, period) in periods
            .into_iter()
            .filter(|(rollup, _)| *rollup != Rollup::New)
        {
            if rollup.width() == Width::Day {
                spans.entry(period).or_default();
            } else {
                days.insert(UnixTime(period));
            }
        }
        for day in days.difference(self.dropped) {
            let span = Rollup::Days.period(day.0);
            spans.entry(span).or_default().insert(*day);
        }
        Ok(spans)
    }

    /// Returns the sums by the minute that a day should have.
    async fn ledger(&mut self, day: UnixTime, progress: &mut impl FnMut(u64)) -> Result<Rows> {
        let (mut rows, mut limit) = (Rows::default(), MAX_UNSUMMED_ROWS);
        if self.days.binary_search(&day).is_err() {
            return Ok(rows);
        }
        let mut last = None;
        loop {
            let page = self.page(day, last).await?;
            self.verified.rows += page.len() as u64;
            for entry in &page {
                self.add(entry, &mut rows);
            }
            progress(self.verified.rows);
            if rows.len() > limit {
                rows = rows.summed();
                limit = MAX_UNSUMMED_ROWS.max(2 * rows.len());
            }
            match page.into_iter().next_back() {
                Some(entry) => last = Some(entry.id),
                None => return Ok(rows.summed()),
            }
        }
    }

    /// Returns the next rows of a day, by id, after `last`.
    async fn page(&mut self, day: UnixTime, last: Option<String>) -> Result<Vec<ProofRow>> {
        let mut select = sql!("SELECT id, timestamp, series, amounts, amount FROM ");
        select.push_partition(USAGE_EVENTS, day);
        select.push(" WHERE organization = ").bind(self.number);
        if let Some(last) = last {
            select.push(" AND id > ").bind(last);
        }
        select.push(" ORDER BY id LIMIT ").bind(PAGE_ROWS_COUNT);
        self.connection.fetch_all(select, ProofRow::read).await
    }

    fn add(&mut self, entry: &ProofRow, rows: &mut Rows) {
        let row = || format!("row {} of {}", entry.id, moment(entry.at.0));
        let amount = total(&entry.charges);
        if amount != entry.amount {
            let (lines, amount) = (amount.0, entry.amount.0);
            let what = format!("{}: the lines of its bill come to {lines}", row());
            self.differs(format!("{what}, but its amount is {amount}"));
        }
        let Some(series) = self.names.get(entry.series) else {
            return self.differs(format!("{}: series {} is unknown", row(), entry.series));
        };
        if amount != NanoDollars::default() {
            let project = series.values[Dimension::ProjectId as usize].clone();
            let month = Month::of(entry.at).start;
            let spent = self.spend.entry((month, project)).or_default();
            *spent += i128::from(amount.0);
        }
        let minute = minute_of(entry.at);
        if entry.quantities != Quantities::default() {
            rows.push(entry.series, minute, &amounts_of(&entry.quantities));
        }
        for charge in &entry.charges {
            if let Some(of_charge) = self.names.charge(entry.series, charge.name) {
                rows.push(of_charge, minute, &amounts_of_charge(charge));
            }
        }
    }

    /// Returns the rows in the blocks of a rollup and period.
    async fn found(&mut self, rollup: Rollup, period: i64) -> Result<Rows> {
        let block = BlockRange {
            rollup,
            first_period: period,
            last_period: period,
        };
        let select = select_blocks(self.number, &[block]);
        let read = |row: &Row<'_>| row.get::<Vec<u8>>("data");
        let mut rows = Rows::default();
        for data in self.connection.fetch_all(select, read).await? {
            if let Err(error) = rows.push_block(&data) {
                let place = format!("{} of {}", rollup.as_str(), moment(period));
                self.differs(format!("{place}: a block cannot be read: {error}"));
            }
        }
        Ok(rows)
    }

    /// Compares the sums of a rollup and period with those of the ledger, given as rows by the minute or the day.
    async fn compare(&mut self, rollup: Rollup, period: i64, ledger: &mut Rows) -> Result<()> {
        let width = rollup.width().seconds();
        let mut found = self.found(rollup, period).await?;
        let (names, new, dropped) = (&mut self.names, &mut self.new, self.dropped);
        let can_be_proved = |bucket| !dropped.contains(&UnixTime(bucket).floor(SECONDS_PER_DAY));
        let mut place = |series, bucket| {
            let bucket = UnixTime(bucket).floor(width).0;
            (rollup.period(bucket) == period && can_be_proved(bucket)).then_some(())?;
            Some((names.in_rollup(rollup, series)?, bucket))
        };
        found.append(&new.merged(&mut place));
        let ledger = ledger.merged(place);
        let proved = |series, bucket| can_be_proved(bucket).then_some((series, bucket));
        let found = found.merged(proved);
        let (mut ledger, mut found) = (ledger.iter().peekable(), found.iter().peekable());
        loop {
            let keys = [ledger.peek(), found.peek()];
            let keys = keys.into_iter().flatten().map(|(key, _)| *key);
            let Some(key) = keys.min() else {
                return Ok(());
            };
            let sums = ledger.next_if(|(at, _)| *at == key);
            let sums = (sums, found.next_if(|(at, _)| *at == key));
            let sum = |sum: Option<(_, Amounts)>| sum.map(|(_, sum)| sum).unwrap_or_default();
            self.compare_sums(rollup, key, (sum(sums.0), sum(sums.1)));
        }
    }

    fn compare_sums(
        &mut self,
        rollup: Rollup,
        (series, bucket): (i64, i64),
        (ledger, found): (Amounts, Amounts),
    ) {
        if ledger == found {
            return;
        }
        for column in 0..MAX_COLUMNS {
            let numbers = (ledger.get(column), found.get(column));
            if numbers.0 != numbers.1 {
                let (rollup, bucket) = (rollup.as_str(), moment(bucket));
                let (series, column) = (self.names.describe(series), column_name(column));
                let place = format!("{rollup} {bucket}, {series}, {column}");
                self.differs(compared(&place, numbers));
            }
        }
    }

    async fn compare_spend(&mut self) -> Result<()> {
        let select = sql!(
            "SELECT month, project_id, amount FROM spend_months WHERE organization_id = $1",
            self.id
        );
        let read = |row: &Row<'_>| {
            let key = (row.time("month")?, row.get::<String>("project_id")?);
            Ok((key, row.get::<i64>("amount")?))
        };
        let found = self.connection.fetch_all(select, read).await?;
        let found: BTreeMap<_, _> = found.into_iter().collect();
        // Sums in the database saturate.
        let (min, max) = (i128::from(i64::MIN + 1), i128::from(i64::MAX));
        let stopped = |spent: i128| i64::try_from(spent.clamp(min, max)).unwrap_or(i64::MAX);
        let ledger = std::mem::take(&mut self.spend).into_iter();
        let ledger: BTreeMap<_, _> = ledger.map(|(key, spent)| (key, stopped(spent))).collect();
        let keys: BTreeSet<_> = ledger.keys().chain(found.keys()).collect();
        let since = self.dropped.last().map(|day| Month::of(*day).end);
        for key in keys.into_iter().filter(|(month, _)| Some(*month) >= since) {
            let numbers = (ledger.get(key).copied(), found.get(key).copied());
            // A month without spend need not have a row.
            if numbers.0.unwrap_or_default() != numbers.1.unwrap_or_default() {
                self.differs(compared(&spend_of(key.0, &key.1), numbers));
            }
        }
        Ok(())
    }

    fn differs(&mut self, what: String) {
        self.verified.differs(self.id, what);
    }
}
