//! Rows as arrays: one parameter for each column, however many rows there are, so that one text and one round trip write
//! all of them.

use tokio_postgres::types::ToSql;

use crate::statement::push_number;
use crate::{Result, Statement, Value};

/// The end of the text before the rows.
const ROWS_FOLLOW: &str = "VALUES ";

/// A statement that writes rows given as arrays.
pub(crate) struct ArrayRows {
    pub(crate) text: String,
    values: Vec<Value>,
    columns: Vec<ArrayColumn>,
}

/// The values of a column.
enum ArrayColumn {
    Integers(Vec<Option<i64>>),
    Booleans(Vec<Option<bool>>),
    Texts(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl ArrayColumn {
    /// Returns an empty column for values of the type of `value`; `None` for a value without a type.
    fn of(value: &Value, capacity: usize) -> Option<Self> {
        Some(match value {
            Value::Null => return None,
            Value::Integer(_) => Self::Integers(Vec::with_capacity(capacity)),
            Value::Boolean(_) => Self::Booleans(Vec::with_capacity(capacity)),
            Value::Text(_) => Self::Texts(Vec::with_capacity(capacity)),
            Value::Bytes(_) => Self::Bytes(Vec::with_capacity(capacity)),
        })
    }

    /// True if the column can have the value.
    fn accepts(&self, value: &Value) -> bool {
        matches!(
            (self, value),
            (_, Value::Null)
                | (Self::Integers(_), Value::Integer(_))
                | (Self::Booleans(_), Value::Boolean(_))
                | (Self::Texts(_), Value::Text(_))
                | (Self::Bytes(_), Value::Bytes(_))
        )
    }

    /// Adds a value that the column accepts.
    fn push(&mut self, value: Value) {
        match (self, value) {
            (Self::Integers(all), Value::Integer(value)) => all.push(Some(value)),
            (Self::Booleans(all), Value::Boolean(value)) => all.push(Some(value)),
            (Self::Texts(all), Value::Text(value)) => all.push(Some(value)),
            (Self::Bytes(all), Value::Bytes(value)) => all.push(Some(value)),
            (Self::Integers(all), _) => all.push(None),
            (Self::Booleans(all), _) => all.push(None),
            (Self::Texts(all), _) => all.push(None),
            (Self::Bytes(all), _) => all.push(None),
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Integers(_) => "BIGINT[]",
            Self::Booleans(_) => "BOOLEAN[]",
            Self::Texts(_) => "TEXT[]",
            Self::Bytes(_) => "BYTEA[]",
        }
    }

    fn parameter(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Integers(values) => values,
            Self::Booleans(values) => values,
            Self::Texts(values) => values,
            Self::Bytes(values) => values,
        }
    }
}

impl ArrayRows {
    /// Returns the statement that writes `rows` after `head`, which ends in `VALUES `, and before `tail`. Returns the rows
    /// if they cannot be arrays: a column has values of several types, or none at all.
    ///
    /// # Errors
    /// As [`Value::storable`].
    pub(crate) fn new(
        head: &Statement,
        rows: Vec<Vec<Value>>,
        tail: &Statement,
    ) -> Result<std::result::Result<Self, Vec<Vec<Value>>>> {
        let Some((text, columns)) = head.text.strip_suffix(ROWS_FOLLOW).zip(columns(&rows)) else {
            return Ok(Err(rows));
        };
        for value in rows.iter().flatten() {
            value.storable()?;
        }
        let mut array_rows = Self {
            text: text.to_owned(),
            values: head.values.clone(),
            columns,
        };
        array_rows.push_select(&tail.text);
        for row in rows {
            for (column, value) in array_rows.columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        Ok(Ok(array_rows))
    }

    /// Appends the rows, as a query, and the tail to the text.
    fn push_select(&mut self, tail: &str) {
        let names = |text: &mut String, prefix: &str| {
            for index in 0..self.columns.len() {
                text.push_str(if index == 0 { prefix } else { ", c" });
                text.push_str(&index.to_string());
            }
        };
        let mut text = std::mem::take(&mut self.text);
        names(&mut text, "SELECT c");
        text.push_str(" FROM UNNEST(");
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                text.push_str(", ");
            }
            push_number(&mut text, self.values.len() + index + 1);
            text.push_str("::");
            text.push_str(column.type_name());
        }
        names(&mut text, ") AS r (c");
        text.push(')');
        text.push_str(tail);
        self.text = text;
    }

    /// Returns the parameters.
    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        let values = self.values.iter().map(|value| value as &(dyn ToSql + Sync));
        let arrays = self.columns.iter().map(ArrayColumn::parameter);
        values.chain(arrays).collect()
    }
}

/// Returns empty columns that accept all values of the rows; `None` if there are none.
fn columns(rows: &[Vec<Value>]) -> Option<Vec<ArrayColumn>> {
    let width = rows.first()?.len();
    let column = |index: usize| {
        let values = || rows.iter().map(move |row| row.get(index));
        let typed = values().flatten().find(|value| **value != Value::Null)?;
        let column = ArrayColumn::of(typed, rows.len())?;
        let accepts = |value: Option<&Value>| value.is_some_and(|value| column.accepts(value));
        values().all(accepts).then_some(column)
    };
    (0..width).map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql;

    fn array_rows(rows: Vec<Vec<Value>>) -> std::result::Result<ArrayRows, Vec<Vec<Value>>> {
        let head = sql!("INSERT INTO t (a, b) VALUES ");
        ArrayRows::new(&head, rows, &sql!(" RETURNING a")).expect("storable values")
    }

    #[test]
    fn rows_become_one_parameter_for_each_column() {
        let rows = vec![vec![1.into(), "x".into()], vec![2.into(), Value::Null]];
        let Ok(made) = array_rows(rows) else {
            panic!("the columns have one type each");
        };
        assert_eq!(
            made.text,
            "INSERT INTO t (a, b) SELECT c0, c1 FROM UNNEST($1::BIGINT[], $2::TEXT[]) AS r (c0, c1) RETURNING a"
        );
        assert_eq!(made.parameters().len(), 2);
    }

    #[test]
    fn columns_without_one_type_are_no_arrays() {
        for second in [Value::Null, true.into()] {
            let rows = vec![vec![1.into(), Value::Null], vec![2.into(), second.clone()]];
            let is_array = array_rows(rows).is_ok();
            assert_eq!(is_array, second != Value::Null, "{second:?}");
        }
        assert!(array_rows(vec![vec![1.into()], vec!["x".into()]]).is_err());
        assert!(array_rows(Vec::new()).is_err());
    }

    #[test]
    fn a_text_with_nul_is_refused() {
        let head = sql!("INSERT INTO t (a) VALUES ");
        let rows = vec![vec!["a".into()], vec!["\0".into()]];
        assert!(ArrayRows::new(&head, rows, &sql!("")).is_err());
    }
}
