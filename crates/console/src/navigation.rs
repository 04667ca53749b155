//! The navigation: links to the screens that the visitor may see.

use http::Method;
use pages::{Link, NavigationGroup, NavigationItem};

use crate::context::Context;

/// A screen in the navigation: its text, its path below `/console`, and the operation without which it is empty.
pub(crate) struct Entry {
    /// Text.
    pub(crate) label: &'static str,
    /// Path below `/console`; for a screen of a project, below the project.
    pub(crate) path: &'static str,
    /// Path of the operation that the screen reads; empty for none.
    pub(crate) reads: &'static str,
}

/// Returns an entry.
const fn entry(label: &'static str, path: &'static str, reads: &'static str) -> Entry {
    Entry { label, path, reads }
}

/// Title of the group of a project's own page, until the name of the project takes its place.
const OVERVIEW: &str = "Project";

/// Screens of the organization, by group.
pub(crate) const ORGANIZATION: &[(&str, &[Entry])] = &[
    (
        "",
        &[
            entry("Home", "", ""),
            entry(
                "Usage",
                "usage/completions",
                "/organization/usage/completions",
            ),
            entry("Costs", "costs", "/organization/costs"),
            entry("Spend", "spend", "/organization/spend_limit"),
            entry(
                "Refused requests",
                "usage/refusals",
                "/organization/usage/refusals",
            ),
            entry("Audit log", "audit_logs", "/organization/audit_logs"),
        ],
    ),
    (
        "Organization",
        &[
            entry("Projects", "projects", "/organization/projects"),
            entry("Members", "users", "/organization/users"),
            entry("Invitations", "invites", "/organization/invites"),
            entry("Groups", "groups", "/organization/groups"),
            entry("Roles", "roles", "/organization/roles"),
        ],
    ),
    (
        "Keys and trust",
        &[
            entry("API keys", "api_keys", "/organization/api_keys"),
            entry(
                "Admin keys",
                "admin_api_keys",
                "/organization/admin_api_keys",
            ),
            entry("Certificates", "certificates", "/organization/certificates"),
            entry(
                "Identity providers",
                "identity_providers",
                "/organization/admin_api_keys",
            ),
        ],
    ),
    (
        "Models and limits",
        &[
            entry("Models and prices", "catalogue", ""),
            entry("Spend limit", "spend_limit", "/organization/spend_limit"),
            entry("Spend alerts", "spend_alerts", "/organization/spend_alerts"),
            entry(
                "Data retention",
                "data_retention",
                "/organization/data_retention",
            ),
        ],
    ),
    (
        "Personal",
        &[
            entry("My account", "me", ""),
            entry("My API keys", "me/api_keys", ""),
            entry("My usage", "me/usage", ""),
        ],
    ),
];

/// Screens of a project, by group. The first group, which has the project's name, has its reports, too.
pub(crate) const PROJECT: &[(&str, &[Entry])] = &[
    (
        OVERVIEW,
        &[entry("Overview", "", "/organization/projects/{project_id}")],
    ),
    (
        "Access",
        &[
            entry(
                "People",
                "users",
                "/organization/projects/{project_id}/users",
            ),
            entry(
                "Groups",
                "groups",
                "/organization/projects/{project_id}/groups",
            ),
            entry("Roles", "roles", "/projects/{project_id}/roles"),
        ],
    ),
    (
        "Keys",
        &[
            entry(
                "API keys",
                "api_keys",
                "/organization/projects/{project_id}/api_keys",
            ),
            entry(
                "Service accounts",
                "service_accounts",
                "/organization/projects/{project_id}/service_accounts",
            ),
            entry(
                "Certificates",
                "certificates",
                "/organization/projects/{project_id}/certificates",
            ),
        ],
    ),
    (
        "Limits",
        &[
            entry(
                "Rate limits",
                "rate_limits",
                "/organization/projects/{project_id}/rate_limits",
            ),
            entry(
                "Spend limit",
                "spend_limit",
                "/organization/projects/{project_id}/spend_limit",
            ),
            entry(
                "Spend alerts",
                "spend_alerts",
                "/organization/projects/{project_id}/spend_alerts",
            ),
        ],
    ),
    (
        "Policy",
        &[
            entry(
                "Models",
                "model_permissions",
                "/organization/projects/{project_id}/model_permissions",
            ),
            entry(
                "Hosted tools",
                "hosted_tool_permissions",
                "/organization/projects/{project_id}/hosted_tool_permissions",
            ),
            entry(
                "Service tiers",
                "service_tier_settings",
                "/organization/projects/{project_id}/service_tier_settings",
            ),
            entry(
                "Data retention",
                "data_retention",
                "/organization/projects/{project_id}/data_retention",
            ),
        ],
    ),
];

/// Returns the navigation of a page: that of its project, or of the organization.
pub(crate) fn navigation(context: &Context<'_>) -> Vec<NavigationGroup> {
    let Some(project) = &context.project else {
        let base = Link::new(["console"]);
        return groups(context, ORGANIZATION, &base);
    };
    let base = Link::new(["console", "projects", &project.id]);
    let back = NavigationGroup {
        title: String::new(),
        items: vec![NavigationItem {
            label: "\u{2190} All projects".to_owned(),
            link: Link::new(["console", "projects"]),
            is_current: false,
        }],
    };
    let mut own = groups(context, PROJECT, &base);
    if let Some(first) = own.iter_mut().find(|group| group.title == OVERVIEW) {
        first.title.clone_from(&project.name);
        first.items.extend(reports(context, &project.id));
    }
    own.insert(0, back);
    own
}

/// Returns links to the reports of the organization, restricted to a project.
fn reports(context: &Context<'_>, project: &str) -> Vec<NavigationItem> {
    let page = |segments: &[&str]| Link::new(["console"].iter().chain(segments));
    let all = [
        (
            "Usage",
            "/organization/usage/completions",
            page(&["usage", "completions"]).query("project_ids", project),
        ),
        (
            "Costs",
            "/organization/costs",
            page(&["costs"])
                .query("project_ids", project)
                .query("group", "line_item"),
        ),
        (
            "Refused requests",
            "/organization/usage/refusals",
            page(&["usage", "refusals"]).query("project_id", project),
        ),
    ];
    let readable = all
        .into_iter()
        .filter(|(_, reads, _)| context.missing(&Method::GET, reads).is_none());
    let item = |(label, _, link): (&str, &str, Link)| NavigationItem {
        label: label.to_owned(),
        link,
        is_current: false,
    };
    readable.map(item).collect()
}

fn groups(
    context: &Context<'_>,
    entries: &[(&str, &'static [Entry])],
    base: &Link,
) -> Vec<NavigationGroup> {
    let all = || entries.iter().flat_map(|(_, entries)| *entries);
    let matching = all().filter(|entry| is_within(&context.path, entry, base));
    // The page of an entry may lie below that of another one. A report is a sibling of the one that the entry leads to.
    let current = matching.max_by_key(|entry| entry.path.len());
    let current = current.or_else(|| all().find(|entry| is_sibling(&context.path, entry, base)));
    let current = current.map(|entry| entry.path);
    let group = |(title, entries): &(&str, &'static [Entry])| NavigationGroup {
        title: (*title).to_owned(),
        items: items(context, entries, base, current),
    };
    let all = entries.iter().map(group);
    all.filter(|group| !group.items.is_empty()).collect()
}

fn link_of(entry: &Entry, base: &Link) -> Link {
    let segments = entry.path.split('/').filter(|segment| !segment.is_empty());
    segments.fold(base.clone(), Link::segment)
}

/// True if a path is that of an entry, or lies below it.
fn is_within(path: &str, entry: &Entry, base: &Link) -> bool {
    let link = link_of(entry, base);
    let rest = path.strip_prefix(link.path());
    rest.is_some_and(|rest| rest.is_empty() || !entry.path.is_empty() && rest.starts_with('/'))
}

/// True if a path lies below the first of several segments of an entry's path.
fn is_sibling(path: &str, entry: &Entry, base: &Link) -> bool {
    let Some((first, _)) = entry.path.split_once('/') else {
        return false;
    };
    let link = base.clone().segment(first);
    let rest = path.strip_prefix(link.path());
    rest.is_some_and(|rest| rest.starts_with('/'))
}

fn items(
    context: &Context<'_>,
    entries: &'static [Entry],
    base: &Link,
    current: Option<&str>,
) -> Vec<NavigationItem> {
    let is_allowed = |entry: &&Entry| {
        entry.reads.is_empty() || context.missing(&Method::GET, entry.reads).is_none()
    };
    let item = |entry: &Entry| NavigationItem {
        label: entry.label.to_owned(),
        link: link_of(entry, base),
        is_current: current == Some(entry.path),
    };
    entries.iter().filter(is_allowed).map(item).collect()
}
