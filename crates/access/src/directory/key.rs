//! A key, or a session, with its owner and its permissions.

use std::sync::Arc;

use base::ids::{KeyId, OrganizationId, ProjectId, ServiceAccountId, UserId};
use base::secret::KeyKind;
use base::{Error, PermissionSet, UnixTime};
use http::HeaderValue;

/// An API key, or the session of a user who has signed in, with its owner and its permissions.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Id of the key or session.
    pub id: KeyId,
    /// Kind of the key: for administration, for a project, or a session.
    pub kind: KeyKind,
    /// Organization of the key.
    pub organization: Arc<Organization>,
    /// Project of the key; `None` for an admin key or a session.
    pub project: Option<Arc<Project>>,
    /// Owner of the key.
    pub owner: Owner,
    /// True if the owner still exists.
    pub owner_exists: bool,
    /// True if the owner has the role of an organization owner, which includes all permissions.
    pub is_owners: bool,
    /// Permissions that the key is restricted to.
    pub scopes: PermissionSet,
    /// Permissions of the owner in the key's organization or project, restricted by `scopes`.
    pub permissions: PermissionSet,
    /// Time of expiry; `None` if the key does not expire.
    pub expires_at: Option<UnixTime>,
}

/// The organization of a key.
#[derive(Debug, PartialEq, Eq)]
pub struct Organization {
    /// Id of the organization.
    pub id: OrganizationId,
    /// `id` as the value of a response header.
    pub header: HeaderValue,
}

/// The project of a key.
#[derive(Debug, PartialEq, Eq)]
pub struct Project {
    /// Id of the project.
    pub id: ProjectId,
    /// True if the project is archived, so that its keys are refused.
    pub is_archived: bool,
}

/// The owner of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A person.
    User {
        /// Id of the user.
        id: UserId,
        /// E-mail address of the user.
        email: String,
    },
    /// A service account.
    ServiceAccount {
        /// Id of the service account.
        id: ServiceAccountId,
    },
}

impl Key {
    /// Returns the owner if it is a user.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        match &self.owner {
            Owner::User { id, .. } => Some(id),
            Owner::ServiceAccount { .. } => None,
        }
    }

    /// Returns true if this is a session.
    #[must_use]
    pub fn is_session(&self) -> bool {
        self.kind == KeyKind::Session
    }

    /// Checks that the key can be used at `now`. A session may have ended earlier, because it was not used for long.
    ///
    /// # Errors
    /// 401 with the reason if the key has expired, or its owner or project is gone.
    pub fn alive(&self, now: UnixTime) -> Result<(), Error> {
        let has_expired = self.expires_at.is_some_and(|end| end <= now);
        if self.is_session() && (has_expired || !self.owner_exists) {
            return Err(Error::session_ended());
        }
        let reason = if has_expired {
            "The API key has expired."
        } else if !self.owner_exists {
            "The owner of the API key does not exist any more."
        } else {
            match &self.project {
                Some(project) if project.is_archived => "The project of the API key is archived.",
                None if !matches!(self.kind, KeyKind::Admin | KeyKind::Session) => {
                    "The project of the API key does not exist any more."
                }
                _ => return Ok(()),
            }
        };
        Err(Error::unauthenticated(reason))
    }
}
