//! Permissions of a role, and the differences from another role.

use askama::Template;
use base::Permission;
use base::permission::PermissionName;
use http::Method;
use pages::{Choice, Control, Field};
use serde_json::Value as Json;

use crate::cell::text_of;
use crate::context::Context;
use crate::resource::Resource;

#[derive(Template)]
#[template(path = "role_permissions.html")]
struct RolePermissionsSection {
    path: String,
    other: Field,
    other_name: String,
    permissions: Vec<ComparedPermission>,
    unknown: Vec<String>,
}

/// A permission of one role, of another one, or of both.
struct ComparedPermission {
    name: &'static str,
    allows: &'static str,
    is_ours: bool,
    is_theirs: bool,
}

/// Returns the section for the page of a role. The query `compare` names another role of the list.
pub(crate) async fn section(context: &Context<'_>, resource: &Resource, role: &Json) -> String {
    let others = others(context, resource).await;
    let chosen = context.query.text("compare").unwrap_or_default();
    let other = others.iter().find(|other| other["id"] == chosen);
    let mut choices = vec![Choice::new("", "No other role")];
    choices.extend(
        others
            .iter()
            .filter(|other| other["id"] != role["id"])
            .map(|other| {
                let id = text_of(&other["id"]);
                let is_chosen = id == chosen;
                Choice::new(id, text_of(&other["name"])).chosen(is_chosen)
            }),
    );
    let ours = permissions_of(role);
    let theirs = other.map(permissions_of).unwrap_or_default();
    let is_shown =
        |permission: &&Permission| ours.contains(permission) || theirs.contains(permission);
    let compared = |permission: &Permission| ComparedPermission {
        name: permission.as_str(),
        allows: permission.describe(),
        is_ours: ours.contains(permission),
        is_theirs: theirs.contains(permission),
    };
    let names = role["permissions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text_of);
    let is_unknown = |name: &String| {
        PermissionName::parse(name).is_none_or(|name| name.permissions().iter().next().is_none())
    };
    let section = RolePermissionsSection {
        path: context.path.clone(),
        other: Field::new("compare", "Compare with", Control::Select(choices)),
        other_name: other
            .map(|other| text_of(&other["name"]))
            .unwrap_or_default(),
        permissions: Permission::ALL
            .iter()
            .filter(is_shown)
            .map(compared)
            .collect(),
        unknown: names.filter(is_unknown).collect(),
    };
    section.to_string()
}

/// Returns the roles of the list that the role is in; none if the visitor may not read it.
async fn others(context: &Context<'_>, resource: &Resource) -> Vec<Json> {
    if context.missing(&Method::GET, resource.path).is_some() {
        return Vec::new();
    }
    let path = context.fill(resource.path, &[]);
    let page = context.get(&path, &[("limit", "1000")]).await;
    let roles = page.ok().and_then(|page| page["data"].as_array().cloned());
    roles.unwrap_or_default()
}

fn permissions_of(role: &Json) -> Vec<Permission> {
    let names = role["permissions"].as_array().into_iter().flatten();
    let known = names.filter_map(|name| PermissionName::parse(name.as_str()?));
    known
        .flat_map(|name| name.permissions().iter().collect::<Vec<_>>())
        .collect()
}
