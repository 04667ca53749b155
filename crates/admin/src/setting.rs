//! Writing of settings as the crate `settings` declares them.

use base::Result;
use settings::RowSetting;

use crate::operation::Write;
use crate::role_scope::RoleScope;
use crate::{args, tenant_sql};

/// Inserts or replaces a setting of an organization or a project.
///
/// # Errors
/// The database's.
pub(crate) async fn save<S: RowSetting>(
    cx: &mut Write,
    scope: &impl RoleScope,
    setting: &S,
) -> Result<()> {
    let mut values = args![scope.project_key()];
    values.extend(setting.values());
    let save = tenant_sql!(cx, S::UPSERT, values);
    cx.execute(save).await?;
    Ok(())
}

/// Deletes a setting of an organization or a project. Returns false if there was none.
///
/// # Errors
/// The database's.
pub(crate) async fn delete<S: RowSetting>(cx: &mut Write, scope: &impl RoleScope) -> Result<bool> {
    let delete = tenant_sql!(cx, S::DELETE, args![scope.project_key()]);
    Ok(cx.execute(delete).await? > 0)
}
