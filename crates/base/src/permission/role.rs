//! Predefined roles and the permissions of roles.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Permission, PermissionSet};
use crate::ids::{Id, OrganizationId, ProjectId, RoleId};
use crate::names;

/// The predefined roles of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum OrganizationRole {
    /// All permissions.
    Owner,
    /// Read access to projects, users, groups, roles and models.
    Reader,
}

names! { OrganizationRole {
    Owner = "owner",
    Reader = "reader",
}}

impl OrganizationRole {
    /// Returns the permissions in the organization and in each of its projects.
    #[must_use]
    pub fn permissions(self) -> PermissionSet {
        match self {
            Self::Owner => PermissionSet::ALL,
            Self::Reader => {
                use Permission as P;
                let looks = [
                    P::ProjectsRead,
                    P::ProjectUsersRead,
                    P::UsersRead,
                    P::GroupsRead,
                ];
                looks
                    .into_iter()
                    .chain([P::RolesRead, P::ModelRead])
                    .collect()
            }
        }
    }
}

/// The predefined roles of a project, for users and service accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ProjectRole {
    /// Administration of the project, and calls to models.
    Owner,
    /// Calls to models.
    Member,
    /// Read access to the project.
    Viewer,
    /// No role: a service account that was created without one.
    None,
}

names! { ProjectRole {
    Owner = "owner",
    Member = "member",
    Viewer = "viewer",
    None = "none",
}}

impl ProjectRole {
    /// Returns the permissions in the project.
    #[must_use]
    pub fn permissions(self) -> PermissionSet {
        use Permission as P;
        let member = P::ModelRequest.with_included().with(P::ModelRead);
        let owner = [
            P::UsageWrite,
            P::ProjectsRead,
            P::ProjectApiKeysRead,
            P::ProjectApiKeysWrite,
            P::ServiceAccountsRead,
            P::ServiceAccountsWrite,
            P::ProjectUsersRead,
            P::ProjectUsersWrite,
            P::ProjectSettingsRead,
            P::ProjectSettingsWrite,
            P::RolesRead,
            P::RolesWrite,
            P::UsageRead,
        ];
        let viewer = [
            P::ProjectsRead,
            P::ProjectUsersRead,
            P::ProjectSettingsRead,
            P::UsageRead,
            P::ModelRead,
        ];
        match self {
            Self::Owner => member.union(owner.into_iter().collect()),
            Self::Member => member,
            Self::Viewer => viewer.into_iter().collect(),
            Self::None => PermissionSet::default(),
        }
    }
}

/// A predefined role, which every organization has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredefinedRole {
    /// Of an organization.
    Organization(OrganizationRole),
    /// Of a project.
    Project(ProjectRole),
}

/// Prefixes of ids: the hosted service's, then that of earlier versions of this program.
const ORGANIZATION_PREFIXES: [&str; 2] = ["role-api-organization-", "role_organization_"];
const PROJECT_PREFIXES: [&str; 2] = ["role-api-project-", "role_project_"];
/// Separators between the role and the organization or project in the hosted service's ids.
const IN_ORGANIZATION: &str = "__api-organization__";
const IN_PROJECT: &str = "__api-project__";

impl PredefinedRole {
    /// All roles that can be assigned.
    pub const ALL: [Self; 5] = [
        Self::Organization(OrganizationRole::Owner),
        Self::Organization(OrganizationRole::Reader),
        Self::Project(ProjectRole::Owner),
        Self::Project(ProjectRole::Member),
        Self::Project(ProjectRole::Viewer),
    ];

    /// Returns the role with this id in tables and answers.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        if let Some(name) = id.strip_prefix(PROJECT_PREFIXES[0]) {
            return Self::of_project(name);
        }
        let (name, _) = id
            .strip_prefix(ORGANIZATION_PREFIXES[0])?
            .split_once(IN_ORGANIZATION)?;
        OrganizationRole::parse(name).map(Self::Organization)
    }

    /// Returns the role that a client may call `id` in the organization or in the project: by the id that answers show, by
    /// that of earlier versions, or by the one that Terraform providers for the hosted service build for a project.
    #[must_use]
    pub fn named(
        id: &str,
        organization: &OrganizationId,
        project: Option<&ProjectId>,
    ) -> Option<Self> {
        let after = |prefixes: [&str; 2]| {
            prefixes
                .into_iter()
                .find_map(|prefix| id.strip_prefix(prefix))
        };
        if let Some(rest) = after(PROJECT_PREFIXES) {
            return match rest.split_once(IN_PROJECT) {
                None => Self::of_project(rest),
                Some((name, of)) if project.is_some_and(|project| project.as_str() == of) => {
                    Self::of_project(name)
                }
                Some(_) => None,
            };
        }
        let rest = after(ORGANIZATION_PREFIXES)?;
        let name = match rest.split_once(IN_ORGANIZATION) {
            None => rest,
            Some((name, of)) if of == organization.as_str() => name,
            Some(_) => return None,
        };
        OrganizationRole::parse(name).map(Self::Organization)
    }

    fn of_project(name: &str) -> Option<Self> {
        let role = ProjectRole::parse(name).filter(|role| *role != ProjectRole::None)?;
        Some(Self::Project(role))
    }

    /// Returns the role's id in the organization, in the hosted service's form.
    #[must_use]
    pub fn id(self, organization: &OrganizationId) -> RoleId {
        let name = self.name();
        RoleId::from_text(match self {
            Self::Organization(_) => {
                let [prefix, _] = ORGANIZATION_PREFIXES;
                format!("{prefix}{name}{IN_ORGANIZATION}{organization}")
            }
            Self::Project(_) => format!("{}{name}", PROJECT_PREFIXES[0]),
        })
    }

    /// Returns the role's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Organization(role) => role.as_str(),
            Self::Project(role) => role.as_str(),
        }
    }

    /// Returns a sentence that describes the role.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Organization(OrganizationRole::Owner) => "May do everything.",
            Self::Organization(OrganizationRole::Reader) => {
                "May look at projects, people and roles."
            }
            Self::Project(ProjectRole::Owner) => "May administer the project and call models.",
            Self::Project(ProjectRole::Member) => "May call models.",
            Self::Project(ProjectRole::Viewer) => "May look at the project, but call no models.",
            Self::Project(ProjectRole::None) => "May do nothing.",
        }
    }

    /// Returns the contract's `resource_type` of the role.
    #[must_use]
    pub fn resource_type(self) -> &'static str {
        match self {
            Self::Organization(_) => "api.organization",
            Self::Project(_) => "api.project",
        }
    }

    /// Returns the role's permissions.
    #[must_use]
    pub fn permissions(self) -> PermissionSet {
        match self {
            Self::Organization(role) => role.permissions(),
            Self::Project(role) => role.permissions(),
        }
    }
}

/// Returns the permissions of the role with this id: those of the predefined role, else those in `custom`, a JSON array of
/// names. A role without either has no permissions.
#[must_use]
pub fn role_permissions(id: &str, custom: Option<&str>) -> PermissionSet {
    match PredefinedRole::parse(id) {
        Some(role) => role.permissions(),
        None => custom.map(PermissionSet::from_json).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organization() -> OrganizationId {
        OrganizationId::from_text("org-1".to_owned())
    }

    #[test]
    fn permissions_of_predefined_roles_are_not_read_from_the_table() {
        for role in PredefinedRole::ALL {
            let id = role.id(&organization());
            let permissions = role_permissions(id.as_str(), Some(r#"["api.roles.write"]"#));
            assert_eq!(permissions, role.permissions(), "{id}");
            assert_eq!(PredefinedRole::parse(id.as_str()), Some(role));
            assert!(role.describe().ends_with('.'));
        }
        assert_eq!(
            role_permissions("role-api-project-none", None),
            PermissionSet::default()
        );
        let custom = role_permissions("role_1", Some(r#"["api.model.read"]"#));
        assert_eq!(custom, PermissionSet::default().with(Permission::ModelRead));
    }

    #[test]
    fn a_predefined_role_is_found_by_the_hosted_services_ids_and_by_its_own() {
        let project = ProjectId::from_text("proj_1".to_owned());
        let named = |id: &str| PredefinedRole::named(id, &organization(), Some(&project));
        let owner = Some(PredefinedRole::Organization(OrganizationRole::Owner));
        let viewer = Some(PredefinedRole::Project(ProjectRole::Viewer));
        for (id, role) in [
            (
                "role-api-organization-owner__api-organization__org-1",
                owner,
            ),
            ("role-api-organization-owner", owner),
            ("role_organization_owner", owner),
            ("role-api-project-viewer", viewer),
            ("role-api-project-viewer__api-project__proj_1", viewer),
            ("role_project_viewer", viewer),
            ("role-api-organization-owner__api-organization__org-2", None),
            ("role-api-organization-viewer", None),
            ("role-api-project-viewer__api-project__proj_2", None),
            ("role-api-project-none", None),
            ("role_project_none", None),
            ("role_01K000000000000000000000000", None),
            ("owner", None),
        ] {
            assert_eq!(named(id), role, "{id}");
        }
        let elsewhere = "role-api-project-viewer__api-project__proj_1";
        assert_eq!(
            PredefinedRole::named(elsewhere, &organization(), None),
            None
        );
    }

    #[test]
    fn project_roles_have_only_permissions_for_projects() {
        for role in [ProjectRole::Owner, ProjectRole::Member, ProjectRole::Viewer] {
            assert!(role.permissions().iter().all(Permission::is_for_projects));
        }
    }
}
