//! The predefined roles, and what any role allows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Permission, PermissionSet};

/// The predefined roles of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum OrganizationRole {
    /// May do everything.
    Owner,
    /// May look at projects and call models.
    Reader,
}

impl OrganizationRole {
    /// The role's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Reader => "reader",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Owner, Self::Reader]
            .into_iter()
            .find(|role| role.as_str() == name)
    }

    /// What the role allows in the organization and in each of its projects.
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
    /// May administer the project.
    Owner,
    /// May call models.
    Member,
    /// May look, and no more.
    Viewer,
    /// Has no role: a service account that was created alone.
    None,
}

impl ProjectRole {
    /// The role's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
            Self::Viewer => "viewer",
            Self::None => "none",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Owner, Self::Member, Self::Viewer, Self::None]
            .into_iter()
            .find(|role| role.as_str() == name)
    }

    /// What the role allows in its project.
    #[must_use]
    pub fn permissions(self) -> PermissionSet {
        use Permission as P;
        let member = [P::ModelRequest, P::ModelRead];
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
            Self::Owner => member.into_iter().chain(owner).collect(),
            Self::Member => member.into_iter().collect(),
            Self::Viewer => viewer.into_iter().collect(),
            Self::None => PermissionSet::default(),
        }
    }
}

/// A predefined role, which every organization has under the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredefinedRole {
    /// Of an organization.
    Organization(OrganizationRole),
    /// Of a project.
    Project(ProjectRole),
}

impl PredefinedRole {
    /// Every one that can be assigned.
    pub const ALL: [Self; 5] = [
        Self::Organization(OrganizationRole::Owner),
        Self::Organization(OrganizationRole::Reader),
        Self::Project(ProjectRole::Owner),
        Self::Project(ProjectRole::Member),
        Self::Project(ProjectRole::Viewer),
    ];

    /// The role with this id.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.id() == id)
    }

    /// Its id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Organization(OrganizationRole::Owner) => "role_organization_owner",
            Self::Organization(OrganizationRole::Reader) => "role_organization_reader",
            Self::Project(ProjectRole::Owner) => "role_project_owner",
            Self::Project(ProjectRole::Member) => "role_project_member",
            Self::Project(ProjectRole::Viewer) => "role_project_viewer",
            Self::Project(ProjectRole::None) => "role_project_none",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Organization(role) => role.as_str(),
            Self::Project(role) => role.as_str(),
        }
    }

    /// What it is for, in a sentence.
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

    /// Where it can be assigned, as the contract calls it.
    #[must_use]
    pub fn resource_type(self) -> &'static str {
        match self {
            Self::Organization(_) => "api.organization",
            Self::Project(_) => "api.project",
        }
    }

    /// What it allows.
    #[must_use]
    pub fn permissions(self) -> PermissionSet {
        match self {
            Self::Organization(role) => role.permissions(),
            Self::Project(role) => role.permissions(),
        }
    }
}

/// What the role with this id allows: of a predefined one the program knows it; any other has `custom`, a JSON array of
/// names, and one that is not there allows nothing.
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

    #[test]
    fn a_predefined_role_is_what_the_program_says_whatever_the_table_says() {
        for role in PredefinedRole::ALL {
            let permissions = role_permissions(role.id(), Some(r#"["api.roles.write"]"#));
            assert_eq!(permissions, role.permissions(), "{}", role.id());
            let ending = format!("_{}", role.name());
            assert!(role.id().ends_with(&ending) && role.describe().ends_with('.'));
        }
        assert_eq!(
            role_permissions("role_project_none", None),
            PermissionSet::default()
        );
        let custom = role_permissions("role_1", Some(r#"["api.model.read"]"#));
        assert_eq!(custom, PermissionSet::default().with(Permission::ModelRead));
    }

    #[test]
    fn what_a_projects_roles_hold_is_for_projects() {
        for role in [ProjectRole::Owner, ProjectRole::Member, ProjectRole::Viewer] {
            assert!(role.permissions().iter().all(Permission::is_for_projects));
        }
    }

    #[test]
    fn existing_organizations_are_given_the_same_roles() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../migrations/0004_roles.sql"
        );
        let migration = std::fs::read_to_string(path).expect("the migration");
        for role in PredefinedRole::ALL {
            let id = format!("SELECT '{}'", role.id());
            let line = migration.lines().find(|line| line.contains(&id));
            let same = line.is_some_and(|line| {
                line.contains(role.resource_type()) && line.contains(role.name())
            });
            assert!(same, "{}", role.id());
        }
    }
}
