//! The visitor's own usage: costs by project and key, and requests by model.

use std::collections::BTreeMap;

use askama::Template;
use base::NanoDollars;
use base::time::SECONDS_PER_DAY;
use pages::{Choice, Control, Crumb, Field, Link, number};
use serde_json::Value as Json;

use super::limits_now::amount;
use crate::cell::text_of;
use crate::client::Refusal;
use crate::context::{Context, Outcome};
use crate::report::kind::{Group, ReportKind, USAGE};

/// Periods that can be chosen, in days. A page of a report has no more buckets.
const PERIODS: [(&str, i64); 3] = [("7", 7), ("30", 30), ("1", 1)];
/// The most keys whose names are read.
const MAX_KEYS: &str = "100";

#[derive(Template)]
#[template(path = "my_usage.html")]
struct MyUsagePage<'a> {
    path: &'a str,
    fields: [Field; 2],
    total: String,
    costs: Vec<OwnCost>,
    kind: &'static ReportKind,
    rows: Vec<UsageRow>,
}

/// Costs of a key in a project.
struct OwnCost {
    project: String,
    key: String,
    cost: String,
}

/// Usage of a model, or of all models for a kind of usage that has none: a number for each metric of the kind.
struct UsageRow {
    model: String,
    numbers: Vec<String>,
}

/// Answers the page of the visitor's usage.
pub(crate) async fn answer(context: &Context<'_>) -> Outcome {
    let chosen = context.query.get("days").unwrap_or("30");
    let days = PERIODS.iter().find(|(word, _)| *word == chosen);
    let days = days.map_or(30, |(_, days)| *days);
    let start = context.now().plus(-(days - 1) * SECONDS_PER_DAY).0;
    let start = (start - start.rem_euclid(SECONDS_PER_DAY)).to_string();
    let costs = costs(context, &start).await?;
    let total = costs
        .values()
        .fold(0_i64, |sum, cost| sum.saturating_add(cost.0));
    let names = Names::read(context).await?;
    let shown = |((project, key), cost): (&(String, String), &NanoDollars)| OwnCost {
        project: names.project(project),
        key: names.key(key),
        cost: number::money(*cost),
    };
    let label = |days: i64| match days {
        1 => "Today (UTC)".to_owned(),
        days => format!("The last {days} days"),
    };
    let period = |(word, own): &(&str, i64)| Choice::new(*word, label(*own)).chosen(*own == days);
    let periods = PERIODS.iter().map(period).collect();
    let kind = kind_of(context);
    let kinds = own_kinds().map(|own| {
        let choice = Choice::new(own.name, own.title);
        choice.chosen(own.name == kind.name)
    });
    let page = MyUsagePage {
        path: &context.path,
        fields: [
            Field::new("days", "Period", Control::Select(periods)),
            Field::new("type", "Kind", Control::Select(kinds.collect())),
        ],
        total: number::money(NanoDollars(total)),
        costs: costs.iter().map(shown).collect(),
        kind,
        rows: usage(context, kind, &start).await?,
    };
    let trail = [Crumb {
        label: "My account".to_owned(),
        link: Link::new(["console", "me"]),
    }];
    Ok(context.page("My usage", &trail, &page).into_response())
}

/// Returns the results of all buckets of a report.
fn results(page: &Json) -> impl Iterator<Item = &Json> {
    let buckets = page["data"].as_array().into_iter().flatten();
    buckets.flat_map(|bucket| bucket["results"].as_array().into_iter().flatten())
}

/// Returns the costs by project and key.
async fn costs(
    context: &Context<'_>,
    start: &str,
) -> Result<BTreeMap<(String, String), NanoDollars>, Refusal> {
    let query = [
        ("start_time", start),
        ("limit", "31"),
        ("group_by", "project_id,api_key_id"),
    ];
    let page = context.get("/organization/me/costs", &query).await?;
    let mut costs: BTreeMap<(String, String), NanoDollars> = BTreeMap::new();
    for result in results(&page) {
        let key = (
            text_of(&result["project_id"]),
            text_of(&result["api_key_id"]),
        );
        let cost = costs.entry(key).or_default();
        cost.0 = cost.0.saturating_add(amount(&result["amount"]["value"]).0);
    }
    Ok(costs)
}

/// Returns the kinds of usage that have a user.
fn own_kinds() -> impl Iterator<Item = &'static ReportKind> {
    USAGE
        .iter()
        .filter(|kind| kind.groups.contains(&Group::User))
}

/// Returns the kind of usage that the query names; the first one without any.
fn kind_of(context: &Context<'_>) -> &'static ReportKind {
    let chosen = context.query.get("type").unwrap_or_default();
    let found = own_kinds().find(|kind| kind.name == chosen);
    found.unwrap_or(&USAGE[0])
}

/// Returns the usage of a kind by model, most used first.
async fn usage(
    context: &Context<'_>,
    kind: &'static ReportKind,
    start: &str,
) -> Result<Vec<UsageRow>, Refusal> {
    let mut query = vec![
        ("start_time", start),
        ("bucket_width", "1d"),
        ("limit", "31"),
    ];
    if kind.groups.contains(&Group::Model) {
        query.push(("group_by", Group::Model.as_str()));
    }
    let path = Link::new(["organization", "me", "usage", kind.name]);
    let page = context.get(path.path(), &query).await?;
    let mut models: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for result in results(&page) {
        let numbers = models.entry(text_of(&result["model"])).or_default();
        numbers.resize(kind.metrics.len(), 0);
        for (sum, metric) in numbers.iter_mut().zip(kind.metrics) {
            let number = result[metric.name].as_i64().unwrap_or_default();
            *sum = sum.saturating_add(number);
        }
    }
    let unnamed = if kind.groups.contains(&Group::Model) {
        "No model"
    } else {
        "All"
    };
    let mut models: Vec<(String, Vec<i64>)> = models.into_iter().collect();
    models.sort_by_key(|(_, numbers)| std::cmp::Reverse(numbers[0]));
    let row = |(model, numbers): (String, Vec<i64>)| UsageRow {
        model: if model.is_empty() {
            unnamed.to_owned()
        } else {
            model
        },
        numbers: numbers.into_iter().map(number::whole).collect(),
    };
    Ok(models.into_iter().map(row).collect())
}

/// Names of the visitor's projects and keys, by id.
struct Names {
    projects: Vec<(String, String)>,
    keys: Vec<(String, String)>,
}

impl Names {
    async fn read(context: &Context<'_>) -> Result<Self, Refusal> {
        let me = context.get("/organization/me", &[]).await?;
        let keys = [("limit", MAX_KEYS)];
        let keys = context.get("/organization/me/api_keys", &keys).await?;
        let pairs = |items: &Json| {
            let items = items.as_array().into_iter().flatten();
            let pair = |item: &Json| (text_of(&item["id"]), text_of(&item["name"]));
            items.map(pair).collect()
        };
        Ok(Self {
            projects: pairs(&me["projects"]),
            keys: pairs(&keys["data"]),
        })
    }

    fn project(&self, id: &str) -> String {
        named(&self.projects, id)
    }

    fn key(&self, id: &str) -> String {
        named(&self.keys, id)
    }
}

/// Returns the name of an id; the id itself if the name is not known, as of a deleted key.
fn named(names: &[(String, String)], id: &str) -> String {
    let found = names.iter().find(|(own, _)| own == id);
    found.map_or_else(|| id.to_owned(), |(_, name)| name.clone())
}
