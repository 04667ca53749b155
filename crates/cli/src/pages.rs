//! The items of a list, whose pages are fetched as they are needed.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{Client, Reply};
use crate::refused::accepted;
use crate::request::Request;

/// A page, as far as it has to be understood.
#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    #[serde(default)]
    has_more: bool,
    first_id: Option<String>,
    last_id: Option<String>,
    next: Option<String>,
}

/// The items of all pages, in the order in which they come.
pub struct Items<'client> {
    client: &'client Client,
    request: Request,
    ready: VecDeque<Box<RawValue>>,
    has_more: bool,
    left: Option<u64>,
}

impl<'client> Items<'client> {
    /// Begins with the first page, which `reply` has. At most `most` items are given.
    pub fn new(
        client: &'client Client,
        request: Request,
        reply: &Reply,
        most: Option<u64>,
    ) -> Result<Self> {
        let mut items = Self {
            client,
            request,
            ready: VecDeque::new(),
            has_more: false,
            left: most,
        };
        items.receive(reply)?;
        Ok(items)
    }

    /// Takes the items of a page, and notes how to ask for the page after it.
    fn receive(&mut self, reply: &Reply) -> Result<()> {
        let page: Page =
            serde_json::from_slice(&reply.body).context("the server's answer is no list")?;
        self.ready.extend(page.data);
        // Before an item, and after none: what is left is before the page.
        let is_backwards = self.request.has("before") && !self.request.has("after");
        let (key, cursor) = if is_backwards {
            ("before", page.first_id)
        } else {
            ("after", page.next.or(page.last_id))
        };
        // A page without items has nothing to go on from, whatever it says.
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
        if self.left == Some(0) {
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
        self.left = self.left.map(|left| left - 1);
        Some(Ok(item.get().to_owned()))
    }
}
