//! Rows of the ledger: `/console/usage/events`.

use askama::Template;
use axum::body::Body;
use base::UnixTime;
use http::{HeaderValue, Method, Response, header};
use pages::{Choice, Control, Crumb, Field, Link, Moment, number};
use serde_json::Value as Json;

use super::spending::dollars;
use crate::client::{Refusal, collected};
use crate::context::{Context, Outcome};
use crate::report::kind::{Group, ReportKind, USAGE};
use crate::report::names::GroupNames;

const ROWS: &str = "/organization/usage/events";
/// Number of rows of a page.
const PAGE_ROWS: &str = "50";
/// Number of rows of a file.
const FILE_ROWS: &str = "5000";
/// Parameters of the operation that the page passes on.
const PARAMETERS: [&str; 9] = [
    "start_time",
    "end_time",
    "type",
    "project_ids",
    "user_ids",
    "api_key_ids",
    "models",
    "unpriced",
    "cursor",
];
/// Length of the period if the query names none, in seconds.
const DEFAULT_PERIOD_SECONDS: i64 = 7 * base::time::SECONDS_PER_DAY;

/// Shows rows of the ledger, newest first, or a file of them.
///
/// # Errors
/// The refusal of the operation.
pub(crate) async fn show(context: &Context<'_>) -> Outcome {
    let start = context.now().plus(-DEFAULT_PERIOD_SECONDS).0.to_string();
    let mut query: Vec<(&str, &str)> = context
        .query
        .pairs()
        .filter(|(name, value)| PARAMETERS.contains(name) && !value.is_empty())
        .collect();
    if !query.iter().any(|(name, _)| *name == "start_time") {
        query.push(("start_time", &start));
    }
    if let Some(format @ ("csv" | "parquet")) = context.query.get("format") {
        return file(context, &query, format).await;
    }
    query.push(("rows", PAGE_ROWS));
    let found = context.get(ROWS, &query).await?;
    let rows: Vec<&Json> = found["data"].as_array().into_iter().flatten().collect();
    let names = names(context, &rows).await;
    let page = Link::new(["console", "usage", "events"]);
    let state = query
        .iter()
        .filter(|(name, _)| !matches!(*name, "rows" | "cursor"));
    let state: Vec<(&str, &str)> = state.copied().collect();
    let address = |more: &[(&str, &str)]| {
        let pairs = state.iter().chain(more).copied();
        page.clone().queries(pairs).to_string()
    };
    let next = found["next_cursor"].as_str();
    let content = LedgerContent {
        rows: rows
            .iter()
            .map(|row| LedgerLine::of(row, &names, context))
            .collect(),
        fields: fields(context),
        kept: kept(&state),
        period: period(context, &state),
        csv: address(&[("format", "csv")]),
        parquet: address(&[("format", "parquet")]),
        next: next.map_or_else(String::new, |next| address(&[("cursor", next)])),
        first: if context.query.has("cursor") {
            address(&[])
        } else {
            String::new()
        },
    };
    let trail = [Crumb {
        label: "Usage".to_owned(),
        link: Link::new(["console", "usage", "completions"]),
    }];
    Ok(context
        .page("Rows of the ledger", &trail, &content)
        .into_response())
}

/// Passes the operation's own file on.
async fn file(context: &Context<'_>, query: &[(&str, &str)], format: &str) -> Outcome {
    let more = [("rows", FILE_ROWS), ("format", format)];
    let address = Link::to_path(ROWS).queries(query.iter().chain(&more).copied());
    let answer = context
        .client()
        .response(&Method::GET, ROWS, &address.to_string(), None)
        .await?;
    if !answer.status().is_success() {
        return Err(collected(answer)
            .await
            .err()
            .unwrap_or_else(Refusal::broken));
    }
    let mut response: Response<Body> = answer;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Ok(response)
}

/// Looks up the names in rows.
async fn names(context: &Context<'_>, rows: &[&Json]) -> GroupNames {
    let text = |row: &Json, name: &str| row[name].as_str().map(str::to_owned);
    let keys = rows
        .iter()
        .filter_map(|row| Some((text(row, "api_key_id")?, text(row, "project_id")?)));
    let keys = keys.collect();
    let mut values = Vec::new();
    for row in rows {
        for group in [Group::Project, Group::User, Group::Key] {
            values.extend(text(row, group.as_str()).map(|value| (group, value)));
        }
    }
    GroupNames::look_up(context, values, &keys).await
}

fn fields(context: &Context<'_>) -> Vec<Field> {
    let chosen = context.query.get("type").unwrap_or_default();
    let mut choices = vec![Choice::new("", "All")];
    choices.extend(
        USAGE
            .iter()
            .map(|kind| Choice::new(kind.name, kind.title).chosen(kind.name == chosen)),
    );
    let is_unpriced = context.query.get("unpriced") == Some("true");
    vec![
        Field::new("type", "Kind", Control::Select(choices)),
        Field::new(
            "unpriced",
            "Only usage without a price",
            Control::Checkbox {
                is_checked: is_unpriced,
            },
        ),
    ]
}

/// Returns the pairs of the query that the form keeps.
fn kept(state: &[(&str, &str)]) -> Vec<(String, String)> {
    let kept = state
        .iter()
        .filter(|(name, _)| !matches!(*name, "type" | "unpriced"));
    kept.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn period(context: &Context<'_>, state: &[(&str, &str)]) -> String {
    let zone = &context.preferences.zone;
    let time = |name: &str| {
        let value = state.iter().find(|(own, _)| *own == name)?.1;
        Some(zone.date_time(UnixTime(value.parse().ok()?)))
    };
    let start = time("start_time").unwrap_or_default();
    let end = time("end_time").unwrap_or_else(|| "now".to_owned());
    format!("{start} to {end}, {}", zone.name())
}

/// Content of the page.
#[derive(Template)]
#[template(path = "ledger_rows.html")]
struct LedgerContent {
    rows: Vec<LedgerLine>,
    fields: Vec<Field>,
    kept: Vec<(String, String)>,
    period: String,
    csv: String,
    parquet: String,
    /// Address of the next page; empty if there is none.
    next: String,
    /// Address of the first page; empty on it.
    first: String,
}

/// A row as the page shows it.
struct LedgerLine {
    id: String,
    time: Moment,
    kind: String,
    model: String,
    project: (String, String),
    user: (String, String),
    key: (String, String),
    quantities: Vec<(String, String)>,
    charges: Vec<(String, String, String)>,
    amount: String,
    outcome: (&'static str, &'static str),
    is_estimated: bool,
    is_unpriced: bool,
}

impl LedgerLine {
    fn of(row: &Json, names: &GroupNames, context: &Context<'_>) -> Self {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let named = |group: Group| {
            let value = row[group.as_str()].as_str();
            match value {
                None => (String::new(), String::new()),
                Some(_) => (names.text(group, value), names.link(group, value)),
            }
        };
        let kind = ReportKind::find(row["type"].as_str().unwrap_or_default());
        let quantities = row["quantities"].as_object().into_iter().flatten();
        let charges = row["charges"].as_array().into_iter().flatten();
        Self {
            id: text("id"),
            time: Moment::new(
                UnixTime(row["timestamp"].as_i64().unwrap_or_default()),
                &context.preferences.zone,
            ),
            kind: kind.map_or_else(|| text("type"), |kind| kind.title.to_owned()),
            model: text("model"),
            project: named(Group::Project),
            user: named(Group::User),
            key: named(Group::Key),
            quantities: quantities
                .map(|(name, value)| {
                    (
                        words(name),
                        number::whole(value.as_i64().unwrap_or_default()),
                    )
                })
                .collect(),
            charges: charges
                .map(|charge| {
                    let item = words(charge["item"].as_str().unwrap_or_default());
                    let quantity = number::whole(charge["quantity"].as_i64().unwrap_or_default());
                    (item, quantity, money(&charge["amount"]))
                })
                .collect(),
            amount: money(&row["amount"]),
            outcome: outcome(row["outcome"].as_str().unwrap_or_default()),
            is_estimated: row["estimated"] == true,
            is_unpriced: row["unpriced"] == true,
        }
    }
}

/// Returns a name of the API in words.
fn words(name: &str) -> String {
    match name {
        "input_cached_tokens" => return "cached input tokens".to_owned(),
        "input_uncached_tokens" => return "uncached input tokens".to_owned(),
        "num_model_requests" => return "requests".to_owned(),
        _ => {}
    }
    name.strip_prefix("num_").unwrap_or(name).replace('_', " ")
}

fn money(amount: &Json) -> String {
    number::money(dollars(amount))
}

/// Returns the words and the colour for an outcome.
fn outcome(name: &str) -> (&'static str, &'static str) {
    match name {
        "succeeded" => ("Succeeded", "success"),
        "upstream_failed" => ("Upstream failed", "failure"),
        "timed_out" => ("Timed out", "failure"),
        "client_gone" => ("Client disconnected", "warning"),
        "node_lost" => ("Server lost", "failure"),
        "reported" => ("Reported", ""),
        "repriced" => ("New price", ""),
        "corrected" => ("Correction", ""),
        _ => ("Unknown", ""),
    }
}
