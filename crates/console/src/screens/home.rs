//! The first screen: spend, what needs attention, latest changes, first steps.

use askama::Template;
use base::NanoDollars;
use base::time::SECONDS_PER_DAY;
use pages::{Link, Moment, number};
use serde_json::Value as Json;

use super::audit_logs::{AuditFilter, AuditLine, LOGS, follow_links};
use super::refusals;
use super::spending::{MonthSpend, SpendBar, limit_cents};
use crate::context::{Context, Outcome};
use crate::sample;

/// Number of days before an expiry in which a key is listed.
const MAX_EXPIRY_DAYS: i64 = 14;
/// Number of days without use after which a key is listed.
const MIN_UNUSED_DAYS: i64 = 90;
/// Number of keys of a list.
const LISTED_KEYS: &str = "5";
/// Number of latest changes.
const LATEST_CHANGES: &str = "10";
/// Number of days whose refused requests are counted, today included.
const MAX_REFUSED_DAYS: i64 = 7;
/// Number of reasons of refused requests that are listed.
const MAX_LISTED_REASONS: usize = 6;
/// Share of an alert's amount from which on the alert is listed, in percent.
const MIN_ALERT_PERCENT: i128 = 80;

/// Shows the first screen.
///
/// # Errors
/// None: what the visitor may not see is left out.
pub(crate) async fn show(context: &Context<'_>) -> Outcome {
    let spend = MonthSpend::read(context).await.ok();
    let limit = limit_cents(context, "/organization/spend_limit").await;
    let alerts = match &spend {
        Some(spend) => alerts(context, spend.month).await,
        None => Vec::new(),
    };
    let now = context.now();
    let expiring = now.plus(MAX_EXPIRY_DAYS * SECONDS_PER_DAY).0.to_string();
    let unused = now.plus(-MIN_UNUSED_DAYS * SECONDS_PER_DAY).0.to_string();
    let content = HomeContent {
        bar: spend
            .as_ref()
            .zip(limit)
            .map(|(spend, limit)| SpendBar::new(spend.month, NanoDollars::default(), limit)),
        tiles: spend.as_ref().map(spend_tiles).unwrap_or_default(),
        exceeds: spend
            .as_ref()
            .zip(limit)
            .is_some_and(|(spend, limit)| spend.projected > NanoDollars::from_cents(limit)),
        expiring: keys(context, ("expires_before", &expiring), "expires_at").await,
        unused: keys(context, ("unused_since", &unused), "last_used_at").await,
        alerts,
        refused: refused(context).await,
        changes: changes(context).await,
        steps: steps(context, spend.as_ref(), limit).await,
        own_projects: match spend {
            Some(_) => None,
            None => own_projects(context).await,
        },
        needs_password: context.visitor.came_by_link
            && context.console.options.has_passwords
            && context.console.options.identity_providers.is_empty(),
        sample: sample::first_request(context, None),
    };
    Ok(context.page("Home", &[], &content).into_response())
}

/// Content of the page.
#[derive(Template)]
#[template(path = "home.html")]
struct HomeContent {
    tiles: Vec<(&'static str, String, String)>,
    bar: Option<SpendBar>,
    /// True if the month is going to exceed the limit.
    exceeds: bool,
    expiring: Option<Vec<ListedKey>>,
    unused: Option<Vec<ListedKey>>,
    alerts: Vec<DueAlert>,
    /// Refused requests by reason; `None` if the visitor may not see them.
    refused: Option<Vec<(String, String)>>,
    changes: Option<Vec<AuditLine>>,
    steps: Vec<FirstStep>,
    sample: String,
    /// True if the visitor may have no way to sign in again.
    needs_password: bool,
    /// Names and pages of the projects in which the visitor has a role; `None` for who sees the figures of all.
    own_projects: Option<Vec<(String, String)>>,
}

/// A key that needs attention.
struct ListedKey {
    name: String,
    link: String,
    project: String,
    time: Option<Moment>,
}

/// A spend alert whose amount is reached, or nearly.
struct DueAlert {
    amount: String,
    share: String,
    is_reached: bool,
    link: String,
}

/// A step of a new organization.
struct FirstStep {
    text: &'static str,
    link: &'static str,
    is_done: bool,
}

fn spend_tiles(spend: &MonthSpend) -> Vec<(&'static str, String, String)> {
    vec![
        ("Spend today", number::money(spend.today), "UTC".to_owned()),
        (
            "Spend this month",
            number::money(spend.month),
            "UTC".to_owned(),
        ),
        (
            "Projected month end",
            number::money(spend.projected),
            "if it goes on like the last 7 days".to_owned(),
        ),
    ]
}

/// Returns the names and the pages of the projects in which the visitor has a role.
async fn own_projects(context: &Context<'_>) -> Option<Vec<(String, String)>> {
    let me = context.get("/organization/me", &[]).await.ok()?;
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let project = |project: &Json| {
        let page = Link::new(["console", "projects", &text(&project["id"])]);
        (text(&project["name"]), page.to_string())
    };
    Some(me["projects"].as_array()?.iter().map(project).collect())
}

/// Lists keys of all projects that a filter selects; `None` if the visitor may not list them.
async fn keys(context: &Context<'_>, filter: (&str, &str), time: &str) -> Option<Vec<ListedKey>> {
    let query = [filter, ("limit", LISTED_KEYS)];
    let found = context.get("/organization/api_keys", &query).await.ok()?;
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let key = |key: &Json| {
        let id = text(&key["id"]);
        let project = text(&key["project"]["id"]);
        let name = text(&key["name"]);
        let seconds = key[time].as_i64();
        ListedKey {
            name: if name.trim().is_empty() {
                id.clone()
            } else {
                name
            },
            link: Link::new(["console", "projects", &project, "api_keys", &id]).to_string(),
            project: text(&key["project"]["name"]),
            time: seconds.map(|seconds| Moment::relative(base::UnixTime(seconds), context.now())),
        }
    };
    Some(found["data"].as_array()?.iter().map(key).collect())
}

/// Lists the organization's alerts that are reached or near.
async fn alerts(context: &Context<'_>, month: NanoDollars) -> Vec<DueAlert> {
    let found = context
        .get("/organization/spend_alerts", &[("limit", "100")])
        .await;
    let found = found.unwrap_or_default();
    let alert = |alert: &Json| {
        let amount = NanoDollars::from_cents(alert["threshold_amount"].as_i64()?);
        let percent = i128::from(month.0) * 100 / i128::from(amount.0.max(1));
        (percent >= MIN_ALERT_PERCENT).then(|| DueAlert {
            amount: number::money(amount),
            share: format!("{percent}\u{a0}%"),
            is_reached: percent >= 100,
            link: Link::new([
                "console",
                "spend_alerts",
                alert["id"].as_str().unwrap_or_default(),
            ])
            .to_string(),
        })
    };
    found["data"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(alert)
        .collect()
}

/// Returns the requests that the gateway refused in the last days, by reason, the most frequent first.
async fn refused(context: &Context<'_>) -> Option<Vec<(String, String)>> {
    let start = context
        .now()
        .plus(-(MAX_REFUSED_DAYS - 1) * SECONDS_PER_DAY)
        .0
        .to_string();
    let query = [("start_time", start.as_str())];
    let found = context
        .get("/organization/usage/refusals", &query)
        .await
        .ok()?;
    let mut sums: Vec<(String, i64)> = Vec::new();
    for result in found["data"].as_array()?.iter().flat_map(results) {
        let code = result["code"].as_str().unwrap_or_default();
        let count = result["num_requests"].as_i64().unwrap_or_default();
        match sums.iter_mut().find(|(own, _)| own == code) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => sums.push((code.to_owned(), count)),
        }
    }
    sums.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let shown = sums.into_iter().take(MAX_LISTED_REASONS);
    Some(
        shown
            .map(|(code, count)| (refusals::title(&code), number::whole(count)))
            .collect(),
    )
}

fn results(day: &Json) -> impl Iterator<Item = &Json> {
    day["results"].as_array().into_iter().flatten()
}

/// Lists the latest changes; `None` if the visitor may not read the audit log.
async fn changes(context: &Context<'_>) -> Option<Vec<AuditLine>> {
    let mut query: Vec<(&str, &str)> = vec![("limit", LATEST_CHANGES)];
    query.extend(AuditFilter::all_types().map(|kind| ("event_types", kind)));
    let found = context.get(LOGS, &query).await.ok()?;
    let entries = found["data"].as_array()?.iter();
    let mut lines: Vec<AuditLine> = entries
        .map(|entry| AuditLine::of(entry, &[], context))
        .collect();
    follow_links(context, &mut lines).await;
    Some(lines)
}

/// Returns the steps of a new organization; none once all are done, or if the visitor may not do them.
async fn steps(
    context: &Context<'_>,
    spend: Option<&MonthSpend>,
    limit: Option<i64>,
) -> Vec<FirstStep> {
    let count = async |path: &str| {
        let found = context.get(path, &[("limit", "2")]).await.ok()?;
        Some(found["data"].as_array()?.len())
    };
    let Some(projects) = count("/organization/projects").await else {
        return Vec::new();
    };
    let Some(keys) = count("/organization/api_keys").await else {
        return Vec::new();
    };
    let has_usage = match spend {
        Some(spend) if spend.month.0 > 0 => true,
        _ => has_usage(context).await,
    };
    let step = |text, link, is_done| FirstStep {
        text,
        link,
        is_done,
    };
    let steps = vec![
        step("Create a project", "/console/projects/new", projects > 1),
        step(
            "Create an API key in the project",
            "/console/projects",
            keys > 0,
        ),
        step("Send a first request", "", has_usage),
        step("Set a spend limit", "/console/spend_limit", limit.is_some()),
    ];
    if steps.iter().all(|step| step.is_done) {
        Vec::new()
    } else {
        steps
    }
}

/// True if anything was recorded in the last 30 days.
async fn has_usage(context: &Context<'_>) -> bool {
    let start = context.now().plus(-30 * SECONDS_PER_DAY).0.to_string();
    let query = [("start_time", start.as_str()), ("rows", "1")];
    let found = context.get("/organization/usage/events", &query).await;
    found.is_ok_and(|found| {
        found["data"]
            .as_array()
            .is_some_and(|rows| !rows.is_empty())
    })
}
