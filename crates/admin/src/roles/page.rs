//! Pages of roles and of assignments, which have the same order and the same cursors.

use base::ids::{Id, RoleId};
use schemars::JsonSchema;
use serde::Deserialize;
use store::{Order, PageRequest, SortKey};

use super::realm::Realm;
use crate::list::oldest_first;
use crate::operation::{Limit, OrderBy, Read};

/// The table of roles as `r`, with the column that [`by_place`] needs.
macro_rules! roles_in_place {
    () => {
        "(SELECT q.organization_id, q.id, q.resource_type, q.project_id, q.name, q.name_key, q.description, q.permissions, \
             q.predefined, q.created_at, q.updated_at, q.created_by, \
             CAST(CASE WHEN q.predefined THEN 1 ELSE 0 END AS BIGINT) AS place FROM roles q) r"
    };
}

/// The order of roles: custom ones as they were created, then the predefined ones.
pub(super) fn by_place() -> SortKey {
    SortKey::by_time("r.place", "r.id")
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListRoles {
    /// How many at the most.
    #[serde(default)]
    limit: Limit<1000, 0, 1000>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Oldest first (`asc`, the default) or newest first (`desc`); the predefined roles are at the newer end.
    order: Option<OrderBy>,
}

impl ListRoles {
    /// The page that is asked for where roles may be called by other names.
    pub(super) fn page<R: Realm>(self, cx: &Read, realm: &R) -> PageRequest {
        let named = self.after.map(RoleId::from_text);
        let after = named.map(|id| realm.role_id(cx.organization(), &id).to_string());
        PageRequest {
            order: self.order.map_or(Order::Ascending, Order::from),
            ..oldest_first(self.limit.0, after)
        }
    }
}
