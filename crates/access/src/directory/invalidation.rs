//! Invalidation of the snapshot: the audit log says which keys and settings a change may have touched.

use base::ids::{Id, KeyId, OrganizationId, ProjectId, ServiceAccountId, UserId};
use base::{EventSubject, EventType};
use store::{Connection, Result, Row, sql};

use super::{Key, Owner};

/// The number of events from which on everything is reloaded at once.
const MAX_EVENTS: i64 = 100;

/// A selection of an organization's keys and sessions.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeySelection {
    /// All keys and sessions.
    All,
    /// A single key.
    Key(KeyId),
    /// Keys of a service account.
    ServiceAccount(ServiceAccountId),
    /// Keys of a project.
    Project(ProjectId),
    /// Sessions of a user.
    Sessions(UserId),
}

impl KeySelection {
    /// Returns true if `key`, which is of the same organization, is selected.
    pub(super) fn contains(&self, key: &Key) -> bool {
        match self {
            Self::All => true,
            Self::Key(id) => key.id == *id,
            Self::ServiceAccount(account) => {
                matches!(&key.owner, Owner::ServiceAccount { id } if id == account)
            }
            Self::Project(project) => key.project.as_ref().is_some_and(|own| own.id == *project),
            Self::Sessions(user) => key.is_session() && key.user() == Some(user),
        }
    }
}

/// A selection of the settings of an organization and its projects.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SettingsSelection {
    /// Settings of the organization and of all its projects.
    All,
    /// Settings of the organization itself.
    Organization,
    /// Settings of the organization itself and of one project.
    Project(ProjectId),
}

impl SettingsSelection {
    /// Returns the selection for an event that is recorded with `project`. The audit log records events of the
    /// organization itself with its default project.
    fn of(project: Option<ProjectId>) -> Self {
        project.map_or(Self::Organization, Self::Project)
    }
}

/// Keys and settings that must be reloaded.
#[derive(Default)]
pub(super) struct Invalidation {
    pub(super) keys: Vec<KeySelection>,
    pub(super) settings: Vec<SettingsSelection>,
}

/// An event of the audit log, as far as it matters for invalidation.
struct LoggedEvent {
    /// `None` for a type that this version does not know.
    kind: Option<EventType>,
    resource: Option<String>,
    project: Option<ProjectId>,
}

impl LoggedEvent {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            kind: row.get::<String>("type")?.parse().ok(),
            resource: row.get("resource_id")?,
            project: row.optional_id("project_id")?,
        })
    }
}

impl Invalidation {
    /// Invalidates everything.
    pub(super) fn all() -> Self {
        Self {
            keys: vec![KeySelection::All],
            settings: vec![SettingsSelection::All],
        }
    }

    /// Reads the events after `revision` and invalidates what they may have changed.
    pub(super) async fn since(
        connection: &mut Connection,
        organization: &OrganizationId,
        revision: i64,
    ) -> Result<Self> {
        let statement = sql!(
            "SELECT type, resource_id, project_id FROM audit_logs WHERE organization_id = $1 AND sequence > $2 \
             ORDER BY sequence LIMIT $3",
            organization,
            revision,
            MAX_EVENTS
        );
        let events = connection.fetch_all(statement, LoggedEvent::read).await?;
        // Without an event, the revision was raised by hand.
        if events.is_empty() || i64::try_from(events.len()).is_ok_and(|count| count == MAX_EVENTS) {
            return Ok(Self::all());
        }
        let mut invalidation = Self::default();
        for event in events {
            invalidation.add(event);
        }
        Ok(invalidation)
    }

    fn add(&mut self, event: LoggedEvent) {
        let subject = event.kind.map(EventType::subject);
        match (subject, event.resource) {
            (Some(EventSubject::Unrelated), _) => {}
            (Some(EventSubject::ApiKey), Some(id)) => {
                self.add_keys(KeySelection::Key(KeyId::from_text(id)));
            }
            (Some(EventSubject::ServiceAccount), Some(id)) => {
                let account = ServiceAccountId::from_text(id);
                self.add_keys(KeySelection::ServiceAccount(account));
            }
            (Some(EventSubject::Sessions), Some(id)) => {
                self.add_keys(KeySelection::Sessions(UserId::from_text(id)));
            }
            (Some(EventSubject::ArchivedProject), Some(id)) => {
                self.add_keys(KeySelection::Project(ProjectId::from_text(id)));
                self.add_settings(SettingsSelection::of(event.project));
            }
            (Some(EventSubject::Setting), _) => {
                self.add_settings(SettingsSelection::of(event.project));
            }
            (
                Some(
                    EventSubject::Permissions
                    | EventSubject::ApiKey
                    | EventSubject::ServiceAccount
                    | EventSubject::Sessions,
                ),
                _,
            ) => self.add_keys(KeySelection::All),
            // An event of a newer version may have changed anything.
            (None | Some(EventSubject::Organization | EventSubject::ArchivedProject), _) => {
                *self = Self::all();
            }
        }
    }

    fn add_keys(&mut self, selection: KeySelection) {
        add(&mut self.keys, selection, &KeySelection::All);
    }

    fn add_settings(&mut self, selection: SettingsSelection) {
        add(&mut self.settings, selection, &SettingsSelection::All);
    }
}

/// Adds a selection without duplicates; `all` replaces every other one.
fn add<T: PartialEq>(selections: &mut Vec<T>, new: T, all: &T) {
    if new == *all {
        selections.clear();
    }
    if !selections.contains(&new) && !selections.contains(all) {
        selections.push(new);
    }
}
