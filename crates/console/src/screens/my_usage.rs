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
use crate::form::humanized;

/// Periods that can be chosen, in days. A page of a report has no more buckets.
const PERIODS: [(&str, i64); 3] = [("7", 7), ("30", 30), ("1", 1)];
/// The most keys whose names are read.
const MAX_KEYS: &str = "100";

#[derive(Template)]
#[template(path = "my_usage.html")]
struct MyUsagePage<'a> {
    path: &'a str,
    period: Field,
    total: String,
    costs: Vec<OwnCost>,
    models: Vec<ModelUsage>,
    others: Vec<OtherUsage>,
}

/// Usage of another kind: the sum of each of its quantities.
struct OtherUsage {
    kind: String,
    quantities: Vec<String>,
}

/// Reports on the visitor's usage besides completions.
const OTHERS: [&str; 8] = [
    "/organization/me/usage/embeddings",
    "/organization/me/usage/images",
    "/organization/me/usage/moderations",
    "/organization/me/usage/audio_speeches",
    "/organization/me/usage/audio_transcriptions",
    "/organization/me/usage/file_search_calls",
    "/organization/me/usage/web_search_calls",
    "/organization/me/usage/decisions",
];

/// Costs of a key in a project.
struct OwnCost {
    project: String,
    key: String,
    cost: String,
}

/// Requests to a model.
#[derive(Default)]
struct ModelUsage {
    model: String,
    requests: i64,
    input: i64,
    output: i64,
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
    let choice = |(word, own): &(&str, i64)| Choice::new(*word, label(*own)).chosen(*own == days);
    let page = MyUsagePage {
        path: &context.path,
        period: Field::new(
            "days",
            "Period",
            Control::Select(PERIODS.iter().map(choice).collect()),
        ),
        total: number::money(NanoDollars(total)),
        costs: costs.iter().map(shown).collect(),
        models: models(context, &start).await?,
        others: others(context, &start).await?,
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

/// Returns requests and tokens by model, the most used first.
async fn models(context: &Context<'_>, start: &str) -> Result<Vec<ModelUsage>, Refusal> {
    let query = [
        ("start_time", start),
        ("bucket_width", "1d"),
        ("limit", "31"),
        ("group_by", "model"),
    ];
    let path = "/organization/me/usage/completions";
    let page = context.get(path, &query).await?;
    let mut models: BTreeMap<String, ModelUsage> = BTreeMap::new();
    for result in results(&page) {
        let count = |name: &str| result[name].as_i64().unwrap_or_default();
        let model = text_of(&result["model"]);
        let usage = models.entry(model).or_default();
        usage.requests += count("num_model_requests");
        usage.input += count("input_tokens");
        usage.output += count("output_tokens");
    }
    let named = |(model, usage): (String, ModelUsage)| ModelUsage { model, ..usage };
    let mut models: Vec<ModelUsage> = models.into_iter().map(named).collect();
    models.sort_by_key(|usage| std::cmp::Reverse(usage.requests));
    Ok(models)
}

/// Returns the usage of other kinds, of which there is any.
async fn others(context: &Context<'_>, start: &str) -> Result<Vec<OtherUsage>, Refusal> {
    let query = [
        ("start_time", start),
        ("bucket_width", "1d"),
        ("limit", "31"),
    ];
    let mut others = Vec::new();
    for path in OTHERS {
        let page = context.get(path, &query).await?;
        let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
        let fields = results(&page).filter_map(Json::as_object).flatten();
        for (name, value) in fields {
            *sums.entry(name).or_default() += value.as_i64().unwrap_or_default();
        }
        sums.retain(|_, sum| *sum > 0);
        if !sums.is_empty() {
            let shown = |(name, sum): (&&str, &i64)| {
                let name = humanized(name.strip_prefix("num_").unwrap_or(name));
                format!("{name} {}", number::whole(*sum))
            };
            others.push(OtherUsage {
                kind: humanized(path.rsplit('/').next().unwrap_or_default()),
                quantities: sums.iter().map(shown).collect(),
            });
        }
    }
    Ok(others)
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
