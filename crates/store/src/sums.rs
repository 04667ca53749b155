//! Sums of many rows by group.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::sqlite::prepare;
use crate::value::Driver;
use crate::{Error, Result, Row, Statement, Value};

/// `SELECT keys, SUM(columns) FROM … GROUP BY keys`, in the way that is fast in each database: PostgreSQL groups; SQLite
/// could only sort, so there the rows are added up as they come.
#[derive(Clone, Debug)]
pub struct Sums {
    /// What to group by: columns of type `BIGINT` or `TEXT`, never NULL.
    pub keys: Vec<&'static str>,
    /// What to sum: columns of type `BIGINT`. A sum is NULL only where all values are.
    pub columns: Vec<&'static str>,
    /// Of what: ` FROM … WHERE …`.
    pub rows: Statement,
}

/// The sums of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// The values of the keys.
    pub keys: Vec<Value>,
    /// The sums of the columns.
    pub columns: Vec<Option<i64>>,
}

impl Sums {
    fn select(&self, grouped: bool) -> Statement {
        let mut select = Statement::new("SELECT ", self.rows.values.clone());
        let mut between = "";
        for key in &self.keys {
            select.push(between).push(key);
            between = ", ";
        }
        for column in &self.columns {
            select.push(between);
            if grouped {
                select
                    .push("CAST(SUM(")
                    .push(column)
                    .push(") AS BIGINT) AS ");
            }
            select.push(column);
            between = ", ";
        }
        select.text.to_mut().push_str(&self.rows.text);
        if grouped {
            for (index, key) in self.keys.iter().enumerate() {
                select.push(if index == 0 { " GROUP BY " } else { ", " });
                select.push(key);
            }
        }
        select
    }

    /// The statement that lets the database group.
    pub(crate) fn grouped(&self) -> Statement {
        self.select(true)
    }

    /// Reads a row of [`Sums::grouped`].
    pub(crate) fn read(&self, row: &Row<'_>) -> Result<Sum> {
        let Driver::Postgres(row) = row.row else {
            return Err(Error::NoRow);
        };
        let failed =
            |error: tokio_postgres::Error| Error::Column("sum".to_owned(), error.to_string());
        let key = |index: usize| match row.columns()[index].type_() {
            &tokio_postgres::types::Type::INT8 => row.try_get(index).map(Value::Integer),
            _ => row.try_get(index).map(Value::Text),
        };
        let keys = (0..self.keys.len()).map(key).collect::<Result<_, _>>();
        let sums = self.keys.len()..self.keys.len() + self.columns.len();
        let columns = sums
            .map(|index| row.try_get(index))
            .collect::<Result<_, _>>();
        Ok(Sum {
            keys: keys.map_err(failed)?,
            columns: columns.map_err(failed)?,
        })
    }

    /// Groups and adds up here.
    pub(crate) fn add_up(&self, connection: &Connection) -> Result<Vec<Sum>> {
        let select = self.select(false);
        let mut prepared = prepare(connection, &select)?;
        let mut rows = prepared.raw_query();
        let mut groups: HashMap<Vec<u8>, Sum> = HashMap::new();
        let mut key = Vec::new();
        while let Some(row) = rows.next()? {
            key.clear();
            for index in 0..self.keys.len() {
                encode(row.get_ref(index)?, &mut key);
            }
            // Most rows belong to a group that is there, and need no key of their own.
            if let Some(sum) = groups.get_mut(&key) {
                self.add(row, sum)?;
            } else if let Entry::Vacant(group) = groups.entry(key.clone()) {
                let keys = (0..self.keys.len()).map(|index| Ok(value(row.get_ref(index)?)));
                let sum = group.insert(Sum {
                    keys: keys.collect::<Result<_>>()?,
                    columns: vec![None; self.columns.len()],
                });
                self.add(row, sum)?;
            }
        }
        Ok(groups.into_values().collect())
    }

    fn add(&self, row: &rusqlite::Row<'_>, sum: &mut Sum) -> Result<()> {
        for (index, total) in sum.columns.iter_mut().enumerate() {
            if let ValueRef::Integer(more) = row.get_ref(self.keys.len() + index)? {
                let sum = total.unwrap_or(0).checked_add(more);
                let problem = || "the sum is beyond the range".to_owned();
                *total = Some(
                    sum.ok_or_else(|| Error::Column(self.columns[index].to_owned(), problem()))?,
                );
            }
        }
        Ok(())
    }
}

/// Writes a value so that no two sequences of values are written alike.
fn encode(value: ValueRef<'_>, key: &mut Vec<u8>) {
    match value {
        ValueRef::Integer(number) => key.extend(number.to_ne_bytes()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            key.extend(bytes.len().to_ne_bytes());
            key.extend(bytes);
        }
        ValueRef::Null | ValueRef::Real(_) => {}
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_owned()),
        ValueRef::Null | ValueRef::Real(_) => Value::Null,
    }
}
