//! Permissions with their wire names, sets of permissions, and the predefined roles.

mod hosted;
mod list;
mod other_names;
mod role;

pub use hosted::HOSTED;
pub use list::{PermissionList, PermissionName};
pub use other_names::{OTHER_NAMES, OtherName};
pub use role::{OrganizationRole, PredefinedRole, ProjectRole, role_permissions};

macro_rules! permissions {
    ($($(#[doc = $doc:literal])* $name:ident = $wire:literal,)*) => {
        /// A permission that an operation requires of its caller.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Permission {
            $($(#[doc = $doc])* $name,)*
        }

        impl Permission {
            /// Every permission, in the order of the published catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the name in role definitions, scopes and error messages.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// Returns a sentence that describes the permitted actions.
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
    /// List and retrieve users.
    UsersRead = "api.organization.users.read",
    /// Modify and delete users.
    UsersWrite = "api.organization.users.write",
    /// List and retrieve invites.
    InvitesRead = "api.organization.invites.read",
    /// Create and delete invites.
    InvitesWrite = "api.organization.invites.write",
    /// List and retrieve groups and their users.
    GroupsRead = "api.groups.read",
    /// Create, modify and delete groups; add and remove their users.
    GroupsWrite = "api.groups.write",
    /// List and retrieve roles and who has them.
    RolesRead = "api.roles.read",
    /// Create, modify and delete custom roles; assign and unassign roles.
    RolesWrite = "api.roles.write",
    /// Read data retention, of the organization and of projects.
    DataRetentionRead = "api.organization.data_retention.read",
    /// Set data retention.
    DataRetentionWrite = "api.organization.data_retention.write",
    /// List and retrieve spend alerts, and read spend limits, of the organization and of projects.
    SpendRead = "api.organization.spend.read",
    /// Create, modify and delete spend alerts; set and delete spend limits.
    SpendWrite = "api.organization.spend.write",
    /// List and retrieve certificates, of the organization and of projects.
    CertificatesRead = "api.organization.certificates.read",
    /// Upload, modify, activate, deactivate and delete certificates.
    CertificatesWrite = "api.organization.certificates.write",
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
    /// List and retrieve the users and groups of a project.
    ProjectUsersRead = "api.organization.projects.users.read",
    /// Add, modify and remove the users and groups of a project.
    ProjectUsersWrite = "api.organization.projects.users.write",
    /// Read the rate limits, model permissions, hosted tool permissions and service tiers of a project.
    ProjectSettingsRead = "api.organization.projects.settings.read",
    /// Set the rate limits, model permissions, hosted tool permissions and service tiers of a project.
    ProjectSettingsWrite = "api.organization.projects.settings.write",
    // From here on, what the gateway requires.
    /// Call models through the gateway, at every endpoint; includes the permissions below except `api.model.read`.
    ModelRequest = "api.model.request",
    /// List and retrieve the models of the gateway.
    ModelRead = "api.model.read",
    /// Request chat completions.
    ChatCompletionsRequest = "api.model.chat_completions.request",
    /// Request embeddings.
    EmbeddingsRequest = "api.model.embeddings.request",
    /// Request moderations.
    ModerationsRequest = "api.model.moderations.request",
    /// Generate and edit images.
    ImagesRequest = "api.model.images.request",
    /// Request speech, transcriptions and translations.
    AudioRequest = "api.model.audio.request",
    /// Retrieve responses and list their input.
    ResponsesRead = "api.responses.read",
    /// Create, cancel and delete responses.
    ResponsesWrite = "api.responses.write",
    /// Retrieve conversations and their items.
    ConversationsRead = "api.conversations.read",
    /// Create, modify and delete conversations and their items.
    ConversationsWrite = "api.conversations.write",
    /// List, retrieve and download files.
    FilesRead = "api.files.read",
    /// Upload and delete files.
    FilesWrite = "api.files.write",
    /// Retrieve uploads of large files.
    UploadsRead = "api.uploads.read",
    /// Create, complete and cancel uploads of large files.
    UploadsWrite = "api.uploads.write",
    /// List and retrieve batches.
    BatchesRead = "api.batches.read",
    /// Create and cancel batches.
    BatchesWrite = "api.batches.write",
    /// List, retrieve and search vector stores and their files.
    VectorStoresRead = "api.vector_stores.read",
    /// Create, modify and delete vector stores; add and remove their files.
    VectorStoresWrite = "api.vector_stores.write",
    /// List and retrieve containers, and download their files.
    ContainersRead = "api.containers.read",
    /// Create and delete containers and their files.
    ContainersWrite = "api.containers.write",
}

impl Permission {
    /// Returns the permission with this wire name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|permission| permission.as_str() == name)
    }

    /// Returns the permission and those that it includes. `api.model.request` was once the only scope of the gateway, so it
    /// includes every other one that is required there, except to read models.
    #[must_use]
    pub fn with_included(self) -> PermissionSet {
        let includes = |one: &Self| match self {
            Self::ModelRequest => one.is_for_gateway() && *one != Self::ModelRead,
            _ => *one == self,
        };
        Self::ALL.iter().copied().filter(includes).collect()
    }

    /// Returns the permission that an error asks for in place of this one: `api.model.request` for its parts, as the hosted
    /// service does.
    #[must_use]
    pub fn as_asked_for(self) -> Self {
        match self {
            Self::ChatCompletionsRequest
            | Self::EmbeddingsRequest
            | Self::ModerationsRequest
            | Self::ImagesRequest
            | Self::AudioRequest => Self::ModelRequest,
            other => other,
        }
    }

    /// Returns true if the gateway requires the permission.
    #[must_use]
    pub fn is_for_gateway(self) -> bool {
        self >= Self::ModelRequest
    }

    /// Returns true if the permission reads and changes nothing.
    #[must_use]
    pub fn is_read(self) -> bool {
        self.as_str().ends_with(".read")
    }

    /// Returns true if the permission has a meaning in a project, so that a project role can include it.
    #[must_use]
    pub fn is_for_projects(self) -> bool {
        !matches!(
            self,
            Self::AdminApiKeysRead
                | Self::AdminApiKeysWrite
                | Self::AuditLogsRead
                | Self::UsersRead
                | Self::UsersWrite
                | Self::InvitesRead
                | Self::InvitesWrite
                | Self::GroupsRead
                | Self::GroupsWrite
        )
    }
}

/// A set of permissions, one bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PermissionSet(u64);

const _: () = assert!(Permission::ALL.len() < u64::BITS as usize);

impl PermissionSet {
    /// All permissions.
    pub const ALL: Self = Self((1 << Permission::ALL.len()) - 1);

    /// Returns true if the set contains `permission`.
    #[must_use]
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// Returns the set with `permission` added.
    #[must_use]
    pub fn with(self, permission: Permission) -> Self {
        Self(self.0 | (1 << permission as u8))
    }

    /// Returns the permissions that are in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the permissions that are in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the permissions that are not in the other set.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns the permissions of the set that have a meaning in a project.
    #[must_use]
    pub fn in_project(self) -> Self {
        self.iter()
            .filter(|permission| permission.is_for_projects())
            .collect()
    }

    /// Iterates over the permissions, in the order of the catalogue.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        let all = Permission::ALL.iter().copied();
        all.filter(move |permission| self.contains(*permission))
    }

    /// Parses a JSON array of names into all permissions that they include. Unknown names are skipped: they may be permissions
    /// of another version.
    #[must_use]
    pub fn from_json(json: &str) -> Self {
        PermissionList::from_json(json).set()
    }

    /// Parses the scopes of a key, a JSON array of names, into the permissions that they allow. An empty array allows all of
    /// them, malformed JSON none.
    #[must_use]
    pub fn from_scopes(json: &str) -> Self {
        match serde_json::from_str::<Vec<String>>(json) {
            Ok(names) if names.is_empty() => Self::ALL,
            _ => Self::from_json(json),
        }
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_catalogue_matches() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/permissions.md");
        let document = std::fs::read_to_string(path).expect("the catalogue is published");
        let has = |row: &str| {
            let is_there = document.lines().any(|line| line == row);
            assert!(is_there, "docs/permissions.md should have:\n{row}");
        };
        let mark =
            |set: PermissionSet, permission| if set.contains(permission) { "yes" } else { "" };
        for permission in Permission::ALL {
            let row = format!(
                "| `{}` | {} | {} | {} | {} | {} | {} | {} |",
                permission.as_str(),
                permission.describe().trim_end_matches('.'),
                mark(OrganizationRole::Owner.permissions(), *permission),
                mark(OrganizationRole::Reader.permissions(), *permission),
                mark(ProjectRole::Owner.permissions(), *permission),
                mark(ProjectRole::Member.permissions(), *permission),
                mark(ProjectRole::Viewer.permissions(), *permission),
                if permission.is_for_projects() {
                    "yes"
                } else {
                    ""
                },
            );
            has(&row);
        }
        let rows = document
            .lines()
            .filter(|line| line.starts_with("| `api.") || line.starts_with("| `model."))
            .count();
        assert_eq!(
            rows,
            Permission::ALL.len() + OTHER_NAMES.len(),
            "docs/permissions.md has a permission too many"
        );
        for (name, meaning) in OTHER_NAMES {
            let row = match meaning {
                OtherName::Synonym(permission) => {
                    format!("| `{name}` | `{}` |", permission.as_str())
                }
                OtherName::EveryRead => format!("| `{name}` | every name that ends in `.read` |"),
            };
            has(&row);
        }
        for name in HOSTED {
            has(&format!("- `{name}`"));
        }
        let items = document.lines().filter(|line| {
            let name = line.strip_prefix("- `");
            name.is_some_and(|name| name.contains("api.") || name.starts_with("model."))
        });
        assert_eq!(
            items.count(),
            HOSTED.len(),
            "docs/permissions.md has a name of the hosted service too many"
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

    #[test]
    fn a_set_survives_its_json() {
        let set: PermissionSet = [Permission::ModelRead, Permission::GroupsRead]
            .into_iter()
            .collect();
        let json = PermissionList::from(set).to_json();
        assert_eq!(json, r#"["api.groups.read","api.model.read"]"#);
        assert_eq!(PermissionSet::from_json(&json), set);
        let rest = PermissionSet::ALL.without(set);
        assert_eq!(rest.iter().count() + 2, Permission::ALL.len());
    }

    #[test]
    fn a_scope_of_the_time_before_narrow_ones_opens_what_it_opened() {
        let request = PermissionSet::from_scopes(r#"["api.model.request"]"#);
        for permission in Permission::ALL {
            let is_included = permission.is_for_gateway() && *permission != Permission::ModelRead;
            let name = permission.as_str();
            assert_eq!(request.contains(*permission), is_included, "{name}");
            let json = serde_json::json!([name]).to_string();
            assert!(PermissionSet::from_scopes(&json).contains(*permission));
            assert_eq!(permission.with_included(), PermissionSet::from_json(&json));
            let is_umbrella = *permission == Permission::ModelRequest;
            assert!(is_umbrella || permission.with_included().iter().count() == 1);
        }
    }

    #[test]
    fn scopes_restrict_unless_they_are_empty() {
        let model_read = PermissionSet::default().with(Permission::ModelRead);
        for (json, left) in [
            ("[]", PermissionSet::ALL),
            (r#"["api.model.read"]"#, model_read),
            (r#"["api.model.read","api.unheard.of"]"#, model_read),
            (r#"["model.read","api.webhooks.read"]"#, model_read),
            (r#"["api.unheard.of"]"#, PermissionSet::default()),
            ("not JSON", PermissionSet::default()),
        ] {
            assert_eq!(PermissionSet::from_scopes(json), left, "{json}");
        }
    }
}
