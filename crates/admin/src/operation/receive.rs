//! Reading of request bodies, within a timeout and a memory budget that all requests share.

use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use base::ids::Id;
use base::{BudgetPermit, Coding, Error, Exhausted, Result};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use super::Caller;
use crate::Services;

/// The time within which a whole body must arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns an empty budget permit for the body of the caller's request. Callers without a key share the bound of one
/// tenant.
pub(super) fn body_memory(services: &Services, caller: Option<&Caller>) -> Result<BudgetPermit> {
    let key = caller.map_or("", |caller| caller.id.as_str());
    let project = caller.and_then(|caller| caller.project_id());
    let memory = services.body_memory.take(key, project.map(Id::as_str), 0);
    memory.map_err(no_memory)
}

fn no_memory(exhausted: Exhausted) -> Error {
    exhausted.refusal("The bytes of request bodies under way")
}

/// The permits of concurrent decoders. A decoder occupies a processor, and up to 8 MiB besides its output.
static DECODERS: Semaphore = Semaphore::const_new(2);

/// Reads a body of at most `limit` bytes, within [`BODY_TIMEOUT`], and decodes its content coding. The announced length is
/// charged to `memory` before the first byte is read, further bytes as they arrive, and decoded bytes besides the encoded
/// ones until decoding ends.
pub(super) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    mut memory: BudgetPermit,
) -> Result<(Bytes, BudgetPermit)> {
    let coding = Coding::of(headers)?;
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(Error::too_large(limit));
    }
    let announced = announced.unwrap_or(0);
    memory.grow(announced as u64).map_err(no_memory)?;
    let collecting = collect(body, limit, announced, &mut memory);
    let collected = tokio::time::timeout(BODY_TIMEOUT, collecting).await;
    let bytes = collected.map_err(|_| Error::too_slow())??;
    match coding {
        Some(coding) if !bytes.is_empty() => decode(coding, bytes, limit, memory).await,
        _ => Ok((bytes, memory)),
    }
}

/// Decodes a body on a thread for blocking calls, since a short body may decode to a long one.
async fn decode(
    coding: Coding,
    encoded: Bytes,
    limit: usize,
    mut memory: BudgetPermit,
) -> Result<(Bytes, BudgetPermit)> {
    let permit = DECODERS.acquire().await.map_err(|_| Error::internal())?;
    let decoded = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let decoded = coding.decode(&encoded, limit, |room| {
            let missing = ((encoded.len() + room) as u64).saturating_sub(memory.amount());
            memory.grow(missing).map_err(no_memory)
        })?;
        drop(encoded);
        memory.shrink_to(decoded.capacity() as u64);
        Ok((Bytes::from(decoded), memory))
    });
    decoded.await.map_err(|_| Error::internal())?
}

async fn collect(
    body: Body,
    limit: usize,
    announced: usize,
    memory: &mut BudgetPermit,
) -> Result<Bytes> {
    let mut body = pin!(body);
    let mut bytes = BytesMut::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let broken = |_| {
            let message = "The request body broke off before its end.";
            Error::refused("incomplete_body", message)
        };
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        let length = bytes.len() + data.len();
        if length > limit {
            return Err(Error::too_large(limit));
        }
        let missing = (length as u64).saturating_sub(memory.amount());
        memory.grow(missing).map_err(no_memory)?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}
