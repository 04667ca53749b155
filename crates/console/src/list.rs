//! Pages of lists: a table, filters, pages, and a file of comma-separated values.

use askama::Template;
use axum::body::Body;
use http::{HeaderValue, Method, Response, header};
use pages::{Choice, Control, Field, InputKind, Link};
use serde_json::Value as Json;

use crate::client::Refusal;
use crate::context::{Context, Outcome};
use crate::picker::next_cursor;
use crate::resource::{Resource, console_path};
use crate::schema::{FieldSchema, ValueKind};
use crate::table::{Button, Table, table_of};

/// Items on a page.
const PAGE_LIMIT: &str = "50";
/// Items that a section of another page shows.
const SECTION_LIMIT: &str = "20";
/// The largest page that all lists have.
const FILE_PAGE_LIMIT: &str = "100";
/// The most rows of a file.
const MAX_FILE_ROWS_COUNT: usize = 50_000;
/// Parameters that pages set themselves.
const OWN_PARAMETERS: [&str; 5] = ["after", "before", "limit", "search", "format"];

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage<'a> {
    title: &'a str,
    about: &'a str,
    buttons: Vec<Button>,
    filters: Vec<Field>,
    path: &'a str,
    is_filtered: bool,
    table: Table,
    empty: &'a str,
    first: String,
    next: String,
    file: String,
}

/// A list on the page of something else.
#[derive(Template)]
#[template(path = "section.html")]
pub(crate) struct ListSection {
    title: &'static str,
    about: &'static str,
    buttons: Vec<Button>,
    table: Option<Table>,
    empty: &'static str,
    all: String,
    has_more: bool,
    refusal: String,
}

impl askama::filters::HtmlSafe for ListSection {}

/// Answers the page of a list.
pub(crate) async fn answer(context: &Context<'_>, resource: &'static Resource) -> Outcome {
    let path = context.fill(resource.path, &[]);
    let parameters = context
        .operation(&Method::GET, resource.path)
        .map_or(&[][..], |known| &known.query);
    if context.query.get("format") == Some("csv") {
        return file(context, resource, &path, parameters).await;
    }
    let mut query = filters_of(context, parameters);
    query.push(("limit", PAGE_LIMIT));
    if let Some(after) = context.query.text("after") {
        query.push(("after", after));
    }
    let page = context.get(&path, &query).await?;
    let items = page["data"].as_array().map_or(&[][..], Vec::as_slice);
    let here = |after: Option<&str>| {
        let query = context.query.with("after", after);
        let link = Link::to_path(context.path.clone()).queries(query.pairs());
        link.to_string()
    };
    let next = next_cursor(&page);
    let about = resource.about;
    let content = ListPage {
        title: resource.title,
        about,
        buttons: buttons(context, resource),
        filters: filter_fields(context, parameters),
        path: &context.path,
        is_filtered: !filters_of(context, parameters).is_empty(),
        table: table_of(context, resource, items),
        empty: resource.empty,
        first: context
            .query
            .text("after")
            .map(|_| here(None))
            .unwrap_or_default(),
        next: next.map(|next| here(Some(&next))).unwrap_or_default(),
        file: file_address(context),
    };
    let page = context.page(resource.title, &context.trail(), &content);
    Ok(page.into_response())
}

fn file_address(context: &Context<'_>) -> String {
    let query = context
        .query
        .with("after", None)
        .with("format", Some("csv"));
    let link = Link::to_path(context.path.clone()).queries(query.pairs());
    link.to_string()
}

/// Returns the section of a list for the page of something else.
pub(crate) async fn section(context: &Context<'_>, resource: &'static Resource) -> ListSection {
    let path = context.fill(resource.path, &[]);
    let answered = context.get(&path, &[("limit", SECTION_LIMIT)]).await;
    let (table, has_more, refusal) = match &answered {
        Ok(page) => {
            let items = page["data"].as_array().map_or(&[][..], Vec::as_slice);
            let table = (!items.is_empty()).then(|| table_of(context, resource, items));
            (table, next_cursor(page).is_some(), String::new())
        }
        Err(refusal) => (None, false, short_reason(context, resource, refusal)),
    };
    ListSection {
        title: resource.title,
        about: resource.about,
        buttons: buttons(context, resource),
        table,
        empty: resource.empty,
        all: console_path(&path),
        has_more,
        refusal,
    }
}

fn short_reason(context: &Context<'_>, resource: &Resource, refusal: &Refusal) -> String {
    match context.missing(&Method::GET, resource.path) {
        Some(missing) => format!("To see this, you need the permission {missing}."),
        None => refusal.message.clone(),
    }
}

/// Returns the buttons above a list: create, and actions that are not of one item.
fn buttons(context: &Context<'_>, resource: &'static Resource) -> Vec<Button> {
    let base = console_path(&context.fill(resource.path, &[]));
    let mut buttons = Vec::new();
    for action in resource.actions.iter().filter(|action| !action.is_of_item) {
        let target = console_path(&context.fill(action.path, &[]));
        buttons.push(Button::new(
            context,
            &Method::POST,
            action.path,
            action.verb,
            target,
        ));
    }
    if context.operation(&Method::POST, resource.path).is_some() {
        let label = format!("{} {}", resource.create_verb, resource.singular);
        let create = Button::new(
            context,
            &Method::POST,
            resource.path,
            label,
            format!("{base}/new"),
        );
        buttons.push(create.class("primary"));
    }
    buttons
}

/// Returns the parameters of the list that the query sets.
fn filters_of<'a>(
    context: &'a Context<'_>,
    parameters: &'a [FieldSchema],
) -> Vec<(&'a str, &'a str)> {
    let mut filters = Vec::new();
    for parameter in parameters {
        let is_own = OWN_PARAMETERS.contains(&parameter.name.as_str());
        if !is_own || parameter.name == "search" {
            let values = context.query.all(&parameter.name);
            let set = values.map(str::trim).filter(|value| !value.is_empty());
            filters.extend(set.map(|value| (parameter.name.as_str(), value)));
        }
    }
    filters
}

/// Returns the fields above a list: search, and a choice for each parameter with some words.
fn filter_fields(context: &Context<'_>, parameters: &[FieldSchema]) -> Vec<Field> {
    let value = |name: &str| context.query.get(name).unwrap_or_default().to_owned();
    let mut fields = Vec::new();
    if parameters
        .iter()
        .any(|parameter| parameter.name == "search")
    {
        let search = Field::input(InputKind::Search, "search", "Search");
        fields.push(
            search
                .value(value("search"))
                .placeholder("Name or part of it"),
        );
    }
    for parameter in parameters {
        let name = parameter.name.as_str();
        if OWN_PARAMETERS.contains(&name) {
            continue;
        }
        let words: Vec<(String, String)> = match &parameter.kind {
            ValueKind::Choice(words) => {
                let shown = |word: &crate::schema::Word| {
                    let meaning = word.meaning.trim_end_matches('.').to_owned();
                    let label = if meaning.is_empty() || meaning.len() > 40 {
                        crate::form::humanized(&word.value)
                    } else {
                        meaning
                    };
                    (word.value.clone(), label)
                };
                words.iter().map(shown).collect()
            }
            ValueKind::Boolean => vec![
                ("true".to_owned(), "Yes".to_owned()),
                ("false".to_owned(), "No".to_owned()),
            ],
            _ => continue,
        };
        let chosen = value(name);
        let option = |(word, label): (String, String)| {
            let is_chosen = word == chosen;
            Choice::new(word, label).chosen(is_chosen)
        };
        let mut choices = vec![Choice::new("", "Any").chosen(chosen.is_empty())];
        choices.extend(words.into_iter().map(option));
        fields.push(Field::new(
            name,
            crate::form::humanized(name),
            Control::Select(choices),
        ));
    }
    fields
}

/// Answers with all rows of a list as comma-separated values.
async fn file(
    context: &Context<'_>,
    resource: &Resource,
    path: &str,
    parameters: &[FieldSchema],
) -> Outcome {
    let mut rows: Vec<Json> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut query = filters_of(context, parameters);
        query.push(("limit", FILE_PAGE_LIMIT));
        if let Some(after) = &after {
            query.push(("after", after));
        }
        let page = context.get(path, &query).await?;
        rows.extend(page["data"].as_array().into_iter().flatten().cloned());
        after = next_cursor(&page);
        if after.is_none() || rows.len() >= MAX_FILE_ROWS_COUNT {
            break;
        }
    }
    let name = resource.path.rsplit('/').next().unwrap_or("list");
    Ok(csv_response(name, &csv_of(resource, &rows)))
}

/// Returns rows as comma-separated values: the id, then the columns.
fn csv_of(resource: &Resource, rows: &[Json]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let heads = resource.columns.iter().map(|column| column.label);
    // Writing to memory does not fail.
    let _ = writer.write_record(std::iter::once("Id").chain(heads));
    for row in rows {
        let cells = resource
            .columns
            .iter()
            .map(|column| harmless(column.plain(row)));
        let _ = writer.write_record(std::iter::once(resource.id_of(row)).chain(cells));
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

/// Puts an apostrophe before a text that a spreadsheet would run as a formula.
fn harmless(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err() {
        format!("'{text}")
    } else {
        text
    }
}

/// Returns the response with a file of comma-separated values.
pub(crate) fn csv_response(name: &str, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(text.to_owned()));
    let headers = response.headers_mut();
    let disposition = format!("attachment; filename=\"{name}.csv\"");
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/csv; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Ok(disposition) = HeaderValue::try_from(disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_no_formula_in_a_spreadsheet() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("-5", "-5"),
            ("+x", "'+x"),
            ("name", "name"),
        ] {
            assert_eq!(harmless(text.to_owned()), expected);
        }
    }
}
