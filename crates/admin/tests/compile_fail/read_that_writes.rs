//! A read whose handler runs a statement that changes something.

use admin::operation::{Nothing, Operation, Organization, Read, read};
use admin::{args, tenant_sql};
use base::{Permission, Result};

async fn list(mut cx: Read, _: Organization, _: Nothing) -> Result<Nothing> {
    let delete = tenant_sql!(cx, "DELETE FROM projects WHERE organization_id = $1", args![]);
    cx.execute(delete).await?;
    Ok(Nothing {})
}

fn main() {
    let _: Operation = read("x", "/x", Permission::ProjectsRead, "Does x.", list);
}
