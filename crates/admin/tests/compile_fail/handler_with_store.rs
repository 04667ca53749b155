//! Handlers that try to reach the store, which their contexts do not hand out.

use admin::operation::{Done, Ingest, Nothing, Organization, Read, Write};
use base::Result;

async fn list(cx: Read, _: Organization, _: Nothing) -> Result<Nothing> {
    cx.services().store.begin().await?.commit().await?;
    Ok(Nothing {})
}

async fn create(cx: Write, _: Organization, _: Nothing) -> Result<Done<Nothing>> {
    cx.services.store.begin().await?.commit().await?;
    Ok(cx.unchanged(Nothing {}))
}

async fn change(cx: Write, _: Organization, _: Nothing) -> Result<Done<Nothing>> {
    cx.connection.commit().await?;
    Ok(cx.unchanged(Nothing {}))
}

async fn ingest(cx: Ingest) -> Result<Nothing> {
    cx.store().begin().await?.commit().await?;
    Ok(Nothing {})
}

fn main() {}
