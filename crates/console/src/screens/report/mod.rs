//! Screens of usage and costs: `/console/usage/{report}` and `/console/costs`.

mod command;
mod fields;
mod rows;

use askama::Template;
use base::UnixTime;
use pages::asset::CHART_ASSETS;
use pages::{Crumb, Field, Link, Zone};
use serde_json::Value as Json;

use crate::client::Refusal;
use crate::context::{Context, Outcome};
use crate::report::export;
use crate::report::fetch::fetch;
use crate::report::kind::{COSTS, Group, MetricColumn, ReportKind, USAGE};
use crate::report::matrix::Matrix;
use crate::report::names::GroupNames;
use crate::report::period::Period;
use crate::report::state::ReportState;
use crate::report::table::{ChartTable, GroupRow, MAX_GROUP_ROWS, ReportFigures, change, text};
use command::command;
use fields::{fields, filter_fields};
use rows::rows_link;

/// Shows a report of usage, or its file.
///
/// # Errors
/// The refusal of the operation.
pub(crate) async fn usage(context: &Context<'_>) -> Outcome {
    let name = context.parameter("report");
    let kind = ReportKind::find(name).ok_or_else(|| Refusal::not_found("report", name))?;
    show(context, kind, Link::new(["console", "usage", kind.name])).await
}

/// Shows the costs, or their file.
///
/// # Errors
/// The refusal of the operation.
pub(crate) async fn costs(context: &Context<'_>) -> Outcome {
    show(context, &COSTS, Link::new(["console", "costs"])).await
}

async fn show(context: &Context<'_>, kind: &'static ReportKind, page: Link) -> Outcome {
    let zone = &context.preferences.zone;
    let state = ReportState::read(kind, &context.query, context.now(), zone);
    let matrix = fetch(context, &state, &state.period).await?;
    if let Some(format) = export::format(context.query.get("format")) {
        return export::file(kind, &state.period, &matrix, format);
    }
    let before = if state.compares {
        Some(fetch(context, &state, &state.period.before()).await?)
    } else {
        None
    };
    let unpriced = unpriced(context, &state).await;
    let order = matrix.ranking(state.metric);
    let shown = &order[..order.len().min(MAX_GROUP_ROWS)];
    let mut chosen = Vec::new();
    for (group, values) in &state.filters {
        chosen.extend(values.iter().map(|value| (*group, value.clone())));
    }
    let names = GroupNames::of_matrix(context, &matrix, shown, chosen).await;
    let figures = ReportFigures {
        period: &state.period,
        matrix: &matrix,
        before: before.as_ref(),
        names: &names,
    };
    let content = ReportContent {
        tabs: tabs(&state),
        fields: fields(&state),
        more: filter_fields(context, &state).await,
        filters: filters(&state, &names, &page),
        tiles: tiles(kind, &matrix, before.as_ref()),
        chart: figures.chart(state.metric, &kind.metrics[state.metric]),
        groups: group_rows(
            &state,
            figures.groups(state.metric, kind.metrics),
            &names,
            &page,
        ),
        unpriced,
        zone: zone_note(&state.period, context.now()),
        page,
        state: &state,
        matrix: &matrix,
    };
    let trail = trail(&state, &names);
    let page = context.page_with(kind.title, &trail, CHART_ASSETS, &content);
    Ok(page.into_response())
}

/// Returns the trail to the project that the report is restricted to; empty if there is not one alone.
fn trail(state: &ReportState, names: &GroupNames) -> Vec<Crumb> {
    let projects = state
        .filters
        .iter()
        .find(|(group, _)| *group == Group::Project);
    match projects {
        Some((_, projects)) if projects.len() == 1 => names.project_trail(&projects[0]),
        _ => Vec::new(),
    }
}

/// Content of a report's page.
#[derive(Template)]
#[template(path = "report.html")]
struct ReportContent<'a> {
    state: &'a ReportState,
    matrix: &'a Matrix,
    page: Link,
    tabs: Vec<(&'static str, String, bool)>,
    fields: Vec<Field>,
    /// Fields of the filters.
    more: Vec<Field>,
    filters: Vec<ChosenFilter>,
    tiles: Vec<Tile>,
    chart: ChartTable,
    groups: Vec<ShownGroup>,
    unpriced: Vec<String>,
    zone: String,
}

impl ReportContent<'_> {
    /// Returns the metric that the chart shows.
    fn metric(&self) -> &MetricColumn {
        &self.state.kind.metrics[self.state.metric]
    }

    /// Returns the words for the dimensions: "by model and project".
    fn grouping(&self) -> String {
        let labels = self.state.groups.iter().map(|group| label(*group));
        let labels: Vec<String> = labels.collect();
        if labels.is_empty() {
            String::new()
        } else {
            format!("by {}", labels.join(" and "))
        }
    }

    /// Returns the address of the file in a format.
    fn file(&self, format: &str) -> String {
        self.state
            .link(self.page.clone())
            .query("format", format)
            .to_string()
    }

    /// Returns the address of the rows of the ledger in the period.
    fn rows(&self) -> String {
        rows_link(self.state, &[]).to_string()
    }

    /// Returns the number of groups that the table of sums leaves out.
    fn hidden_groups(&self) -> usize {
        self.matrix.len().saturating_sub(self.groups.len())
    }

    /// Returns the command that answers the same question.
    fn command(&self) -> String {
        command(self.state)
    }
}

/// A value that restricts the report, with the address without it.
struct ChosenFilter {
    label: String,
    value: String,
    without: String,
}

/// A sum of the whole period.
struct Tile {
    label: &'static str,
    figure: String,
    change: Option<String>,
}

/// A row of the table of sums, with links.
struct ShownGroup {
    names: Vec<(String, String)>,
    figures: Vec<String>,
    share: String,
    before: Option<String>,
    change: Option<String>,
    /// Address of the report that is restricted to the group; empty if there is none.
    only: String,
    /// Address of the rows of the group.
    rows: String,
}

fn label(group: Group) -> String {
    let label = group.label();
    if label.starts_with("API") {
        label.to_owned()
    } else {
        label.to_lowercase()
    }
}

/// Returns the links to the reports of the same period.
fn tabs(state: &ReportState) -> Vec<(&'static str, String, bool)> {
    if state.kind.is_cost() {
        return Vec::new();
    }
    let tab = |kind: &'static ReportKind| {
        let link = state
            .of_kind(kind)
            .link(Link::new(["console", "usage", kind.name]));
        (kind.title, link.to_string(), kind.name == state.kind.name)
    };
    USAGE.iter().map(tab).collect()
}

/// Returns the values that restrict the report.
fn filters(state: &ReportState, names: &GroupNames, page: &Link) -> Vec<ChosenFilter> {
    let all = state
        .filters
        .iter()
        .flat_map(|(group, values)| values.iter().map(move |value| (*group, value)));
    let chosen = all.map(|(group, value)| {
        let mut without = state.clone();
        for (own, values) in &mut without.filters {
            if *own == group {
                values.retain(|other| other != value);
            }
        }
        ChosenFilter {
            label: group.label().to_owned(),
            value: names.text(group, Some(value)),
            without: without.link(page.clone()).to_string(),
        }
    });
    chosen.collect()
}

/// Returns the sums of the whole period.
fn tiles(kind: &ReportKind, matrix: &Matrix, before: Option<&Matrix>) -> Vec<Tile> {
    let totals = matrix.totals();
    let earlier = before.map(Matrix::totals);
    let tile = |(position, metric): (usize, &MetricColumn)| Tile {
        label: metric.label,
        figure: text(metric, totals[position]),
        change: earlier
            .as_ref()
            .map(|earlier| change(totals[position].unwrap_or(0), earlier[position])),
    };
    kind.metrics.iter().enumerate().map(tile).collect()
}

/// Returns the rows of the table of sums with their links.
fn group_rows(
    state: &ReportState,
    rows: Vec<GroupRow>,
    names: &GroupNames,
    page: &Link,
) -> Vec<ShownGroup> {
    let row = |row: GroupRow| {
        let values = row.key.iter().map(|(group, value)| {
            let value = value.as_deref();
            (names.text(*group, value), names.link(*group, value))
        });
        let mut only = Some(state.clone());
        let mut restricting = Vec::new();
        for (group, value) in &row.key {
            match (value, group.filter()) {
                (Some(value), Some(filter)) => {
                    only = only.map(|state| state.only(*group, value));
                    restricting.push((filter, value.as_str()));
                }
                _ => only = None,
            }
        }
        ShownGroup {
            names: values.collect(),
            only: only.map_or_else(String::new, |state| state.link(page.clone()).to_string()),
            rows: rows_link(state, &restricting).to_string(),
            figures: row.figures,
            share: row.share,
            before: row.before,
            change: row.change,
        }
    };
    rows.into_iter().map(row).collect()
}

/// Returns sentences about usage that has no price: its costs are unknown, and charged as 0.
async fn unpriced(context: &Context<'_>, state: &ReportState) -> Vec<String> {
    if !state.kind.is_cost() {
        return Vec::new();
    }
    let (start, end) = (
        state.period.start().0.to_string(),
        state.period.end().0.to_string(),
    );
    let query = [("start_time", start.as_str()), ("end_time", end.as_str())];
    let found = context.get("/organization/usage/unpriced", &query).await;
    let found = found.unwrap_or_default();
    let sentence = |usage: &Json| {
        let model = usage["model"].as_str().unwrap_or("no model");
        let kind = ReportKind::find(usage["type"].as_str().unwrap_or_default());
        let kind = kind.map_or_else(String::new, |kind| kind.title.to_lowercase());
        let requests = usage["requests"].as_i64().unwrap_or_default();
        let requests = pages::number::whole(requests);
        format!("{model} ({kind}): {requests} requests")
    };
    let all = found["data"].as_array().into_iter().flatten();
    all.map(sentence).collect()
}

/// Returns the sentence about the time zone of the buckets.
fn zone_note(period: &Period, now: UnixTime) -> String {
    let utc = Zone::default();
    let between = |zone: &Zone| {
        format!(
            "{} to {}",
            zone.date_time(period.start()),
            zone.date_time(period.end())
        )
    };
    if period.zone.is_utc() {
        return format!("{}, UTC.", between(&utc));
    }
    let zone = &period.zone;
    format!(
        "{}, {} ({}). In UTC: {}.",
        between(zone),
        zone.name(),
        zone.offset(now),
        between(&utc)
    )
}
