//! Authentication of callers.

use std::ops::Deref;
use std::sync::Arc;

use access::{Key, KeyHashes, Owner, Principal, committed_key};
use base::ids::{Id, ProjectId, UserId};
use base::secret::{KeyKind, bearer};
use base::{Error, PermissionSet, Result, UnixTime};
use http::HeaderMap;
use serde_json::{Value, json};
use store::{Connection, sql};

use super::{Effect, Operation};
use crate::Services;

/// The sender of a request: a valid key or session with its owner.
#[derive(Clone, Debug)]
pub struct Caller {
    key: Arc<Key>,
    hashes: KeyHashes,
}

impl Deref for Caller {
    type Target = Key;
    fn deref(&self) -> &Key {
        &self.key
    }
}

impl Caller {
    /// Returns the caller with a session, which the directory has found to be valid.
    pub(crate) fn with_session(session: Arc<Key>, hashes: KeyHashes) -> Self {
        Self {
            key: session,
            hashes,
        }
    }

    /// Returns the hashes under which the directory may have the key.
    pub(super) fn hashes(&self) -> KeyHashes {
        self.hashes
    }

    /// Returns the caller as read from the database now.
    ///
    /// # Errors
    /// 401: the key was deleted or is no longer valid. The database's.
    pub(super) async fn renew(&self, connection: &mut Connection, now: UnixTime) -> Result<Self> {
        let key = committed_key(connection, &self.organization.id, &self.id).await?;
        let gone = match self.kind {
            KeyKind::Session => Error::session_ended,
            _ => unknown_key,
        };
        let key = key.ok_or_else(gone)?;
        key.alive(now)?;
        Ok(Self {
            key,
            hashes: self.hashes,
        })
    }

    /// Returns the project of the key; `None` for an admin key.
    #[must_use]
    pub fn project_id(&self) -> Option<&ProjectId> {
        self.project.as_ref().map(|project| &project.id)
    }

    /// Returns the caller's permissions in the organization, or in one of its projects: the owner's current ones, limited
    /// by the key's scopes.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn permissions(
        &self,
        connection: &mut Connection,
        project: Option<&ProjectId>,
    ) -> Result<PermissionSet> {
        if self.is_owners {
            return Ok(self.scopes);
        }
        if project == self.project_id() {
            return Ok(self.permissions);
        }
        self.permissions_in(connection, project).await
    }

    /// Returns the caller's permissions as [`Caller::permissions`], always read from the database. In a transaction that
    /// holds the organization's lock, they stay the same until its end.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn permissions_in(
        &self,
        connection: &mut Connection,
        project: Option<&ProjectId>,
    ) -> Result<PermissionSet> {
        let (organization, principal) = (&self.organization.id, Principal::from(&self.owner));
        let of_owner = access::permissions(connection, organization, principal, project).await?;
        Ok(of_owner.intersection(self.scopes))
    }

    /// Returns the user who owns the key.
    ///
    /// # Errors
    /// 403: a service account owns the key.
    pub fn person(&self) -> Result<&UserId> {
        self.user().ok_or_else(|| {
            Error::forbidden(
                "insufficient_permissions",
                "This operation needs a user: a session, or a key that a user owns.",
            )
        })
    }
}

/// Returns the `actor` of an audit event.
pub(super) fn actor_of(key: &Key) -> Value {
    if let (true, Owner::User { id, email }) = (key.is_session(), &key.owner) {
        return json!({"type": "session", "session": {"user": {"id": id, "email": email}}});
    }
    let owner = match &key.owner {
        Owner::User { id, email } => json!({"id": id, "email": email}),
        Owner::ServiceAccount { id } => json!({"id": id}),
    };
    let kind = match key.owner {
        Owner::User { .. } => "user",
        Owner::ServiceAccount { .. } => "service_account",
    };
    json!({"type": "api_key", "api_key": {"id": key.id, "type": kind, kind: owner}})
}

/// Authenticates the caller by the key in the `Authorization` header.
///
/// # Errors
/// 401: the key is missing or not valid, or a header names another organization or project. 403: the key is of the wrong
/// kind.
pub(crate) async fn authenticate(
    services: &Services,
    operation: &Operation,
    headers: &HeaderMap,
) -> Result<Caller> {
    let Some(token) = bearer(headers.get(http::header::AUTHORIZATION)) else {
        return Err(Error::unauthenticated(
            "You didn't provide an API key. Send an admin key in the Authorization header: 'Authorization: Bearer sk-admin-…'.",
        ));
    };
    services.directory.check_age()?;
    let hashes = KeyHashes::of(&services.pepper, token);
    let key = services.directory.look_up(&hashes).await?;
    let key = key.ok_or_else(unknown_key)?;
    let caller = Caller { key, hashes };
    caller.alive(services.clock.now())?;
    if caller.kind != KeyKind::Admin && !takes_project_key(operation, caller.kind) {
        return Err(Error::forbidden(
            "admin_key_required",
            "The Administration API needs an admin key (sk-admin-…); this is a project key.",
        ));
    }
    check_named(services, &caller, headers).await?;
    let last_used = &services.last_used;
    last_used.touch(&caller.organization.id, &caller.id, caller.user());
    Ok(caller)
}

/// True if the operation takes project keys of this kind: to report usage, or to read what belongs to the key's owner.
fn takes_project_key(operation: &Operation, kind: KeyKind) -> bool {
    match operation.effect {
        Effect::Ingest => true,
        Effect::Read => operation.own.is_some() && kind == KeyKind::User,
        Effect::Write | Effect::Open => false,
    }
}

/// Returns 401: the key is unknown or was deleted.
fn unknown_key() -> Error {
    Error::unauthenticated("Incorrect API key provided: it is unknown or was deleted.")
}

/// Checks that the headers `OpenAI-Organization` and `OpenAI-Project` name the organization and the project of the key.
async fn check_named(services: &Services, caller: &Caller, headers: &HeaderMap) -> Result<()> {
    let named = |name: &str| headers.get(name).filter(|value| !value.is_empty());
    if let Some(organization) = named("openai-organization")
        && organization.as_bytes() != caller.organization.id.as_str().as_bytes()
    {
        return Err(Error::unauthenticated(
            "The OpenAI-Organization header names another organization than the key's.",
        ));
    }
    let Some(project) = named("openai-project") else {
        return Ok(());
    };
    let project = project.to_str().unwrap_or_default();
    let known = match caller.project_id() {
        Some(own) => own.as_str() == project,
        None => {
            let statement = sql!(
                "SELECT id FROM projects WHERE organization_id = $1 AND id = $2",
                &caller.organization.id,
                project
            );
            let mut connection = services.store.read().await?;
            let found = connection.fetch_optional(statement, |_| Ok(())).await?;
            found.is_some()
        }
    };
    if known {
        Ok(())
    } else {
        Err(Error::unauthenticated(
            "The OpenAI-Project header names a project that isn't the key's.",
        ))
    }
}
