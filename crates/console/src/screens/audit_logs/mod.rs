//! The audit log: `/console/audit_logs`.

mod difference;
mod export;
mod filter;
mod sentence;

use std::collections::HashMap;

use askama::Template;
use base::UnixTime;
use pages::{Field, Link, Moment};
use serde_json::Value as Json;

use crate::context::{Context, Outcome};
use difference::{Difference, differences};
pub(crate) use filter::AuditFilter;
pub(crate) use sentence::{AuditActor, Sentence};

pub(crate) const LOGS: &str = "/organization/audit_logs";
const VERIFICATION: &str = "/organization/audit_logs/verification";
/// Number of entries of a page.
const PAGE_ENTRIES: &str = "25";
/// Number of earlier entries in which values before a change are looked for.
const EARLIER_ENTRIES: &str = "100";
/// Number of newest entries that a page verifies.
const VERIFIED_ENTRIES: &str = "1000";

/// Shows entries of the audit log, newest first, or a file of them.
///
/// # Errors
/// The refusal of the operation.
pub(crate) async fn show(context: &Context<'_>) -> Outcome {
    let filter = AuditFilter::read(context);
    if let Some(format) = export::AuditFormat::named(context.query.get("format")) {
        return export::file(context, &filter, format).await;
    }
    let mut query = filter.parameters();
    query.push(("limit", PAGE_ENTRIES.to_owned()));
    for name in ["after", "before"] {
        query.extend(context.query.text(name).map(|id| (name, id.to_owned())));
    }
    let found = context.get(LOGS, &borrowed(&query)).await?;
    let entries: Vec<Json> = found["data"].as_array().cloned().unwrap_or_default();
    let earlier = earlier(context, &entries).await;
    let shown = entries.iter().enumerate().map(|(index, entry)| {
        let older: Vec<Json> = entries[index + 1..]
            .iter()
            .chain(&earlier)
            .cloned()
            .collect();
        AuditLine::of(entry, &older, context)
    });
    let mut lines: Vec<AuditLine> = shown.collect();
    follow_links(context, &mut lines).await;
    let page = Link::new(["console", "audit_logs"]);
    let cursor = |name: &str, id: &Json| {
        let id = id.as_str().unwrap_or_default();
        filter.link(page.clone()).query(name, id).to_string()
    };
    let (has_after, has_before) = (context.query.has("after"), context.query.has("before"));
    let has_more = found["has_more"] == true;
    let has_older = if has_before { true } else { has_more };
    let has_newer = if has_before { has_more } else { has_after };
    let content = AuditContent {
        lines,
        fields: filter.fields(),
        is_filtered: filter.is_filtered(),
        older: if has_older {
            cursor("after", &found["last_id"])
        } else {
            String::new()
        },
        newer: if has_newer {
            cursor("before", &found["first_id"])
        } else {
            String::new()
        },
        ndjson: filter
            .link(page.clone())
            .query("format", "ndjson")
            .to_string(),
        csv: filter.link(page).query("format", "csv").to_string(),
        proof: Proof::read(context).await,
    };
    Ok(context.page("Audit log", &[], &content).into_response())
}

fn borrowed<'a>(pairs: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    pairs
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

/// Reads the entries before those of a page that are about the same resources.
async fn earlier(context: &Context<'_>, entries: &[Json]) -> Vec<Json> {
    let Some(last) = entries.last().and_then(|entry| entry["id"].as_str()) else {
        return Vec::new();
    };
    let changed = entries.iter().filter_map(|entry| {
        let details = &entry[entry["type"].as_str()?];
        details["changes_requested"].is_object().then_some(())?;
        details["id"].as_str()
    });
    let mut query: Vec<(&str, &str)> = changed.map(|id| ("resource_ids", id)).collect();
    if query.is_empty() {
        return Vec::new();
    }
    query.extend(AuditFilter::all_types().map(|kind| ("event_types", kind)));
    query.extend([("after", last), ("limit", EARLIER_ENTRIES)]);
    let found = context.get(LOGS, &query).await.unwrap_or_default();
    found["data"].as_array().cloned().unwrap_or_default()
}

/// Content of the page.
#[derive(Template)]
#[template(path = "audit_logs.html")]
struct AuditContent {
    lines: Vec<AuditLine>,
    fields: Vec<Field>,
    is_filtered: bool,
    older: String,
    newer: String,
    ndjson: String,
    csv: String,
    proof: Option<Proof>,
}

/// An entry as the page shows it.
pub(crate) struct AuditLine {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) time: Moment,
    pub(crate) relative: Moment,
    pub(crate) actor: AuditActor,
    pub(crate) sentence: Sentence,
    pub(crate) project: (String, String),
    pub(crate) differences: Vec<Difference>,
    pub(crate) is_change: bool,
}

impl AuditLine {
    /// Returns an entry as pages show it. `older` are entries before it, newest first.
    pub(crate) fn of(entry: &Json, older: &[Json], context: &Context<'_>) -> Self {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let time = UnixTime(entry["effective_at"].as_i64().unwrap_or_default());
        let kind = text(&entry["type"]);
        let project = &entry["project"];
        let id = text(&project["id"]);
        let link = if id.is_empty() {
            String::new()
        } else {
            Link::new(["console", "projects", &id]).to_string()
        };
        Self {
            id: text(&entry["id"]),
            time: Moment::new(time, &context.preferences.zone),
            relative: Moment::relative(time, context.now()),
            actor: AuditActor::of(entry),
            sentence: Sentence::of(entry),
            project: (text(&project["name"]), link),
            differences: differences(entry, older),
            is_change: entry[kind.as_str()]["changes_requested"].is_object(),
            kind,
        }
    }
}

/// Removes the links to what is gone. Entries of admin keys name the default project, as all entries of the organization do,
/// so the page of a key may be among those of admin keys.
pub(crate) async fn follow_links(context: &Context<'_>, lines: &mut [AuditLine]) {
    let mut known: HashMap<String, String> = HashMap::new();
    let links = lines
        .iter_mut()
        .flat_map(|line| [&mut line.sentence.link, &mut line.actor.link]);
    for link in links.filter(|link| !link.is_empty()) {
        let found = match known.get(link) {
            Some(found) => found.clone(),
            None => {
                let found = existing(context, link).await;
                known.insert(link.clone(), found.clone());
                found
            }
        };
        *link = found;
    }
}

/// Returns the page if the API has what it shows, or the page of the admin key with the id; empty if there is none.
async fn existing(context: &Context<'_>, page: &str) -> String {
    let exists = async |page: &str| {
        let path = page.replacen("/console", "/organization", 1);
        context.get(&path, &[]).await.is_ok()
    };
    if exists(page).await {
        return page.to_owned();
    }
    match page.rsplit_once("/api_keys/") {
        Some((_, id)) => {
            let page = Link::new(["console", "admin_api_keys", id]).to_string();
            if exists(&page).await {
                page
            } else {
                String::new()
            }
        }
        None => String::new(),
    }
}

/// The result of verifying the newest entries.
struct Proof {
    is_intact: bool,
    /// Number of entries that are as they were written.
    count: String,
    /// Number of entries of the log.
    entries: String,
    hash: String,
    /// Description of the first entry that is not as it was written; empty if there is none.
    fault: String,
}

impl Proof {
    async fn read(context: &Context<'_>) -> Option<Self> {
        let found = context
            .get(VERIFICATION, &[("newest", VERIFIED_ENTRIES)])
            .await
            .ok()?;
        let number = |name: &str| found[name].as_i64().unwrap_or_default();
        let broken = &found["broken"];
        let fault = if broken.is_object() {
            let id = broken["id"].as_str().unwrap_or("no id");
            let reason = broken["reason"].as_str().unwrap_or_default();
            format!("Entry {} ({id}) {reason}.", broken["sequence"])
        } else {
            String::new()
        };
        Some(Self {
            is_intact: found["intact"] == true,
            count: pages::number::whole(number("last_sequence") - number("first_sequence") + 1),
            entries: pages::number::whole(number("entries")),
            hash: found["hash"].as_str().unwrap_or_default().to_owned(),
            fault,
        })
    }
}
