//! Settings of one row, as the crate `settings` declares them: `GET`, `POST` and `DELETE` at one path.

use base::{Error, Permission, Result};
use http::Method;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use settings::{DeletableSetting, RowSetting};

use crate::list::Unset;
use crate::operation::{Done, NoParameters, Operation, Read, Write, read, write};
use crate::role_scope::RoleScope;
use crate::{args, tenant_sql};

/// A setting as clients see it in the scope `S`.
pub(crate) trait SettingResource<S: RoleScope>: RowSetting {
    /// The body of a request to set the setting. Its fields are the `changes_requested` of the audit event.
    type Body: DeserializeOwned + Serialize + JsonSchema + Send + 'static;
    /// The setting in answers.
    type Answer: PartialEq + Serialize + JsonSchema + Send + 'static;

    /// Returns the setting that a request results in.
    ///
    /// # Errors
    /// 400: the body has a value that its type cannot exclude.
    fn apply(old: Option<&Self>, body: Self::Body) -> Result<Self>;

    /// Returns the answer that shows a setting, or that nothing is set.
    ///
    /// # Errors
    /// 404: nothing is set, and the setting has no default to show.
    fn answer(setting: Option<&Self>) -> Result<Self::Answer>;
}

/// A [`SettingResource`] that clients can delete.
pub(crate) trait DeletableResource<S: RoleScope>:
    SettingResource<S> + DeletableSetting
{
    /// The `object` in the answer to a deletion.
    type Deleted: Default + Serialize + JsonSchema + Send + 'static;
}

/// The path of a setting, and the permissions that it needs.
pub(crate) struct SettingPath {
    pub(crate) path: &'static str,
    pub(crate) read: Permission,
    pub(crate) write: Permission,
}

impl SettingPath {
    /// Returns the operation `GET`.
    pub(crate) fn retrieve<R: SettingResource<S>, S: RoleScope>(
        &self,
        command: &'static str,
        about: &'static str,
    ) -> Operation {
        read(command, self.path, self.read, about, retrieve::<R, S>)
    }

    /// Returns the operation `POST`.
    pub(crate) fn update<R: SettingResource<S>, S: RoleScope>(
        &self,
        command: &'static str,
        about: &'static str,
    ) -> Operation {
        let Self {
            path, write: needs, ..
        } = *self;
        write(command, Method::POST, path, needs, about, update::<R, S>)
    }

    /// Returns the operation `DELETE`.
    pub(crate) fn delete<R: DeletableResource<S>, S: RoleScope>(
        &self,
        command: &'static str,
        about: &'static str,
    ) -> Operation {
        let Self {
            path, write: needs, ..
        } = *self;
        write(command, Method::DELETE, path, needs, about, delete::<R, S>)
    }
}

async fn retrieve<R: SettingResource<S>, S: RoleScope>(
    mut cx: Read,
    scope: S,
    _: NoParameters,
) -> Result<R::Answer> {
    let one = tenant_sql!(cx, R::SQL.select_one, args![scope.project_key()]);
    R::answer(cx.fetch_optional(one, R::read).await?.as_ref())
}

/// Sets the setting. A request after which the answer is the same changes nothing.
async fn update<R: SettingResource<S>, S: RoleScope>(
    mut cx: Write,
    scope: S,
    body: R::Body,
) -> Result<Done<R::Answer>> {
    let one = tenant_sql!(cx, R::SQL.select_one, args![scope.project_key()]);
    let old = cx.fetch_optional(one, R::read).await?;
    let details = json!({"changes_requested": body});
    let new = R::apply(old.as_ref(), body)?;
    let answer = R::answer(Some(&new))?;
    if R::answer(old.as_ref()).is_ok_and(|before| before == answer) {
        return Ok(cx.unchanged(answer));
    }
    let mut values = args![scope.project_key()];
    values.extend(new.values());
    let upsert = tenant_sql!(cx, R::SQL.upsert, values);
    cx.execute(upsert).await?;
    let event = scope.event(cx.organization(), R::UPDATED, details);
    Ok(cx.done(event, answer))
}

async fn delete<R: DeletableResource<S>, S: RoleScope>(
    mut cx: Write,
    scope: S,
    _: NoParameters,
) -> Result<Done<Unset<R::Deleted>>> {
    let delete = tenant_sql!(cx, R::SQL.delete, args![scope.project_key()]);
    if cx.execute(delete).await? == 0 {
        return Err(Error::not_set(R::NOUN));
    }
    let event = scope.event(cx.organization(), R::DELETED, json!({}));
    Ok(cx.done(event, Unset::done()))
}
