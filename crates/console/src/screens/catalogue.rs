//! The catalogue: models with their upstreams, facts and prices, and the health of upstreams.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use base::NanoDollars;
use http::Method;
use pages::{Control, Field, InputKind, Link, number};
use serde_json::Value as Json;

use crate::cell::text_of;
use crate::context::{Context, Outcome};
use crate::gateway_facts::UpstreamFacts;
use crate::list::{csv_response, harmless};

/// Models on a page.
const PAGE_MODELS_COUNT: usize = 200;
/// The operation whose permission shows upstreams, which are an affair of administrators.
const UPSTREAMS_LIKE: &str = "/organization/data_retention";
/// Keys of prices that have columns of their own.
const MAIN_PRICES: [&str; 3] = ["input", "cached_input", "output"];

#[derive(Template)]
#[template(path = "catalogue.html")]
struct CataloguePage<'a> {
    path: &'a str,
    search: Field,
    all: Field,
    is_filtered: bool,
    upstreams: Option<Vec<UpstreamFacts>>,
    has_wildcard: bool,
    models: Vec<CatalogueModel>,
    total: String,
    is_cut: bool,
    file: String,
}

/// A model.
struct CatalogueModel {
    name: String,
    kind: &'static str,
    upstreams: Vec<String>,
    context_window: String,
    prices: [String; 3],
    other_prices: Vec<String>,
    has_price: bool,
}

/// Answers the catalogue: models that upstreams list, and with `all=true` those that have prices alone, too.
pub(crate) async fn answer(context: &Context<'_>) -> Outcome {
    let gateway = &context.console.gateway;
    let upstreams = gateway.upstreams();
    let words = context.query.text("search").unwrap_or_default();
    let is_all = context.query.get("all") == Some("true");
    let listed = listed(&upstreams);
    let has_wildcard = gateway.has_wildcard();
    let mut names: BTreeSet<&str> = listed.keys().copied().collect();
    if is_all || has_wildcard {
        names.extend(context.services().models.iter().map(String::as_str));
    }
    let lower = words.to_lowercase();
    names.retain(|name| name.to_lowercase().contains(&lower));
    let can_see = context.missing(&Method::GET, UPSTREAMS_LIKE).is_none();
    let model = |name: &&str| {
        let served = listed.get(name).filter(|_| can_see);
        let served = served.into_iter().flatten().map(|name| (*name).to_owned());
        model(context, name, served.collect())
    };
    if context.query.get("format") == Some("csv") {
        let models: Vec<CatalogueModel> = names.iter().map(model).collect();
        return Ok(csv_response("catalogue", &csv_of(&models)));
    }
    let file = context.query.with("format", Some("csv"));
    let file = Link::to_path(context.path.clone()).queries(file.pairs());
    let page = CataloguePage {
        path: &context.path,
        search: Field::input(InputKind::Search, "search", "Search").value(words),
        all: Field::new(
            "all",
            "Also models that no upstream lists",
            Control::Checkbox { is_checked: is_all },
        ),
        is_filtered: !words.is_empty() || is_all,
        has_wildcard,
        models: names.iter().take(PAGE_MODELS_COUNT).map(model).collect(),
        total: number::whole(i64::try_from(names.len()).unwrap_or(i64::MAX)),
        is_cut: names.len() > PAGE_MODELS_COUNT,
        file: file.to_string(),
        upstreams: can_see.then(|| upstreams.clone()),
    };
    Ok(context
        .page("Models and prices", &[], &page)
        .into_response())
}

/// Returns the upstreams of each listed model.
fn listed(upstreams: &[UpstreamFacts]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut listed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for upstream in upstreams {
        for model in &upstream.models {
            listed.entry(model).or_default().insert(&upstream.name);
        }
    }
    listed
}

fn model(context: &Context<'_>, name: &str, upstreams: Vec<String>) -> CatalogueModel {
    let facts = context.services().facts.of(name);
    let prices = context.console.gateway.prices(name, context.now());
    let price = |key: &str| {
        let price = prices.as_ref().map(|prices| text_of(&prices[key]));
        price.map(|text| dollars(&text)).unwrap_or_default()
    };
    let kind = facts.and_then(|facts| facts.kind);
    let window = facts.and_then(|facts| facts.context_window);
    CatalogueModel {
        name: name.to_owned(),
        kind: kind.map_or("", |kind| kind.as_str()),
        upstreams,
        context_window: window
            .map(|tokens| number::whole(i64::from(tokens)))
            .unwrap_or_default(),
        prices: MAIN_PRICES.map(price),
        other_prices: prices.as_ref().map(other_prices).unwrap_or_default(),
        has_price: prices.is_some(),
    }
}

/// Returns the prices that have no column, each with its key.
fn other_prices(prices: &Json) -> Vec<String> {
    let prices = prices.as_object().into_iter().flatten();
    let others = prices.filter(|(key, _)| !MAIN_PRICES.contains(&key.as_str()));
    let shown = |(key, price): (&String, &Json)| {
        let label = key.replace('_', " ");
        match price.as_object() {
            None => format!("{label} {}", dollars(&text_of(price))),
            Some(variants) => {
                let amounts = variants
                    .values()
                    .filter_map(|price| NanoDollars::parse(price.as_str()?));
                let (least, most) = (amounts.clone().min(), amounts.max());
                match (least, most) {
                    (Some(least), Some(most)) if least < most => {
                        format!("{label} {} – {}", number::money(least), number::money(most))
                    }
                    (Some(one), _) => format!("{label} {}", number::money(one)),
                    _ => label,
                }
            }
        }
    };
    others.map(shown).collect()
}

fn dollars(text: &str) -> String {
    NanoDollars::parse(text).map_or_else(String::new, number::money)
}

fn csv_of(models: &[CatalogueModel]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let heads = ["Model", "Kind", "Upstreams", "Context window"];
    // Writing to memory does not fail.
    let _ = writer.write_record(heads.into_iter().chain(MAIN_PRICES).chain(["Other prices"]));
    for model in models {
        let text = [
            harmless(model.name.clone()),
            model.kind.to_owned(),
            harmless(model.upstreams.join(" ")),
            model.context_window.clone(),
        ];
        let prices = model.prices.iter().cloned();
        let others = [model.other_prices.join("; ")];
        let _ = writer.write_record(text.into_iter().chain(prices).chain(others));
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prices_without_a_column_are_named_with_the_range_of_their_variants() {
        let prices = json!({"input": "1.25", "web_search": "10", "image": {"low": "0.01", "high": "0.4"}, "second": {"x": "1"}});
        let mut shown = other_prices(&prices);
        shown.sort_unstable();
        assert_eq!(
            shown,
            ["image $0.010 – $0.40", "second $1.00", "web search $10.00"]
        );
    }
}
