//! Handlers that try to reach the store, which their contexts do not hand out.

use admin::operation::{Done, Ingest, NoParameters, Organization, Read, Write};
use base::Result;

async fn list(cx: Read, _: Organization, _: NoParameters) -> Result<NoParameters> {
    cx.services().store.begin().await?.commit().await?;
    Ok(NoParameters {})
}

async fn create(cx: Write, _: Organization, _: NoParameters) -> Result<Done<NoParameters>> {
    cx.services.store.begin().await?.commit().await?;
    Ok(cx.unchanged(NoParameters {}))
}

async fn change(cx: Write, _: Organization, _: NoParameters) -> Result<Done<NoParameters>> {
    cx.connection.commit().await?;
    Ok(cx.unchanged(NoParameters {}))
}

async fn ingest(cx: Ingest) -> Result<NoParameters> {
    cx.store().begin().await?.commit().await?;
    Ok(NoParameters {})
}

fn main() {}
