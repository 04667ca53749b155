//! Pages of lists: a table, filters, pages, and a file of comma-separated values.

use askama::Template;
use axum::body::Body;
use http::{HeaderValue, Method, Response, header};
use pages::{Choice, Control, Field, InputKind, Link};
use serde_json::Value as Json;

use crate::client::Refusal;
use crate::context::{Context, Outcome};
use crate::picker::{self, PickerKind, marked, next_cursor};
use crate::resource::{Extra, Resource, View, console_path};
use crate::schema::{FieldSchema, ValueKind};
use crate::screens::limits_now;
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
const OWN_PARAMETERS: [&str; 6] = ["after", "before", "limit", "order", "search", "format"];

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage<'a> {
    title: &'a str,
    about: &'a str,
    buttons: Vec<Button>,
    views: Vec<ListView>,
    filters: Vec<Field>,
    path: &'a str,
    is_filtered: bool,
    before: String,
    table: Table,
    empty: &'a str,
    first: String,
    next: String,
    file: String,
}

/// A link to a part of the list.
struct ListView {
    label: &'static str,
    target: String,
    is_current: bool,
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
        views: views(context, resource),
        filters: filter_fields(context, parameters).await,
        path: &context.path,
        is_filtered: !filters_of(context, parameters).is_empty(),
        before: match resource.extra {
            Extra::LimitsNow => limits_now::section(context).await,
            _ => String::new(),
        },
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
    section_of(context, resource, resource.title, &[]).await
}

/// Returns the section of a part of a list.
pub(crate) async fn section_of(
    context: &Context<'_>,
    resource: &'static Resource,
    title: &'static str,
    filter: &[(&str, &str)],
) -> ListSection {
    let path = context.fill(resource.path, &[]);
    let mut query = vec![("limit", SECTION_LIMIT)];
    query.extend(filter);
    let answered = context.get(&path, &query).await;
    let (table, has_more, refusal) = match &answered {
        Ok(page) => {
            let items = page["data"].as_array().map_or(&[][..], Vec::as_slice);
            let table = (!items.is_empty()).then(|| table_of(context, resource, items));
            (table, next_cursor(page).is_some(), String::new())
        }
        Err(refusal) => (None, false, short_reason(context, resource, refusal)),
    };
    let all = Link::to_path(console_path(&path)).queries(filter.iter().copied());
    ListSection {
        title,
        about: resource.about,
        buttons: section_buttons(context, resource),
        table,
        empty: resource.empty,
        all: all.to_string(),
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

/// Returns the buttons of a list on the page of something else, none of which is the main one of that page.
fn section_buttons(context: &Context<'_>, resource: &'static Resource) -> Vec<Button> {
    let all = buttons(context, resource).into_iter();
    all.map(|button| button.class("small")).collect()
}

/// Returns the buttons above a list: create, and actions that are not of one item.
fn buttons(context: &Context<'_>, resource: &'static Resource) -> Vec<Button> {
    let base = console_path(&context.fill(resource.path, &[]));
    let mut buttons = Vec::new();
    for action in resource.actions.iter().filter(|action| !action.is_of_item) {
        let target = console_path(&context.fill(action.page(), &[]));
        buttons.push(Button::new(
            context,
            &action.method(),
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

/// Returns the links to parts of the list; none for a list without any.
fn views(context: &Context<'_>, resource: &Resource) -> Vec<ListView> {
    if resource.views.is_empty() {
        return Vec::new();
    }
    let here = || Link::to_path(context.path.clone());
    let is_part = |view: &View| context.query.text(view.parameter).is_some();
    let mut links = vec![ListView {
        label: "All",
        target: here().to_string(),
        is_current: !resource.views.iter().any(is_part),
    }];
    links.extend(resource.views.iter().map(|view| {
        let time = context.now().plus(view.seconds).0.to_string();
        ListView {
            label: view.label,
            target: here().query(view.parameter, &time).to_string(),
            is_current: is_part(view),
        }
    }));
    links
}

/// Returns the fields above a list: search, choices for parameters with some words, and pickers for ids.
async fn filter_fields(context: &Context<'_>, parameters: &[FieldSchema]) -> Vec<Field> {
    let value = |name: &str| context.query.get(name).unwrap_or_default().to_owned();
    let mut fields = Vec::new();
    if parameters
        .iter()
        .any(|parameter| parameter.name == "search")
    {
        let search = Field::input(InputKind::Search, "search", "Search");
        let search = search.value(value("search"));
        fields.push(search.placeholder("Name or part of it"));
    }
    for parameter in parameters {
        let name = parameter.name.as_str();
        if OWN_PARAMETERS.contains(&name) {
            continue;
        }
        let control = match (&parameter.kind, picker_of(name)) {
            (ValueKind::Choice(words), _) => filter_choice(words, &value(name)),
            (ValueKind::Boolean, _) => Control::Checkbox {
                is_checked: value(name) == "true",
            },
            (ValueKind::Text { .. }, Some(kind)) => {
                let chosen = value(name);
                let chosen: Vec<&str> = Some(chosen.as_str())
                    .filter(|id| !id.is_empty())
                    .into_iter()
                    .collect();
                let options = picker::options(context, kind, &chosen).await;
                Control::Picker {
                    source: kind.address(context),
                    choices: marked(&options, &context.query, name),
                    is_multiple: false,
                    has_more: options.has_more,
                }
            }
            _ => continue,
        };
        fields.push(Field::new(name, filter_label(name), control));
    }
    fields
}

/// Returns the kind of things that a parameter takes the id of.
fn picker_of(parameter: &str) -> Option<PickerKind> {
    match parameter {
        "project_id" => Some(PickerKind::Projects),
        "owner_id" | "user_id" => Some(PickerKind::Users),
        "group_id" => Some(PickerKind::Groups),
        _ => None,
    }
}

fn filter_label(parameter: &str) -> String {
    match parameter {
        "owner_project_access" => "State".to_owned(),
        _ => crate::form::humanized(parameter.strip_suffix("_id").unwrap_or(parameter)),
    }
}

fn filter_choice(words: &[crate::schema::Word], chosen: &str) -> Control {
    let option = |word: &crate::schema::Word| {
        let meaning = word.meaning.trim_end_matches('.').to_owned();
        let label = if meaning.is_empty() || meaning.len() > 40 {
            crate::form::humanized(&word.value)
        } else {
            meaning
        };
        Choice::new(word.value.clone(), label).chosen(word.value == chosen)
    };
    let mut choices = vec![Choice::new("", "Any").chosen(chosen.is_empty())];
    choices.extend(words.iter().map(option));
    Control::Select(choices)
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
pub(crate) fn harmless(text: String) -> String {
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
