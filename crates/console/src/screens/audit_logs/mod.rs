//! The audit log: `/console/audit_logs`.

mod difference;
mod export;
mod filter;
mod sentence;

use std::collections::HashMap;

use askama::Template;
use base::{NanoDollars, UnixTime};
use pages::{Field, Link, Moment, number};
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

/// Removes the links to what is gone, and names what is there. Entries of the organization name the default project, so
/// what they are about may be among the things of the organization.
pub(crate) async fn follow_links(context: &Context<'_>, lines: &mut [AuditLine]) {
    let mut known: HashMap<String, Option<FoundPage>> = HashMap::new();
    for line in lines {
        let sentence = &line.sentence;
        let actor = &line.actor;
        for link in [
            &sentence.link,
            &sentence.other_link,
            &actor.link,
            &actor.key_link,
        ] {
            if !link.is_empty() && !known.contains_key(link) {
                known.insert(link.clone(), FoundPage::look_up(context, link).await);
            }
        }
        let found = |link: &str| known.get(link).and_then(Option::as_ref);
        let sentence = &mut line.sentence;
        for (name, link) in [
            (&mut sentence.target, &sentence.link),
            (&mut sentence.other, &sentence.other_link),
            (&mut line.actor.name, &line.actor.link),
        ] {
            if let Some(page) = found(link)
                && link.ends_with(name.as_str())
                && !page.name.is_empty()
            {
                name.clone_from(&page.name);
            }
        }
        if let Some(key) = found(&line.actor.key_link)
            && !key.name.is_empty()
        {
            line.actor.way = format!("with {}", key.name);
        }
        for link in [
            &mut sentence.link,
            &mut sentence.other_link,
            &mut line.actor.link,
        ] {
            *link = found(link)
                .map(|page| page.link.clone())
                .unwrap_or_default();
        }
    }
}

/// The page of something that is there.
struct FoundPage {
    link: String,
    /// Name of what the page shows; empty if it has none.
    name: String,
}

impl FoundPage {
    /// Returns the page if the API has what it shows, or the page among the things of the organization.
    async fn look_up(context: &Context<'_>, page: &str) -> Option<Self> {
        let of_organization = || {
            let (_, rest) = page.strip_prefix("/console/projects/")?.split_once('/')?;
            let rest = rest
                .strip_prefix("api_keys/")
                .map_or_else(|| rest.to_owned(), |id| format!("admin_api_keys/{id}"));
            Some(format!("/console/{rest}"))
        };
        for link in [Some(page.to_owned()), of_organization()]
            .into_iter()
            .flatten()
        {
            let is_project_role =
                link.starts_with("/console/projects/") && link.contains("/roles/");
            let root = if is_project_role { "" } else { "/organization" };
            let path = link.replacen("/console", root, 1);
            if let Ok(found) = context.get(&path, &[]).await {
                let text = |name: &str| found[name].as_str().filter(|text| !text.trim().is_empty());
                let name = text("name").or_else(|| text("email")).map(str::to_owned);
                let amount = || found["threshold_amount"].as_i64();
                let amount = || amount().map(|cents| number::money(NanoDollars::from_cents(cents)));
                let name = name.or_else(amount).unwrap_or_default();
                return Some(Self { link, name });
            }
        }
        None
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
            count: number::whole(number("last_sequence") - number("first_sequence") + 1),
            entries: number::whole(number("entries")),
            hash: found["hash"].as_str().unwrap_or_default().to_owned(),
            fault,
        })
    }
}
