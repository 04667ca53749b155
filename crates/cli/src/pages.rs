//! The items of a list, whose pages are fetched on demand.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{Client, Reply};
use crate::refused::accepted;
use crate::request::Request;

/// The fields of a page that paging uses.
#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    #[serde(default)]
    has_more: bool,
    first_id: Option<String>,
    last_id: Option<String>,
    next: Option<String>,
}

/// An iterator over the items of all pages.
pub struct Items<'client> {
    client: &'client Client,
    request: Request,
    ready: VecDeque<Box<RawValue>>,
    has_more: bool,
    remaining: Option<u64>,
}

impl<'client> Items<'client> {
    /// Creates the iterator from the first page, which is `reply`. `None` for `max_items` means all.
    pub fn new(
        client: &'client Client,
        request: Request,
        reply: &Reply,
        max_items: Option<u64>,
    ) -> Result<Self> {
        let mut items = Self {
            client,
            request,
            ready: VecDeque::new(),
            has_more: false,
            remaining: max_items,
        };
        items.receive(reply)?;
        Ok(items)
    }

    /// Adds the items of a page, and moves the request on to the page after it.
    fn receive(&mut self, reply: &Reply) -> Result<()> {
        let page: Page =
            serde_json::from_slice(&reply.body).context("the server's answer is no list")?;
        self.ready.extend(page.data);
        // With `before` alone, the remaining items precede this page.
        let is_backwards = self.request.has("before") && !self.request.has("after");
        let (key, cursor) = if is_backwards {
            ("before", page.first_id)
        } else {
            ("after", page.next.or(page.last_id))
        };
        // A page without items has no cursor, whatever its `has_more` says.
        let cursor = cursor.filter(|_| page.has_more && !self.ready.is_empty());
        self.has_more = cursor.is_some();
        if let Some(cursor) = cursor {
            self.request.set(key, cursor);
        }
        Ok(())
    }

    fn fetch(&mut self) -> Result<()> {
        let reply = self.client.send(&self.request)?;
        self.receive(&accepted(reply)?)
    }
}

impl Iterator for Items<'_> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining == Some(0) {
            return None;
        }
        if self.ready.is_empty() {
            if !std::mem::take(&mut self.has_more) {
                return None;
            }
            if let Err(error) = self.fetch() {
                return Some(Err(error));
            }
        }
        let item = self.ready.pop_front()?;
        self.remaining = self.remaining.map(|remaining| remaining - 1);
        Some(Ok(item.get().to_owned()))
    }
}
