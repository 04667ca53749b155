//! Requests about one thing, and the way of all of them.

use std::sync::Arc;

use access::stored::{Kind, Object};
use base::{Error, NanoDollars, Permission, Result};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use usage::DurableReservation;

use super::ask::{Question, passed};
use super::{Passing, Place, owner, references};
use crate::dialect::check_json;
use crate::identify::Caller;
use crate::router::{Context, no_query};
use crate::upstreams::Route;
use crate::{Body, Gateway, Shared, body};

const NOT_OFFERED: &str = "This deployment keeps no files, batches or vector stores. Its operator can set stores = true for one of its \
                           upstreams.";

impl Gateway {
    /// Answers a request about what upstreams keep.
    pub(crate) async fn stored<B>(
        &self,
        place: Place,
        context: &mut Context,
        body: B,
    ) -> Result<Response<Body>>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let needs = Permission::ModelRequest;
        let caller = self.caller(context, needs).await?;
        let keeper = self.0.upstreams.keeper().ok_or_else(not_offered)?;
        self.touch(&caller);
        let method = &context.head.method;
        let is_release = *method == Method::DELETE || place.part.ends_with("/cancel");
        if !is_release {
            self.0.may_take(&caller)?;
        }
        let makes = (*method == Method::POST && place.id.is_none()).then_some(place.kind);
        context.share = Arc::new(self.0.object_share(&caller, makes).await?);
        let body = match context.head.method {
            Method::POST => {
                let memory = self.0.flow.body(&caller)?;
                let body = body::read(&context.head.headers, body, memory).await?;
                if place.kind == Kind::File {
                    body
                } else {
                    check_json(&context.head.headers)?;
                    body::json_text(&body)
                }
            }
            _ => Bytes::new(),
        };
        check_query(&place, &context.head.method, context.head.uri.query())?;
        let (caller, registered) = self.caller_again(context, &caller, needs)?;
        let answer = Box::pin(self.0.answer(&caller, keeper, &place, context, body));
        // What is being made goes on to its end.
        match registered.unless_revoked(answer).await?? {
            Answered::Whole(response) => Ok(response),
            Answered::Passing(response) => {
                Ok(response.map(|passing| Body::passing(passing, registered)))
            }
        }
    }
}

/// The parameters that lists have of what is in a vector store.
const PARAMETERS: [&str; 5] = ["limit", "order", "after", "before", "filter"];

/// Refuses a query that an upstream would get and could take for something else than was checked. Lists of our own read
/// theirs themselves.
fn check_query(place: &Place, method: &Method, query: Option<&str>) -> Result<()> {
    if method == Method::GET && place.id.is_none() {
        return Ok(());
    }
    if method != Method::GET || place.kind != Kind::VectorStore || !place.part.ends_with("/files") {
        return no_query(query);
    }
    for pair in query.unwrap_or_default().split('&') {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        if !name.is_empty() && !PARAMETERS.contains(&name) {
            return no_query(Some(pair));
        }
    }
    Ok(())
}

/// The answer to a request about what upstreams keep.
enum Answered {
    Whole(Response<Body>),
    /// An answer that passes as it comes.
    Passing(Response<Passing>),
}

fn not_offered() -> Error {
    Error {
        status: StatusCode::NOT_FOUND,
        ..Error::refused("not_offered", NOT_OFFERED)
    }
}

impl Shared {
    async fn answer(
        self: &Arc<Self>,
        caller: &Caller,
        keeper: Route,
        place: &Place,
        context: &mut Context,
        body: Bytes,
    ) -> Result<Answered> {
        let query = context.head.uri.query();
        let Some(id) = &place.id else {
            let response = match (&context.head.method, place.kind) {
                (&Method::POST, Kind::File) => self.upload(caller, keeper, context, body).await,
                (&Method::POST, Kind::Batch) => self.create_batch(caller, context, body).await,
                (&Method::POST, Kind::VectorStore) => {
                    self.create_vector_store(caller, keeper, context, body)
                        .await
                }
                _ => self.list(caller, place.kind, query).await,
            };
            return response.map(Answered::Whole);
        };
        self.one(caller, place, id, context, body).await
    }

    /// Passes a request on that is about something of the caller's project.
    async fn one(
        &self,
        caller: &Caller,
        place: &Place,
        id: &str,
        context: &Context,
        body: Bytes,
    ) -> Result<Answered> {
        let owner = owner(caller);
        let object = self.stored.get(&owner, place.kind, id).await?;
        let route = self.keeper_of(&object)?;
        if place.kind == Kind::VectorStore {
            self.check_references(&owner, &body, Some(&object.upstream))
                .await?;
        }
        let method = context.head.method.clone();
        let is_deletion = method == Method::DELETE && place.part.is_empty();
        if is_deletion && object.due_at.is_some() {
            self.record_last_day(&object).await?;
        }
        let reservation = if place.kind == Kind::VectorStore && method == Method::POST {
            self.reserve_for(caller, place, &body).await?
        } else {
            None
        };
        let is_write = method != Method::GET;
        let question = Question::of_client(context, body);
        let is_about_itself = place.part.is_empty() || place.part == "/cancel";
        if !is_about_itself {
            let answer = self.ask(route, question).await;
            if is_write {
                self.objects.cache.invalidate(&object);
            }
            let answer = answer?;
            if answer.response.status().is_success() {
                // Until the day is in the ledger in which the room is taken.
                let _ = reservation.map(DurableReservation::keep);
            }
            return Ok(Answered::Passing(passed(answer, &context.share)));
        }
        let answer = self.ask_whole(route, question).await;
        if is_write {
            self.objects.cache.invalidate(&object);
        }
        let answer = answer?;
        if answer.says_gone() {
            self.forget(&object).await?;
        } else if answer.is_success() && is_deletion {
            self.release(&object).await?;
            self.stored.remove(&object).await?;
        } else if answer.is_success() {
            self.notice(&object, &answer.body).await;
        }
        Ok(Answered::Whole(answer.response()))
    }

    /// Reserves what a request about a vector store may cost.
    ///
    /// # Errors
    /// 429: the spend limit leaves no room for it.
    async fn reserve_for(
        &self,
        caller: &Caller,
        place: &Place,
        body: &[u8],
    ) -> Result<Option<DurableReservation>> {
        match place.part.as_str() {
            "/files" | "/file_batches" => {
                self.reserve_storage(caller, references::count(body)?).await
            }
            "/search" => {
                // Kept for the question only: what it costs is no more than that something is left.
                self.hold(caller, self.clock.now(), || Ok(NanoDollars::default()))?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Learns what there is to learn from an answer that passes. What fails is done when it is looked at next.
    pub(super) async fn notice(&self, object: &Object, answer: &[u8]) {
        if object.kind != Kind::Batch || object.due_at.is_none() {
            return;
        }
        if let Err(error) = self.notice_batch(object, answer).await {
            let id = &object.id;
            tracing::warn!(id, %error, "what a batch has made will be looked at again");
        }
    }
}
