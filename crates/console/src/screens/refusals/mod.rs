//! Refused requests: `/console/usage/refusals`, with what each reason means and where it can be changed.

mod reason;

use std::collections::BTreeMap;

use askama::Template;
use base::UnixTime;
use base::time::SECONDS_PER_DAY;
use pages::asset::CHART_ASSETS;
use pages::{Choice, Control, Field, Link, Zone, number};
use serde_json::Value as Json;

use crate::client::Refusal;
use crate::command::quoted;
use crate::context::{Context, Outcome};
use crate::picker::{self, PickerKind, marked};
use crate::report::kind::Group;
use crate::report::names::GroupNames;

pub(super) use reason::title;

const REFUSALS: &str = "/organization/usage/refusals";
/// Periods that can be chosen, in days.
const PERIODS: [(&str, i64); 4] = [("1", 1), ("7", 7), ("30", 30), ("90", 90)];
const DEFAULT_DAYS_COUNT: i64 = 7;
/// Number of reasons that the page of a project lists.
const MAX_LISTED_REASONS: usize = 6;

/// Shows refused requests by project and reason, and by day.
///
/// # Errors
/// The refusal of the report.
pub(crate) async fn show(context: &Context<'_>) -> Outcome {
    let chosen = context.query.get("days").unwrap_or_default();
    let days = PERIODS.iter().find(|(word, _)| *word == chosen);
    let days = days.map_or(DEFAULT_DAYS_COUNT, |(_, days)| *days);
    let project = context.query.text("project_id").unwrap_or_default();
    let start = first_day(context, days);
    let (rows, names) = rows(context, start, project).await?;
    let content = RefusalsContent {
        path: &context.path,
        fields: fields(context, days, project).await,
        by_day: by_day(context, start, days, project).await?,
        total: number::whole(rows.iter().map(|row| row.requests).sum()),
        rows,
        command: command(start, project),
    };
    let trail = names.project_trail(project);
    let page = context.page_with("Refused requests", &trail, CHART_ASSETS, &content);
    Ok(page.into_response())
}

/// Content of the page.
#[derive(Template)]
#[template(path = "refusals.html")]
struct RefusalsContent<'a> {
    path: &'a str,
    fields: Vec<Field>,
    rows: Vec<RefusedRow>,
    total: String,
    by_day: RefusedDays,
    command: String,
}

/// Requests of a project that were refused for one reason.
struct RefusedRow {
    project: String,
    link: String,
    title: String,
    explanation: &'static str,
    code: String,
    requests: i64,
    remedies: Vec<(&'static str, String)>,
}

/// Refused requests of each day, a column for each reason.
struct RefusedDays {
    heads: Vec<String>,
    days: Vec<(String, Vec<i64>)>,
}

/// Returns the first second of the first of so many days, of which today is the last.
fn first_day(context: &Context<'_>, days: i64) -> UnixTime {
    let today = context.now().floor(SECONDS_PER_DAY);
    today.plus(-(days - 1) * SECONDS_PER_DAY)
}

async fn report(
    context: &Context<'_>,
    start: UnixTime,
    project: &str,
    more: &[(&str, &str)],
) -> Result<Json, Refusal> {
    let start = start.0.to_string();
    let mut query = vec![("start_time", start.as_str())];
    if !project.is_empty() {
        query.push(("project_id", project));
    }
    query.extend(more);
    context.get(REFUSALS, &query).await
}

/// Returns the results of all buckets of a report, with the bucket of each.
fn results(report: &Json) -> impl Iterator<Item = (&Json, &Json)> {
    let buckets = report["data"].as_array().into_iter().flatten();
    buckets.flat_map(|bucket| {
        let results = bucket["results"].as_array().into_iter().flatten();
        results.map(move |result| (bucket, result))
    })
}

fn text<'a>(value: &'a Json, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

async fn rows(
    context: &Context<'_>,
    start: UnixTime,
    project: &str,
) -> Result<(Vec<RefusedRow>, GroupNames), Refusal> {
    let report = report(context, start, project, &[("by_project", "true")]).await?;
    let named = results(&report).map(|(_, result)| text(result, "project_id"));
    let named = named.chain(Some(project).filter(|id| !id.is_empty()));
    let projects = named.map(|id| (Group::Project, id.to_owned())).collect();
    let names = GroupNames::look_up(context, projects, &std::collections::HashMap::new()).await;
    let row = |(_, result): (&Json, &Json)| {
        let (project, code) = (text(result, "project_id"), text(result, "code"));
        RefusedRow {
            project: names.text(Group::Project, Some(project)),
            link: names.link(Group::Project, Some(project)),
            title: title(code),
            explanation: reason::explanation(code),
            code: code.to_owned(),
            requests: result["num_requests"].as_i64().unwrap_or_default(),
            remedies: reason::remedies(context, code, project),
        }
    };
    Ok((results(&report).map(row).collect(), names))
}

async fn by_day(
    context: &Context<'_>,
    start: UnixTime,
    days: i64,
    project: &str,
) -> Result<RefusedDays, Refusal> {
    let report = report(context, start, project, &[]).await?;
    let mut columns: BTreeMap<String, BTreeMap<i64, i64>> = BTreeMap::new();
    for (day, result) in results(&report) {
        let column = columns.entry(title(text(result, "code"))).or_default();
        let requests = result["num_requests"].as_i64().unwrap_or_default();
        *column
            .entry(day["start_time"].as_i64().unwrap_or_default())
            .or_default() += requests;
    }
    let utc = Zone::default();
    let days = (0..days).map(|day| {
        let time = start.plus(day * SECONDS_PER_DAY);
        let counts = columns
            .values()
            .map(|column| column.get(&time.0).copied().unwrap_or_default());
        (utc.date(time), counts.collect())
    });
    Ok(RefusedDays {
        days: days.collect(),
        heads: columns.into_keys().collect(),
    })
}

async fn fields(context: &Context<'_>, days: i64, project: &str) -> Vec<Field> {
    let label = |days: i64| match days {
        1 => "Today (UTC)".to_owned(),
        days => format!("The last {days} days"),
    };
    let choice = |(word, own): &(&str, i64)| Choice::new(*word, label(*own)).chosen(*own == days);
    let period = Control::Select(PERIODS.iter().map(choice).collect());
    let chosen: Vec<&str> = Some(project)
        .filter(|id| !id.is_empty())
        .into_iter()
        .collect();
    let options = picker::options(context, PickerKind::Projects, &chosen).await;
    let projects = Control::Picker {
        source: PickerKind::Projects.address(context),
        choices: marked(&options, &context.query, "project_id"),
        is_multiple: false,
        has_more: options.has_more,
    };
    vec![
        Field::new("days", "Period", period),
        Field::new("project_id", "Project", projects),
    ]
}

fn command(start: UnixTime, project: &str) -> String {
    let start = start.0;
    let command = format!(
        "orgplane admin:organization:usage refusals --start-time {start} --by-project true"
    );
    if project.is_empty() {
        command
    } else {
        format!("{command} --project-id {}", quoted(project))
    }
}

#[derive(Template)]
#[template(path = "refused_section.html")]
struct RefusedSection {
    days: i64,
    reasons: Vec<RefusedReason>,
    all: String,
}

/// A reason as the page of a project lists it.
struct RefusedReason {
    title: String,
    requests: String,
    remedies: Vec<(&'static str, String)>,
}

/// Returns the section with the refused requests of the page's project; empty if the visitor may not see them.
pub(crate) async fn section(context: &Context<'_>) -> String {
    let Some(project) = &context.project else {
        return String::new();
    };
    let start = first_day(context, DEFAULT_DAYS_COUNT);
    let more = [("by_project", "true")];
    let Ok(report) = report(context, start, &project.id, &more).await else {
        return String::new();
    };
    let reason = |(_, result): (&Json, &Json)| RefusedReason {
        title: title(text(result, "code")),
        requests: number::whole(result["num_requests"].as_i64().unwrap_or_default()),
        remedies: reason::remedies(context, text(result, "code"), &project.id),
    };
    let section = RefusedSection {
        days: DEFAULT_DAYS_COUNT,
        reasons: results(&report)
            .map(reason)
            .take(MAX_LISTED_REASONS)
            .collect(),
        all: Link::new(["console", "usage", "refusals"])
            .query("project_id", &project.id)
            .to_string(),
    };
    section.to_string()
}
