//! The machinery that every operation passes through, and the registry entry that describes one.
//!
//! authenticate → authorise → resolve the path → parse → begin → run → audit → commit. Each step's type can be made
//! only by the step before it: a handler cannot run without a [`Permit`], and cannot commit but by giving back a
//! [`Done`], which is made of an answer and an audit [`Event`].

mod answer;
mod caller;
mod context;
mod document;
mod event;
mod kept;
mod limit;
mod nul;
mod parse;
mod receive;
mod revocable;
mod scope;
mod separated;
mod sources;
mod stream;

use std::future::Future;
use std::pin::Pin;

use axum::body::Body;
use base::{Permission, Result};
use bytes::Bytes;
use http::{Method, Response};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use base::EventType;
pub use caller::Caller;
pub use context::{Done, Ingest, Read, TenantStatement, Write};
pub use document::document;
pub use event::Event;
pub(crate) use event::{Actor, Entry, Head, append, chain, heading};
pub use kept::Kept;
pub use limit::Limit;
pub use parse::{Nothing, OrderBy, Patch, refuse};
pub(crate) use scope::{Arrival, PROJECT_ARCHIVED, Requirement, inside, missing};
pub use scope::{Credential, Of, Organization, PathIds, Permit, ProjectRef, Scope};
pub use separated::Separated;
pub(crate) use stream::{Chunks, Streamed};

/// One entry of the registry: everything there is to know of an operation, and how to run it.
pub struct Operation {
    /// The words of the command line below `admin:organization:`, such as `projects:service-accounts create`.
    pub command: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path below `/v1`, with its parameters in braces.
    pub path: &'static str,
    /// What the caller must be allowed to do; none where there is no caller, since the body is the credential.
    pub needs: Option<Permission>,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Whether it is ours, not the contract's.
    pub extension: bool,
    /// What it does to the data, and so who may call it and how much it may send.
    pub effect: Effect,
    /// The types of its answer besides JSON.
    pub other_types: &'static [&'static str],
    query: SchemaOf,
    body: Option<SchemaOf>,
    reply: SchemaOf,
    run: Run,
}

/// What an operation does to the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Read,
    /// An administrative change: it has an audit event.
    Write,
    /// More rows in the ledger, which is its own record: a project key may do it too.
    Ingest,
    /// An administrative change by whoever has the credential that is in its body: no key is asked for.
    Open,
}

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;
type Running = Pin<Box<dyn Future<Output = Result<Response<Body>>> + Send>>;
type RunKeyed = Box<dyn Fn(Arrival, Caller) -> Running + Send + Sync>;

/// How an operation is run: by somebody with a key, or by whoever sends the right body.
enum Run {
    Keyed(RunKeyed),
    Open(Box<dyn Fn(Arrival) -> Running + Send + Sync>),
}

/// An operation that changes nothing: `GET path?query`.
pub fn read<S, Q, T, H, F>(
    command: &'static str,
    path: &'static str,
    needs: Permission,
    about: &'static str,
    handler: H,
) -> Operation
where
    S: Scope,
    Q: DeserializeOwned + JsonSchema + Send + 'static,
    T: Serialize + JsonSchema + Send + 'static,
    H: Fn(Read, S, Q) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let required = Requirement::new(path, needs);
    let run = move |arrival, caller| -> Running {
        Box::pin(answer::run_read(arrival, caller, required, handler))
    };
    get::<Q, T>(command, path, needs, about, &[], Box::new(run))
}

/// An operation that changes nothing, whose answer is sent while it is being made: as a `T`, or as one of `other_types`.
pub fn stream<T, S, Q, H, F>(
    command: &'static str,
    path: &'static str,
    needs: Permission,
    about: &'static str,
    other_types: &'static [&'static str],
    handler: H,
) -> Operation
where
    S: Scope,
    Q: DeserializeOwned + JsonSchema + Send + 'static,
    T: JsonSchema,
    H: Fn(Read, S, Q) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>>> + Send + 'static,
{
    let required = Requirement::new(path, needs);
    let run = move |arrival, caller| -> Running {
        Box::pin(answer::run_stream(arrival, caller, required, handler))
    };
    get::<Q, T>(command, path, needs, about, other_types, Box::new(run))
}

fn get<Q: JsonSchema, T: JsonSchema>(
    command: &'static str,
    path: &'static str,
    needs: Permission,
    about: &'static str,
    other_types: &'static [&'static str],
    run: RunKeyed,
) -> Operation {
    Operation {
        command,
        method: Method::GET,
        path,
        needs: Some(needs),
        about,
        extension: false,
        effect: Effect::Read,
        other_types,
        query: Q::json_schema,
        body: None,
        reply: SchemaGenerator::subschema_for::<T>,
        run: Run::Keyed(run),
    }
}

/// An operation that changes something: its handler gives back its answer together with its audit event.
pub fn write<S, B, T, H, F>(
    command: &'static str,
    method: Method,
    path: &'static str,
    needs: Permission,
    about: &'static str,
    handler: H,
) -> Operation
where
    S: Scope,
    B: DeserializeOwned + JsonSchema + Send + 'static,
    T: Serialize + JsonSchema + Send + 'static,
    H: Fn(Write, S, B) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Done<T>>> + Send + 'static,
{
    let required = Requirement::new(path, needs);
    let run = move |arrival, caller| -> Running {
        Box::pin(answer::run_write(arrival, caller, required, handler))
    };
    Operation {
        command,
        method,
        path,
        needs: Some(needs),
        about,
        extension: false,
        effect: Effect::Write,
        other_types: &[],
        query: Nothing::json_schema,
        body: Some(SchemaGenerator::subschema_for::<B>),
        reply: SchemaGenerator::subschema_for::<T>,
        run: Run::Keyed(Box::new(run)),
    }
}

/// An operation that adds to the ledger: `POST path`, JSON or NDJSON whose items are of type `B`.
pub fn ingest<B, T, H, F>(
    command: &'static str,
    path: &'static str,
    needs: Permission,
    about: &'static str,
    handler: H,
) -> Operation
where
    B: JsonSchema,
    T: Serialize + JsonSchema + Send + 'static,
    H: Fn(Ingest, Bytes) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let run = move |arrival, caller| -> Running {
        Box::pin(answer::run_ingest(arrival, caller, needs, handler))
    };
    Operation {
        command,
        method: Method::POST,
        path,
        needs: Some(needs),
        about,
        extension: false,
        effect: Effect::Ingest,
        other_types: &[],
        query: Nothing::json_schema,
        body: Some(SchemaGenerator::subschema_for::<B>),
        reply: SchemaGenerator::subschema_for::<T>,
        run: Run::Keyed(Box::new(run)),
    }
}

/// An operation that nobody needs a key for: `POST path`, whose body is a credential that names its organization.
pub fn open<B, T, H, F>(
    command: &'static str,
    path: &'static str,
    about: &'static str,
    handler: H,
) -> Operation
where
    B: Credential,
    T: Serialize + JsonSchema + Send + 'static,
    H: Fn(Write, B) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Done<T>>> + Send + 'static,
{
    let run = move |arrival| -> Running { Box::pin(answer::run_open(arrival, handler)) };
    Operation {
        command,
        method: Method::POST,
        path,
        needs: None,
        about,
        extension: false,
        effect: Effect::Open,
        other_types: &[],
        query: Nothing::json_schema,
        body: Some(SchemaGenerator::subschema_for::<B>),
        reply: SchemaGenerator::subschema_for::<T>,
        run: Run::Open(Box::new(run)),
    }
}

impl Operation {
    /// The same operation, marked as ours.
    #[must_use]
    pub fn extension(self) -> Self {
        Self {
            extension: true,
            ..self
        }
    }

    /// The names of the path's parameters, in order.
    pub fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }
}
