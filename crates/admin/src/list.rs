//! Envelopes of list responses, with cursors that are ids or with a cursor `next`.

use base::Result;
use base::ids::Id;
use schemars::JsonSchema;
use serde::Serialize;
use store::{Order, Page, PageRequest};

use crate::literal::literals;

/// A page whose cursors are the ids of its first and last items.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub struct List<T> {
    /// Always `list`.
    pub object: ListObject,
    /// Items of the page.
    pub data: Vec<T>,
    /// Id of the first item.
    pub first_id: Option<String>,
    /// Id of the last item, the `after` of the next page.
    pub last_id: Option<String>,
    /// True if there are more items.
    pub has_more: bool,
}

/// An item of a list.
pub trait Item {
    /// Returns the cursor of the item.
    fn cursor(&self) -> String;
}

impl<T: Item> From<Page<T>> for List<T> {
    fn from(page: Page<T>) -> Self {
        Self {
            object: ListObject,
            first_id: page.rows.first().map(Item::cursor),
            last_id: page.rows.last().map(Item::cursor),
            data: page.rows,
            has_more: page.has_more,
        }
    }
}

/// A page whose cursor is `next`: the id of its last item if there are more.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}NextList")]
pub struct NextList<T> {
    /// Always `list`.
    pub object: ListObject,
    /// Items of the page.
    pub data: Vec<T>,
    /// True if there are more items.
    pub has_more: bool,
    /// The `after` of the next page; null on the last page.
    pub next: Option<String>,
}

impl<T: Item> From<Page<T>> for NextList<T> {
    fn from(page: Page<T>) -> Self {
        let last = page.rows.last().map(Item::cursor);
        Self {
            object: ListObject,
            next: last.filter(|_| page.has_more),
            data: page.rows,
            has_more: page.has_more,
        }
    }
}

/// Implements [`Item`] for a type whose cursor is one of its fields.
macro_rules! list_item {
    ($item:ty, $cursor:ident) => {
        impl $crate::list::Item for $item {
            fn cursor(&self) -> String {
                self.$cursor.to_string()
            }
        }
    };
}
pub(crate) use list_item;

/// Returns a request for a page in the order of creation, oldest first.
#[must_use]
pub fn oldest_first(limit: i64, after: Option<String>) -> PageRequest {
    page_after(limit, after, Order::Ascending)
}

/// Returns a request for a page that begins after a cursor, or at the list's beginning.
#[must_use]
pub fn page_after(limit: i64, after: Option<String>, order: Order) -> PageRequest {
    PageRequest {
        limit,
        after,
        before: None,
        order,
    }
}

/// Returns a page of a list in memory, ordered by cursor.
///
/// # Errors
/// 400 naming a cursor that is not an item of the list.
pub fn page_of<T: Item>(mut items: Vec<T>, request: &PageRequest) -> Result<Page<T>> {
    items.sort_by_key(Item::cursor);
    if request.order == Order::Descending {
        items.reverse();
    }
    let place = |param: &str, cursor: &Option<String>| match cursor {
        None => Ok(None),
        Some(cursor) => match items.iter().position(|item| item.cursor() == *cursor) {
            None => Err(store::unknown_cursor(param, cursor)),
            place => Ok(place),
        },
    };
    let (after, before) = (
        place("after", &request.after)?,
        place("before", &request.before)?,
    );
    let start = after.map_or(0, |place| place + 1);
    let end = before.unwrap_or(items.len()).max(start);
    let wanted = usize::try_from(request.limit).unwrap_or(0);
    let has_more = end - start > wanted;
    let kept = if before.is_some() && after.is_none() {
        end - wanted.min(end)..end
    } else {
        start..end.min(start + wanted)
    };
    let rows = items.drain(kept).collect();
    Ok(Page { rows, has_more })
}

literals! {
    ListObject = "list";
}

/// The response to a deletion.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{O}Answer")]
pub struct Deleted<O = &'static str> {
    /// Type of the deleted object, with the suffix `.deleted`.
    pub object: O,
    /// Id of the deleted object.
    pub id: String,
    /// Always true.
    pub deleted: bool,
}

impl<O> Deleted<O> {
    /// Creates the response for the object `id`.
    #[must_use]
    pub fn new<I: Id>(object: O, id: &I) -> Self {
        Self {
            object,
            id: id.to_string(),
            deleted: true,
        }
    }
}

/// The response to the deletion of a setting, which has no id.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{O}Answer")]
pub struct Unset<O> {
    /// Type of the deleted object, with the suffix `.deleted`.
    pub object: O,
    /// Always true.
    pub deleted: bool,
}

impl<O: Default> Unset<O> {
    /// Creates the response.
    #[must_use]
    pub fn done() -> Self {
        Self {
            object: O::default(),
            deleted: true,
        }
    }
}
