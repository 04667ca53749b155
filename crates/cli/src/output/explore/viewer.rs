//! The state of the viewer, and the effects of keys.

use std::mem;

use anyhow::{Error, Result};
use ratatui_crossterm::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::tree::{Node, nodes};
use crate::output::characters::line;

/// The largest number of items that one key fetches, by going to the end of a long list or by a search.
const MAX_FETCH_COUNT: usize = 500;

/// The outcome of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyOutcome {
    Stay,
    Quit,
}

/// The items fetched so far, and the position in them.
pub struct Viewer<'a> {
    source: &'a mut dyn Iterator<Item = Result<String>>,
    pub is_complete: bool,
    error: Option<Error>,
    items: Vec<Vec<Node>>,
    /// The visible rows: positions of an item and of a node in it.
    rows: Vec<(usize, usize)>,
    pub cursor: usize,
    pub top: usize,
    height: usize,
    pub is_typing: bool,
    pub searched: String,
    pub remark: String,
}

impl<'a> Viewer<'a> {
    /// Fetches the first items.
    ///
    /// # Errors
    /// The first item could not be fetched.
    pub fn new(source: &'a mut dyn Iterator<Item = Result<String>>) -> Result<Self> {
        let mut viewer = Viewer {
            source,
            is_complete: false,
            error: None,
            items: Vec::new(),
            rows: Vec::new(),
            cursor: 0,
            top: 0,
            height: 1,
            is_typing: false,
            searched: String::new(),
            remark: String::new(),
        };
        viewer.fill(2);
        if viewer.items.is_empty() {
            viewer.error.take().map_or(Ok(()), Err)?;
        }
        if viewer.is_complete && viewer.items.len() == 1 {
            viewer.items[0][0].is_open = true;
            viewer.update_rows();
        }
        Ok(viewer)
    }

    /// Returns the error that ended the list early.
    pub fn end(self) -> Result<()> {
        self.error.map_or(Ok(()), Err)
    }

    /// Resizes the window to `height` rows, keeps the cursor in it, and fetches items to fill it.
    pub fn resize(&mut self, height: usize) {
        self.height = height.max(1);
        self.top = self.top.min(self.cursor);
        self.top = self.top.max((self.cursor + 1).saturating_sub(self.height));
        self.fill(self.top + self.height + 1);
    }

    /// Returns the rows in the window.
    pub fn window(&self) -> impl Iterator<Item = (usize, &Node)> {
        let rows = self
            .rows
            .iter()
            .enumerate()
            .skip(self.top)
            .take(self.height);
        rows.map(|(row, (item, node))| (row, &self.items[*item][*node]))
    }

    /// Returns the number of the item under the cursor, counted from 1, and the number of items so far.
    pub fn position(&self) -> (usize, usize) {
        let item = self.rows.get(self.cursor).map_or(0, |(item, _)| item + 1);
        (item, self.items.len())
    }

    /// Handles a key.
    pub fn press(&mut self, key: KeyEvent) -> KeyOutcome {
        self.remark.clear();
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return KeyOutcome::Quit;
        }
        if self.is_typing {
            self.type_key(key.code);
            return KeyOutcome::Stay;
        }
        let page = self.height.saturating_sub(1).max(1);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return KeyOutcome::Quit,
            KeyCode::Down | KeyCode::Char('j') => self.go(self.cursor + 1),
            KeyCode::Up | KeyCode::Char('k') => self.go(self.cursor.saturating_sub(1)),
            KeyCode::PageDown | KeyCode::Char(' ') => self.go(self.cursor + page),
            KeyCode::PageUp => self.go(self.cursor.saturating_sub(page)),
            KeyCode::Home | KeyCode::Char('g') => self.go(0),
            KeyCode::End | KeyCode::Char('G') => {
                self.fetch(MAX_FETCH_COUNT);
                self.go(self.rows.len().saturating_sub(1));
            }
            KeyCode::Enter => self.toggle(),
            KeyCode::Right | KeyCode::Char('l') => self.set_open(true),
            KeyCode::Left | KeyCode::Char('h') => self.close(),
            KeyCode::Char('/') => {
                self.is_typing = true;
                self.searched.clear();
            }
            KeyCode::Char('n') => self.find(true),
            KeyCode::Char('N') => self.find(false),
            _ => {}
        }
        KeyOutcome::Stay
    }

    fn type_key(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(c) => self.searched.push(c),
            KeyCode::Backspace => {
                self.searched.pop();
            }
            KeyCode::Esc => self.is_typing = false,
            KeyCode::Enter => {
                self.is_typing = false;
                self.find(true);
            }
            _ => {}
        }
    }

    fn go(&mut self, row: usize) {
        self.fill(row.saturating_add(self.height).saturating_add(1));
        self.cursor = row.min(self.rows.len().saturating_sub(1));
        self.resize(self.height);
    }

    fn node(&mut self) -> Option<&mut Node> {
        let (item, node) = *self.rows.get(self.cursor)?;
        Some(&mut self.items[item][node])
    }

    fn toggle(&mut self) {
        let is_open = self.node().is_some_and(|node| node.is_open);
        self.set_open(!is_open);
    }

    fn set_open(&mut self, is_open: bool) {
        if let Some(node) = self.node().filter(|node| node.has_inside) {
            node.is_open = is_open;
            self.update_rows();
            self.resize(self.height);
        }
    }

    /// Closes the node under the cursor; if it is closed, the node around it.
    fn close(&mut self) {
        let Some(&(item, place)) = self.rows.get(self.cursor) else {
            return;
        };
        let nodes = &self.items[item];
        let inside = |outer: &usize| nodes[*outer].end > place;
        let outer = (0..place).rev().find(inside);
        if let Some(outer) = outer.filter(|_| !nodes[place].is_open) {
            self.show(item, outer);
        }
        self.set_open(false);
    }

    /// Moves to a node, opening all nodes around it.
    fn show(&mut self, item: usize, place: usize) {
        for outer in &mut self.items[item][..place] {
            outer.is_open |= outer.end > place;
        }
        self.update_rows();
        let row = self.rows.binary_search(&(item, place));
        self.go(row.unwrap_or(self.cursor));
    }

    /// Moves to the next node that contains the searched text, inside closed nodes too, and wraps around at the end.
    fn find(&mut self, is_forward: bool) {
        let searched = self.searched.to_lowercase();
        let Some(&here) = self.rows.get(self.cursor).filter(|_| !searched.is_empty()) else {
            return;
        };
        let mut found = self.matching(&searched, is_forward, |place| match is_forward {
            true => place > here,
            false => place < here,
        });
        if found.is_none() && is_forward {
            let known = self.items.len();
            self.fetch(MAX_FETCH_COUNT);
            found = self.matching(&searched, true, |place| place.0 >= known);
        }
        match found.or_else(|| self.matching(&searched, is_forward, |_| true)) {
            Some((item, place)) => self.show(item, place),
            None => self.remark = format!("'{}' is not here", self.searched),
        }
    }

    fn matching(
        &self,
        searched: &str,
        is_forward: bool,
        is_in_range: impl Fn((usize, usize)) -> bool,
    ) -> Option<(usize, usize)> {
        let places = |(item, nodes): (usize, &'_ Vec<Node>)| {
            (0..nodes.len())
                .map(move |node| (item, node))
                .collect::<Vec<_>>()
        };
        let holds = |place: &(usize, usize)| {
            let node = &self.items[place.0][place.1];
            is_in_range(*place)
                && [&node.label, &node.text]
                    .iter()
                    .any(|text| text.to_lowercase().contains(searched))
        };
        let mut all = self.items.iter().enumerate().flat_map(places);
        if is_forward {
            all.find(holds)
        } else {
            all.filter(holds).last()
        }
    }

    /// Fetches items until there are `rows` rows.
    fn fill(&mut self, rows: usize) {
        while self.rows.len() < rows && self.fetch(1) {}
    }

    /// Fetches up to `count` items. Returns true if there were any.
    fn fetch(&mut self, count: usize) -> bool {
        let known = self.items.len();
        while !self.is_complete && self.items.len() < known + count {
            match self.source.next() {
                Some(Ok(text)) => {
                    self.rows.push((self.items.len(), 0));
                    self.items.push(nodes(&text));
                }
                Some(Err(error)) => {
                    self.remark = line(&format!("{error:#}")).into_owned();
                    self.error = Some(error);
                    self.is_complete = true;
                }
                None => self.is_complete = true,
            }
        }
        self.items.len() > known
    }

    /// Updates the rows after a node was opened or closed.
    fn update_rows(&mut self) {
        let mut rows = mem::take(&mut self.rows);
        rows.clear();
        for (item, nodes) in self.items.iter().enumerate() {
            let mut place = 0;
            while let Some(node) = nodes.get(place) {
                rows.push((item, place));
                place = if node.is_open { place + 1 } else { node.end };
            }
        }
        self.rows = rows;
    }
}
