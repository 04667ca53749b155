//! Authentication: who sends this request.

use access::Principal;
use base::ids::{KeyId, OrganizationId, ProjectId, ServiceAccountId, UserId};
use base::permission::OrganizationRole;
use base::secret::{KeyHash, KeyKind, bearer};
use base::{Error, PermissionSet, Result, UnixTime};
use http::HeaderMap;
use serde_json::{Value, json};
use store::{Connection, Row, sql};

use super::Effect;
use crate::Services;

/// Who sends a request: a key, and whoever owns it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The organization that the key belongs to.
    pub organization_id: OrganizationId,
    /// The key.
    pub key_id: KeyId,
    /// Who owns the key.
    pub owner: Owner,
    /// The project that the key belongs to; none for an admin key.
    pub project_id: Option<ProjectId>,
    kind: KeyKind,
    scopes: PermissionSet,
    /// Whether the owner may do everything anyway, so that nothing else need be asked.
    is_unlimited: bool,
}

/// Who owns a key.
#[derive(Clone, Debug)]
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

/// What the table says of a key.
struct Found {
    caller: Caller,
    expires_at: Option<UnixTime>,
}

const KEY_BY_HASH: &str = "\
    SELECT k.organization_id, k.id, k.kind, k.project_id, k.user_id, k.service_account_id, k.scopes, k.expires_at, \
           u.email, u.role \
    FROM api_keys k \
    LEFT JOIN users u ON u.organization_id = k.organization_id AND u.id = k.user_id \
    WHERE k.hash = $1";

impl Caller {
    fn read(row: &Row<'_>) -> store::Result<Found> {
        let user: Option<UserId> = row.optional_id("user_id")?;
        let role: Option<String> = row.get("role")?;
        let owner = match user {
            Some(id) => Owner::User {
                id,
                email: row.get::<Option<String>>("email")?.unwrap_or_default(),
            },
            None => Owner::ServiceAccount {
                id: row
                    .optional_id("service_account_id")?
                    .ok_or(store::Error::NoRow)?,
            },
        };
        let caller = Self {
            organization_id: row.id("organization_id")?,
            key_id: row.id("id")?,
            owner,
            project_id: row.optional_id("project_id")?,
            kind: row.word("kind", KeyKind::parse)?,
            scopes: PermissionSet::from_scopes(&row.get::<String>("scopes")?),
            is_unlimited: role.as_deref() == Some(OrganizationRole::Owner.as_str()),
        };
        Ok(Found {
            caller,
            expires_at: row.optional_time("expires_at")?,
        })
    }

    /// What the caller may do in the organization, or in one of its projects: what the owner may do *now*, narrowed by
    /// the key's scopes.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn permissions(
        &self,
        connection: &mut Connection,
        project: Option<&ProjectId>,
    ) -> Result<PermissionSet> {
        if self.is_unlimited {
            return Ok(self.scopes);
        }
        let principal = match &self.owner {
            Owner::User { id, .. } => Principal::User(id),
            Owner::ServiceAccount { id } => Principal::ServiceAccount(id),
        };
        let of_owner =
            access::permissions(connection, &self.organization_id, principal, project).await?;
        Ok(of_owner.intersection(self.scopes))
    }

    /// The person who owns the key.
    ///
    /// # Errors
    /// 403: the owner is a service account, and the operation needs a person.
    pub fn user(&self) -> Result<&UserId> {
        match &self.owner {
            Owner::User { id, .. } => Ok(id),
            Owner::ServiceAccount { .. } => Err(Error::forbidden(
                "insufficient_permissions",
                "This operation needs a key that a user owns.",
            )),
        }
    }

    /// The `actor` of an audit event.
    #[must_use]
    pub fn actor(&self) -> Value {
        let owner = match &self.owner {
            Owner::User { id, email } => json!({"id": id, "email": email}),
            Owner::ServiceAccount { id } => json!({"id": id}),
        };
        let kind = match self.owner {
            Owner::User { .. } => "user",
            Owner::ServiceAccount { .. } => "service_account",
        };
        json!({"type": "api_key", "api_key": {"id": self.key_id, "type": kind, kind: owner}})
    }
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
    let hash = services.pepper.hash(token);
    let mut connection = services.store.read().await?;
    let found = find(&mut connection, hash).await?;
    let caller = match found {
        Some(found) if found.expires_at.is_none_or(|at| at > services.clock.now()) => found.caller,
        _ => {
            return Err(Error::unauthenticated(
                "Incorrect API key provided: it is unknown, deleted or expired.",
            ));
        }
    };
    if caller.kind != KeyKind::Admin && effect != Effect::Ingest {
        return Err(Error::forbidden(
            "admin_key_required",
            "The Administration API needs an admin key (sk-admin-…); this is a project key.",
        ));
    }
    check_named(&mut connection, &caller, headers).await?;
    if let Owner::User { id, .. } = &caller.owner {
        services
            .last_used
            .touch(&caller.organization_id, &caller.key_id, Some(id));
    } else {
        services
            .last_used
            .touch(&caller.organization_id, &caller.key_id, None);
    }
    Ok(caller)
}

async fn find(connection: &mut Connection, hash: KeyHash) -> Result<Option<Found>> {
    Ok(connection
        .fetch_optional(sql!(KEY_BY_HASH, hash), Caller::read)
        .await?)
}

/// The headers `OpenAI-Organization` and `OpenAI-Project` may only repeat what the key already says.
async fn check_named(
    connection: &mut Connection,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<()> {
    let named = |name: &str| headers.get(name).filter(|value| !value.is_empty());
    if let Some(organization) = named("openai-organization")
        && organization.as_bytes() != caller.organization_id.to_string().as_bytes()
    {
        return Err(Error::unauthenticated(
            "The OpenAI-Organization header names another organization than the key's.",
        ));
    }
    let Some(project) = named("openai-project") else {
        return Ok(());
    };
    let project = project.to_str().unwrap_or_default();
    let known = match &caller.project_id {
        Some(own) => own.to_string() == project,
        None => {
            let statement = sql!(
                "SELECT id FROM projects WHERE organization_id = $1 AND id = $2",
                &caller.organization_id,
                project
            );
            connection
                .fetch_optional(statement, |_| Ok(()))
                .await?
                .is_some()
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
