//! The field for permissions: all of them by resource, with what each allows, narrowed by words.

use askama::Template;
use askama::filters::HtmlSafe;
use base::Permission;
use pages::FormData;

/// The field for permissions.
#[derive(Template)]
#[template(path = "permissions.html")]
pub(crate) struct PermissionsField {
    name: String,
    label: String,
    help: String,
    error: String,
    groups: Vec<PermissionGroup>,
    /// Names of the hosted service, which the item has and this server does not know.
    others: Vec<String>,
}

impl HtmlSafe for PermissionsField {}

/// A group of permissions.
struct PermissionGroup {
    title: &'static str,
    permissions: Vec<OfferedPermission>,
}

/// A permission that can be checked.
struct OfferedPermission {
    name: &'static str,
    allows: String,
    is_checked: bool,
}

impl PermissionsField {
    /// Returns the field; with the permissions that roles of projects may hold alone, if `is_in_project`.
    pub(crate) fn new(
        (name, label, help, error): (&str, &str, &str, &str),
        form: &FormData,
        is_in_project: bool,
    ) -> Self {
        let chosen: Vec<&str> = form.all(name).collect();
        let group = |title, of_gateway: bool| PermissionGroup {
            title,
            permissions: Permission::ALL
                .iter()
                .filter(|permission| permission.is_for_gateway() == of_gateway)
                .filter(|permission| !is_in_project || permission.is_for_projects())
                .map(|permission| OfferedPermission {
                    name: permission.as_str(),
                    allows: permission.describe().replace('`', ""),
                    is_checked: chosen.contains(&permission.as_str()),
                })
                .collect(),
        };
        let is_other = |name: &&&str| Permission::parse(name).is_none() && !name.is_empty();
        Self {
            name: name.to_owned(),
            label: label.to_owned(),
            help: help.to_owned(),
            error: error.to_owned(),
            groups: vec![
                group("Administration", false),
                group("Models and files", true),
            ],
            others: chosen
                .iter()
                .filter(is_other)
                .map(|name| (*name).to_owned())
                .collect(),
        }
    }
}
