//! The visitor's own pages: account and preferences.

use askama::Template;
use http::Method;
use pages::{
    Choice, Control, Crumb, Field, Link, Moment, Preferences, Theme, Zone, is_local_target,
    redirect,
};
use serde_json::Value as Json;

use crate::cell::text_of;
use crate::context::{Context, Outcome};
use crate::list::{ListSection, section};
use crate::resources;

/// Collections of the visitor's own things.
const OWN: [&str; 2] = ["/organization/me/api_keys", "/organization/me/sessions"];

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    name: &'a str,
    email: &'a str,
    role: String,
    id: &'a str,
    signed_in: Moment,
    zone: &'a str,
    has_passwords: bool,
    projects: Vec<(String, Link)>,
    has_more_projects: bool,
    groups: Vec<String>,
    sections: Vec<ListSection>,
}

/// Answers the page of the visitor's account.
pub(crate) async fn account(context: &Context<'_>) -> Outcome {
    let visitor = context.visitor;
    let mut sections = Vec::new();
    for resource in OWN.iter().filter_map(|path| resources::find(path)) {
        sections.push(section(context, resource).await);
    }
    let me = context.get("/organization/me", &[]).await?;
    let items = |name: &str| me[name].as_array().map_or(&[][..], Vec::as_slice).iter();
    let project = |project: &Json| {
        let link = Link::new(["console", "projects", &text_of(&project["id"])]);
        (text_of(&project["name"]), link)
    };
    let page = AccountPage {
        projects: items("projects").map(project).collect(),
        has_more_projects: me["has_more_projects"] == true,
        groups: items("groups")
            .map(|group| text_of(&group["name"]))
            .collect(),
        name: visitor.display_name(),
        email: &visitor.email,
        role: visitor.role_title(),
        id: &visitor.user_id,
        signed_in: Moment::new(visitor.authenticated_at, &context.preferences.zone),
        zone: context.preferences.zone.name(),
        has_passwords: context.console.options.has_passwords,
        sections,
    };
    Ok(context.page("My account", &[], &page).into_response())
}

#[derive(Template)]
#[template(path = "preferences.html")]
struct PreferencesPage {
    path: String,
    zone: Field,
    theme: Field,
    target: String,
}

/// Answers the page of preferences, and stores them in cookies.
pub(crate) async fn preferences(context: &Context<'_>) -> Outcome {
    if context.method == Method::POST {
        return Ok(stored(context));
    }
    let present = &context.preferences;
    let zone = |name: String| {
        let is_chosen = name == present.zone.name();
        Choice::new(name.clone(), name).chosen(is_chosen)
    };
    let theme =
        |theme: Theme| Choice::new(theme.as_str(), theme.label()).chosen(theme == present.theme);
    let zones = Zone::names().into_iter().map(zone).collect();
    let page = PreferencesPage {
        path: context.path.clone(),
        zone: Field::new("time_zone", "Time zone", Control::Select(zones))
            .help("Times on all pages are in this zone. UTC is shown when you point at a time."),
        theme: Field::new(
            "theme",
            "Theme",
            Control::Radio(Theme::ALL.into_iter().map(theme).collect()),
        ),
        target: context
            .query
            .get("target")
            .unwrap_or("/console/me")
            .to_owned(),
    };
    let trail = [Crumb {
        label: "My account".to_owned(),
        link: Link::new(["console", "me"]),
    }];
    Ok(context.page("Preferences", &trail, &page).into_response())
}

/// Stores what the form names, and leads back to the page that the form was on.
fn stored(context: &Context<'_>) -> http::Response<axum::body::Body> {
    let form = &context.form;
    let present = &context.preferences;
    let chosen = Preferences {
        theme: form
            .get("theme")
            .and_then(Theme::parse)
            .unwrap_or(present.theme),
        zone: form
            .get("time_zone")
            .and_then(Zone::find)
            .unwrap_or_else(|| present.zone.clone()),
    };
    let target = form.get("target").filter(|target| is_local_target(target));
    let target = Link::to_path(target.unwrap_or("/console/me"));
    redirect(&target, &chosen.cookies())
}
