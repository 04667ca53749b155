//! A read whose handler runs a statement that changes something.

use admin::operation::{NoParameters, Operation, Organization, Read, read};
use admin::{args, tenant_sql};
use base::{Permission, Result};

async fn list(mut cx: Read, _: Organization, _: NoParameters) -> Result<NoParameters> {
    let delete = tenant_sql!(cx, "DELETE FROM projects WHERE organization_id = $1", args![]);
    cx.execute(delete).await?;
    Ok(NoParameters {})
}

fn main() {
    let _: Operation = read("x", "/x", Permission::ProjectsRead, "Does x.", list);
}
