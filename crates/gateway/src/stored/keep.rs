//! Making something that an upstream keeps: written down before its id is told, or made undone.

use std::sync::Arc;

use access::stored::{Kind, Object, Owner};
use base::{Error, Result, UnixTime};
use http::{Method, Response, StatusCode};
use usage::DurableReservation;

use super::ask::{Question, Whole};
use crate::limits::Held;
use crate::upstreams::Route;
use crate::{Body, Shared};

/// Something that is to be made.
pub(super) struct Draft {
    pub(super) owner: Owner,
    pub(super) kind: Kind,
    pub(super) purpose: String,
    pub(super) work: Option<String>,
    /// When to look at what it has consumed.
    pub(super) due_at: Option<UnixTime>,
    /// What it takes of a rate limit, given back if it is not made.
    pub(super) held: Option<Held>,
    /// The reservation for the object, released if it is not made.
    pub(super) reservation: Option<DurableReservation>,
}

impl Shared {
    /// Makes it at an upstream. Goes on to its end when the client hangs up: nothing is to be there that is nobody's.
    ///
    /// # Errors
    /// 503: it could not be written down, or too much is being made. 502, 504: the upstream's.
    pub(super) async fn make(
        self: &Arc<Self>,
        draft: Draft,
        route: Route,
        question: Question,
    ) -> Result<Response<Body>> {
        let shared = Arc::clone(self);
        let share = Arc::clone(&question.share);
        let making = async move {
            let made = shared.make_now(draft, route, question).await;
            // It is in the table by now.
            drop(share);
            made
        };
        let answer = self.drains.finish(making).await?;
        answer.map(Whole::response)
    }

    async fn make_now(&self, draft: Draft, route: Route, question: Question) -> Result<Whole> {
        let asked = self.ask_whole(route.clone(), question).await;
        let may_be_made = match &asked {
            Ok(answer) => answer.is_success(),
            Err(error) => error.status == StatusCode::GATEWAY_TIMEOUT,
        };
        if may_be_made && let Some(held) = draft.held {
            held.leave();
        }
        // What may be made without our knowing keeps its reservation until that expires.
        let reservation = draft.reservation.filter(|_| may_be_made);
        let reservation = reservation.map(DurableReservation::keep);
        let answer = asked?;
        if !answer.is_success() {
            return Ok(answer);
        }
        let object = Object {
            owner: draft.owner,
            kind: draft.kind,
            id: answer.id()?,
            upstream: route.upstream().to_owned(),
            purpose: draft.purpose,
            created_at: self.clock.now_milliseconds(),
            work: draft.work,
            due_at: draft.due_at,
        };
        let (noun, id, upstream) = (object.kind.noun(), &object.id, &object.upstream);
        match self.stored.add(&object).await {
            Ok(true) => {
                if let Some(reservation) = &reservation
                    && object.kind == Kind::Batch
                {
                    self.bind(reservation, &object).await;
                }
                Ok(answer)
            }
            Ok(false) => {
                tracing::error!(
                    upstream,
                    id,
                    "answered with a {noun} that another project has"
                );
                Err(Error::upstream(
                    "The model server's answer is not about something new.",
                ))
            }
            Err(error) => {
                tracing::error!(upstream, id, %error, "a new {noun} could not be written down, and is made undone");
                self.undo(&object, route).await;
                let message = format!("The {noun} could not be kept. Try again in a second.");
                Err(Error::overloaded(message, 1))
            }
        }
    }

    /// Deletes what nobody would know of; cancels what cannot be deleted.
    async fn undo(&self, object: &Object, route: Route) {
        let question = match object.kind {
            Kind::Batch => Question::of_ours(Method::POST, object, "/cancel"),
            Kind::File | Kind::VectorStore => Question::of_ours(Method::DELETE, object, ""),
        };
        let (id, upstream) = (&object.id, &object.upstream);
        match self.ask_whole(route, question).await {
            Ok(answer) if answer.is_success() => {}
            Ok(answer) => {
                let status = answer.head.status;
                tracing::error!(upstream, id, %status, "is left there");
            }
            Err(error) => tracing::error!(upstream, id, %error, "is left there"),
        }
    }
}
