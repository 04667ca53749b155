//! What a path names. Resolving it gives 404 for whatever is not the caller's; authorising it gives a [`Permit`].

use std::sync::Arc;

use axum::body::Body;
use base::ids::{Id, OrganizationId, ProjectId, UserId, parse_path_id};
use base::{Error, Permission, Result, UnixTime};
use http::{HeaderMap, Uri};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use store::Connection;

use super::Caller;
use crate::Services;

/// A request as it came in.
pub(crate) struct Arrival {
    pub(crate) services: Arc<Services>,
    pub(crate) path: Vec<String>,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// The ids in a path, from left to right.
pub struct PathIds<'a>(std::slice::Iter<'a, String>);

impl<'a> PathIds<'a> {
    pub(crate) fn new(values: &'a [String]) -> Self {
        Self(values.iter())
    }

    /// The next id.
    ///
    /// # Errors
    /// 404 when no id can have this text.
    pub fn take<I: Id>(&mut self) -> Result<I> {
        let text = self.0.next().ok_or_else(Error::internal)?;
        parse_path_id(text)
    }
}

/// The `code` of the refusal of an archived project.
pub(crate) const PROJECT_ARCHIVED: &str = "project_archived";

/// The project that a scope lies in.
#[derive(Clone, Copy, Debug)]
pub struct ProjectRef<'a> {
    /// Id of the project.
    pub id: &'a ProjectId,
    /// Name of the project.
    pub name: &'a str,
}

/// What the ids in a path lead to, within one organization.
pub trait Scope: Sized + Send + Sync + 'static {
    /// Finds it.
    ///
    /// # Errors
    /// 404 when it is not there or another organization's; 400 when its state does not allow the operation.
    fn resolve(
        connection: &mut Connection,
        organization: &OrganizationId,
        ids: &mut PathIds<'_>,
    ) -> impl Future<Output = Result<Self>> + Send;

    /// The project it lies in, if it lies in one.
    fn project(&self) -> Option<ProjectRef<'_>> {
        None
    }
}

/// The organization that the key belongs to: the path has no ids before this.
pub struct Organization;

impl Scope for Organization {
    async fn resolve(_: &mut Connection, _: &OrganizationId, _: &mut PathIds<'_>) -> Result<Self> {
        Ok(Self)
    }
}

/// Something with an id within a scope. Only its handler knows the table, so only it can say that it is not there.
pub struct Of<S, I>(pub S, pub I);

impl<S: Scope, I: Id> Scope for Of<S, I> {
    async fn resolve(
        connection: &mut Connection,
        organization: &OrganizationId,
        ids: &mut PathIds<'_>,
    ) -> Result<Self> {
        let outer = S::resolve(connection, organization, ids).await;
        let outer = outer.map_err(|error| inside::<I>(error, ids))?;
        Ok(Self(outer, ids.take()?))
    }

    fn project(&self) -> Option<ProjectRef<'_>> {
        self.0.project()
    }
}

/// Returns 404 for what the next id names in an archived project, so that tools which keep state forget it; any other
/// error as it is.
pub(crate) fn inside<I: Id>(error: Error, ids: &mut PathIds<'_>) -> Error {
    if error.code != Some(PROJECT_ARCHIVED) {
        return error;
    }
    match ids.take::<I>() {
        Ok(id) => Error::not_found(I::NOUN, id.as_str()),
        Err(error) => error,
    }
}

/// A body that is its sender's credential, such as one with a token from a mail: whoever has it needs no key.
pub trait Credential: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The organization in which it was issued. The handler looks the credential up again, once nothing can change.
    ///
    /// # Errors
    /// 400 when nothing was issued with it, or that is no longer good.
    fn organization(
        &self,
        connection: &mut Connection,
        services: &Services,
    ) -> impl Future<Output = Result<OrganizationId>> + Send;
}

/// The permission that an operation requires of its caller, and the place of the project in the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requirement {
    permission: Permission,
    /// The place of `{project_id}` among the path's parameters.
    project_at: Option<usize>,
}

impl Requirement {
    /// The permission that an operation at this path needs.
    pub(crate) fn new(path: &str, permission: Permission) -> Self {
        let mut parameters = path.split('/').filter(|segment| segment.starts_with('{'));
        Self {
            permission,
            project_at: parameters.position(|parameter| parameter == "{project_id}"),
        }
    }

    /// The permission.
    pub(crate) fn permission(self) -> Permission {
        self.permission
    }

    /// The project that the path names; whether there is such a project is not looked at.
    pub(crate) fn project_in(self, path: &[String]) -> Option<ProjectId> {
        parse_path_id(path.get(self.project_at?)?).ok()
    }
}

/// Proof that the caller may do what the operation needs, where the path leads; or that there was a good credential in
/// place of a caller.
pub struct Permit {
    organization_id: OrganizationId,
    caller: Option<Caller>,
    /// The permission and the project that were checked, so that the check can be repeated.
    checked: Option<(Permission, Option<ProjectId>)>,
}

impl Permit {
    /// Checks the caller's permissions in the organization, or in one of its projects. The project need not exist: nobody
    /// has a role in one that does not.
    ///
    /// # Errors
    /// 403 naming the permission that is missing.
    pub(crate) async fn check(
        connection: &mut Connection,
        caller: Caller,
        project: Option<ProjectId>,
        needs: Permission,
    ) -> Result<Self> {
        let permissions = caller.permissions(connection, project.as_ref()).await?;
        if !permissions.contains(needs) {
            return Err(missing(needs));
        }
        Ok(Self {
            organization_id: caller.organization.id.clone(),
            caller: Some(caller),
            checked: Some((needs, project)),
        })
    }

    /// Checks again, by what is committed now: the caller's key is there and can be used, its owner is there, and may do
    /// what was permitted. Within a transaction that holds the organization's lock, that stays true until its end. A
    /// credential is its handler's to check.
    ///
    /// # Errors
    /// 401: the key cannot be used any more. 403: the permission was taken away.
    pub(crate) async fn renew(self, connection: &mut Connection, now: UnixTime) -> Result<Self> {
        let (Some(caller), Some((needs, project))) = (&self.caller, &self.checked) else {
            return Ok(self);
        };
        let caller = caller.renew(connection, now).await?;
        Self::check(connection, caller, project.clone(), *needs).await
    }

    /// Checks the credential that a body is.
    ///
    /// # Errors
    /// 400 when it is not good.
    pub(crate) async fn redeem(
        connection: &mut Connection,
        services: &Services,
        credential: &impl Credential,
    ) -> Result<Self> {
        Ok(Self {
            organization_id: credential.organization(connection, services).await?,
            caller: None,
            checked: None,
        })
    }

    /// The organization in which it is permitted.
    #[must_use]
    pub fn organization(&self) -> &OrganizationId {
        &self.organization_id
    }

    /// Who is permitted; nobody known where a credential was enough.
    #[must_use]
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// The permission that was checked; none where a credential was enough.
    pub(crate) fn permission(&self) -> Option<Permission> {
        self.checked.as_ref().map(|(permission, _)| *permission)
    }

    /// The person who is permitted.
    ///
    /// # Errors
    /// 403: there is none, and the operation needs one.
    pub fn user(&self) -> Result<&UserId> {
        self.caller().ok_or_else(Error::internal)?.person()
    }
}

/// 403: the key is good, but its owner lacks `needs`.
pub(crate) fn missing(needs: Permission) -> Error {
    Error::forbidden(
        "insufficient_permissions",
        format!(
            "You have insufficient permissions for this operation. Missing scopes: {}. Check that the key and its \
             owner have a role that includes it.",
            needs.as_str()
        ),
    )
}
