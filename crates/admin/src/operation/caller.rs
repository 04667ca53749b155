//! Authentication: who sends this request.

use std::ops::Deref;
use std::sync::Arc;

use access::{Key, KeyHashes, Owner, Principal, committed_key};
use base::ids::{Id, ProjectId, UserId};
use base::secret::{KeyKind, bearer};
use base::{Error, PermissionSet, Result, UnixTime};
use http::HeaderMap;
use serde_json::{Value, json};
use store::{Connection, sql};

use super::Effect;
use crate::Services;

/// Who sends a request: a key that is good, and whoever owns it.
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
    /// The hashes that the directory may know the key by.
    pub(super) fn hashes(&self) -> KeyHashes {
        self.hashes
    }

    /// Reads the same caller from the database: the key and its owner as they are committed now.
    ///
    /// # Errors
    /// 401: the key was deleted, or cannot be used any more. The database cannot be read.
    pub(super) async fn renew(&self, connection: &mut Connection, now: UnixTime) -> Result<Self> {
        let key = committed_key(connection, &self.organization.id, &self.id).await?;
        let key = key.ok_or_else(unknown_key)?;
        key.alive(now)?;
        Ok(Self {
            key,
            hashes: self.hashes,
        })
    }

    /// The project that the key belongs to; none for an admin key.
    #[must_use]
    pub fn project_id(&self) -> Option<&ProjectId> {
        self.project.as_ref().map(|project| &project.id)
    }

    /// What the caller may do in the organization, or in one of its projects: what the owner may do now, narrowed by the
    /// key's scopes.
    ///
    /// # Errors
    /// The database cannot be read.
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

    /// The same, asked of the database: within a transaction that holds the organization's lock, what the answer says
    /// stays true until its end.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(super) async fn permissions_in(
        &self,
        connection: &mut Connection,
        project: Option<&ProjectId>,
    ) -> Result<PermissionSet> {
        let (organization, principal) = (&self.organization.id, Principal::from(&self.owner));
        let of_owner = access::permissions(connection, organization, principal, project).await?;
        Ok(of_owner.intersection(self.scopes))
    }

    /// The person who owns the key.
    ///
    /// # Errors
    /// 403: the owner is a service account, and the operation needs a person.
    pub fn person(&self) -> Result<&UserId> {
        self.user().ok_or_else(|| {
            Error::forbidden(
                "insufficient_permissions",
                "This operation needs a key that a user owns.",
            )
        })
    }
}

/// The `actor` of an audit event.
pub(super) fn actor_of(key: &Key) -> Value {
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

/// Finds the caller by the key in the `Authorization` header.
///
/// # Errors
/// 401: no key, or none that is good; or a header names another organization or project. 403: the wrong kind of key.
pub(crate) async fn authenticate(
    services: &Services,
    effect: Effect,
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
    if caller.kind != KeyKind::Admin && effect != Effect::Ingest {
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

/// 401: there is no such key, or not any more.
fn unknown_key() -> Error {
    Error::unauthenticated("Incorrect API key provided: it is unknown or was deleted.")
}

/// The headers `OpenAI-Organization` and `OpenAI-Project` may only repeat what the key already says.
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
