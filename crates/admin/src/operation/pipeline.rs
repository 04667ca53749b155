//! The steps that every request passes through, in their order.

use std::cell::RefCell;
use std::sync::Arc;

use axum::body::Body;
use base::{ClientAddress, Error, Permission, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::caller::authenticate;
use super::receive::{body_memory, read_body};
use super::revocable::Revocable;
use super::scope::{Credential, IncomingRequest, Permit, Requirement, ResourcePath, Scope};
use super::{Caller, Done, Ingest, KeyedRun, NoParameters, Operation, Read, Run, Write, parse};
use crate::Services;

/// The longest body of an administrative request.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;
/// The longest body of an ingest: more than 10,000 events take.
pub(crate) const MAX_INGEST_BYTES: usize = 32 * 1024 * 1024;

/// The largest capacity that a thread's serialization buffer retains.
const MAX_SCRATCH_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

static ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");

impl Operation {
    /// Answers one request. Errors are answers too.
    pub async fn answer(&self, services: &Arc<Services>, request: Request<Body>) -> Response<Body> {
        let run = match &self.run {
            Run::Open(run) => {
                return match self.incoming(services, request) {
                    Ok(request) => respond(run(request).await),
                    Err(error) => error.response(),
                };
            }
            Run::Keyed(run) => run,
        };
        match authenticate(services, self, request.headers()).await {
            Ok(caller) => self.run_as(run, services, caller, request).await,
            Err(error) => error.response(),
        }
    }

    /// Answers one request of a caller that is authenticated already, by a session. What is in the headers is not looked at.
    /// An operation that takes a credential in its body has no caller, and is answered as by [`Operation::answer`].
    pub async fn answer_as(
        &self,
        services: &Arc<Services>,
        caller: Caller,
        request: Request<Body>,
    ) -> Response<Body> {
        match &self.run {
            Run::Open(_) => self.answer(services, request).await,
            Run::Keyed(run) => self.run_as(run, services, caller, request).await,
        }
    }

    async fn run_as(
        &self,
        run: &KeyedRun,
        services: &Arc<Services>,
        caller: Caller,
        request: Request<Body>,
    ) -> Response<Body> {
        let organization = caller.organization.header.clone();
        let result = match self.incoming(services, request) {
            Ok(request) => run(request, caller).await,
            Err(error) => Err(error),
        };
        let mut response = respond(result);
        let headers = response.headers_mut();
        headers.insert(&ORGANIZATION, organization);
        response
    }

    /// Takes a request apart, with the values of the path's parameters.
    fn incoming(
        &self,
        services: &Arc<Services>,
        request: Request<Body>,
    ) -> Result<IncomingRequest> {
        let (parts, body) = request.into_parts();
        let path = self
            .parameters_in(parts.uri.path())
            .ok_or_else(|| Error::unknown_path(parts.uri.path()))?;
        Ok(IncomingRequest {
            services: Arc::clone(services),
            path,
            uri: parts.uri,
            headers: parts.headers,
            client: parts.extensions.get().copied(),
            body,
        })
    }

    /// Returns the values of the path's parameters; `None` if `path` is not UTF-8 or that of another operation.
    fn parameters_in(&self, path: &str) -> Option<Vec<String>> {
        let values = path.strip_prefix("/v1")?.split('/');
        self.path
            .split('/')
            .zip(values)
            .filter(|(segment, _)| segment.starts_with('{'))
            .map(|(_, value)| decode(value))
            .collect()
    }
}

/// Decodes the percent-encoding of a path segment.
fn decode(segment: &str) -> Option<String> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    Some(text.into_owned())
}

fn respond(result: Result<Response<Body>>) -> Response<Body> {
    result.unwrap_or_else(|error| error.response())
}

fn json_response<T: Serialize>(answer: &T) -> Result<Response<Body>> {
    let mut response = Response::new(Body::from(encode(answer)?));
    let headers = response.headers_mut();
    // Later layers add more.
    headers.reserve(8);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

/// Authorizes the caller, then resolves the path: a caller without the permission does not learn what exists.
async fn authorize<S: Scope>(
    mut connection: store::Read,
    path: &[String],
    caller: Caller,
    required: Requirement,
) -> Result<(store::Read, S, Permit)> {
    let (project, needs) = (required.project_in(path), required.needs());
    let permit = Permit::check(&mut connection, caller, project, needs).await?;
    let mut path = ResourcePath::new(&mut connection, permit.organization(), path);
    let scope = S::resolve(&mut path).await?;
    Ok((connection, scope, permit))
}

/// Begins a transaction, then authorizes the caller and resolves the path again: from here on nothing changes until the
/// commit.
async fn begin<S: Scope>(
    services: Arc<Services>,
    path: &[String],
    permit: Permit,
    client: Option<ClientAddress>,
) -> Result<(Write, S)> {
    let organization = permit.organization().clone();
    let mut write = Write::begin(services, permit, client).await?;
    let mut path = ResourcePath::new(write.connection(), &organization, path);
    let scope = S::resolve(&mut path).await?;
    let project = scope.project();
    write.in_project(project.map(|project| (project.id.clone(), project.name.to_owned())));
    Ok((write, scope))
}

/// Prepares a read: authorize → resolve the path → parse the query.
async fn prepare_read<S: Scope, Q: DeserializeOwned>(
    request: IncomingRequest,
    caller: Caller,
    required: Requirement,
) -> Result<(Read, S, Q)> {
    let IncomingRequest { services, path, .. } = request;
    let connection = services.store.read().await?;
    let (connection, scope, permit) = authorize::<S>(connection, &path, caller, required).await?;
    let query = parse::query(request.uri.query())?;
    Ok((Read::new(connection, permit, services), scope, query))
}

/// Runs a read.
pub(super) async fn run_read<S, Q, T, H, F>(
    request: IncomingRequest,
    caller: Caller,
    required: Requirement,
    handler: H,
) -> Result<Response<Body>>
where
    S: Scope,
    Q: DeserializeOwned,
    T: Serialize,
    H: Fn(Read, S, Q) -> F,
    F: Future<Output = Result<T>>,
{
    let (read, scope, query) = prepare_read(request, caller, required).await?;
    json_response(&handler(read, scope, query).await?)
}

/// Runs a read whose answer is produced while it is sent, and aborted once the caller's key is revoked.
pub(super) async fn run_stream<S, Q, H, F>(
    request: IncomingRequest,
    caller: Caller,
    required: Requirement,
    handler: H,
) -> Result<Response<Body>>
where
    S: Scope,
    Q: DeserializeOwned,
    H: Fn(Read, S, Q) -> F,
    F: Future<Output = Result<Response<Body>>>,
{
    let services = Arc::clone(&request.services);
    let (read, scope, query) = prepare_read(request, caller, required).await?;
    let revocable = Revocable::new(&services, read.permit());
    let answer = handler(read, scope, query).await?;
    Ok(match revocable {
        Some(revocable) => answer.map(|body| Body::new(revocable.guard(body))),
        None => answer,
    })
}

/// Runs a write: authorize → resolve the path → parse the body → begin → authorize and resolve again → run → audit →
/// commit.
pub(super) async fn run_write<S, B, T, H, F>(
    request: IncomingRequest,
    caller: Caller,
    required: Requirement,
    handler: H,
) -> Result<Response<Body>>
where
    S: Scope,
    B: DeserializeOwned + JsonSchema,
    T: Serialize,
    H: Fn(Write, S, B) -> F,
    F: Future<Output = Result<Done<T>>>,
{
    let IncomingRequest {
        services,
        path,
        uri,
        body,
        headers,
        client,
    } = request;
    let memory = body_memory(&services, Some(&caller))?;
    // The connection returns to the pool before the body is read, so that a slow sender occupies only its socket.
    let connection = services.store.read().await?;
    let (_, _, permit) = authorize::<S>(connection, &path, caller, required).await?;
    parse::query::<NoParameters>(uri.query())?;
    let body = parse::body(&read_body(&headers, body, MAX_BODY_BYTES, memory).await?.0)?;
    let (write, scope) = begin::<S>(services, &path, permit, client).await?;
    json_response(&handler(write, scope, body).await?.commit().await?)
}

/// Runs a write without a key: parse the body → check the credential in it → begin → run → audit → commit.
pub(super) async fn run_open<B, T, H, F>(
    request: IncomingRequest,
    handler: H,
) -> Result<Response<Body>>
where
    B: Credential,
    T: Serialize,
    H: Fn(Write, B) -> F,
    F: Future<Output = Result<Done<T>>>,
{
    let IncomingRequest {
        services,
        uri,
        body,
        headers,
        client,
        ..
    } = request;
    parse::query::<NoParameters>(uri.query())?;
    let memory = body_memory(&services, None)?;
    let body: B = parse::body(&read_body(&headers, body, MAX_BODY_BYTES, memory).await?.0)?;
    let mut connection = services.store.read().await?;
    let permit = Permit::redeem(&mut connection, &services.pepper, &body).await?;
    drop(connection);
    let write = Write::begin(services, permit, client).await?;
    json_response(&handler(write, body).await?.commit().await?)
}

/// Runs an ingest: authorize → read the body → authorize again → run. A project key is authorized in its own project; the
/// handler checks each item.
pub(super) async fn run_ingest<T, H, F>(
    request: IncomingRequest,
    caller: Caller,
    needs: Permission,
    handler: H,
) -> Result<Response<Body>>
where
    T: Serialize,
    H: Fn(Ingest, Bytes) -> F,
    F: Future<Output = Result<T>>,
{
    let IncomingRequest {
        services,
        uri,
        body,
        headers,
        ..
    } = request;
    let mut connection = services.store.read().await?;
    let project = caller.project_id().cloned();
    let memory = body_memory(&services, Some(&caller))?;
    let permit = Permit::check(&mut connection, caller, project, needs.into()).await?;
    drop(connection);
    parse::query::<NoParameters>(uri.query())?;
    let lines = is_ndjson(&headers)?;
    // The memory stays reserved until the events are written.
    let (body, _memory) = read_body(&headers, body, MAX_INGEST_BYTES, memory).await?;
    let mut connection = services.store.read().await?;
    let permit = permit.renew(&mut connection, services.clock.now()).await?;
    json_response(&handler(Ingest::new(connection, permit, services, lines), body).await?)
}

/// Serializes an answer as JSON in a reused thread-local buffer.
fn encode<T: Serialize>(answer: &T) -> Result<Bytes> {
    SCRATCH.with_borrow_mut(|buffer| {
        buffer.clear();
        buffer.shrink_to(MAX_SCRATCH_BYTES);
        serde_json::to_writer(&mut *buffer, answer).map_err(|error| {
            tracing::error!(%error, "failed to serialize answer");
            Error::internal()
        })?;
        Ok(Bytes::copy_from_slice(buffer))
    })
}

fn is_ndjson(headers: &HeaderMap) -> Result<bool> {
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
