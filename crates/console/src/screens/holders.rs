//! The holders of a role: groups, users and service accounts.

use askama::Template;
use pages::Link;
use serde_json::Value as Json;

use crate::cell::{Cell, text_of};
use crate::context::Context;
use crate::resource::Resource;

#[derive(Template)]
#[template(path = "holders.html")]
struct HoldersSection {
    holders: Vec<(Cell, &'static str)>,
    has_more: bool,
    is_in_project: bool,
    refusal: String,
}

/// Returns the section for the page of a role.
pub(crate) async fn section(context: &Context<'_>, resource: &Resource) -> String {
    let path = format!("{}/holders", context.fill(resource.item, &[]));
    let (answer, refusal) = match context.get(&path, &[]).await {
        Ok(answer) => (answer, String::new()),
        Err(refusal) => (Json::Null, refusal.message),
    };
    let holders = answer["holders"].as_array().into_iter().flatten();
    let section = HoldersSection {
        holders: holders.map(|holder| shown(context, holder)).collect(),
        has_more: answer["has_more_holders"] == true,
        is_in_project: context.project.is_some(),
        refusal,
    };
    section.to_string()
}

/// Returns the name of a holder with a link to its page, and a word for its type.
fn shown(context: &Context<'_>, holder: &Json) -> (Cell, &'static str) {
    let (word, collection) = match holder["type"].as_str() {
        Some("group") => ("Group", "groups"),
        Some("user") => ("Person", "users"),
        _ => ("Service account", "service_accounts"),
    };
    let base = match &context.project {
        Some(project) => Link::new(["console", "projects", &project.id]),
        None => Link::new(["console"]),
    };
    let page = base.segment(collection).segment(&text_of(&holder["id"]));
    let name = text_of(&holder["name"]);
    let cell = Cell::Link {
        text: if name.is_empty() {
            text_of(&holder["id"])
        } else {
            name
        },
        target: page.to_string(),
        second: text_of(&holder["email"]),
    };
    (cell, word)
}
