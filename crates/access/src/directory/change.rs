//! What the audit log says of keys and settings: which of them a change may have touched.

use base::ids::{Id, KeyId, OrganizationId, ProjectId, ServiceAccountId};
use store::{Connection, Result, Row, sql};

use super::settings::Place;
use super::{Key, Owner};

/// After how many changes at once all keys are loaded anew.
const MANY: i64 = 100;

/// Some of an organization's keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of them.
    Whole,
    /// One.
    Key(KeyId),
    /// Those of a service account.
    ServiceAccount(ServiceAccountId),
    /// Those of a project.
    Project(ProjectId),
}

impl Part {
    /// Whether the key, which is of the same organization, belongs to it.
    pub(super) fn has(&self, key: &Key) -> bool {
        match self {
            Self::Whole => true,
            Self::Key(id) => key.id == *id,
            Self::ServiceAccount(account) => {
                matches!(&key.owner, Owner::ServiceAccount { id } if id == account)
            }
            Self::Project(project) => key.project.as_ref().is_some_and(|own| own.id == *project),
        }
    }

    /// What a change of this type, to this resource, may have touched. What is not known to spare the keys touches them
    /// all.
    fn of(kind: &str, resource: Option<String>) -> Option<Self> {
        match (kind, resource) {
            ("api_key.created" | "api_key.updated" | "api_key.deleted", Some(id)) => {
                Some(Self::Key(KeyId::from_text(id)))
            }
            (
                "service_account.created" | "service_account.updated" | "service_account.deleted",
                Some(id),
            ) => Some(Self::ServiceAccount(ServiceAccountId::from_text(id))),
            ("project.archived", Some(id)) => Some(Self::Project(ProjectId::from_text(id))),
            (
                "project.created"
                | "project.updated"
                | "invite.sent"
                | "invite.deleted"
                | "group.created"
                | "group.updated"
                | "role.created"
                | "rate_limit.updated"
                | "certificate.created"
                | "certificate.updated"
                | "certificate.deleted"
                | "certificates.activated"
                | "certificates.deactivated"
                | "login.failed"
                | "x.bodies.read"
                | "x.model_permissions.updated"
                | "x.model_permissions.deleted"
                | "x.hosted_tool_permissions.updated"
                | "x.data_retention.updated"
                | "x.spend_alert.created"
                | "x.spend_alert.updated"
                | "x.spend_alert.deleted"
                | "x.spend_limit.updated"
                | "x.spend_limit.deleted",
                _,
            ) => None,
            _ => Some(Self::Whole),
        }
    }
}

/// What changes may have touched.
pub(super) struct Touched {
    pub(super) keys: Vec<Part>,
    pub(super) settings: Vec<Place>,
}

impl Touched {
    /// Everything.
    pub(super) fn all() -> Self {
        Self {
            keys: vec![Part::Whole],
            settings: vec![Place::Everywhere],
        }
    }
}

/// What the changes after a revision may have touched.
pub(super) async fn touched_since(
    connection: &mut Connection,
    organization: &OrganizationId,
    since: i64,
) -> Result<Touched> {
    let statement = sql!(
        "SELECT type, resource_id, project_id FROM audit_logs WHERE organization_id = $1 AND sequence > $2 \
         ORDER BY sequence LIMIT $3",
        organization,
        since,
        MANY
    );
    let read = |row: &Row<'_>| {
        let kind: String = row.get("type")?;
        Ok((
            kind,
            row.get("resource_id")?,
            row.optional_id("project_id")?,
        ))
    };
    let changes: Vec<(_, Option<String>, _)> = connection.fetch_all(statement, read).await?;
    // No entry: the revision was moved by hand.
    if changes.is_empty() || i64::try_from(changes.len()).is_ok_and(|count| count == MANY) {
        return Ok(Touched::all());
    }
    let mut touched = Touched {
        keys: Vec::new(),
        settings: Vec::new(),
    };
    for (kind, resource, project) in changes {
        add(
            &mut touched.settings,
            Place::of(&kind, project),
            &Place::Everywhere,
        );
        add(&mut touched.keys, Part::of(&kind, resource), &Part::Whole);
    }
    Ok(touched)
}

/// Adds one of which nothing else in the list is the same; what is the whole stands alone.
fn add<T: PartialEq>(list: &mut Vec<T>, new: Option<T>, whole: &T) {
    let Some(new) = new else { return };
    if new == *whole {
        list.clear();
    }
    if !list.contains(&new) && !list.contains(whole) {
        list.push(new);
    }
}
