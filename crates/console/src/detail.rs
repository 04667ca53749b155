//! Pages of items: facts, what can be done, and the lists that belong to the item.

use askama::Template;
use http::Method;
use pages::{Crumb, Link};
use serde_json::Value as Json;

use crate::cell::{Cell, text_of};
use crate::client::Refusal;
use crate::context::{Context, Outcome};
use crate::list::{ListSection, section, section_of};
use crate::picker::next_cursor;
use crate::resource::{Column, ColumnForm, Extra, Resource, console_path};
use crate::screens::{holders, limits_now, reasons, refusals, role_permissions};
use crate::table::{Button, row_buttons};

/// The list of projects, which are above everything else in them.
const PROJECTS: &str = "/organization/projects";
/// The most pages of a list that are read to find an item that has no operation of its own.
const MAX_PAGES_COUNT: usize = 50;

#[derive(Template)]
#[template(path = "detail.html")]
struct DetailPage {
    title: String,
    second: String,
    buttons: Vec<Button>,
    facts: Vec<(&'static str, Cell)>,
    sections: Vec<ListSection>,
    extra: String,
    /// Further content below the sections.
    last: String,
}

/// Answers the page of an item.
pub(crate) async fn answer(context: &Context<'_>, resource: &'static Resource) -> Outcome {
    let item = item_of(context, resource).await?;
    let title = resource.name_of(&item);
    let cells = context.cells();
    let id = Column {
        label: "Id",
        pointer: resource.id,
        form: ColumnForm::Id,
    };
    let fact = |column: &Column| (column.label, column.cell(&item, "", &cells));
    // The heading has the name, and the second line of its column.
    let is_name = |column: &&Column| column.pointer == resource.name;
    let second = resource.columns.iter().find(is_name);
    let second = second.and_then(|column| match column.form {
        ColumnForm::NameWith(second) => item.pointer(second),
        _ => None,
    });
    let columns = resource.columns.iter().chain(resource.facts);
    let columns = columns.filter(|column| !is_name(column));
    let facts = columns.map(fact).chain([fact(&id)]).collect();
    let mut sections = Vec::new();
    for child in resource.children {
        if let Some(child) = crate::resources::find(child) {
            sections.push(section(context, child).await);
        }
    }
    let mut last = String::new();
    let extra = match resource.extra {
        Extra::None | Extra::LimitsNow | Extra::SpendNow => String::new(),
        Extra::ProjectNow => project_now(context).await,
        Extra::Reasons => {
            sections.extend(keys_of(context, &resource.id_of(&item)).await);
            last = reasons::section(context, &item).await;
            String::new()
        }
        Extra::RolePermissions => {
            let holders = holders::section(context, resource).await;
            let permissions = role_permissions::section(context, resource, &item).await;
            format!("{holders}{permissions}")
        }
    };
    let content = DetailPage {
        second: second.map(text_of).unwrap_or_default(),
        buttons: item_buttons(context, resource, &item),
        facts,
        sections,
        extra,
        last,
        title: title.clone(),
    };
    let mut trail = trail(context, resource);
    if resource.path == PROJECTS {
        trail.truncate(1);
    }
    Ok(context.page(&title, &trail, &content).into_response())
}

/// Returns the panels of a project's spend and refused requests; empty if there are none.
async fn project_now(context: &Context<'_>) -> String {
    let spend = limits_now::spend_section(context).await;
    let refused = refusals::section(context).await;
    if spend.is_empty() && refused.is_empty() {
        return String::new();
    }
    format!("<div class=\"panels\">{spend}{refused}</div>")
}

/// Returns the section with a person's keys of projects.
async fn keys_of(context: &Context<'_>, user: &str) -> Option<ListSection> {
    let keys = crate::resources::find("/organization/api_keys")?;
    let filter = [("owner_id", user)];
    Some(section_of(context, keys, "Keys of projects", &filter).await)
}

/// Returns the buttons of an item's page: those of its row, larger.
fn item_buttons(context: &Context<'_>, resource: &'static Resource, item: &Json) -> Vec<Button> {
    let buttons = row_buttons(context, resource, item).into_iter();
    let large = |button: Button| {
        let class = if button.class.contains("danger") {
            "danger"
        } else {
            ""
        };
        button.class(class)
    };
    buttons.map(large).collect()
}

/// Returns the trail to the list of a resource, and to the things that it belongs to.
pub(crate) fn trail(context: &Context<'_>, resource: &Resource) -> Vec<Crumb> {
    let mut trail = context.trail();
    if resource.path == PROJECTS && !trail.is_empty() {
        // The trail of a project begins with the list.
        return trail;
    }
    trail.push(Crumb {
        label: resource.title.to_owned(),
        link: Link::to_path(console_path(&context.fill(resource.path, &[]))),
    });
    trail
}

/// Returns the item that the path of the page names: from its own operation, else from the list.
///
/// # Errors
/// The refusal of the operation; 404 if the item is not in the list.
pub(crate) async fn item_of(context: &Context<'_>, resource: &Resource) -> Result<Json, Refusal> {
    let template = if resource.is_setting() {
        resource.path
    } else {
        resource.item
    };
    if context.operation(&Method::GET, template).is_some() {
        return context.get(&context.fill(template, &[]), &[]).await;
    }
    let id = resource
        .item
        .rsplit('/')
        .next()
        .and_then(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map_or("", |name| context.parameter(name));
    let path = context.fill(resource.path, &[]);
    let mut after: Option<String> = None;
    for _ in 0..MAX_PAGES_COUNT {
        let mut query = vec![("limit", "100")];
        if let Some(after) = &after {
            query.push(("after", after));
        }
        let page = context.get(&path, &query).await?;
        let mut items = page["data"].as_array().into_iter().flatten();
        if let Some(item) = items.find(|item| resource.id_of(item) == id) {
            return Ok(item.clone());
        }
        after = next_cursor(&page);
        if after.is_none() {
            break;
        }
    }
    Err(Refusal::not_found(resource.singular, id))
}
