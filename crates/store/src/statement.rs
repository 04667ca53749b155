//! SQL statements. Their text consists of literals only, so that no input can become SQL.

use std::borrow::Cow;
use std::fmt::Write;

use crate::Value;

/// The most rows that one statement writes.
const MAX_ROWS: usize = 64;
/// The divisor of the number of rows when fewer are left.
const ROWS_RATIO: usize = 4;

/// A statement and its parameters.
#[derive(Clone, Debug)]
pub struct Statement {
    pub(crate) text: Cow<'static, str>,
    pub(crate) values: Vec<Value>,
}

impl Statement {
    /// Returns a statement with a literal text; `values` are its `$1`, `$2`, ….
    #[must_use]
    pub fn new(text: &'static str, values: Vec<Value>) -> Self {
        Self {
            text: Cow::Borrowed(text),
            values,
        }
    }

    /// Appends a literal piece of text.
    pub fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.to_mut().push_str(text);
        self
    }

    /// Appends the next `$n` and its value.
    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        push_number(self.text.to_mut(), self.values.len());
        self
    }

    /// Appends `($n, $n+1, …)`, a parameter for each value; without values `(NULL)`, which equals nothing.
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

    /// Returns statements that together write all `rows`: each is this text, then some of the rows, then `tail`.
    ///
    /// The numbers of rows are powers of [`ROWS_RATIO`], so that a table has a handful of texts to prepare.
    pub(crate) fn with_rows(
        &self,
        rows: Vec<Vec<Value>>,
        tail: &Self,
    ) -> impl Iterator<Item = Self> {
        let columns = rows.first().map_or(0, Vec::len);
        let mut rows = rows.into_iter();
        let (mut count, mut text) = (MAX_ROWS, String::new());
        std::iter::from_fn(move || {
            while count > rows.len() {
                count /= ROWS_RATIO;
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

    /// Returns the text of a statement that writes `count` rows of `columns` values.
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

    /// Returns the SQL text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Returns true if a statement names each column that it reads: `*` stands only in `COUNT(*)` or for a multiplication.
#[must_use]
pub const fn names_columns(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'*' {
            let mut end = at;
            while end > 0 && bytes[end - 1].is_ascii_whitespace() {
                end -= 1;
            }
            if end == 0 || matches!(bytes[end - 1], b'.' | b',') {
                return false;
            }
            let before = bytes.split_at(end).0;
            if ends_with(before, b"SELECT")
                || ends_with(before, b"DISTINCT")
                || ends_with(before, b"RETURNING")
            {
                return false;
            }
        }
        at += 1;
    }
    true
}

const fn ends_with(text: &[u8], word: &[u8]) -> bool {
    if text.len() < word.len() {
        return false;
    }
    let end = text.split_at(text.len() - word.len()).1;
    end.eq_ignore_ascii_case(word)
}

/// Returns a [`Statement`] of a text and the values of its `$1`, `$2`, …. A literal that selects `*` does not compile.
#[macro_export]
macro_rules! sql {
    ($text:literal $(, $value:expr)* $(,)?) => {{
        const _: () = assert!($crate::names_columns($text), "a statement must name its columns");
        $crate::Statement::new($text, vec![$($crate::Value::from($value)),*])
    }};
    ($text:expr $(, $value:expr)* $(,)?) => {
        $crate::Statement::new($text, vec![$($crate::Value::from($value)),*])
    };
}

/// Appends `$n`.
pub(crate) fn push_number(text: &mut String, number: usize) {
    // Writing to a string cannot fail.
    let _ = write!(text, "${number}");
}

#[cfg(test)]
mod tests {
    use super::names_columns;

    #[test]
    fn star_stands_for_no_columns() {
        for text in [
            "SELECT COUNT(*) FROM t",
            "SELECT a * 2 FROM t",
            "SELECT SUM(a)*b FROM t",
        ] {
            assert!(names_columns(text), "{text}");
        }
        for text in [
            "SELECT {} FROM t",
            "SELECT DISTINCT {}",
            "select\n{} FROM t",
            "SELECT t.{} FROM t",
            "SELECT a, {} FROM t",
            "DELETE FROM t RETURNING {}",
            "{}",
        ] {
            let text = text.replace("{}", "*");
            assert!(!names_columns(&text), "{text}");
        }
    }

    #[test]
    fn bound_values_are_numbered_after_earlier_ones() {
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
    fn many_rows_need_few_different_texts() {
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
