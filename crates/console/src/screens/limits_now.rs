//! The use of a project's limits at this moment: rate limits by model, and spend of the month.

use std::collections::BTreeSet;

use askama::Template;
use base::ids::{Id, RateLimitId};
use base::{NanoDollars, UnixTime};
use http::Method;
use pages::{Moment, number};
use serde_json::Value as Json;

use crate::cell::text_of;
use crate::context::Context;
use crate::form::label_of;
use crate::resource::console_path;

const LIMITS_NOW: &str = "/organization/projects/{project_id}/limits_now";
const RATE_LIMIT: &str = "/organization/projects/{project_id}/rate_limits/{rate_limit_id}";
/// Share of a limit from which on its bar is a warning, in percent.
const MIN_WARNING_PERCENT: i64 = 80;
/// Maximum number of models that are offered beside the list.
const MAX_SERVED_MODELS: usize = 20;

#[derive(Template)]
#[template(path = "limits_now.html")]
struct LimitsSection {
    path: String,
    as_of: Moment,
    limits: Vec<UsedLimit>,
    /// Models that upstreams serve, with the pages where their limits are changed.
    served: Vec<(String, String)>,
}

/// A limit of which something is used.
struct UsedLimit {
    model: String,
    name: String,
    limit: String,
    used: String,
    reserved: String,
    resets: Option<Moment>,
    bar: Bar,
}

/// A bar that shows a part of a whole.
#[derive(Template)]
#[template(
    source = "<progress class=\"{{ class }}\" max=\"100\" value=\"{{ percent }}\" aria-label=\"{{ label }}\">{{ percent }} %</progress>",
    ext = "html"
)]
struct Bar {
    percent: i64,
    class: &'static str,
    label: String,
}

impl askama::filters::HtmlSafe for Bar {}

impl Bar {
    fn new(part: i64, whole: i64, label: String) -> Self {
        let part = i128::from(part.max(0)) * 100;
        let percent = part.checked_div(i128::from(whole)).unwrap_or(100);
        let percent = i64::try_from(percent).unwrap_or(100).min(100);
        let class = match percent {
            100 => "failure",
            MIN_WARNING_PERCENT.. => "warning",
            _ => "",
        };
        Self {
            percent,
            class,
            label,
        }
    }
}

/// Returns the section with the rate limits of which something is used; empty if the visitor may not read them.
pub(crate) async fn section(context: &Context<'_>) -> String {
    let Ok(now) = context.get(&context.fill(LIMITS_NOW, &[]), &[]).await else {
        return String::new();
    };
    let models = now["rate_limits"].as_array().into_iter().flatten();
    let limits = models.flat_map(|model| used_limits(context, model));
    let section = LimitsSection {
        path: context.target(),
        as_of: Moment::new(
            UnixTime(now["as_of"].as_i64().unwrap_or_default()),
            &context.preferences.zone,
        ),
        limits: limits.collect(),
        served: served(context),
    };
    section.to_string()
}

/// Returns the models that upstreams serve, with the pages where their limits are changed; none for who may not change them.
fn served(context: &Context<'_>) -> Vec<(String, String)> {
    if context.missing(&Method::POST, RATE_LIMIT).is_some() {
        return Vec::new();
    }
    let upstreams = context.console.gateway.upstreams();
    let models: BTreeSet<String> = upstreams
        .into_iter()
        .flat_map(|upstream| upstream.models)
        .collect();
    let link = |model: String| {
        let id = format!("{}{model}", RateLimitId::PREFIX);
        let page = console_path(&context.fill(RATE_LIMIT, &[&id]));
        (model, format!("{page}/edit"))
    };
    models
        .into_iter()
        .take(MAX_SERVED_MODELS)
        .map(link)
        .collect()
}

fn used_limits(context: &Context<'_>, model: &Json) -> Vec<UsedLimit> {
    let name = text_of(&model["model"]);
    let limits = model["limits"].as_array().into_iter().flatten();
    let used = limits.filter(|limit| limit["used"].as_i64().unwrap_or_default() > 0);
    let shown = |limit: &Json| {
        let amount = |field: &str| limit[field].as_i64().unwrap_or_default();
        let label = label_of(&text_of(&limit["name"]));
        UsedLimit {
            limit: number::whole(amount("limit")),
            used: number::whole(amount("used")),
            reserved: number::whole(amount("reserved")),
            resets: limit["resets_at"]
                .as_i64()
                .map(|time| Moment::relative(UnixTime(time), context.now())),
            bar: Bar::new(
                amount("used"),
                amount("limit"),
                format!("{label} of {name} in use"),
            ),
            model: name.clone(),
            name: label,
        }
    };
    used.map(shown).collect()
}

#[derive(Template)]
#[template(path = "spend_now.html")]
struct SpendSection {
    spent: String,
    reserved: String,
    left: String,
    limit: String,
    ends: Moment,
    bar: Option<Bar>,
}

/// Returns the section with the spend of the month beside its limit; empty if the visitor may not read it.
pub(crate) async fn spend_section(context: &Context<'_>) -> String {
    if context.project.is_none() {
        return String::new();
    }
    let Ok(now) = context.get(&context.fill(LIMITS_NOW, &[]), &[]).await else {
        return String::new();
    };
    let spend = &now["spend"];
    if spend.is_null() {
        return String::new();
    }
    let amount = |name: &str| amount(&spend[name]["value"]);
    let (spent, reserved) = (amount("spent"), amount("reserved"));
    let used = spent.0.saturating_add(reserved.0);
    let limit = Some(amount("limit")).filter(|_| spend["limit"].is_object());
    let section = SpendSection {
        spent: number::money(spent),
        reserved: number::money(reserved),
        left: limit
            .map(|limit| number::money(NanoDollars(limit.0.saturating_sub(used).max(0))))
            .unwrap_or_default(),
        limit: limit.map(number::money).unwrap_or_default(),
        ends: Moment::new(
            UnixTime(spend["end_time"].as_i64().unwrap_or_default()),
            &context.preferences.zone,
        ),
        bar: limit.map(|limit| Bar::new(used, limit.0, "Spent of the limit".to_owned())),
    };
    section.to_string()
}

/// Returns an amount of dollars that an answer has as a number.
pub(crate) fn amount(value: &Json) -> NanoDollars {
    let dollars = value.as_f64().unwrap_or_default();
    NanoDollars::parse(&format!("{dollars:.9}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bar_is_a_warning_near_the_limit_and_full_at_it() {
        for (part, whole, percent, class) in [
            (0, 10, 0, ""),
            (79, 100, 79, ""),
            (80, 100, 80, "warning"),
            (200, 100, 100, "failure"),
            (0, 0, 100, "failure"),
            (i64::MAX, i64::MAX, 100, "failure"),
        ] {
            let bar = Bar::new(part, whole, String::new());
            assert_eq!((bar.percent, bar.class), (percent, class));
        }
    }

    #[test]
    fn amounts_of_answers_are_exact_to_a_billionth() {
        assert_eq!(amount(&json!(0.000_000_1)), NanoDollars(100));
        assert_eq!(amount(&json!(12.34)), NanoDollars(12_340_000_000));
        assert_eq!(amount(&json!(null)), NanoDollars(0));
    }
}
