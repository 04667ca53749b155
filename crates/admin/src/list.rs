//! The envelopes of lists: one for cursors that are ids, one for cursors that are called `next`.

use base::ids::Id;
use schemars::JsonSchema;
use serde::Serialize;
use store::{Order, Page, PageRequest};

/// A page whose cursors are the ids of its first and last item.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub struct List<T> {
    /// Always `list`.
    pub object: &'static str,
    /// The items.
    pub data: Vec<T>,
    /// The id of the first item.
    #[schemars(required)]
    pub first_id: Option<String>,
    /// The id of the last item: the next page is `after` it.
    #[schemars(required)]
    pub last_id: Option<String>,
    /// Whether there are more.
    pub has_more: bool,
}

/// Something in a list.
pub trait Item {
    /// What a cursor calls it.
    fn cursor(&self) -> String;
}

impl<T: Item> From<Page<T>> for List<T> {
    fn from(page: Page<T>) -> Self {
        Self {
            object: "list",
            first_id: page.rows.first().map(Item::cursor),
            last_id: page.rows.last().map(Item::cursor),
            data: page.rows,
            has_more: page.has_more,
        }
    }
}

/// A request for a page in the order of creation.
#[must_use]
pub fn oldest_first(limit: i64, after: Option<String>) -> PageRequest {
    PageRequest {
        limit,
        after,
        before: None,
        order: Order::Ascending,
    }
}

/// The answer to a deletion.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Deleted {
    /// What it was, with `.deleted`.
    pub object: &'static str,
    /// What its id was.
    pub id: String,
    /// Always true.
    pub deleted: bool,
}

impl Deleted {
    /// `object` was `id`, and is no more.
    #[must_use]
    pub fn new<I: Id>(object: &'static str, id: &I) -> Self {
        Self {
            object,
            id: id.to_string(),
            deleted: true,
        }
    }
}
