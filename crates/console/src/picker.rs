//! Pickers: fields that choose something that exists, and search for it on the server.

use std::collections::BTreeSet;

use axum::body::Body;
use http::{HeaderValue, Response, header};
use pages::{Choice, FormData, Link};
use serde_json::{Value as Json, json};

use crate::cell::text_of;
use crate::client::Refusal;
use crate::context::{Context, Outcome};

/// The most options that a picker offers at once.
const MAX_OPTIONS_COUNT: usize = 20;
/// The most pages of a list that a search without support by the operation reads.
const MAX_PAGES_COUNT: usize = 30;
/// The largest page that all lists have.
const MAX_PAGE_LEN: usize = 100;

/// The kind of things that a picker offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PickerKind {
    /// People of the organization.
    Users,
    /// Groups of the organization.
    Groups,
    /// Roles of the organization.
    Roles,
    /// Roles of the project of the page.
    ProjectRoles,
    /// Projects that are not archived.
    Projects,
    /// Projects in which the visitor has a role.
    MyProjects,
    /// Certificates of the organization.
    Certificates,
    /// Keys of all projects.
    Keys,
    /// Models that have upstreams or prices.
    Models,
}

/// Facts about a kind of picker: its word, the list that it reads, the collection of an item, and pointers to the texts.
struct PickerSource {
    word: &'static str,
    list: &'static str,
    label: &'static str,
    detail: &'static str,
}

impl PickerKind {
    /// All kinds.
    const ALL: [Self; 9] = [
        Self::Users,
        Self::Groups,
        Self::Roles,
        Self::ProjectRoles,
        Self::Projects,
        Self::MyProjects,
        Self::Certificates,
        Self::Keys,
        Self::Models,
    ];

    fn source(self) -> PickerSource {
        let (word, list, label, detail) = match self {
            Self::Users => ("users", "/organization/users", "/name", "/email"),
            Self::Groups => ("groups", "/organization/groups", "/name", ""),
            Self::Roles => ("roles", "/organization/roles", "/name", "/description"),
            Self::ProjectRoles => (
                "project_roles",
                "/projects/{project_id}/roles",
                "/name",
                "/description",
            ),
            Self::Projects => ("projects", "/organization/projects", "/name", ""),
            Self::Certificates => ("certificates", "/organization/certificates", "/name", "/id"),
            Self::MyProjects => ("my_projects", "", "/name", ""),
            Self::Keys => (
                "api_keys",
                "/organization/api_keys",
                "/name",
                "/project/name",
            ),
            Self::Models => ("models", "", "", ""),
        };
        PickerSource {
            word,
            list,
            label,
            detail,
        }
    }

    /// Returns the address that answers searches.
    pub(crate) fn address(self, context: &Context<'_>) -> String {
        let link = Link::new(["console", "pick"]).query("kind", self.source().word);
        match &context.project {
            Some(project) => link.query("project_id", &project.id).to_string(),
            None => link.to_string(),
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.source().word == word)
    }
}

/// Options of a picker.
#[derive(Clone, Debug, Default)]
pub(crate) struct PickerOptions {
    /// First options, and the chosen ones.
    pub(crate) choices: Vec<Choice>,
    /// True if there are more.
    pub(crate) has_more: bool,
}

/// Answers `GET /console/pick?kind=…&q=…` with the options that match, as JSON.
pub(crate) async fn answer(context: &Context<'_>) -> Outcome {
    let kind = context.query.get("kind").and_then(PickerKind::parse);
    let words = context.query.get("q").unwrap_or_default();
    let options = match kind {
        Some(kind) => search(context, kind, words).await?,
        None => PickerOptions::default(),
    };
    let item = |choice: &Choice| json!({"value": choice.value, "label": choice.label, "detail": choice.detail});
    let items: Vec<Json> = options.choices.iter().map(item).collect();
    Ok(json_response(&json!({"items": items})))
}

/// Returns a response with JSON that is not stored.
pub(crate) fn json_response(value: &Json) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Returns the options of a picker before a search: the first ones, and those that the form has chosen. A visitor who may
/// not read the list gets the chosen ones alone, and can enter an id.
pub(crate) async fn options(
    context: &Context<'_>,
    kind: PickerKind,
    chosen: &[&str],
) -> PickerOptions {
    let first = search(context, kind, "").await;
    let is_readable = first.is_ok();
    let mut options = first.unwrap_or_default();
    options.has_more |= !is_readable;
    for id in chosen {
        if !options.choices.iter().any(|choice| choice.value == *id) {
            options.choices.push(chosen_option(context, kind, id).await);
        }
    }
    options
}

/// Returns the option of an id that is not among the first ones.
async fn chosen_option(context: &Context<'_>, kind: PickerKind, id: &str) -> Choice {
    let source = kind.source();
    let unnamed = Choice::new(id, id);
    if source.list.is_empty() {
        return unnamed;
    }
    let path = Link::to_path(context.fill(source.list, &[])).segment(id);
    match context.get(path.path(), &[]).await {
        Ok(item) => choice(&source, &item).unwrap_or(unnamed),
        Err(_) => unnamed,
    }
}

fn choice(source: &PickerSource, item: &Json) -> Option<Choice> {
    let id = item.get("id").and_then(Json::as_str)?;
    let text = |pointer: &str| item.pointer(pointer).map(text_of).unwrap_or_default();
    let label = text(source.label);
    let label = if label.is_empty() {
        id.to_owned()
    } else {
        label
    };
    let detail = if source.detail.is_empty() {
        String::new()
    } else {
        text(source.detail)
    };
    Some(Choice::new(id, label).detail(detail))
}

async fn search(
    context: &Context<'_>,
    kind: PickerKind,
    words: &str,
) -> Result<PickerOptions, Refusal> {
    let source = kind.source();
    match kind {
        PickerKind::Models => return Ok(models(context, words)),
        PickerKind::MyProjects => return my_projects(context, words).await,
        _ => {}
    }
    let found = find(context, source.list, words, MAX_OPTIONS_COUNT + 1).await?;
    let mut choices: Vec<Choice> = found
        .iter()
        .filter_map(|item| choice(&source, item))
        .collect();
    let has_more = choices.len() > MAX_OPTIONS_COUNT;
    choices.truncate(MAX_OPTIONS_COUNT);
    Ok(PickerOptions { choices, has_more })
}

/// Returns the items of a list whose name, address or id contains all words, at most `count`. The operation searches if
/// it can; else the list is read page by page.
///
/// # Errors
/// The refusal of the operation.
pub(crate) async fn find(
    context: &Context<'_>,
    list: &'static str,
    words: &str,
    count: usize,
) -> Result<Vec<Json>, Refusal> {
    let path = context.fill(list, &[]);
    let known = context.operation(&http::Method::GET, list);
    let can_search =
        known.is_some_and(|known| known.query.iter().any(|field| field.name == "search"));
    let words = words.trim();
    // A page of a list that does not search may have few items that match.
    let limit = if can_search || words.is_empty() {
        count.min(MAX_PAGE_LEN)
    } else {
        MAX_PAGE_LEN
    };
    let limit = limit.to_string();
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..MAX_PAGES_COUNT {
        let mut query = vec![("limit", limit.as_str())];
        if can_search && !words.is_empty() {
            query.push(("search", words));
        }
        if let Some(after) = &after {
            query.push(("after", after));
        }
        let page = context.get(&path, &query).await?;
        let items = page["data"].as_array().into_iter().flatten();
        found.extend(items.filter(|item| matches(item, words)).cloned());
        after = next_cursor(&page);
        if found.len() >= count || after.is_none() {
            break;
        }
    }
    found.truncate(count);
    Ok(found)
}

/// Returns the cursor of the next page of a list; none on the last page.
pub(crate) fn next_cursor(page: &Json) -> Option<String> {
    if page["has_more"] != true {
        return None;
    }
    let cursor = page["next"].as_str().or_else(|| page["last_id"].as_str());
    cursor.map(str::to_owned)
}

/// True if the name, the address or the id of an item contains all words, regardless of case.
fn matches(item: &Json, words: &str) -> bool {
    let fields = ["name", "email", "id"].map(|name| text_of(&item[name]).to_lowercase());
    let words = words.to_lowercase();
    words
        .split_whitespace()
        .all(|word| fields.iter().any(|field| field.contains(word)))
}

/// Returns the visitor's projects; all projects for a visitor who may read them.
async fn my_projects(context: &Context<'_>, words: &str) -> Result<PickerOptions, Refusal> {
    let me = context.get("/organization/me", &[]).await?;
    let own = me["projects"].as_array().map_or(&[][..], Vec::as_slice);
    let mut found: Vec<Json> = own
        .iter()
        .filter(|item| matches(item, words))
        .cloned()
        .collect();
    let list = PickerKind::Projects.source().list;
    if context.missing(&http::Method::GET, list).is_none() {
        let all = find(context, list, words, MAX_OPTIONS_COUNT + 1).await?;
        for project in all {
            if !found.iter().any(|own| own["id"] == project["id"]) {
                found.push(project);
            }
        }
    }
    let source = PickerKind::MyProjects.source();
    let mut choices: Vec<Choice> = found
        .iter()
        .filter_map(|item| choice(&source, item))
        .collect();
    let has_more = choices.len() > MAX_OPTIONS_COUNT;
    choices.truncate(MAX_OPTIONS_COUNT);
    Ok(PickerOptions { choices, has_more })
}

fn models(context: &Context<'_>, words: &str) -> PickerOptions {
    let words = words.trim().to_lowercase();
    let upstreams = context.console.gateway.upstreams();
    let served: BTreeSet<&String> = upstreams
        .iter()
        .flat_map(|upstream| &upstream.models)
        .collect();
    let others = context.services().models.iter();
    let others = others.filter(|name| !served.contains(name));
    // What can be called comes before what has only a price.
    let served = served.iter().map(|name| (*name, ""));
    let names = served.chain(others.map(|name| (name, "no upstream lists it")));
    let found = names.filter(|(name, _)| name.to_lowercase().contains(&words));
    let mut choices: Vec<Choice> = found
        .take(MAX_OPTIONS_COUNT + 1)
        .map(|(name, detail)| Choice::new(name.clone(), name.clone()).detail(detail))
        .collect();
    let has_more = choices.len() > MAX_OPTIONS_COUNT;
    choices.truncate(MAX_OPTIONS_COUNT);
    let is_known = choices
        .iter()
        .any(|choice| choice.value.to_lowercase() == words);
    if !words.is_empty() && !is_known {
        let typed = context.query.get("q").unwrap_or_default().trim().to_owned();
        choices.push(Choice::new(typed.clone(), typed).detail("not a model of this gateway"));
    }
    PickerOptions { choices, has_more }
}

/// Marks the options that a form has chosen.
pub(crate) fn marked(options: &PickerOptions, form: &FormData, name: &str) -> Vec<Choice> {
    let is_chosen = |choice: &Choice| form.all(name).any(|value| value == choice.value);
    let mark = |choice: &Choice| choice.clone().chosen(is_chosen(choice));
    options.choices.iter().map(mark).collect()
}
