//! Keyset pagination: every page costs the same, and paging neither repeats nor skips a row that existed throughout.

use base::Error as Refusal;

use crate::{Connection, Result, Row, Statement};

/// The direction of a list.
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

/// The columns that a list is sorted by.
#[derive(Clone, Copy, Debug)]
pub struct SortKey {
    /// The integer column that is compared first, if `id` does not increase with creation.
    time: Option<&'static str>,
    /// The column that cursors hold values of, unique in the list.
    id: &'static str,
}

impl SortKey {
    /// Sorts by `time`, then by `id`: for rows without an id of their own, such as memberships.
    #[must_use]
    pub fn by_time(time: &'static str, id: &'static str) -> Self {
        let time = Some(time);
        Self { time, id }
    }
}

/// Sorts by a column whose values increase with creation, such as an id.
impl From<&'static str> for SortKey {
    fn from(id: &'static str) -> Self {
        Self { time: None, id }
    }
}

/// The values of the sort key in the row that a cursor names.
struct CursorRow<'a> {
    time: Option<i64>,
    id: &'a str,
}

/// A request for a page of a list.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The most rows of the page; 0 returns an empty page with `has_more`.
    pub limit: i64,
    /// The cursor after which the page begins.
    pub after: Option<String>,
    /// The cursor before which the page ends.
    pub before: Option<String>,
    /// The direction of the list.
    pub order: Order,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows, in the list's order.
    pub rows: Vec<T>,
    /// True if there are more rows in the direction of paging: after the last, or before the first if only `before` is given.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// Converts the rows.
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        Page {
            rows: self.rows.into_iter().map(make).collect(),
            has_more: self.has_more,
        }
    }
}

impl PageRequest {
    /// Returns a page of the rows that `list` selects.
    ///
    /// Both statements end in a `WHERE` clause to which conditions can be added. `whole` is the same list without filters:
    /// each cursor must be one of its rows, so that unknown cursors and those of other tenants are refused.
    ///
    /// # Errors
    /// 400 naming `after` or `before` if it is not a row of the list; the database's.
    pub async fn fetch<T>(
        &self,
        connection: &mut Connection,
        list: Statement,
        whole: Statement,
        key: SortKey,
        read: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Page<T>, Refusal> {
        if self.after.is_some() || self.before.is_some() {
            connection.pin_snapshot()?;
        }
        let mut cursors = [None, None];
        for (row, (param, cursor)) in cursors
            .iter_mut()
            .zip([("after", &self.after), ("before", &self.before)])
        {
            if let Some(cursor) = cursor {
                *row = Some(find(connection, &whole, (key, self.order), param, cursor).await?);
            }
        }
        let [after, before] = cursors;
        // With `before` alone, the page ends there: it is read backwards, then reversed.
        let backwards = before.is_some() && after.is_none();
        let statement = self.statement(list, key, [after, before], backwards);
        let mut rows = connection.fetch_all(statement, read).await?;
        let wanted = usize::try_from(self.limit).unwrap_or(0);
        let has_more = rows.len() > wanted;
        rows.truncate(wanted);
        if backwards {
            rows.reverse();
        }
        Ok(Page { rows, has_more })
    }

    fn statement(
        &self,
        mut list: Statement,
        key: SortKey,
        cursors: [Option<CursorRow<'_>>; 2],
        backwards: bool,
    ) -> Statement {
        let sides = match self.order {
            Order::Ascending => [" > ", " < "],
            Order::Descending => [" < ", " > "],
        };
        for (cursor, side) in cursors.into_iter().zip(sides) {
            if let Some(cursor) = cursor {
                key.compare(&mut list, side, &cursor);
            }
        }
        let direction = if backwards {
            self.order.reversed()
        } else {
            self.order
        };
        let direction = match direction {
            Order::Ascending => " ASC",
            Order::Descending => " DESC",
        };
        list.push(" ORDER BY ");
        if let Some(time) = key.time {
            list.push(time).push(direction).push(", ");
        }
        list.push(key.id).push(direction);
        list.push(" LIMIT ").bind(self.limit + 1);
        list
    }
}

impl SortKey {
    /// Appends the condition that a row is on one side of a cursor.
    fn compare(self, list: &mut Statement, side: &'static str, cursor: &CursorRow<'_>) {
        list.push(" AND ");
        match (self.time, cursor.time) {
            (Some(time), Some(value)) => {
                list.push("(").push(time).push(", ").push(self.id);
                list.push(")").push(side).push("(").bind(value);
                list.push(", ").bind(cursor.id).push(")");
            }
            _ => {
                list.push(self.id).push(side).bind(cursor.id);
            }
        }
    }

    /// Returns the name of the time column without its table.
    fn time_in_row(self) -> Option<&'static str> {
        let time = self.time?;
        Some(time.rsplit_once('.').map_or(time, |(_, name)| name))
    }
}

async fn find<'a>(
    connection: &mut Connection,
    whole: &Statement,
    (key, order): (SortKey, Order),
    param: &'static str,
    cursor: &'a str,
) -> Result<CursorRow<'a>, Refusal> {
    let mut statement = whole.clone();
    statement
        .push(" AND ")
        .push(key.id)
        .push(" = ")
        .bind(cursor);
    let read = |row: &Row<'_>| key.time_in_row().map(|time| row.get(time)).transpose();
    let found = connection.fetch(&statement, read).await?;
    // If several items have the id, the page begins after the last, or ends before the first, so that each page goes on.
    let is_latest = (param == "after") == (order == Order::Ascending);
    let time = match is_latest {
        true => found.into_iter().max(),
        false => found.into_iter().min(),
    };
    match time {
        Some(time) => Ok(CursorRow { time, id: cursor }),
        None => Err(unknown_cursor(param, cursor)),
    }
}

/// Returns 400: the cursor in `param` is not an item of the list.
#[must_use]
pub fn unknown_cursor(param: &str, cursor: &str) -> Refusal {
    let shown = base::shown(cursor);
    Refusal::invalid(
        param,
        format!("{param} must be the id of an item of this list; '{shown}' is not."),
    )
}
