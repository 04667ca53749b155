//! Pages that confirm a deletion: what dies with the item, and then the button.

use askama::Template;
use http::{Method, StatusCode};
use pages::{Link, Notice, number};

use crate::client::Refusal;
use crate::command::command_of;
use crate::context::{Change, Context, Outcome, with_status};
use crate::detail::{item_of, trail};
use crate::picker::next_cursor;
use crate::resource::{Resource, console_path};

/// Names of affected items that the page lists.
const MAX_NAMES_COUNT: usize = 8;

#[derive(Template)]
#[template(path = "delete.html")]
struct DeletePage<'a> {
    title: &'a str,
    verb: &'a str,
    path: &'a str,
    consequences: &'a [&'a str],
    affected: Vec<Affected>,
    failure: Option<Notice>,
    missing: &'a str,
    cancel: &'a str,
    command: String,
}

/// Items of a collection that lose their place.
pub(crate) struct Affected {
    /// Number, in words.
    pub(crate) count: String,
    /// Noun in the plural, with what happens to them.
    pub(crate) noun: &'static str,
    /// Names of the first ones.
    pub(crate) names: Vec<String>,
}

/// Answers the page that confirms a deletion, and deletes.
pub(crate) async fn answer(context: &Context<'_>, resource: &'static Resource) -> Outcome {
    if resource.is_sensitive && !context.has_signed_in_lately() {
        return Ok(context.sign_in_again());
    }
    let template = if resource.is_setting() {
        resource.path
    } else {
        resource.item
    };
    let item = item_of(context, resource).await?;
    let back = console_path(&context.fill(resource.path, &[]));
    let path = context.fill(template, &[]);
    let refusal = if context.method == Method::POST {
        match context.client().send(&Method::DELETE, &path, None).await {
            Ok(_) => return Ok(context.changed(&Link::to_path(back), Change::Deleted)),
            Err(refusal) if refusal.status == StatusCode::BAD_REQUEST => Some(refusal),
            Err(refusal) => return Err(refusal),
        }
    } else {
        None
    };
    let known = context.operation(&Method::DELETE, template);
    let known = known.ok_or_else(|| Refusal::not_found("page", &context.path))?;
    let title = if resource.is_setting() {
        format!("{} the {}", resource.delete_verb, resource.singular)
    } else if resource.is_nameless() {
        format!("{} this {}", resource.delete_verb, resource.singular)
    } else {
        format!("{} {}", resource.delete_verb, resource.name_of(&item))
    };
    let missing = context.rights.missing(&known.operation);
    let page = DeletePage {
        title: &title,
        verb: resource.delete_verb,
        path: &context.path,
        consequences: resource.consequences,
        affected: affected(context, resource.affects).await,
        failure: refusal
            .as_ref()
            .map(|refusal| Notice::failure(refusal.message.clone())),
        missing: missing.unwrap_or_default(),
        cancel: &back,
        command: command_of(context, &known.operation),
    };
    let status = match refusal {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let page = context.page(&title, &trail(context, resource), &page);
    Ok(with_status(page, status))
}

/// Counts the items of collections. A collection that the visitor may not read is left out.
pub(crate) async fn affected(
    context: &Context<'_>,
    collections: &[(&'static str, &'static str)],
) -> Vec<Affected> {
    let mut all = Vec::new();
    for (noun, template) in collections {
        let path = context.fill(template, &[]);
        let Ok(page) = context.get(&path, &[("limit", "100")]).await else {
            continue;
        };
        let items = page["data"].as_array().map_or(&[][..], Vec::as_slice);
        if items.is_empty() {
            continue;
        }
        let count = number::whole(i64::try_from(items.len()).unwrap_or(i64::MAX));
        let name = |item: &serde_json::Value| {
            let name = item["name"]
                .as_str()
                .or_else(|| item["group_name"].as_str());
            name.map(str::to_owned)
        };
        all.push(Affected {
            count: match next_cursor(&page) {
                Some(_) => format!("More than {count}"),
                None => count,
            },
            noun,
            names: items
                .iter()
                .filter_map(name)
                .take(MAX_NAMES_COUNT)
                .collect(),
        });
    }
    all
}
