//! An organization or one of its projects, as the scope of roles and of settings.

use base::ids::{Id, OrganizationId, ProjectId, RoleId};
use base::permission::PredefinedRole;
use serde_json::Value as Json;

use crate::operation::{Event, EventType, Organization, Scope};
use crate::projects::{ActiveProject, ConfiguredProject};

/// An organization or one of its projects: the scope in which roles are defined and assigned, and settings are made.
pub trait RoleScope: Scope {
    /// The contract's `resource_type` of roles that are defined in the scope.
    const RESOURCE_TYPE: &'static str;

    /// Returns the project; `None` for an organization.
    fn project_id(&self) -> Option<&ProjectId> {
        self.project().map(|project| project.id)
    }

    /// Returns the scope's `project_id` in tables: empty for an organization.
    fn project_key(&self) -> &str {
        self.project_id().map_or("", Id::as_str)
    }

    /// Returns the id under which tables and answers have the role that a client calls `name`.
    fn role_id(&self, organization: &OrganizationId, name: &RoleId) -> RoleId {
        let predefined = PredefinedRole::named(name.as_str(), organization, self.project_id());
        predefined.map_or_else(|| name.clone(), |role| role.id(organization))
    }

    /// Builds the event of a change to a setting, which has no id of its own: its resource is the project, else the
    /// organization.
    fn event(&self, organization: &OrganizationId, kind: EventType, details: Json) -> Event {
        match self.project_id() {
            Some(project) => Event::new(kind, project, details),
            None => Event::new(kind, organization, details),
        }
    }
}

impl RoleScope for Organization {
    const RESOURCE_TYPE: &'static str = "api.organization";
}

impl RoleScope for ActiveProject {
    const RESOURCE_TYPE: &'static str = PROJECT_RESOURCE;
}

impl RoleScope for ConfiguredProject {
    const RESOURCE_TYPE: &'static str = PROJECT_RESOURCE;
}

const PROJECT_RESOURCE: &str = "api.project";
