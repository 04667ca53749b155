//! Search over screens, projects, people, groups and keys: JSON for the dialog, a page without the script.

use askama::Template;
use http::{Method, header};
use pages::{Link, NavigationGroup};
use serde_json::{Value as Json, json};

use crate::cell::text_of;
use crate::context::{Context, Outcome};
use crate::navigation::navigation;
use crate::picker::{find, json_response};
use crate::resource::console_path;

/// The most results of one kind.
const MAX_RESULTS_COUNT: usize = 6;
/// The longest text that is searched for, in characters.
const MAX_WORDS_LEN: usize = 100;

/// Lists that are searched: a word for the kind, and the paths of the list and of an item.
const LISTS: [(&str, &str, &str); 3] = [
    (
        "project",
        "/organization/projects",
        "/organization/projects/{project_id}",
    ),
    (
        "member",
        "/organization/users",
        "/organization/users/{user_id}",
    ),
    (
        "group",
        "/organization/groups",
        "/organization/groups/{group_id}",
    ),
];

/// A result of a search.
struct SearchResult {
    label: String,
    detail: String,
    target: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage<'a> {
    words: &'a str,
    results: Vec<SearchResult>,
}

/// Answers a search.
pub(crate) async fn answer(context: &Context<'_>) -> Outcome {
    let words = context.query.get("q").unwrap_or_default().trim();
    let words: String = words.chars().take(MAX_WORDS_LEN).collect();
    let results = results(context, &words).await;
    if wants_json(context) {
        let item = |result: &SearchResult| json!({"value": result.target, "label": result.label, "detail": result.detail});
        let items: Vec<Json> = results.iter().map(item).collect();
        return Ok(json_response(&json!({"items": items})));
    }
    let page = SearchPage {
        words: &words,
        results,
    };
    Ok(context.page("Search", &[], &page).into_response())
}

/// True if the script of a page asks, which wants JSON.
fn wants_json(context: &Context<'_>) -> bool {
    let accept = context.headers.get(header::ACCEPT);
    accept.is_some_and(|accept| accept == "application/json")
}

async fn results(context: &Context<'_>, words: &str) -> Vec<SearchResult> {
    let mut results = screens(context, words);
    if words.is_empty() {
        return results;
    }
    for (kind, list, item) in LISTS {
        if context.missing(&Method::GET, list).is_some() {
            continue;
        }
        let found = find(context, list, words, MAX_RESULTS_COUNT).await;
        let found = found.unwrap_or_default();
        results.extend(found.iter().map(|entry| result(context, kind, item, entry)));
    }
    results.extend(keys(context, words).await);
    results
}

/// Returns the keys whose name contains the words: those of all projects, else the visitor's own.
async fn keys(context: &Context<'_>, words: &str) -> Vec<SearchResult> {
    let all = "/organization/api_keys";
    let list = match context.missing(&Method::GET, all) {
        None => all,
        Some(_) => "/organization/me/api_keys",
    };
    let found = find(context, list, words, MAX_RESULTS_COUNT).await;
    let result = |key: &Json| {
        let project = &key["project"];
        let page = if list == all {
            let (project, id) = (text_of(&project["id"]), text_of(&key["id"]));
            Link::new(["console", "projects", &project, "api_keys", &id])
        } else {
            Link::new(["console", "me", "api_keys"])
        };
        SearchResult {
            label: text_of(&key["name"]),
            detail: format!("key · {}", text_of(&project["name"])),
            target: page.to_string(),
        }
    };
    found.unwrap_or_default().iter().map(result).collect()
}

fn result(context: &Context<'_>, kind: &str, item: &'static str, entry: &Json) -> SearchResult {
    let id = text_of(&entry["id"]);
    let email = text_of(&entry["email"]);
    let detail = if email.is_empty() {
        kind.to_owned()
    } else {
        format!("{kind} · {email}")
    };
    SearchResult {
        label: text_of(&entry["name"]),
        detail,
        target: console_path(&context.fill(item, &[&id])),
    }
}

/// Returns the screens whose name contains the words.
fn screens(context: &Context<'_>, words: &str) -> Vec<SearchResult> {
    let words = words.to_lowercase();
    let navigation = navigation(context);
    let in_group = |group: &NavigationGroup| {
        let title = group.title.clone();
        let items = group
            .items
            .iter()
            .map(move |item| (title.clone(), item.clone()));
        items.collect::<Vec<_>>()
    };
    let items = navigation.iter().flat_map(in_group);
    let matching = items.filter(|(_, item)| item.label.to_lowercase().contains(&words));
    let preferences = SearchResult {
        label: "Preferences".to_owned(),
        detail: "time zone and theme".to_owned(),
        target: Link::new(["console", "me", "preferences"]).to_string(),
    };
    let is_meant = "preferences time zone theme".contains(&words);
    let screens = matching.map(|(title, item)| SearchResult {
        label: item.label,
        detail: title,
        target: item.link.to_string(),
    });
    screens.chain(is_meant.then_some(preferences)).collect()
}
