//! The sums that are derived from the ledger: usage by minute, hour and day, costs by hour and day, spend by month.

use std::collections::BTreeMap;

use base::ids::{OrganizationId, ProjectId};
use base::{NanoDollars, UnixTime};
use store::{Error, Result, Row, Statement, Transaction, sql};

use crate::columns::{metric_values, push_metrics};
use crate::spend::{self, Total};
use crate::{Metric, Month, Quantities, Width};

/// A line of a bill as the ledger keeps it: line item, quantity, amount.
pub(crate) type Line = (String, i64, NanoDollars);

/// Reads the lines of a row of the ledger.
pub(crate) fn read_lines(row: &Row<'_>) -> Result<Vec<Line>> {
    let text: String = row.get("charges")?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Column("charges".to_owned(), error.to_string()))
}

/// What the lines of a bill come to.
pub(crate) fn total(lines: &[Line]) -> NanoDollars {
    lines.iter().map(|(_, _, amount)| *amount).sum()
}

/// The widths that usage is summed by, coarsest first.
pub(crate) const USAGE_WIDTHS: &[Width] = &[Width::Day, Width::Hour, Width::Minute];
/// The widths that costs are summed by, coarsest first.
pub(crate) const COST_WIDTHS: &[Width] = &[Width::Day, Width::Hour];

/// The table of usage by `width`.
pub(crate) fn usage_table(width: Width) -> &'static str {
    match width {
        Width::Minute => "usage_minutes",
        Width::Hour => "usage_hours",
        Width::Day => "usage_days",
    }
}

/// The table of costs by `width`; there is none by the minute.
pub(crate) fn cost_table(width: Width) -> &'static str {
    match width {
        Width::Minute | Width::Hour => "cost_hours",
        Width::Day => "cost_days",
    }
}

/// What some events add to the sums: in the order of the tables' keys, so that two programs that write at the same
/// time never wait for each other's rows.
#[derive(Default)]
pub(crate) struct Rollups {
    usage: BTreeMap<(Width, UnixTime, i64), Quantities>,
    costs: BTreeMap<(Width, UnixTime, i64, String), (i64, NanoDollars)>,
    spend: BTreeMap<(UnixTime, OrganizationId, ProjectId), NanoDollars>,
}

/// What one event adds to the sums.
pub(crate) struct Addend<'a> {
    pub(crate) organization_id: &'a OrganizationId,
    pub(crate) project_id: &'a ProjectId,
    pub(crate) time: UnixTime,
    pub(crate) series: i64,
    pub(crate) quantities: &'a Quantities,
    pub(crate) lines: &'a [Line],
}

impl Rollups {
    /// Adds one event.
    pub(crate) fn add(&mut self, event: &Addend<'_>) {
        let Addend {
            time,
            series,
            quantities,
            ..
        } = *event;
        if *quantities != Quantities::default() {
            for &width in USAGE_WIDTHS {
                let key = (width, time.floor(width.seconds()), series);
                self.usage.entry(key).or_default().add(quantities);
            }
        }
        for (item, quantity, amount) in event.lines {
            for &width in COST_WIDTHS {
                let key = (width, time.floor(width.seconds()), series, item.clone());
                let sum = self.costs.entry(key).or_default();
                sum.0 = sum.0.saturating_add(*quantity);
                sum.1 += *amount;
            }
        }
        let amount = total(event.lines);
        if amount != NanoDollars::default() {
            let (organization, project) = (event.organization_id.clone(), event.project_id.clone());
            let key = (Month::of(time).start, organization, project);
            *self.spend.entry(key).or_default() += amount;
        }
    }

    /// Adds all this to the tables; what was spent then in the months that it is of.
    pub(crate) async fn write(self, transaction: &mut Transaction) -> Result<Vec<Total>> {
        for &width in USAGE_WIDTHS {
            let rows = self.usage.iter().filter(|(key, _)| key.0 == width);
            let rows = rows.map(|((_, bucket, series), quantities)| {
                let key = [(*bucket).into(), (*series).into()];
                key.into_iter().chain(metric_values(quantities)).collect()
            });
            let (head, tail) = add_usage(usage_table(width));
            transaction
                .write_rows(&head, rows.collect(), &tail, |_| Ok(()))
                .await?;
        }
        for &width in COST_WIDTHS {
            let rows = self.costs.iter().filter(|(key, _)| key.0 == width);
            let rows = rows.map(|((_, bucket, series, item), (quantity, amount))| {
                let unit = crate::LineItem::unit_of(item).unwrap_or_default();
                vec![
                    (*bucket).into(),
                    (*series).into(),
                    item.as_str().into(),
                    unit.into(),
                    (*quantity).into(),
                    (*amount).into(),
                ]
            });
            let (head, tail) = add_costs(cost_table(width));
            transaction
                .write_rows(&head, rows.collect(), &tail, |_| Ok(()))
                .await?;
        }
        spend::add(transaction, self.spend.into_iter()).await
    }
}

/// Adds to sums, of which those stay NULL for which nothing was ever reported.
fn add_usage(table: &'static str) -> (Statement, Statement) {
    let mut head = sql!("INSERT INTO ");
    head.push(table).push(" (bucket, series_id");
    push_metrics(&mut head, Metric::ALL);
    head.push(") VALUES ");
    let mut tail = sql!(" ON CONFLICT (bucket, series_id) DO UPDATE SET ");
    for (index, metric) in Metric::ALL.iter().enumerate() {
        let name = metric.as_str();
        tail.push(if index == 0 { "" } else { ", " });
        tail.push(name).push(" = COALESCE(");
        tail.push(table).push(".").push(name);
        tail.push(" + excluded.").push(name).push(", ");
        tail.push(table).push(".").push(name);
        tail.push(", excluded.").push(name).push(")");
    }
    (head, tail)
}

fn add_costs(table: &'static str) -> (Statement, Statement) {
    let mut head = sql!("INSERT INTO ");
    head.push(table)
        .push(" (bucket, series_id, line_item, unit, quantity, amount) VALUES ");
    let mut tail = sql!(" ON CONFLICT (bucket, series_id, line_item) DO UPDATE SET quantity = ");
    tail.push(table)
        .push(".quantity + excluded.quantity, amount = ");
    tail.push(table).push(".amount + excluded.amount");
    (head, tail)
}
