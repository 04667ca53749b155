//! Every permission and its wire name; the predefined roles.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! permissions {
    ($($(#[doc = $doc:literal])* $name:ident = $wire:literal,)*) => {
        /// One thing that a caller may be allowed to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Permission {
            $($(#[doc = $doc])* $name,)*
        }

        impl Permission {
            /// Every permission, in the order of the published catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in role definitions, scopes and error messages.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// What it allows, in a sentence.
            #[must_use]
            pub fn describe(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*).trim_ascii(),)* }
            }
        }
    };
}

permissions! {
    /// List and retrieve admin API keys.
    AdminApiKeysRead = "api.organization.admin_api_keys.read",
    /// Create and delete admin API keys.
    AdminApiKeysWrite = "api.organization.admin_api_keys.write",
    /// Read the audit log.
    AuditLogsRead = "api.organization.audit_logs.read",
    /// Read usage and costs.
    UsageRead = "api.organization.usage.read",
    /// Report usage of other gateways.
    UsageWrite = "api.usage.write",
    /// List and retrieve projects.
    ProjectsRead = "api.organization.projects.read",
    /// Create, modify and archive projects.
    ProjectsWrite = "api.organization.projects.write",
    /// List and retrieve the API keys of a project.
    ProjectApiKeysRead = "api.organization.projects.api_keys.read",
    /// Create, modify and delete the API keys of a project.
    ProjectApiKeysWrite = "api.organization.projects.api_keys.write",
    /// List and retrieve the service accounts of a project.
    ServiceAccountsRead = "api.organization.projects.service_accounts.read",
    /// Create, modify and delete the service accounts of a project and their keys.
    ServiceAccountsWrite = "api.organization.projects.service_accounts.write",
    /// Call models through the gateway.
    ModelRequest = "api.model.request",
    /// List and retrieve the models of the gateway.
    ModelRead = "api.model.read",
}

impl Permission {
    /// The permission with this wire name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|permission| permission.as_str() == name)
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PermissionSet(u64);

impl PermissionSet {
    /// Every permission there is.
    pub const ALL: Self = Self((1 << Permission::ALL.len()) - 1);

    /// Whether `permission` is among these.
    #[must_use]
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// These and `permission`.
    #[must_use]
    pub fn with(self, permission: Permission) -> Self {
        Self(self.0 | (1 << permission as u8))
    }

    /// Those that are in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::default(), Self::with)
    }
}

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
            Self::Reader => [Permission::ProjectsRead, Permission::ModelRead]
                .into_iter()
                .collect(),
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
            Self::None => "none",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Owner, Self::Member, Self::None]
            .into_iter()
            .find(|role| role.as_str() == name)
    }

    /// What the role allows in its project.
    #[must_use]
    pub fn permissions(self) -> PermissionSet {
        use Permission as P;
        let member = [P::ModelRequest, P::ModelRead, P::UsageWrite];
        let owner = [
            P::ProjectsRead,
            P::ProjectApiKeysRead,
            P::ProjectApiKeysWrite,
            P::ServiceAccountsRead,
            P::ServiceAccountsWrite,
        ];
        match self {
            Self::Owner => member.into_iter().chain(owner).collect(),
            Self::Member => member.into_iter().collect(),
            Self::None => PermissionSet::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_catalogue_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/permissions.md");
        let document = std::fs::read_to_string(path).expect("the catalogue is published");
        let mark =
            |set: PermissionSet, permission| if set.contains(permission) { "yes" } else { "" };
        for permission in Permission::ALL {
            let row = format!(
                "| `{}` | {} | {} | {} | {} | {} |",
                permission.as_str(),
                permission.describe().trim_end_matches('.'),
                mark(OrganizationRole::Owner.permissions(), *permission),
                mark(OrganizationRole::Reader.permissions(), *permission),
                mark(ProjectRole::Owner.permissions(), *permission),
                mark(ProjectRole::Member.permissions(), *permission),
            );
            assert!(
                document.lines().any(|line| line == row),
                "docs/permissions.md should have:\n{row}"
            );
        }
        let rows = document
            .lines()
            .filter(|line| line.starts_with("| `api."))
            .count();
        assert_eq!(
            rows,
            Permission::ALL.len(),
            "docs/permissions.md has a permission too many"
        );
    }

    #[test]
    fn every_permission_is_found_by_its_name_and_held_by_an_owner() {
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.as_str()), Some(*permission));
            assert!(OrganizationRole::Owner.permissions().contains(*permission));
            assert!(!permission.describe().is_empty());
        }
        assert!(!PermissionSet::default().contains(Permission::ProjectsRead));
    }
}
