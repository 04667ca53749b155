//! SQL text and its parameters. The text is made of literals only, so no input can become SQL.

use std::borrow::Cow;

use crate::Value;

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
        let number = self.values.len();
        self.text.to_mut().push('$');
        self.text.to_mut().push_str(&number.to_string());
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
}
