//! Tables: columns and rows of a list, with what can be done to each item.

use askama::Template;
use askama::filters::HtmlSafe;
use http::Method;
use serde_json::Value as Json;

use crate::cell::Cell;
use crate::context::Context;
use crate::resource::{Column, Resource, console_path};

/// A table of items.
#[derive(Template)]
#[template(path = "table.html")]
pub(crate) struct Table {
    /// Name of the table for screen readers.
    pub(crate) label: String,
    /// Headings.
    pub(crate) heads: Vec<TableHead>,
    /// Rows.
    pub(crate) rows: Vec<TableRow>,
    /// True if rows have buttons.
    pub(crate) has_actions: bool,
}

impl HtmlSafe for Table {}

/// A heading of a table.
pub(crate) struct TableHead {
    /// Text.
    pub(crate) label: &'static str,
    /// True if the column has numbers.
    pub(crate) is_number: bool,
}

/// A row of a table.
pub(crate) struct TableRow {
    /// Cells with true for numbers. The first one names the row.
    pub(crate) cells: Vec<(Cell, bool)>,
    /// Buttons.
    pub(crate) buttons: Vec<Button>,
}

/// A button that leads to a page, or is disabled because a permission is missing.
#[derive(Clone, Template)]
#[template(path = "button.html")]
pub(crate) struct Button {
    /// Text.
    pub(crate) label: String,
    /// Text for screen readers, which names the item.
    pub(crate) full_label: String,
    /// Target.
    pub(crate) target: String,
    /// Classes.
    pub(crate) class: &'static str,
    /// Name of the missing permission; empty if none is missing.
    pub(crate) missing: String,
}

impl HtmlSafe for Button {}

impl Button {
    /// Returns the button for an operation; disabled if the visitor lacks its permission.
    pub(crate) fn new(
        context: &Context<'_>,
        method: &Method,
        path: &'static str,
        label: impl Into<String>,
        target: String,
    ) -> Self {
        let missing = context.missing(method, path).unwrap_or_default();
        Self {
            label: label.into(),
            full_label: String::new(),
            target,
            class: "",
            missing: missing.to_owned(),
        }
    }

    /// Sets the classes.
    pub(crate) fn class(mut self, class: &'static str) -> Self {
        self.class = class;
        self
    }

    /// Names the item for screen readers.
    pub(crate) fn about(mut self, item: &str) -> Self {
        self.full_label = format!("{} {item}", self.label);
        self
    }
}

/// Returns the table of a resource's items. Items link to their page if there is one.
pub(crate) fn table_of(context: &Context<'_>, resource: &Resource, items: &[Json]) -> Table {
    let heads = resource.columns.iter().map(|column| TableHead {
        label: column.label,
        is_number: column.is_number(),
    });
    let rows: Vec<TableRow> = items
        .iter()
        .map(|item| row(context, resource, item))
        .collect();
    Table {
        label: resource.title.to_owned(),
        heads: heads.collect(),
        has_actions: rows.iter().any(|row| !row.buttons.is_empty()),
        rows,
    }
}

fn row(context: &Context<'_>, resource: &Resource, item: &Json) -> TableRow {
    let id = resource.id_of(item);
    let page = page_of(context, resource, &id);
    let cells = context.cells();
    let cell = |column: &Column| (column.cell(item, &page, &cells), column.is_number());
    TableRow {
        cells: resource.columns.iter().map(cell).collect(),
        buttons: row_buttons(context, resource, item),
    }
}

/// Returns the address of an item's page; empty if the resource has none.
pub(crate) fn page_of(context: &Context<'_>, resource: &Resource, id: &str) -> String {
    if context.operation(&Method::GET, resource.item).is_none() {
        return String::new();
    }
    console_path(&context.fill(resource.item, &[id]))
}

/// Returns what can be done to an item of a list.
pub(crate) fn row_buttons(context: &Context<'_>, resource: &Resource, item: &Json) -> Vec<Button> {
    let id = resource.id_of(item);
    let name = resource.name_of(item);
    let base = console_path(&context.fill(resource.item, &[&id]));
    let mut buttons = Vec::new();
    let is_fixed = (resource.is_fixed)(item);
    if !is_fixed && context.operation(&Method::POST, resource.item).is_some() {
        let edit = Button::new(
            context,
            &Method::POST,
            resource.item,
            "Edit",
            format!("{base}/edit"),
        );
        buttons.push(edit.class("small quiet").about(&name));
    }
    for action in resource.actions {
        if action.is_of_item && (action.applies)(item) {
            let mut target = console_path(&context.fill(action.page(), &[&id]));
            if !action.id_field.is_empty() {
                let link = pages::Link::to_path(target).query(action.id_field, &id);
                target = link.to_string();
            }
            let button = Button::new(context, &action.method(), action.path, action.verb, target);
            buttons.push(button.class("small quiet").about(&name));
        }
    }
    if !is_fixed && context.operation(&Method::DELETE, resource.item).is_some() {
        let verb = resource.delete_verb;
        let delete = Button::new(
            context,
            &Method::DELETE,
            resource.item,
            verb,
            format!("{base}/delete"),
        );
        buttons.push(delete.class("small quiet danger").about(&name));
    }
    buttons
}
