//! The proof for one organization.

use std::collections::{BTreeMap, BTreeSet};

use base::time::DAY;
use base::{NanoDollars, UnixTime};
use store::{Connection, Result, Row, USAGE_EVENTS, sql};

use super::names::Names;
use super::{Verified, compared, moment, spend_of};
use crate::ledger::{packed, total};
use crate::sums::{AMOUNT, Amounts, Block, COLUMNS, QUANTITY, Rows, Shape, blocks, minute_of};
use crate::{Charge, Dimension, Metric, Month, Quantities, Width};

/// How many rows of the ledger are read at once.
const PAGE: i64 = 5_000;
/// How many rows of sums are in memory before those of one series and bucket are added up.
const ROWS: usize = 1_000_000;

/// What is at hand while an organization is proved.
pub(super) struct Proof<'a> {
    connection: &'a mut Connection,
    number: i64,
    id: &'a str,
    /// The days that have a ledger.
    days: &'a [UnixTime],
    /// The days whose ledger was dropped.
    dropped: &'a BTreeSet<UnixTime>,
    verified: &'a mut Verified,
    names: Names,
    /// What was added to the sums lately.
    new: Rows,
    /// What the ledger says was spent, by month and project.
    spend: BTreeMap<(UnixTime, String), i128>,
}

/// A row of the ledger.
struct Entry {
    id: String,
    at: UnixTime,
    series: i64,
    quantities: Quantities,
    lines: Vec<Charge>,
    amount: NanoDollars,
}

impl Entry {
    fn read(row: &Row<'_>) -> Result<Self> {
        let (quantities, lines) = packed::read(row)?;
        Ok(Self {
            id: row.get("id")?,
            at: row.time("timestamp")?,
            series: row.get("series")?,
            quantities,
            lines,
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
        let names = Names::of(connection, number).await?;
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
        proof.new = proof.found(Shape::New, Shape::New.period(0)).await?;
        Ok(proof)
    }

    pub(super) async fn run(&mut self, progress: &mut impl FnMut(u64)) -> Result<()> {
        for (span, days) in self.spans().await? {
            let mut whole = Rows::default();
            for day in days {
                let mut rows = self.ledger(day, progress).await?;
                for shape in Shape::derived().filter(|shape| shape.width() != Width::Day) {
                    self.compare(shape, day.0, &mut rows).await?;
                }
                let by_day = |series, bucket| Some((series, UnixTime(bucket).floor(DAY).0));
                whole.append(&rows.merged(by_day));
            }
            for shape in Shape::derived().filter(|shape| shape.width() == Width::Day) {
                self.compare(shape, span, &mut whole).await?;
            }
        }
        self.compare_spend().await
    }

    /// The spans whose days share blocks, and the days of each that have a ledger or sums.
    async fn spans(&mut self) -> Result<BTreeMap<i64, BTreeSet<UnixTime>>> {
        let periods = sql!(
            "SELECT DISTINCT shape, period FROM usage_sums WHERE organization = $1",
            self.number
        );
        let read =
            |row: &Row<'_>| Ok((row.word("shape", Shape::parse)?, row.get::<i64>("period")?));
        let periods = self.connection.fetch_all(periods, read).await?;
        let mut spans: BTreeMap<i64, BTreeSet<UnixTime>> = BTreeMap::new();
        let of_new = self.new.iter().map(|((_, bucket), _)| bucket);
        let mut days: BTreeSet<UnixTime> = of_new.map(|at| UnixTime(at).floor(DAY)).collect();
        days.extend(self.days);
        for (shape, period) in periods
            .into_iter()
            .filter(|(shape, _)| *shape != Shape::New)
        {
            if shape.width() == Width::Day {
                spans.entry(period).or_default();
            } else {
                days.insert(UnixTime(period));
            }
        }
        for day in days.difference(self.dropped) {
            let span = Shape::Days.period(day.0);
            spans.entry(span).or_default().insert(*day);
        }
        Ok(spans)
    }

    /// What the sums by the minute of a day should be.
    async fn ledger(&mut self, day: UnixTime, progress: &mut impl FnMut(u64)) -> Result<Rows> {
        let (mut rows, mut most) = (Rows::default(), ROWS);
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
            if rows.len() > most {
                rows = summed(&mut rows);
                most = ROWS.max(2 * rows.len());
            }
            match page.into_iter().next_back() {
                Some(entry) => last = Some(entry.id),
                None => return Ok(summed(&mut rows)),
            }
        }
    }

    /// Some rows of a day, those whose ids come after `last`.
    async fn page(&mut self, day: UnixTime, last: Option<String>) -> Result<Vec<Entry>> {
        let mut select = sql!("SELECT id, timestamp, series, amounts, amount FROM ");
        select.push_partition(USAGE_EVENTS, day);
        select.push(" WHERE organization = ").bind(self.number);
        if let Some(last) = last {
            select.push(" AND id > ").bind(last);
        }
        select.push(" ORDER BY id LIMIT ").bind(PAGE);
        self.connection.fetch_all(select, Entry::read).await
    }

    fn add(&mut self, entry: &Entry, rows: &mut Rows) {
        let row = || format!("row {} of {}", entry.id, moment(entry.at.0));
        let amount = total(&entry.lines);
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
            rows.push(entry.series, minute, &Amounts::from(&entry.quantities));
        }
        for line in &entry.lines {
            if let Some(of_line) = self.names.line(entry.series, line.name) {
                let amounts = Amounts::of_line(line.quantity, line.amount);
                rows.push(of_line, minute, &amounts);
            }
        }
    }

    /// What the blocks of a shape and period say.
    async fn found(&mut self, shape: Shape, period: i64) -> Result<Rows> {
        let block = Block {
            shape,
            first_period: period,
            last_period: period,
        };
        let select = blocks(self.number, &[block]);
        let read = |row: &Row<'_>| row.get::<Vec<u8>>("data");
        let mut rows = Rows::default();
        for data in self.connection.fetch_all(select, read).await? {
            if let Err(error) = rows.push_block(&data) {
                let place = format!("{} of {}", shape.as_str(), moment(period));
                self.differs(format!("{place}: a block cannot be read: {error}"));
            }
        }
        Ok(rows)
    }

    /// Compares the sums of a shape and period with what the ledger says: rows by the minute or the day.
    async fn compare(&mut self, shape: Shape, period: i64, ledger: &mut Rows) -> Result<()> {
        let width = shape.width().seconds();
        let mut found = self.found(shape, period).await?;
        let (names, new, dropped) = (&mut self.names, &mut self.new, self.dropped);
        let can_be_proved = |bucket| !dropped.contains(&UnixTime(bucket).floor(DAY));
        let mut place = |series, bucket| {
            let bucket = UnixTime(bucket).floor(width).0;
            (shape.period(bucket) == period && can_be_proved(bucket)).then_some(())?;
            Some((names.place(shape, series)?, bucket))
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
            self.compare_sums(shape, key, (sum(sums.0), sum(sums.1)));
        }
    }

    fn compare_sums(
        &mut self,
        shape: Shape,
        (series, bucket): (i64, i64),
        (ledger, found): (Amounts, Amounts),
    ) {
        if ledger == found {
            return;
        }
        for column in 0..COLUMNS {
            let numbers = (ledger.get(column), found.get(column));
            if numbers.0 != numbers.1 {
                let (shape, bucket) = (shape.as_str(), moment(bucket));
                let (series, column) = (self.names.describe(series), name_of(column));
                let place = format!("{shape} {bucket}, {series}, {column}");
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
        // The database's sums stop at the ends of the range.
        let (min, max) = (i128::from(i64::MIN + 1), i128::from(i64::MAX));
        let stopped = |spent: i128| i64::try_from(spent.clamp(min, max)).unwrap_or(i64::MAX);
        let ledger = std::mem::take(&mut self.spend).into_iter();
        let ledger: BTreeMap<_, _> = ledger.map(|(key, spent)| (key, stopped(spent))).collect();
        let keys: BTreeSet<_> = ledger.keys().chain(found.keys()).collect();
        let since = self.dropped.last().map(|day| Month::of(*day).end);
        for key in keys.into_iter().filter(|(month, _)| Some(*month) >= since) {
            let numbers = (ledger.get(key).copied(), found.get(key).copied());
            // Where nothing was ever spent there need be no counter.
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

/// Each series and bucket once, in order.
fn summed(rows: &mut Rows) -> Rows {
    rows.merged(|series, bucket| Some((series, bucket)))
}

fn name_of(column: usize) -> &'static str {
    match column {
        QUANTITY => "quantity",
        AMOUNT => "amount",
        metric => Metric::ALL[metric].as_str(),
    }
}
