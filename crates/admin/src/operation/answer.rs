//! The order of the steps, the same for every operation.

use std::cell::RefCell;
use std::sync::Arc;

use axum::body::Body;
use base::{Error, Permission, Result};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::caller::authenticate;
use super::kept::Made;
use super::receive::{body_memory, read_body};
use super::revocable::Revocable;
use super::scope::{Arrival, Credential, PathIds, Permit, Requirement, Scope};
use super::{Caller, Done, Effect, Ingest, Nothing, Operation, Read, Run, Write, parse};
use crate::Services;

/// The longest body of an administrative request, in bytes.
pub(crate) const MAX_BODY: usize = 1024 * 1024;
/// The longest body of an ingest, in bytes: 10,000 events and then some.
pub(crate) const MAX_INGEST: usize = 32 * 1024 * 1024;

/// How many bytes of the last answer's room a thread uses for the next.
const LARGEST_SHEET: usize = 64 * 1024;

thread_local! {
    static SHEET: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

static ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");

impl Operation {
    /// Answers one request to it; never fails, since every error is an answer.
    pub async fn answer(&self, services: &Arc<Services>, request: Request<Body>) -> Response<Body> {
        let run = match &self.run {
            Run::Open(run) => {
                return match self.arrive(services, request) {
                    Ok(arrival) => respond(run(arrival).await),
                    Err(error) => error.response(),
                };
            }
            Run::Keyed(run) => run,
        };
        let caller = match authenticate(services, self.effect, request.headers()).await {
            Ok(caller) => caller,
            Err(error) => return error.response(),
        };
        let organization = caller.organization.header.clone();
        let result = match self.kept(services, &caller, &request) {
            Some(answer) => Ok(json_response(answer)),
            None => match self.arrive(services, request) {
                Ok(arrival) => run(arrival, caller).await,
                Err(error) => Err(error),
            },
        };
        let mut response = respond(result);
        let headers = response.headers_mut();
        headers.insert(&ORGANIZATION, organization);
        response
    }

    /// The answer, if it was kept and the caller may have it.
    fn kept(&self, services: &Services, caller: &Caller, request: &Request<Body>) -> Option<Bytes> {
        if self.effect != Effect::Read {
            return None;
        }
        // Nothing is looked for where nothing can be kept.
        state(services, caller, self.needs?)?;
        let organization = &caller.organization.id;
        let asked = asked(request.uri());
        let is_unchanged = |tables, state| services.store.is_unchanged(tables, state);
        services.kept.find(organization, asked, is_unchanged)
    }

    /// The request, with what the path says in the places of the parameters.
    fn arrive(&self, services: &Arc<Services>, request: Request<Body>) -> Result<Arrival> {
        let (parts, body) = request.into_parts();
        let path = self
            .parameters_in(parts.uri.path())
            .ok_or_else(|| Error::unknown_path(parts.uri.path()))?;
        Ok(Arrival {
            services: Arc::clone(services),
            path,
            uri: parts.uri,
            headers: parts.headers,
            body,
        })
    }

    /// What `path` says in the places of the parameters; nothing when it is no text, or another operation's.
    fn parameters_in(&self, path: &str) -> Option<Vec<String>> {
        let said = path.strip_prefix("/v1")?.split('/');
        self.path
            .split('/')
            .zip(said)
            .filter(|(segment, _)| segment.starts_with('{'))
            .map(|(_, said)| decode(said))
            .collect()
    }
}

/// A segment of a path without its percent-encoding.
fn decode(segment: &str) -> Option<String> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    Some(text.into_owned())
}

/// What is asked: the path and the query.
fn asked(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", PathAndQuery::as_str)
}

fn respond(result: Result<Response<Body>>) -> Response<Body> {
    result.unwrap_or_else(|error| error.response())
}

fn json_response(json: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(json));
    let headers = response.headers_mut();
    // It gets more of them on its way out.
    headers.reserve(8);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// authorise → path, over a connection that is handed on. Whoever may not do the operation is not told what is there.
async fn enter<S: Scope>(
    mut connection: store::Read,
    path: &[String],
    caller: Caller,
    required: Requirement,
) -> Result<(store::Read, S, Permit)> {
    let (project, needs) = (required.project_in(path), required.permission());
    let permit = Permit::check(&mut connection, caller, project, needs).await?;
    let organization = permit.organization();
    let scope = S::resolve(&mut connection, organization, &mut PathIds::new(path)).await?;
    Ok((connection, scope, permit))
}

/// begin → authorise and path again, now nothing can change.
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
    write.in_project(project.map(|project| (project.id.clone(), project.name.to_owned())));
    Ok((write, scope))
}

/// The state of the data in which an answer can be kept; nothing where it cannot, or where only the database can tell
/// whether the caller may ask.
fn state(services: &Services, caller: &Caller, needs: Permission) -> Option<u64> {
    // What is allowed in the organization is allowed in each project.
    let may_ask = caller.permissions.contains(needs);
    may_ask.then(|| services.store.state())?
}

/// authorise → path → parse the query → run → keep the answer, where it can be kept.
pub(super) async fn run_read<S, Q, T, H, F>(
    arrival: Arrival,
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
    let Arrival {
        services,
        path,
        uri,
        ..
    } = arrival;
    // It is older than what is read, or as old: an answer is never kept for a state that it was not read from.
    let state = state(&services, &caller, required.permission());
    let organization = caller.organization.id.clone();
    let connection = services.store.look().await?;
    let (connection, scope, permit) = enter::<S>(connection, &path, caller, required).await?;
    let query = parse::query(uri.query())?;
    let read = Read::new(connection, permit, Arc::clone(&services));
    let sources = read.sources();
    let answer = encode(&handler(read, scope, query).await?)?;
    if let Some(state) = state
        && let Some(tables) = sources.steady()
    {
        let made = Made {
            answer: answer.clone(),
            tables,
            state,
        };
        services.kept.keep(organization, asked(&uri), made);
    }
    Ok(json_response(answer))
}

/// authorise → path → parse the query → run; what it answers is made while it is sent, and never kept.
pub(super) async fn run_stream<S, Q, H, F>(
    arrival: Arrival,
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
    let Arrival {
        services,
        path,
        uri,
        ..
    } = arrival;
    let connection = services.store.read().await?;
    let (connection, scope, permit) = enter::<S>(connection, &path, caller, required).await?;
    let query = parse::query(uri.query())?;
    let revocable = Revocable::new(&services, &permit);
    let answer = handler(Read::new(connection, permit, services), scope, query).await?;
    Ok(match revocable {
        Some(revocable) => answer.map(|body| Body::new(revocable.guard(body))),
        None => answer,
    })
}

/// authorise → path → parse the body → begin → authorise and path again → run → audit → commit.
pub(super) async fn run_write<S, B, T, H, F>(
    arrival: Arrival,
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
    let Arrival {
        services,
        path,
        uri,
        body,
        headers,
    } = arrival;
    let memory = body_memory(&services, Some(&caller))?;
    // The connection goes back before the body comes in: a slow sender holds nothing but its own socket.
    let connection = services.store.read().await?;
    let (_, _, permit) = enter::<S>(connection, &path, caller, required).await?;
    parse::query::<Nothing>(uri.query())?;
    let body = parse::body(&read_body(&headers, body, MAX_BODY, memory).await?.0)?;
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
    let memory = body_memory(&services, None)?;
    let body: B = parse::body(&read_body(&headers, body, MAX_BODY, memory).await?.0)?;
    let mut connection = services.store.read().await?;
    let permit = Permit::redeem(&mut connection, &services, &body).await?;
    drop(connection);
    let write = Write::begin(services, permit).await?;
    encode(&handler(write, body).await?.commit().await?).map(json_response)
}

/// authorise → read the body → authorise again → run. A project key may do it in its own project; the handler looks at each item.
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
    let memory = body_memory(&services, Some(&caller))?;
    let permit = Permit::check(&mut connection, caller, project, needs).await?;
    drop(connection);
    parse::query::<Nothing>(uri.query())?;
    let lines = is_ndjson(&headers)?;
    // The memory is given back once the events are written.
    let (body, _memory) = read_body(&headers, body, MAX_INGEST, memory).await?;
    let mut connection = services.store.read().await?;
    let permit = permit.renew(&mut connection, services.clock.now()).await?;
    encode(&handler(Ingest::new(connection, permit, services, lines), body).await?)
        .map(json_response)
}

/// The answer in JSON, in as many bytes as it takes: it is made where the one before was made.
fn encode<T: Serialize>(answer: &T) -> Result<Bytes> {
    SHEET.with_borrow_mut(|sheet| {
        sheet.clear();
        sheet.shrink_to(LARGEST_SHEET);
        serde_json::to_writer(&mut *sheet, answer).map_err(|error| {
            tracing::error!(%error, "an answer could not be encoded");
            Error::internal()
        })?;
        Ok(Bytes::copy_from_slice(sheet))
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
