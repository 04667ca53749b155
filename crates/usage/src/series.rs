//! The dictionary of all combinations of dimensions, so that the ledger and its sums need one number for each.

use std::collections::{BTreeSet, HashMap};

use store::{Result, Row, Statement, Transaction, Value, sql};

use crate::columns::{push_dimensions, read_dimension};
use crate::{Dimension, Kind, UsageEvent};

/// How many combinations are kept in memory.
const MOST_KNOWN: usize = 100_000;

/// A combination of dimensions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Series {
    organization_id: String,
    kind: Kind,
    /// In the order of [`Dimension::ALL`]; empty where one does not apply, `true` or `false` for `batch`.
    values: [String; Dimension::ALL.len()],
}

impl Series {
    pub(crate) fn of(event: &UsageEvent) -> Self {
        let value = |dimension: &Dimension| event.dimension(*dimension).unwrap_or_default();
        let mut values = [const { String::new() }; Dimension::ALL.len()];
        for (text, dimension) in values.iter_mut().zip(Dimension::ALL) {
            value(dimension).clone_into(text);
        }
        Self {
            organization_id: event.organization_id.to_string(),
            kind: event.kind,
            values,
        }
    }

    fn read(row: &Row<'_>) -> Result<Self> {
        let mut values = [const { String::new() }; Dimension::ALL.len()];
        for (text, dimension) in values.iter_mut().zip(Dimension::ALL) {
            *text = read_dimension(row, *dimension)?.unwrap_or_default();
        }
        Ok(Self {
            organization_id: row.get("organization_id")?,
            kind: row.word("kind", Kind::parse)?,
            values,
        })
    }

    fn row(&self) -> Vec<Value> {
        let own = [
            self.organization_id.as_str().into(),
            self.kind.as_str().into(),
        ];
        let value = |(text, dimension): (&String, &Dimension)| match dimension {
            Dimension::Batch => Value::Boolean(text == "true"),
            _ => text.as_str().into(),
        };
        let values = self.values.iter().zip(Dimension::ALL).map(value);
        own.into_iter().chain(values).collect()
    }
}

/// The numbers of the combinations that were met lately.
#[derive(Default)]
pub(crate) struct Dictionary {
    known: HashMap<Series, i64>,
}

impl Dictionary {
    /// The number of a combination that is known.
    pub(crate) fn id(&self, series: &Series) -> Option<i64> {
        self.known.get(series).copied()
    }

    /// Looks up those of `series` that are not known, and adds those that nobody has met before. To be given to
    /// [`Dictionary::learn`] when the transaction has been committed, and forgotten otherwise.
    pub(crate) async fn look_up(
        &self,
        transaction: &mut Transaction,
        series: impl Iterator<Item = &Series>,
    ) -> Result<HashMap<Series, i64>> {
        let missing = series.filter(|series| !self.known.contains_key(series));
        // Each once, as a statement must not meet the same row twice; and always in the same order, so that two
        // programs never wait for each other's rows.
        let missing: BTreeSet<&Series> = missing.collect();
        let rows = missing.into_iter().map(Series::row).collect();
        let (head, tail) = insert();
        let found = transaction
            .write_rows(&head, rows, &tail, |row| {
                Ok((Series::read(row)?, row.get("id")?))
            })
            .await?;
        Ok(found.into_iter().collect())
    }

    /// Keeps what was looked up.
    pub(crate) fn learn(&mut self, found: HashMap<Series, i64>) {
        if self.known.len() + found.len() > MOST_KNOWN {
            self.known.clear();
        }
        self.known.extend(found);
    }
}

/// Inserts combinations, and returns also those that are there.
fn insert() -> (Statement, Statement) {
    let columns = |statement: &mut Statement| {
        statement.push("organization_id, kind");
        push_dimensions(statement);
    };
    let mut head = sql!("INSERT INTO usage_series (");
    columns(&mut head);
    head.push(") VALUES ");
    let mut tail = sql!(" ON CONFLICT (");
    columns(&mut tail);
    tail.push(") DO UPDATE SET kind = excluded.kind RETURNING id, ");
    columns(&mut tail);
    (head, tail)
}
