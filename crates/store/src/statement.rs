//! SQL text and its parameters. The text is made of literals only, so no input can become SQL.

use std::borrow::Cow;
use std::fmt::Write;

use crate::Value;

/// How many rows one statement writes at the most.
const MOST_ROWS: usize = 64;
/// What the number of rows is divided by when fewer are left.
const STEP: usize = 4;

/// A statement and its parameters.
#[derive(Clone, Debug)]
pub struct Statement {
    pub(crate) text: Cow<'static, str>,
    pub(crate) values: Vec<Value>,
}

impl Statement {
    /// A statement whose text is known when compiling; `values` are its `$1`, `$2`, ….
    #[must_use]
    pub fn new(text: &'static str, values: Vec<Value>) -> Self {
        Self {
            text: Cow::Borrowed(text),
            values,
        }
    }

    /// Adds a literal piece of text.
    pub fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.to_mut().push_str(text);
        self
    }

    /// Adds the next `$n` and the value that it stands for.
    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        push_number(self.text.to_mut(), self.values.len());
        self
    }

    /// Adds `($n, $n+1, …)`, one for each value; `(NULL)`, which nothing equals, when there is none.
    pub fn bind_list<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        self.push("(");
        let mut first = true;
        for value in values {
            if !std::mem::take(&mut first) {
                self.push(", ");
            }
            self.bind(value);
        }
        self.push(if first { "NULL)" } else { ")" })
    }

    /// These words, then as many of the rows as one statement takes, then `tail`; again until every row has been in one.
    ///
    /// The numbers of rows are powers of [`STEP`], so that a table has a handful of texts to prepare.
    pub(crate) fn with_rows(
        &self,
        rows: Vec<Vec<Value>>,
        tail: &Self,
    ) -> impl Iterator<Item = Self> {
        let columns = rows.first().map_or(0, Vec::len);
        let mut rows = rows.into_iter();
        let (mut count, mut text) = (MOST_ROWS, String::new());
        std::iter::from_fn(move || {
            while count > rows.len() {
                count /= STEP;
                text.clear();
            }
            if count == 0 {
                return None;
            }
            if text.is_empty() {
                text = self.text_of_rows(count, columns, tail);
            }
            let mut values = self.values.clone();
            values.extend(rows.by_ref().take(count).flatten());
            Some(Self {
                text: Cow::Owned(text.clone()),
                values,
            })
        })
    }

    /// The text of a statement with so many rows, each of so many values.
    pub(crate) fn text_of_rows(&self, count: usize, columns: usize, tail: &Self) -> String {
        let mut text = self.text.clone().into_owned();
        let mut number = self.values.len();
        for row in 0..count {
            text.push_str(if row == 0 { "(" } else { "), (" });
            for column in 0..columns {
                if column > 0 {
                    text.push_str(", ");
                }
                number += 1;
                push_number(&mut text, number);
            }
        }
        text.push(')');
        text.push_str(&tail.text);
        text
    }

    /// The SQL text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A [`Statement`] of a literal and the values of its `$1`, `$2`, ….
#[macro_export]
macro_rules! sql {
    ($text:expr $(, $value:expr)* $(,)?) => {
        $crate::Statement::new($text, vec![$($crate::Value::from($value)),*])
    };
}

/// Adds `$n`.
fn push_number(text: &mut String, number: usize) {
    // Nothing goes wrong when a string is written to.
    let _ = write!(text, "${number}");
}

#[cfg(test)]
mod tests {
    #[test]
    fn bound_values_are_numbered_after_those_there() {
        let mut statement = sql!("SELECT a FROM t WHERE o = $1", "org");
        statement
            .push(" AND p IN ")
            .bind_list(["x", "y"])
            .push(" AND q IN ")
            .bind_list(Vec::<String>::new());
        statement.push(" LIMIT ").bind(5);
        assert_eq!(
            statement.text(),
            "SELECT a FROM t WHERE o = $1 AND p IN ($2, $3) AND q IN (NULL) LIMIT $4"
        );
        assert_eq!(statement.values.len(), 4);
    }

    #[test]
    fn many_rows_take_few_different_texts() {
        let rows = (0..150).map(|n| vec![n.into(), true.into()]).collect();
        let made: Vec<_> = sql!("INSERT INTO t (a, b) VALUES ")
            .with_rows(rows, &sql!(" RETURNING a"))
            .collect();
        let counts: Vec<_> = made.iter().map(|s| s.values.len() / 2).collect();
        assert_eq!(counts, [64, 64, 16, 4, 1, 1]);
        assert_eq!(
            made[5].text(),
            "INSERT INTO t (a, b) VALUES ($1, $2) RETURNING a"
        );
        assert!(made[3].text().contains("($1, $2), ($3, $4), "));
        let made: usize = sql!("x").with_rows(Vec::new(), &sql!("y")).count();
        assert_eq!(made, 0);
    }
}
