//! Paging of roles and assignments, which have the same order and cursors.

use base::ids::{Id, RoleId};
use schemars::JsonSchema;
use serde::Deserialize;
use store::{Order, PageRequest, SortKey};

use crate::list::oldest_first;
use crate::operation::{Limit, OrderBy, Read, TenantStatement};
use crate::role_scope::RoleScope;
use crate::search::Search;

/// The table of roles as `r`, with the sort column of [`by_place`].
macro_rules! roles_in_place {
    () => {
        "(SELECT q.organization_id, q.id, q.resource_type, q.project_id, q.name, q.name_key, q.description, q.permissions, \
             q.predefined, q.created_at, q.updated_at, q.created_by, \
             CAST(CASE WHEN q.predefined THEN 1 ELSE 0 END AS BIGINT) AS place FROM roles q) r"
    };
}

/// Returns the sort key of roles: custom roles by creation, then the predefined ones.
pub(super) fn by_place() -> SortKey {
    SortKey::by_time("r.place", "r.id")
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListRoles {
    /// Only roles whose name contains this text, in any case.
    search: Option<Search>,
    /// Maximum number of items on the page.
    #[serde(default)]
    limit: Limit<1000, 0, 1000>,
    /// The `next` of the previous page.
    after: Option<String>,
    /// Order of creation: oldest first (`asc`, the default) or newest first (`desc`). Predefined roles count as newest.
    order: Option<OrderBy>,
}

impl ListRoles {
    /// Restricts a list of roles `r` to those that were searched for.
    pub(super) fn filter(&self, list: &mut TenantStatement) {
        if let Some(search) = &self.search {
            search.within(list, &["r.name"]);
        }
    }

    /// Returns the requested page. `after` may be any id by which clients call the role.
    pub(super) fn page<S: RoleScope>(self, cx: &Read, scope: &S) -> PageRequest {
        let named = self.after.map(RoleId::from_text);
        let after = named.map(|id| scope.role_id(cx.organization(), &id).to_string());
        PageRequest {
            order: self.order.map_or(Order::Ascending, Order::from),
            ..oldest_first(self.limit.0, after)
        }
    }
}
