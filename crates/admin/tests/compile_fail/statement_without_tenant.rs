//! Statements that do not name their tenant or their columns.

use admin::operation::{Nothing, Organization, Read, TenantSql};
use admin::{args, tenant_sql};
use base::Result;

const OTHER_TENANT: TenantSql = tenant_sql!("SELECT id FROM projects WHERE organization_id = $2");
const EVERY_COLUMN: TenantSql = tenant_sql!("SELECT * FROM projects WHERE organization_id = $1");

async fn list(mut cx: Read, _: Organization, _: Nothing) -> Result<Nothing> {
    let every_tenant = tenant_sql!(cx, "SELECT id FROM projects", args![]);
    cx.fetch_all(every_tenant, |row| row.get::<String>("id")).await?;
    Ok(Nothing {})
}

fn main() {}
