//! `/organization/users/{user_id}/groups`: groups of a user.

use base::ids::UserId;
use base::{Permission, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::groups::Group;
use crate::list::{List, oldest_first};
use crate::operation::{Limit, Operation, Organization, Read, ScopedId, operations};
use crate::{args, tenant_sql, users};

pub(crate) fn operations() -> Vec<Operation> {
    const ALL: &str = "/organization/users/{user_id}/groups";
    operations! {
        GET "users:groups list", ALL, Permission::GroupsRead, "Lists the groups that a user is in.", list, extension;
    }
}

const GROUPS: &str = "\
    SELECT g.id, g.name, g.created_at FROM groups g \
    JOIN group_users m ON m.organization_id = g.organization_id AND m.group_id = g.id \
    WHERE g.organization_id = $1 AND m.user_id = $2";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListUserGroups {
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<20, 1, 100>,
    /// The id of the last group of the previous page.
    after: Option<String>,
}

async fn list(
    mut cx: Read,
    ScopedId(_, user): ScopedId<Organization, UserId>,
    query: ListUserGroups,
) -> Result<List<Group>> {
    users::one(&mut cx, &user).await?;
    let list = tenant_sql!(cx, GROUPS, args![&user]);
    let request = oldest_first(query.limit.0, query.after);
    cx.list(&request, list.clone(), list, "g.id", Group::read)
        .await
}
