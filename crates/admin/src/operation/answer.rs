//! The order of the steps, the same for every operation.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams};
use base::{Error, Permission, Result};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::caller::authenticate;
use super::kept::Question;
use super::scope::{Arrival, Credential, PathIds, Permit, Scope};
use super::{Caller, Done, Ingest, Nothing, Operation, Read, Run, Write, parse};
use crate::Services;

/// The longest body of an administrative request, in bytes.
pub(crate) const MAX_BODY: usize = 1024 * 1024;
/// The longest body of an ingest, in bytes: 10,000 events and then some.
pub(crate) const MAX_INGEST: usize = 32 * 1024 * 1024;
/// How long a body may take to arrive.
const BODY_TIME: std::time::Duration = std::time::Duration::from_secs(30);

/// Answers one request to `operation`; never fails, since every error is an answer.
pub(crate) async fn answer(
    services: Arc<Services>,
    operation: &Operation,
    request: Request<Body>,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let Ok(path) = RawPathParams::from_request_parts(&mut parts, &()).await else {
        return Error::unknown_path(parts.uri.path()).response();
    };
    let path = path.iter().map(|(_, value)| value.to_owned()).collect();
    let arrival = Arrival {
        services,
        path,
        uri: parts.uri,
        headers: parts.headers,
        body,
    };
    let run = match &operation.run {
        Run::Open(run) => return respond(run(arrival).await),
        Run::Keyed(run) => run,
    };
    let caller = authenticate(&arrival.services, operation.effect, &arrival.headers).await;
    let caller = match caller {
        Ok(caller) => caller,
        Err(error) => return error.response(),
    };
    let organization = caller.organization.header.clone();
    let mut response = respond(run(arrival, caller).await);
    response
        .headers_mut()
        .insert("openai-organization", organization);
    response
}

fn respond(result: Result<Response<Body>>) -> Response<Body> {
    result.unwrap_or_else(|error| error.response())
}

fn json_response(json: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(json));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// path → authorise.
async fn enter<S: Scope>(
    services: &Services,
    path: &[String],
    caller: Caller,
    needs: Permission,
) -> Result<(store::Read, S, Permit)> {
    let mut connection = services.store.read().await?;
    let organization = &caller.organization.id;
    let scope = S::resolve(&mut connection, organization, &mut PathIds::new(path)).await?;
    let permit = Permit::check(&mut connection, caller, &scope, needs).await?;
    Ok((connection, scope, permit))
}

/// begin → path again, now nothing can change.
async fn begin<S: Scope>(
    services: Arc<Services>,
    path: &[String],
    permit: Permit,
) -> Result<(Write, S)> {
    let organization = permit.organization().clone();
    let mut write = Write::begin(services, permit).await?;
    let ids = &mut PathIds::new(path);
    let scope = S::resolve(write.connection(), &organization, ids).await?;
    let project = scope.project();
    write.in_project(project.map(|project| (project.id.clone(), project.name.clone())));
    Ok((write, scope))
}

/// What is asked, and the state of the data in which the answer can be kept; nothing where it cannot, or where only the
/// database can tell whether the caller may ask.
fn question(arrival: &Arrival, caller: &Caller, needs: Permission) -> Option<(u64, Question)> {
    let state = arrival.services.store.state()?;
    // What is allowed in the organization is allowed in each project.
    caller.permissions.contains(needs).then(|| {
        let question = Question {
            organization: caller.organization.id.clone(),
            uri: arrival.uri.to_string(),
        };
        (state, question)
    })
}

/// path → authorise → parse the query → run; or the answer that was kept.
pub(super) async fn run_read<S, Q, T, H, F>(
    arrival: Arrival,
    caller: Caller,
    needs: Permission,
    handler: H,
) -> Result<Response<Body>>
where
    S: Scope,
    Q: DeserializeOwned,
    T: Serialize,
    H: Fn(Read, S, Q) -> F,
    F: Future<Output = Result<T>>,
{
    let question = question(&arrival, &caller, needs);
    let Arrival {
        services,
        path,
        uri,
        ..
    } = arrival;
    if let Some((state, question)) = &question
        && let Some(answer) = services.kept.find(*state, question)
    {
        return Ok(json_response(answer));
    }
    let (connection, scope, permit) = enter::<S>(&services, &path, caller, needs).await?;
    let query = parse::query(uri.query())?;
    let read = Read::new(connection, permit, Arc::clone(&services));
    let sources = read.sources();
    let answer = encode(&handler(read, scope, query).await?)?;
    if let Some((state, question)) = question
        && sources.are_steady()
    {
        services.kept.keep(state, question, &answer);
    }
    Ok(json_response(answer))
}

/// path → authorise → parse the query → run; what it answers is made while it is sent, and never kept.
pub(super) async fn run_stream<S, Q, H, F>(
    arrival: Arrival,
    caller: Caller,
    needs: Permission,
    handler: H,
) -> Result<Response<Body>>
where
    S: Scope,
    Q: DeserializeOwned,
    H: Fn(Read, S, Q) -> F,
    F: Future<Output = Result<Response<Body>>>,
{
    let Arrival {
        services,
        path,
        uri,
        ..
    } = arrival;
    let (connection, scope, permit) = enter::<S>(&services, &path, caller, needs).await?;
    let query = parse::query(uri.query())?;
    handler(Read::new(connection, permit, services), scope, query).await
}

/// path → authorise → parse the body → begin → path again → run → audit → commit.
pub(super) async fn run_write<S, B, T, H, F>(
    arrival: Arrival,
    caller: Caller,
    needs: Permission,
    handler: H,
) -> Result<Response<Body>>
where
    S: Scope,
    B: DeserializeOwned + JsonSchema,
    T: Serialize,
    H: Fn(Write, S, B) -> F,
    F: Future<Output = Result<Done<T>>>,
{
    let Arrival {
        services,
        path,
        uri,
        body,
        headers,
    } = arrival;
    // The connection goes back before the body comes in: a slow sender holds nothing but its own socket.
    let (_, _, permit) = enter::<S>(&services, &path, caller, needs).await?;
    parse::query::<Nothing>(uri.query())?;
    let body = parse::body(&read_body(&headers, body, MAX_BODY).await?)?;
    let (write, scope) = begin::<S>(services, &path, permit).await?;
    encode(&handler(write, scope, body).await?.commit().await?).map(json_response)
}

/// parse the body → what it is a credential for → begin → run → audit → commit.
pub(super) async fn run_open<B, T, H, F>(arrival: Arrival, handler: H) -> Result<Response<Body>>
where
    B: Credential,
    T: Serialize,
    H: Fn(Write, B) -> F,
    F: Future<Output = Result<Done<T>>>,
{
    let Arrival {
        services,
        uri,
        body,
        headers,
        ..
    } = arrival;
    parse::query::<Nothing>(uri.query())?;
    let body: B = parse::body(&read_body(&headers, body, MAX_BODY).await?)?;
    let mut connection = services.store.read().await?;
    let permit = Permit::redeem(&mut connection, &services, &body).await?;
    drop(connection);
    let write = Write::begin(services, permit).await?;
    encode(&handler(write, body).await?.commit().await?).map(json_response)
}

/// authorise → read the body → run. A project key may do it in its own project; the handler looks at each item.
pub(super) async fn run_ingest<T, H, F>(
    arrival: Arrival,
    caller: Caller,
    needs: Permission,
    handler: H,
) -> Result<Response<Body>>
where
    T: Serialize,
    H: Fn(Ingest, Bytes) -> F,
    F: Future<Output = Result<T>>,
{
    let Arrival {
        services,
        uri,
        body,
        headers,
        ..
    } = arrival;
    let mut connection = services.store.read().await?;
    let project = caller.project_id().cloned();
    let permit = Permit::check_in(&mut connection, caller, project.as_ref(), needs).await?;
    drop(connection);
    parse::query::<Nothing>(uri.query())?;
    let lines = is_ndjson(&headers)?;
    let body = read_body(&headers, body, MAX_INGEST).await?;
    let connection = services.store.read().await?;
    encode(&handler(Ingest::new(connection, permit, services, lines), body).await?)
        .map(json_response)
}

fn encode<T: Serialize>(answer: &T) -> Result<Bytes> {
    let json = serde_json::to_vec(answer).map_err(|error| {
        tracing::error!(%error, "an answer could not be encoded");
        Error::internal()
    })?;
    Ok(json.into())
}

fn is_ndjson(headers: &http::HeaderMap) -> Result<bool> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map_or("application/json", |kind| kind.to_str().unwrap_or_default());
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/x-ndjson" => Ok(true),
        "application/json" => Ok(false),
        _ => Err(Error::invalid(
            "content-type",
            "The content-type must be application/json or application/x-ndjson.",
        )),
    }
}

/// Reads a body of at most `limit` bytes, within [`BODY_TIME`].
async fn read_body(headers: &http::HeaderMap, body: Body, limit: usize) -> Result<Bytes> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(Error::too_large(limit));
    }
    match tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_long(&error) => Err(Error::too_large(limit)),
        Ok(Err(_)) => Err(Error::refused(
            "incomplete_body",
            "The request body broke off before its end.",
        )),
        Err(_) => Err(Error::too_slow()),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error)
        .is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}
