//! Spend against limits: `/console/spend`.

use askama::Template;
use base::NanoDollars;
use pages::{Link, number};
use serde_json::Value as Json;

use super::spending::{MonthSpend, SpendBar, dollars, limit_cents, project_spend};
use crate::context::{Context, Outcome};
use crate::report::kind::Group;
use crate::report::names::GroupNames;

/// Maximum number of projects that are listed.
const MAX_PROJECTS: usize = 25;

/// Shows what is spent and set aside, and the limits, of the organization and of the projects that spend most.
///
/// # Errors
/// The refusal of the costs.
pub(crate) async fn show(context: &Context<'_>) -> Outcome {
    let spend = MonthSpend::read(context).await?;
    let limit = limit_cents(context, "/organization/spend_limit").await;
    let all = project_spend(context).await?;
    let listed = &all[..all.len().min(MAX_PROJECTS)];
    let values = listed
        .iter()
        .map(|(id, _)| (Group::Project, id.clone()))
        .collect();
    let names = GroupNames::look_up(context, values, &std::collections::HashMap::new()).await;
    let mut projects = Vec::new();
    let mut reserved_sum = NanoDollars::default();
    for (id, spent) in listed {
        let (reserved, limit) = project_limit(context, id).await;
        reserved_sum += reserved;
        projects.push(ProjectSpend {
            name: names.text(Group::Project, Some(id)),
            link: Link::new(["console", "projects", id, "spend_limit"]).to_string(),
            spent: number::money(*spent),
            reserved: if reserved.0 == 0 {
                String::new()
            } else {
                number::money(reserved)
            },
            bar: limit.map(|limit| SpendBar::new(*spent, reserved, limit)),
        });
    }
    let content = SpendContent {
        bar: limit.map(|limit| SpendBar::new(spend.month, reserved_sum, limit)),
        month: number::money(spend.month),
        projected: number::money(spend.projected),
        hidden: all.len().saturating_sub(MAX_PROJECTS),
        projects,
    };
    Ok(context.page("Spend", &[], &content).into_response())
}

/// Returns what is set aside in a project, and its limit in cents.
async fn project_limit(context: &Context<'_>, id: &str) -> (NanoDollars, Option<i64>) {
    let at = |name: &str| Link::new(["organization", "projects", id, name]);
    let now = context.get(at("limits_now").path(), &[]).await;
    match now.as_ref().map(|now| &now["spend"]) {
        Ok(spend) if spend.is_object() => {
            let limit = &spend["limit"];
            let limit = limit.is_object().then(|| cents(limit));
            (dollars(&spend["reserved"]), limit)
        }
        _ => {
            let limit = limit_cents(context, at("spend_limit").path()).await;
            (NanoDollars::default(), limit)
        }
    }
}

/// Returns an amount of the API in cents, of which limits are whole numbers.
fn cents(amount: &Json) -> i64 {
    dollars(amount).0 / NanoDollars::from_cents(1).0
}

/// Content of the page.
#[derive(Template)]
#[template(path = "spend.html")]
struct SpendContent {
    bar: Option<SpendBar>,
    month: String,
    projected: String,
    projects: Vec<ProjectSpend>,
    hidden: usize,
}

/// A project as the page lists it.
struct ProjectSpend {
    name: String,
    link: String,
    spent: String,
    reserved: String,
    bar: Option<SpendBar>,
}
