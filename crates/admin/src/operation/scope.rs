//! Scopes: the resources that the ids in a path name, and the [`Permit`] to use them. Resolving an id of another
//! organization fails as one that does not exist: 404.

use std::fmt::Display;
use std::sync::Arc;

use axum::body::Body;
use base::ids::{Id, OrganizationId, ProjectId, UserId, parse_path_id};
use base::secret::Pepper;
use base::{ClientAddress, Error, Permission, Result, UnixTime};
use http::{HeaderMap, Uri};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use store::{Connection, Row, Statement};

use super::Caller;
use crate::Services;

/// A request before authorization, taken apart.
pub(crate) struct IncomingRequest {
    pub(crate) services: Arc<Services>,
    pub(crate) path: Vec<String>,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// The address of the client; `None` if the request came over no connection.
    pub(crate) client: Option<ClientAddress>,
    pub(crate) body: Body,
}

/// The ids in a path that are not resolved yet, from left to right, and the connection that finds their resources.
pub struct ResourcePath<'a> {
    connection: &'a mut Connection,
    organization: &'a OrganizationId,
    ids: std::slice::Iter<'a, String>,
}

impl<'a> ResourcePath<'a> {
    pub(crate) fn new(
        connection: &'a mut Connection,
        organization: &'a OrganizationId,
        ids: &'a [String],
    ) -> Self {
        Self {
            connection,
            organization,
            ids: ids.iter(),
        }
    }

    /// Returns the organization, in which all resources are.
    #[must_use]
    pub fn organization(&self) -> &'a OrganizationId {
        self.organization
    }

    /// Returns the resource with this id, which is the first row of the result.
    ///
    /// # Errors
    /// 404 if the result is empty; the database's.
    pub async fn find<T, I: Id>(
        &mut self,
        id: &I,
        statement: Statement,
        read: fn(&Row<'_>) -> store::Result<T>,
    ) -> Result<T> {
        let found = self.connection.fetch_optional(statement, read).await?;
        found.ok_or_else(|| Error::not_found(I::NOUN, id.as_str()))
    }

    /// Returns the next id.
    ///
    /// # Errors
    /// 404: the text is not an id.
    pub fn take<I: Id>(&mut self) -> Result<I> {
        let text = self.ids.next().ok_or_else(Error::internal)?;
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

/// A resource that the ids in a path name, within one organization.
pub trait Scope: Sized + Send + Sync + 'static {
    /// Finds the resource.
    ///
    /// # Errors
    /// 404: it does not exist, or belongs to another organization. 400: its state does not allow the operation.
    fn resolve(path: &mut ResourcePath<'_>) -> impl Future<Output = Result<Self>> + Send;

    /// Returns the project that the resource belongs to, if it belongs to one.
    fn project(&self) -> Option<ProjectRef<'_>> {
        None
    }
}

/// The organization of the key, which the path does not name.
pub struct Organization;

impl Scope for Organization {
    async fn resolve(_: &mut ResourcePath<'_>) -> Result<Self> {
        Ok(Self)
    }
}

/// An id within a scope. The handler checks that it exists, since only the handler knows its table.
pub struct ScopedId<S, I>(pub S, pub I);

impl<S: Scope, I: Id> Scope for ScopedId<S, I> {
    async fn resolve(path: &mut ResourcePath<'_>) -> Result<Self> {
        let outer = S::resolve(path).await;
        let outer = outer.map_err(|error| inside::<I>(error, path))?;
        Ok(Self(outer, path.take()?))
    }

    fn project(&self) -> Option<ProjectRef<'_>> {
        self.0.project()
    }
}

/// Converts the refusal of an archived project into 404 for the next id, so that tools which keep state forget the resource;
/// returns any other error unchanged.
fn inside<I: Id>(error: Error, path: &mut ResourcePath<'_>) -> Error {
    if error.code != Some(PROJECT_ARCHIVED) {
        return error;
    }
    match path.take::<I>() {
        Ok(id) => Error::not_found(I::NOUN, id.as_str()),
        Err(error) => error,
    }
}

/// A body that contains a credential, such as a token from a mail, and so needs no key.
pub trait Credential: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// Returns the organization that issued the credential. The handler checks it again, inside the transaction.
    ///
    /// # Errors
    /// 400: the credential is unknown or no longer valid.
    fn organization(
        &self,
        connection: &mut Connection,
        pepper: &Pepper,
    ) -> impl Future<Output = Result<OrganizationId>> + Send;
}

/// The requirement that an operation has of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// The permission, in the organization or in the project that the path names.
    Permission(Permission),
    /// No permission, since the operation concerns only what belongs to the caller: the caller must be a user. A key that
    /// is restricted to scopes must have this one.
    Own(Permission),
}

impl From<Permission> for Needs {
    fn from(permission: Permission) -> Self {
        Self::Permission(permission)
    }
}

impl Needs {
    /// Returns the permission that the caller needs.
    pub(crate) fn permission(self) -> Option<Permission> {
        match self {
            Self::Permission(permission) => Some(permission),
            Self::Own(_) => None,
        }
    }

    /// Returns the scope that a restricted key needs for what belongs to its owner.
    pub(crate) fn own(self) -> Option<Permission> {
        match self {
            Self::Permission(_) => None,
            Self::Own(scope) => Some(scope),
        }
    }
}

/// The requirement of an operation, and the position of the project in its path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requirement {
    needs: Needs,
    /// The index of `{project_id}` among the path's parameters.
    project_at: Option<usize>,
}

impl Requirement {
    /// Returns the requirement of an operation at `path`.
    pub(crate) fn new(path: &str, needs: Needs) -> Self {
        let mut parameters = path.split('/').filter(|segment| segment.starts_with('{'));
        Self {
            needs,
            project_at: parameters.position(|parameter| parameter == "{project_id}"),
        }
    }

    /// Returns what the caller needs.
    pub(crate) fn needs(self) -> Needs {
        self.needs
    }

    /// Returns the project id in the path; the project need not exist.
    pub(crate) fn project_in(self, path: &[String]) -> Option<ProjectId> {
        parse_path_id(path.get(self.project_at?)?).ok()
    }
}

/// Proof that the caller has the permission that the operation requires, or that the body has a valid credential.
pub struct Permit {
    organization_id: OrganizationId,
    caller: Option<Caller>,
    /// The requirement and the project that were checked; `None` if a credential was.
    checked: Option<(Needs, Option<ProjectId>)>,
}

impl Permit {
    /// Checks the caller's permissions in the organization, or in one of its projects. In a project that does not exist
    /// nobody has a role.
    ///
    /// # Errors
    /// 403 naming the permission or the scope that is missing, or because the caller is no user.
    pub(crate) async fn check(
        connection: &mut Connection,
        caller: Caller,
        project: Option<ProjectId>,
        needs: Needs,
    ) -> Result<Self> {
        let (allowed, needed) = match needs {
            Needs::Permission(permission) => {
                let allowed = caller.permissions(connection, project.as_ref()).await?;
                (allowed, permission)
            }
            Needs::Own(scope) => {
                caller.person()?;
                (caller.scopes, scope)
            }
        };
        if !allowed.contains(needed) {
            return Err(missing(needed));
        }
        Ok(Self {
            organization_id: caller.organization.id.clone(),
            caller: Some(caller),
            checked: Some((needs, project)),
        })
    }

    /// Checks again, against the database: the caller's key and its owner exist, the key is valid, and the owner has the
    /// permission. In a transaction that holds the organization's lock, this stays true until its end. A credential is
    /// checked by its handler instead.
    ///
    /// # Errors
    /// 401: the key is no longer valid. 403: the permission was taken away. The database's.
    pub(crate) async fn renew(self, connection: &mut Connection, now: UnixTime) -> Result<Self> {
        let (Some(caller), Some((needs, project))) = (&self.caller, &self.checked) else {
            return Ok(self);
        };
        let caller = caller.renew(connection, now).await?;
        Self::check(connection, caller, project.clone(), *needs).await
    }

    /// Returns the permit of a sign-in: nobody has a permission yet. Whoever takes it checks a proof of identity.
    pub(crate) fn of_sign_in(organization: &OrganizationId) -> Self {
        Self {
            organization_id: organization.clone(),
            caller: None,
            checked: None,
        }
    }

    /// Checks the credential in a body.
    ///
    /// # Errors
    /// 400: the credential is not valid.
    pub(crate) async fn redeem(
        connection: &mut Connection,
        pepper: &Pepper,
        credential: &impl Credential,
    ) -> Result<Self> {
        Ok(Self {
            organization_id: credential.organization(connection, pepper).await?,
            caller: None,
            checked: None,
        })
    }

    /// Returns the organization.
    #[must_use]
    pub fn organization(&self) -> &OrganizationId {
        &self.organization_id
    }

    /// Returns the caller; `None` if a credential was checked.
    #[must_use]
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// Returns the permission that was checked; `None` if another requirement was.
    pub(crate) fn permission(&self) -> Option<Permission> {
        let (needs, _) = self.checked.as_ref()?;
        needs.permission()
    }

    /// Returns the user who owns the caller's key.
    ///
    /// # Errors
    /// 403: a service account owns the key.
    pub fn user(&self) -> Result<&UserId> {
        self.caller().ok_or_else(Error::internal)?.person()
    }
}

/// Returns 400: `param` of a request names a resource that is not in the organization; `what` introduces `name`.
pub(crate) fn absent(param: &'static str, what: &str, name: impl Display) -> Error {
    let shown = base::shown(&name.to_string());
    let message = format!("No {what} '{shown}' is in the organization.");
    Error::invalid(param, message)
}

/// Returns 403: the key is valid, but its owner lacks `needs`.
pub(crate) fn missing(needs: Permission) -> Error {
    Error::missing_scope(needs.as_str())
}
