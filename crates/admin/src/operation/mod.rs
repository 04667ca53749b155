//! Operations: the registry's entries, and the steps that every request passes through.
//!
//! authenticate → authorize → resolve the path → parse → begin → run → audit → commit. The type of each step can be
//! constructed only by the step before: a handler cannot run without a [`Permit`], and cannot commit except by returning a
//! [`Done`], which consists of an answer and an audit [`Event`]. Its context has the capabilities that handlers need, and
//! never the store.

mod caller;
mod context;
mod document;
mod event;
mod limit;
mod nul;
mod parse;
mod pipeline;
mod receive;
mod revocable;
mod scope;
mod separated;
mod statement;
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
pub use context::{Done, Ingest, Read, Write};
pub use document::document;
pub use event::Event;
pub(crate) use event::{Actor, AuditEntry, ChainHead, append, chain, heading};
pub use limit::Limit;
pub use parse::{NoParameters, OrderBy, Patch, refuse};
pub use scope::{
    Credential, Needs, Organization, Permit, ProjectRef, ResourcePath, Scope, ScopedId,
};
pub(crate) use scope::{IncomingRequest, PROJECT_ARCHIVED, Requirement, absent, missing};
pub use separated::Separated;
pub use statement::{TenantSql, TenantStatement};
pub(crate) use stream::{Chunks, Streamed};

/// An entry of the registry: the description of an operation, and its handler.
pub struct Operation {
    /// The command of the command line below `admin:organization:`, such as `projects:service-accounts create`.
    pub command: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path below `/v1`, with its parameters in braces.
    pub path: &'static str,
    /// The permission that the caller needs; `None` if the operation is on the caller's own things, or the body is the
    /// credential.
    pub needs: Option<Permission>,
    /// The scope that a restricted key needs for the caller's own things; `None` if the operation needs a permission, or
    /// the body is the credential.
    pub own: Option<Permission>,
    /// The description, in a sentence.
    pub about: &'static str,
    /// True if the operation is an extension of the contract.
    pub extension: bool,
    /// The effect on the data, which decides the kinds of keys and the size of the body.
    pub effect: Effect,
    /// The media types of the answer besides JSON.
    pub other_types: &'static [&'static str],
    query: SchemaOf,
    body: Option<SchemaOf>,
    reply: SchemaOf,
    run: Run,
}

/// The effect of an operation on the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// No change.
    Read,
    /// An administrative change, recorded by an audit event.
    Write,
    /// New rows in the ledger, which is its own record. Project keys are accepted too.
    Ingest,
    /// An administrative change authorized by the credential in the body, without a key.
    Open,
}

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;
type Running = Pin<Box<dyn Future<Output = Result<Response<Body>>> + Send>>;
type KeyedRun = Box<dyn Fn(IncomingRequest, Caller) -> Running + Send + Sync>;

/// The handler of an operation, with its steps: for callers with a key, or for anyone with a credential in the body.
enum Run {
    Keyed(KeyedRun),
    Open(Box<dyn Fn(IncomingRequest) -> Running + Send + Sync>),
}

/// Returns an operation without effect: `GET path?query`.
pub fn read<S, Q, T, H, F>(
    command: &'static str,
    path: &'static str,
    needs: impl Into<Needs>,
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
    let needs = needs.into();
    let required = Requirement::new(path, needs);
    let run = move |request, caller| -> Running {
        Box::pin(pipeline::run_read(request, caller, required, handler))
    };
    Operation {
        needs: needs.permission(),
        own: needs.own(),
        query: Q::json_schema,
        ..Operation::new::<T>(command, path, about, Run::Keyed(Box::new(run)))
    }
}

/// Returns an operation without effect whose answer is sent while it is produced: as a `T`, or as one of `other_types`.
pub fn stream<T, S, Q, H, F>(
    command: &'static str,
    path: &'static str,
    needs: impl Into<Needs>,
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
    let needs = needs.into();
    let required = Requirement::new(path, needs);
    let run = move |request, caller| -> Running {
        Box::pin(pipeline::run_stream(request, caller, required, handler))
    };
    Operation {
        needs: needs.permission(),
        own: needs.own(),
        query: Q::json_schema,
        other_types,
        ..Operation::new::<T>(command, path, about, Run::Keyed(Box::new(run)))
    }
}

/// Returns an operation that changes something: its handler returns its answer together with its audit event.
pub fn write<S, B, T, H, F>(
    command: &'static str,
    method: Method,
    path: &'static str,
    needs: impl Into<Needs>,
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
    let needs = needs.into();
    let required = Requirement::new(path, needs);
    let run = move |request, caller| -> Running {
        Box::pin(pipeline::run_write(request, caller, required, handler))
    };
    Operation {
        method,
        needs: needs.permission(),
        own: needs.own(),
        effect: Effect::Write,
        body: Some(SchemaGenerator::subschema_for::<B>),
        ..Operation::new::<T>(command, path, about, Run::Keyed(Box::new(run)))
    }
}

/// Returns an operation that adds to the ledger: `POST path`, JSON or NDJSON whose items are of type `B`.
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
    let run = move |request, caller| -> Running {
        Box::pin(pipeline::run_ingest(request, caller, needs, handler))
    };
    Operation {
        method: Method::POST,
        needs: Some(needs),
        effect: Effect::Ingest,
        body: Some(SchemaGenerator::subschema_for::<B>),
        ..Operation::new::<T>(command, path, about, Run::Keyed(Box::new(run)))
    }
}

/// Returns an operation that needs no key: `POST path`, whose body is a credential of an organization.
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
    let run = move |request| -> Running { Box::pin(pipeline::run_open(request, handler)) };
    Operation {
        method: Method::POST,
        effect: Effect::Open,
        body: Some(SchemaGenerator::subschema_for::<B>),
        ..Operation::new::<T>(command, path, about, Run::Open(Box::new(run)))
    }
}

/// Returns a list of operations, a line each: the method, then the arguments of [`read`] or [`write`]. `extension` at the
/// end marks an extension of the contract.
macro_rules! operations {
    ($($method:ident $command:expr, $path:expr, $needs:expr, $about:expr, $handler:expr $(, $extension:ident)?;)*) => {
        vec![$(
            $crate::operation::operations!(@ $method, $command, $path, $needs, $about, $handler) $(.$extension())?
        ),*]
    };
    (@ GET, $command:expr, $($rest:expr),*) => { $crate::operation::read($command, $($rest),*) };
    (@ $method:ident, $command:expr, $($rest:expr),*) => {
        $crate::operation::write($command, http::Method::$method, $($rest),*)
    };
}
pub(crate) use operations;

impl Operation {
    /// Returns an operation without effect that anyone may run: `GET path` without parameters.
    fn new<T: JsonSchema>(
        command: &'static str,
        path: &'static str,
        about: &'static str,
        run: Run,
    ) -> Self {
        Self {
            command,
            method: Method::GET,
            path,
            needs: None,
            own: None,
            about,
            extension: false,
            effect: Effect::Read,
            other_types: &[],
            query: NoParameters::json_schema,
            body: None,
            reply: SchemaGenerator::subschema_for::<T>,
            run,
        }
    }

    /// Marks the operation as an extension of the contract.
    #[must_use]
    pub fn extension(self) -> Self {
        Self {
            extension: true,
            ..self
        }
    }

    /// Returns the names of the path's parameters, in order.
    pub fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }
}
