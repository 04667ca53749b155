//! Keyset pagination: a page costs the same wherever it lies, and never repeats or skips a row that was there all along.

use base::Error as Refusal;

use crate::{Connection, Result, Row, Statement};

/// Which way a list runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

impl Order {
    fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

/// What part of a list is asked for.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// How many rows at the most; 0 gives an empty page that says whether there is more.
    pub limit: i64,
    /// The id after which the page begins.
    pub after: Option<String>,
    /// The id before which the page ends.
    pub before: Option<String>,
    /// Which way the list runs.
    pub order: Order,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows, in the list's order.
    pub rows: Vec<T>,
    /// Whether there are more in the direction of paging: after the last, or with only `before` given before the first.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// The same page of other things.
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        Page {
            rows: self.rows.into_iter().map(make).collect(),
            has_more: self.has_more,
        }
    }
}

impl PageRequest {
    /// The page of the rows that `list` selects.
    ///
    /// `list` ends in a `WHERE` clause that is open for more; `key` is a column that is unique in the list and grows
    /// with creation, and is also what a cursor names. `exists` is asked for each cursor: it selects the row with that
    /// key within the same list (same text as `list`, but unfiltered), so that a foreign or invented cursor is refused.
    ///
    /// # Errors
    /// 400 naming `after` or `before` when that is no row of the list.
    pub async fn fetch<T>(
        &self,
        connection: &mut Connection,
        list: Statement,
        exists: Statement,
        key: &'static str,
        read: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Page<T>, Refusal> {
        for (param, cursor) in [("after", &self.after), ("before", &self.before)] {
            if let Some(cursor) = cursor {
                check_cursor(connection, &exists, key, param, cursor).await?;
            }
        }
        // With `before` alone, the page is the one that ends there: read backwards, then turned round.
        let backwards = self.before.is_some() && self.after.is_none();
        let mut rows = connection
            .fetch_all(self.statement(list, key, backwards), read)
            .await?;
        let wanted = usize::try_from(self.limit).unwrap_or(0);
        let has_more = rows.len() > wanted;
        rows.truncate(wanted);
        if backwards {
            rows.reverse();
        }
        Ok(Page { rows, has_more })
    }

    fn statement(&self, mut list: Statement, key: &'static str, backwards: bool) -> Statement {
        let (later, earlier) = match self.order {
            Order::Ascending => (" > ", " < "),
            Order::Descending => (" < ", " > "),
        };
        if let Some(after) = &self.after {
            list.push(" AND ")
                .push(key)
                .push(later)
                .bind(after.as_str());
        }
        if let Some(before) = &self.before {
            list.push(" AND ")
                .push(key)
                .push(earlier)
                .bind(before.as_str());
        }
        let direction = if backwards {
            self.order.reversed()
        } else {
            self.order
        };
        list.push(" ORDER BY ").push(key);
        list.push(if direction == Order::Ascending {
            " ASC LIMIT "
        } else {
            " DESC LIMIT "
        });
        list.bind(self.limit + 1);
        list
    }
}

async fn check_cursor(
    connection: &mut Connection,
    exists: &Statement,
    key: &'static str,
    param: &'static str,
    cursor: &str,
) -> Result<(), Refusal> {
    let mut statement = exists.clone();
    statement.push(" AND ").push(key).push(" = ").bind(cursor);
    if connection
        .fetch_optional(statement, |_| Ok(()))
        .await?
        .is_none()
    {
        return Err(unknown_cursor(param, cursor));
    }
    Ok(())
}

/// 400: the cursor that `param` holds is no item of the list.
#[must_use]
pub fn unknown_cursor(param: &str, cursor: &str) -> Refusal {
    let shown: String = cursor.chars().take(80).collect();
    Refusal::invalid(
        param,
        format!("{param} must be the id of an item of this list; '{shown}' is not."),
    )
}
