//! Reasons why a person may do something: each permission with the roles that give it, and the groups that give the roles.

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use base::Permission;
use base::permission::PermissionName;
use pages::{Control, Field, Link};
use serde_json::Value as Json;

use crate::cell::text_of;
use crate::context::Context;
use crate::picker::{self, PickerKind, marked};

#[derive(Template)]
#[template(path = "reasons.html")]
struct ReasonsSection {
    path: String,
    project: Field,
    permissions: Vec<PermissionReasons>,
    refusal: String,
}

/// A permission with the roles that give it.
struct PermissionReasons {
    name: &'static str,
    allows: &'static str,
    reasons: Vec<String>,
}

/// A role that a person has, with the names of the groups that give it.
struct HeldRole {
    name: String,
    permissions: Vec<String>,
    groups: Vec<String>,
    is_of_project: bool,
}

/// Returns the section for the page of a user. The query `project_id` adds the roles in a project.
pub(crate) async fn section(context: &Context<'_>, user: &Json) -> String {
    let id = text_of(&user["id"]);
    let project = context.query.text("in_project").unwrap_or_default();
    let (roles, refusal) = match roles(context, &id, project).await {
        Ok(roles) => (roles, String::new()),
        Err(refusal) => (Vec::new(), refusal.message),
    };
    let options = picker::options(context, PickerKind::Projects, &[project]).await;
    let mut options = options;
    options.choices.retain(|choice| !choice.value.is_empty());
    let control = Control::Picker {
        source: PickerKind::Projects.address(context),
        choices: marked(&options, &context.query, "in_project"),
        is_multiple: false,
        has_more: options.has_more,
    };
    let section = ReasonsSection {
        path: context.path.clone(),
        project: Field::new("in_project", "Also in the project", control),
        permissions: reasons(&roles),
        refusal,
    };
    section.to_string()
}

/// Reads the roles of a user in the organization, and in a project if one is named.
async fn roles(
    context: &Context<'_>,
    user: &str,
    project: &str,
) -> Result<Vec<HeldRole>, crate::client::Refusal> {
    let limit = [("limit", "1000")];
    let of_organization = Link::new(["organization", "users", user, "roles"]);
    let mut names = HashMap::new();
    let mut held = Vec::new();
    let page = context.get(of_organization.path(), &limit).await?;
    for role in page["data"].as_array().into_iter().flatten() {
        held.push(held_role(context, role, false, &mut names).await);
    }
    if !project.is_empty() {
        let of_project = Link::new(["projects", project, "users", user, "roles"]);
        let page = context.get(of_project.path(), &limit).await?;
        for role in page["data"].as_array().into_iter().flatten() {
            held.push(held_role(context, role, true, &mut names).await);
        }
    }
    Ok(held)
}

async fn held_role(
    context: &Context<'_>,
    role: &Json,
    is_of_project: bool,
    names: &mut HashMap<String, String>,
) -> HeldRole {
    let mut groups = Vec::new();
    let sources = role["assignment_sources"].as_array().into_iter().flatten();
    for source in sources.filter(|source| source["principal_type"] == "group") {
        let id = text_of(&source["principal_id"]);
        if !names.contains_key(&id) {
            let path = Link::new(["organization", "groups", &id]);
            let group = context.get(path.path(), &[]).await;
            let name = group.map(|group| text_of(&group["name"]));
            names.insert(id.clone(), name.unwrap_or_else(|_| id.clone()));
        }
        groups.extend(names.get(&id).cloned());
    }
    let permissions = role["permissions"].as_array().into_iter().flatten();
    HeldRole {
        name: text_of(&role["name"]),
        permissions: permissions.map(text_of).collect(),
        groups,
        is_of_project,
    }
}

/// Returns each permission that a role gives, with the reasons.
fn reasons(roles: &[HeldRole]) -> Vec<PermissionReasons> {
    let mut by_permission: BTreeMap<Permission, Vec<String>> = BTreeMap::new();
    for role in roles {
        let names = role
            .permissions
            .iter()
            .filter_map(|name| PermissionName::parse(name));
        for permission in names.flat_map(|name| name.permissions().iter().collect::<Vec<_>>()) {
            if role.is_of_project && !permission.is_for_projects() {
                continue;
            }
            let reason = reason(role);
            let reasons = by_permission.entry(permission).or_default();
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    by_permission
        .into_iter()
        .map(|(permission, reasons)| PermissionReasons {
            name: permission.as_str(),
            allows: permission.describe(),
            reasons,
        })
        .collect()
}

fn reason(role: &HeldRole) -> String {
    let place = if role.is_of_project {
        " in the project"
    } else {
        ""
    };
    let name = &role.name;
    match role.groups.as_slice() {
        [] => format!("role {name}{place}"),
        groups => format!("role {name}{place}, by the group {}", groups.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_permission_names_every_role_that_gives_it() {
        let role = |name: &str, permissions: &[&str], groups: &[&str], is_of_project| HeldRole {
            name: name.to_owned(),
            permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
            groups: groups.iter().map(|name| (*name).to_owned()).collect(),
            is_of_project,
        };
        let roles = [
            role("A", &["api.roles.read", "api.unknown"], &[], false),
            role(
                "B",
                &["api.roles.read", "api.organization.users.read"],
                &["G"],
                true,
            ),
        ];
        let shown: Vec<(&str, Vec<String>)> = reasons(&roles)
            .into_iter()
            .map(|permission| (permission.name, permission.reasons))
            .collect();
        let expected = vec![(
            "api.roles.read",
            vec![
                "role A".to_owned(),
                "role B in the project, by the group G".to_owned(),
            ],
        )];
        assert_eq!(shown, expected);
    }
}
