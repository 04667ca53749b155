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

/// What a list is ordered by.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The column that is compared first, an integer, where the cursor's own does not grow with creation.
    time: Option<&'static str>,
    /// The column that a cursor names, unique in the list.
    id: &'static str,
}

impl Key {
    /// In the order of `time`, and of `id` within the same one: for what has no id of its own, such as memberships.
    #[must_use]
    pub fn by_time(time: &'static str, id: &'static str) -> Self {
        let time = Some(time);
        Self { time, id }
    }
}

/// A column whose values grow with creation, such as an id.
impl From<&'static str> for Key {
    fn from(id: &'static str) -> Self {
        Self { time: None, id }
    }
}

/// The row that a cursor names, as far as the order goes.
struct Place<'a> {
    time: Option<i64>,
    id: &'a str,
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
    /// `list` ends in a `WHERE` clause that is open for more. `whole` is asked for each cursor: it selects the row that
    /// it names within the same list (same text as `list`, but unfiltered), so that a foreign or invented one is refused.
    ///
    /// # Errors
    /// 400 naming `after` or `before` when that is no row of the list.
    pub async fn fetch<T>(
        &self,
        connection: &mut Connection,
        list: Statement,
        whole: Statement,
        key: Key,
        read: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Page<T>, Refusal> {
        let mut places = [None, None];
        for (place, (param, cursor)) in places
            .iter_mut()
            .zip([("after", &self.after), ("before", &self.before)])
        {
            if let Some(cursor) = cursor {
                *place = Some(find(connection, &whole, key, param, cursor).await?);
            }
        }
        let [after, before] = places;
        // With `before` alone, the page is the one that ends there: read backwards, then turned round.
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
        key: Key,
        places: [Option<Place<'_>>; 2],
        backwards: bool,
    ) -> Statement {
        let sides = match self.order {
            Order::Ascending => [" > ", " < "],
            Order::Descending => [" < ", " > "],
        };
        for (place, side) in places.into_iter().zip(sides) {
            if let Some(place) = place {
                key.compare(&mut list, side, &place);
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

impl Key {
    /// Adds that a row lies on one side of a place.
    fn compare(self, list: &mut Statement, side: &'static str, place: &Place<'_>) {
        list.push(" AND ");
        match (self.time, place.time) {
            (Some(time), Some(value)) => {
                list.push("(").push(time).push(", ").push(self.id);
                list.push(")").push(side).push("(").bind(value);
                list.push(", ").bind(place.id).push(")");
            }
            _ => {
                list.push(self.id).push(side).bind(place.id);
            }
        }
    }

    /// The name of the first column in a row, without that of its table.
    fn time_in_row(self) -> Option<&'static str> {
        let time = self.time?;
        Some(time.rsplit_once('.').map_or(time, |(_, name)| name))
    }
}

async fn find<'a>(
    connection: &mut Connection,
    whole: &Statement,
    key: Key,
    param: &'static str,
    cursor: &'a str,
) -> Result<Place<'a>, Refusal> {
    let mut statement = whole.clone();
    statement
        .push(" AND ")
        .push(key.id)
        .push(" = ")
        .bind(cursor);
    let read = |row: &Row<'_>| key.time_in_row().map(|time| row.get(time)).transpose();
    let found = connection.fetch(&statement, read).await?;
    match found.into_iter().next() {
        Some(time) => Ok(Place { time, id: cursor }),
        None => Err(unknown_cursor(param, cursor)),
    }
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
