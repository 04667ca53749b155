//! The two levels at which the same setting can stand: the organization, and each of its projects.

use base::ids::OrganizationId;
use serde_json::Value as Json;

use crate::operation::{Event, EventType, Organization, Scope};
use crate::projects::{ActiveProject, ConfiguredProject};

/// Where a setting stands.
pub trait Level: Scope {
    /// What stands in `project_id` of a table that both levels share: nothing for the organization.
    fn project_key(&self) -> &str;

    /// Something happened to a setting that has no id of its own: its target is the project or the organization.
    fn event(&self, organization: &OrganizationId, kind: EventType, details: Json) -> Event;
}

impl Level for Organization {
    fn project_key(&self) -> &str {
        ""
    }

    fn event(&self, organization: &OrganizationId, kind: EventType, details: Json) -> Event {
        Event::new(kind, organization, details)
    }
}

impl Level for ActiveProject {
    fn project_key(&self) -> &str {
        base::ids::Id::as_str(&self.id)
    }

    fn event(&self, _: &OrganizationId, kind: EventType, details: Json) -> Event {
        Event::new(kind, &self.id, details)
    }
}

impl Level for ConfiguredProject {
    fn project_key(&self) -> &str {
        base::ids::Id::as_str(&self.id)
    }

    fn event(&self, _: &OrganizationId, kind: EventType, details: Json) -> Event {
        Event::new(kind, &self.id, details)
    }
}
