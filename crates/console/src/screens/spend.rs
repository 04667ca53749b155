//! Spend against limits: `/console/spend`.

use askama::Template;
use base::NanoDollars;
use pages::{Link, number};

use super::spending::{MonthSpend, SpendBar, dollars, limit_cents};
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
    let listed = &spend.projects[..spend.projects.len().min(MAX_PROJECTS)];
    let values = listed
        .iter()
        .map(|(id, _)| (Group::Project, id.clone()))
        .collect();
    let names = GroupNames::look_up(context, values, &std::collections::HashMap::new()).await;
    let mut projects = Vec::new();
    let mut reserved_sum = NanoDollars::default();
    for (id, spent) in listed {
        let path = Link::new(["organization", "projects", id, "limits_now"]);
        let now = context.get(path.path(), &[]).await.unwrap_or_default();
        let reserved = dollars(&now["spend"]["reserved"]);
        reserved_sum += reserved;
        let limit_path = Link::new(["organization", "projects", id, "spend_limit"]);
        let limit = limit_cents(context, limit_path.path()).await;
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
        hidden: spend.projects.len().saturating_sub(MAX_PROJECTS),
        projects,
    };
    Ok(context.page("Spend", &[], &content).into_response())
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
