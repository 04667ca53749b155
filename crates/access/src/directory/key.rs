//! A key as it is now.

use std::sync::Arc;

use base::ids::{KeyId, OrganizationId, ProjectId, ServiceAccountId, UserId};
use base::secret::KeyKind;
use base::{Error, PermissionSet, UnixTime};
use http::HeaderValue;

/// A key, and whoever owns it.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Whether it is for administration or for a project.
    pub kind: KeyKind,
    /// The organization that it belongs to.
    pub organization: Arc<Organization>,
    /// The project that it belongs to; none for an admin key.
    pub project: Option<Arc<Project>>,
    /// Whose it is.
    pub owner: Owner,
    /// Whether the owner is still there.
    pub owner_exists: bool,
    /// Whether the owner is one of the organization's owners, who may do everything everywhere.
    pub is_owners: bool,
    /// What the key is narrowed to.
    pub scopes: PermissionSet,
    /// What its owner may do where it belongs, narrowed by its scopes.
    pub permissions: PermissionSet,
    /// When it ends; never when not set.
    pub expires_at: Option<UnixTime>,
}

/// Whose a key is in the end.
#[derive(Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its id, ready for answers.
    pub header: HeaderValue,
}

/// Where a key belongs.
#[derive(Debug, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Whether nothing in it may be used any more.
    pub is_archived: bool,
}

/// Who owns a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A person.
    User {
        /// Their id.
        id: UserId,
        /// Their e-mail address.
        email: String,
    },
    /// A service account.
    ServiceAccount {
        /// Its id.
        id: ServiceAccountId,
    },
}

impl Key {
    /// Whose it is, when it is a person's.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        match &self.owner {
            Owner::User { id, .. } => Some(id),
            Owner::ServiceAccount { .. } => None,
        }
    }

    /// Whether it can be used at this time.
    ///
    /// # Errors
    /// 401, saying why not.
    pub fn alive(&self, now: UnixTime) -> Result<(), Error> {
        let reason = if self.expires_at.is_some_and(|end| end <= now) {
            "The API key has expired."
        } else if !self.owner_exists {
            "The owner of the API key does not exist any more."
        } else {
            match &self.project {
                Some(project) if project.is_archived => "The project of the API key is archived.",
                None if self.kind != KeyKind::Admin => {
                    "The project of the API key does not exist any more."
                }
                _ => return Ok(()),
            }
        };
        Err(Error::unauthenticated(reason))
    }
}
