//! The way of a request to a model: identify → admit → forward → stream → settle.

use std::mem::take;
use std::pin::pin;
use std::sync::Arc;

use access::LimitField;
use base::{Error, Permission, Result, UnixTime};
use bodies::Capture;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{Method, Response};
use usage::{Recorded, SpendReservation};

use crate::dialect::{Call, Dialect};
use crate::drain::Waiting;
use crate::identify::Caller;
use crate::limits::{Held, Name};
use crate::reservation::Reservation;
use crate::router::{Context, no_query};
use crate::source::Source;
use crate::stream::Stream;
use crate::upstreams::{Answer, Failure, Outgoing, Route};
use crate::{Body, Durability, Gateway, body, headers};

impl Gateway {
    /// Answers a request for a model. The checks come in one order, so that a refusal has one reason; the
    /// body is read only for those who may send one, and once it has come, its caller is looked at again.
    pub(crate) async fn relay<B>(
        &self,
        dialect: &'static Dialect,
        context: &mut Context,
        body: B,
    ) -> Result<Response<Body>>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let needs = Permission::ModelRequest;
        let caller = self.caller(context, needs).await?;
        no_query(context.head.uri.query())?;
        self.0.may_send(&caller)?;
        let memory = self.0.flow.body(&caller)?;
        context.watched.leaves();
        let mut body = body::read(&context.head.headers, body, memory).await?;
        if dialect.takes_json() {
            body = body::json_text(&body);
        }
        context.watched.returns();
        let (caller, registered) = self.caller_again(context, &caller, needs)?;
        let mut call = Call::read(dialect, &context.head.headers, body).await?;
        context.watched.asks_for(&call.model);
        let plan = self.0.upstreams.plan(&call.model);
        let plan = plan.ok_or_else(|| Error::model_not_found(&call.model))?;
        caller.may_call(&call)?;
        self.0.may_mention(&caller, &call).await?;
        let capture = self.retain(context, dialect, &caller, &mut call)?;
        let (pepper, project) = (&self.0.pepper, &caller.project.id);
        headers::own_idempotency_key(&mut context.head.headers, pepper, project);
        let reservation = {
            let admitted = pin!(self.admit(dialect, context, caller, &mut call, &plan));
            registered.unless_revoked(admitted).await??
        };
        let capture = capture.map(Capture::admitted);
        let hides_usage = call.hides_usage;
        let waiting = self.forward(context, call, plan, reservation);
        match registered.unless_revoked(waiting).await? {
            (Ok(answer), reservation) => {
                let stream = self.stream(answer, reservation, hides_usage, capture);
                Ok(stream.map(|stream| Body::stream(stream, registered)))
            }
            (Err(failure), reservation) => Err(self.fail(failure, reservation, capture).await),
        }
    }

    /// Takes what the request may consume of its limits, then a place in the ledger's queue: from here on it ends in one
    /// row.
    async fn admit(
        &self,
        dialect: &'static Dialect,
        context: &mut Context,
        caller: Caller,
        call: &mut Call,
        plan: &[Route],
    ) -> Result<Reservation> {
        let first = plan
            .first()
            .ok_or_else(|| Error::model_not_found(&call.model))?;
        let now = self.0.clock.now();
        let share = self.0.flow.request(&caller)?;
        let memory = self.0.flow.answer(&caller)?;
        let (hold, held) = self.within_limits(dialect, context, &caller, call, plan, now)?;
        let slot = self.0.recorder.reserve().await?;
        let slot = slot.with_spend(hold).with_share(share);
        self.touch(&caller);
        let request = (context.id.clone(), dialect);
        let taken = (slot, held);
        let (model, demand) = (Arc::clone(&first.model), take(&mut call.demand));
        let watched = context.watched.take();
        let reservation = Reservation::new(taken, request, caller, model, demand, now, watched);
        Ok(reservation.with_memory(memory))
    }

    /// Sets aside what the request may cost, and reserves what it may consume, under the name that was asked for and under
    /// the upstream's own, if that is one that can be asked for: an alias is no way round a limit.
    fn within_limits(
        &self,
        dialect: &Dialect,
        context: &mut Context,
        caller: &Caller,
        call: &mut Call,
        plan: &[Route],
        at: UnixTime,
    ) -> Result<(Option<SpendReservation>, Held)> {
        let known = plan.first().map_or(&*call.model, |route| &*route.model);
        let name = |model| Name {
            model,
            limits: caller.level().limits(model, self.0.facts.kind_of(model)),
        };
        let is_alias = known != call.model && self.0.upstreams.lists(known);
        let (one, both);
        let names: &[Name<'_>] = if is_alias {
            both = [name(&call.model), name(known)];
            &both
        } else {
            one = [name(&call.model)];
            &one
        };
        let most = names
            .iter()
            .filter_map(|name| name.limits.get(LimitField::TokensPerMinute));
        call.demand.input = call.input(known, most.min());
        let hold = self.0.within_spend(caller, dialect, call, plan, at)?;
        let wanted = call.demand.wanted(dialect.kind);
        let limiter = &self.0.limiter;
        let (held, standing) = limiter.reserve(&caller.project, names, &wanted);
        context.standing = standing;
        let held = held.map_err(|refusal| refusal.error(&caller.project))?;
        Ok((hold, held))
    }

    /// Sends it to an upstream; comes back with the beginning of the answer.
    fn forward(
        &self,
        context: &mut Context,
        call: Call,
        plan: Vec<Route>,
        mut reservation: Reservation,
    ) -> Waiting {
        let mut headers = take(&mut context.head.headers);
        headers.insert(CONTENT_TYPE, call.content_type.clone());
        reservation.watched().is_forwarded(&mut headers);
        let outgoing = Outgoing {
            method: Method::POST,
            path: reservation.dialect().path.into(),
            query: None,
            headers,
            can_ask_for_usage: call.can_ask_for_usage(),
        };
        let shared = Arc::clone(&self.0);
        let beginning = async move {
            let body = |route: &Route, asks: bool| call.body(&route.model, asks);
            shared.upstreams.send(plan, outgoing, body).await
        };
        Waiting::new(beginning, reservation, self.0.drains.clone())
    }

    /// Passes the answer on as it comes.
    fn stream(
        &self,
        answer: Answer,
        mut reservation: Reservation,
        hides_usage: bool,
        capture: Option<Capture>,
    ) -> Response<Stream> {
        reservation.watched().is_answered_by(answer.route.name());
        reservation.is_for(&answer.route.model);
        let patience = answer.patience();
        let (head, incoming) = answer.response.into_parts();
        let source = Source::new(&mut reservation, &head, incoming, hides_usage, patience);
        let (changes_length, is_decoded) = (source.changes_length(), source.is_decoded());
        let (durability, drains) = (self.0.durability, self.0.drains.clone());
        reservation.watched().is_passed_on(head.status);
        let capture = capture.map(|capture| capture.answered(head.status.as_u16()));
        let stream = Stream::new(source, reservation, durability, drains).seen_by(capture);
        let mut response = Response::new(stream);
        *response.status_mut() = head.status;
        *response.headers_mut() = headers::to_client(head.headers, changes_length);
        if is_decoded {
            response.headers_mut().remove(CONTENT_ENCODING);
        }
        response
    }

    /// There is no answer: nothing was consumed, but the request is in the ledger all the same.
    async fn fail(
        &self,
        failure: Failure,
        mut reservation: Reservation,
        capture: Option<Capture>,
    ) -> Error {
        if let Some(capture) = capture {
            capture.failed(failure.error.status.as_u16());
        }
        reservation.watched().is_failed(&failure.error);
        let recorded: Option<Recorded> = reservation.fail(&failure);
        if self.0.durability == Durability::Strict
            && let Some(recorded) = recorded
            && let Err(error) = recorded.await
        {
            return error;
        }
        failure.error
    }
}
