//! The stages of a request to a model: authenticate → check → admit → forward → relay.

use std::mem::take;
use std::pin::pin;
use std::sync::Arc;

use base::ids::{Id, RequestId};
use base::{Error, NanoDollars, Result, UnixTime};
use bodies::{Capture, RequestInfo};
use http::Response;
use proxy::Target;
use usage::{DurableReservation, Metric, SpendReservation, UsageKind};

use super::{Pipeline, RequestContext};
use crate::caller::Caller;
use crate::dialect::{Call, Dialect};
use crate::headers;
use crate::in_flight::{Admission, InFlightRequest};
use crate::limits::{Amounts, RateLimitReservation};
use crate::lost_request::LostRequest;
use crate::options::Durability;
use crate::policy::ProjectPolicy;
use crate::request_body::{self, RequestBody};
use crate::response_body::Body;

impl Pipeline {
    /// Serves a request to a model. The checks have a fixed order, so that a refusal has one reason. The body is read only if
    /// the caller may send one, and the caller is authenticated again once the body has come.
    pub(super) async fn serve_model(
        &self,
        dialect: &'static Dialect,
        context: &mut RequestContext,
        body: impl RequestBody,
    ) -> Result<Response<Body>> {
        let caller = self.authenticate(context).await?;
        let query = dialect.query(context.head.uri.query())?;
        self.rate_limits.check_not_zero(&caller)?;
        self.budget.check_not_reached(&caller)?;
        let memory = self.flow.body(&caller)?;
        context.observer.pause();
        let mut body = request_body::read(&context.head.headers, body, memory).await?;
        if dialect.takes_json() {
            body = request_body::json_text(&body);
        }
        context.observer.resume();
        let (caller, registration) = self.authenticate_again(context, &caller)?;
        let mut call = Call::read(dialect, &context.head.headers, body).await?;
        context.observer.set_model(&call.model);
        let affinity = || call.affinity(caller.project.id.as_str());
        let plan = self.forwarder.plan(dialect.api, &call.model, affinity)?;
        let headers = &mut context.head.headers;
        headers::own_idempotency_key(headers, &self.auth.pepper, &caller.project.id);
        let admitted = self.check_and_admit(context, caller, (dialect, &mut call), plan);
        let (request, capture, plan) = registration.unless_revoked(pin!(admitted)).await??;
        let headers = take(&mut context.head.headers);
        let answer = self.forwarder.forward(headers, query, call, plan, request);
        match registration.unless_revoked(pin!(answer)).await? {
            Ok(answer) => {
                let response = self.forwarder.relay(answer, capture);
                Ok(response.map(|body| Body::relayed(body, registration)))
            }
            Err(failed) => Err(self.forwarder.fail(failed, capture).await),
        }
    }

    /// Checks a request by the settings of its project, admits it, and begins to capture it. Returns the targets of the plan
    /// that have what the request names.
    ///
    /// # Errors
    /// A check refuses the request, or a limit is reached.
    pub(super) async fn check_and_admit(
        &self,
        context: &mut RequestContext,
        caller: Caller,
        (dialect, call): (&'static Dialect, &mut Call),
        plan: Vec<Target>,
    ) -> Result<(InFlightRequest, Option<Capture>, Vec<Target>)> {
        let policy = ProjectPolicy::of(&caller);
        policy.check_call(call)?;
        policy.apply(call)?;
        let plan = background_plan(call, plan)?;
        let ownership = &self.objects.ownership;
        let plan = ownership.check_call(&caller, call, plan).await?;
        let plan = policy.apply_to_prompt_cache(call, plan, &self.rate_limits.facts)?;
        let capture = self.capture(&context.id, dialect, &caller, call);
        let request = self.admit(dialect, context, caller, call, &plan).await?;
        Ok((request, capture.map(Capture::admitted), plan))
    }

    /// Begins to capture a request and its response for troubleshooting; returns `None` if neither may be kept.
    fn capture(
        &self,
        id: &RequestId,
        dialect: &Dialect,
        caller: &Caller,
        call: &Call,
    ) -> Option<Capture> {
        let bodies = self.bodies.as_ref()?;
        let retention = caller.settings.retention(&caller.level);
        bodies.capture(dialect.holds, retention, call.sent(), || RequestInfo {
            organization: caller.key.organization.id.clone(),
            project: caller.project.id.clone(),
            id: id.clone(),
            at: self.clock.now(),
            endpoint: dialect.path,
            model: call.model.clone(),
        })
    }

    /// Admits a request: reserves its cost, its rate limits, and a permit for the ledger's queue. From here on the request ends
    /// in exactly one record.
    async fn admit(
        &self,
        dialect: &'static Dialect,
        context: &mut RequestContext,
        caller: Caller,
        call: &mut Call,
        plan: &[Target],
    ) -> Result<InFlightRequest> {
        let first = plan
            .first()
            .ok_or_else(|| Error::model_not_found(&call.model))?;
        let now = self.clock.now();
        let share = self.flow.request(&caller)?;
        let decoding_memory = self.flow.answer(&caller)?;
        let (spend, durable) = self
            .reserve_spend(dialect, &caller, call, plan, now)
            .await?;
        let limits = self
            .reserve_limits(dialect, context, &caller, call, plan)
            .await?;
        // Both are released once the usage is written.
        let queue_permit = self.recorder.reserve().await?;
        let queue_permit = queue_permit.with_spend(spend).with_durable(durable);
        let queue_permit = queue_permit.with_share(share);
        self.auth.record_use(&caller);
        let mut admission = Admission {
            queue_permit,
            limits: Some(limits),
            id: context.id.clone(),
            caller,
            model: Arc::clone(&first.model),
            billing: first.billing(),
            estimate: take(&mut call.estimate),
            admitted_at: now,
            is_background: call.is_background,
        };
        LostRequest::register(&mut admission, dialect);
        if self.admission == Durability::Strict {
            admission.queue_permit.make_durable().await?;
        }
        Ok(InFlightRequest {
            dialect,
            admission: Some(Box::new(admission)),
            observer: context.observer.hand_over(),
            decoding_memory: Some(decoding_memory),
            state_recorder: call
                .stored_answer(dialect)
                .map(|answer| (self.objects.state_recorder.clone(), answer)),
        })
    }

    /// Reserves the maximum cost of a request: in memory, or in the database if the response is made in the background, since
    /// that may outlive the process. The latter is reserved without a limit, too, so that a later limit counts it.
    async fn reserve_spend(
        &self,
        dialect: &Dialect,
        caller: &Caller,
        call: &mut Call,
        plan: &[Target],
        at: UnixTime,
    ) -> Result<(Option<SpendReservation>, Option<DurableReservation>)> {
        if dialect.is_free {
            return Ok((None, None));
        }
        if dialect.kind == UsageKind::AudioSpeeches {
            let is_sold = |target: &Target| {
                let prices = &self.budget.prices;
                prices.sells(&target.model, at, Metric::OutputTokens)
            };
            call.estimate.speech.has_tokens = plan.iter().any(is_sold);
        }
        if !call.is_background {
            let spend = self.budget.reserve(caller, dialect, call, plan, at).await?;
            return Ok((spend, None));
        }
        let has_limit = caller.has_spend_limit();
        let max_cost = match self.budget.max_cost(dialect, call, plan, at) {
            Err(error) if has_limit => return Err(error),
            max_cost => max_cost.unwrap_or_default(),
        };
        if !has_limit && max_cost == NanoDollars::default() {
            return Ok((None, None));
        }
        let reservations = &self.objects.reservations;
        let reserving = Box::pin(reservations.reserve_response(caller, at, max_cost));
        Ok((None, Some(reserving.await?)))
    }

    /// Reserves the amounts that count for the rate limits of a request.
    async fn reserve_limits(
        &self,
        dialect: &Dialect,
        context: &mut RequestContext,
        caller: &Caller,
        call: &mut Call,
        plan: &[Target],
    ) -> Result<RateLimitReservation> {
        let known = plan.first().map_or(&*call.model, |target| &*target.model);
        let names = self.rate_limits.names(caller, &call.model, plan);
        let requested = if dialect.is_free {
            Amounts::zero().with_requests(1).into()
        } else {
            call.estimate.input = call.input(known, names.token_limit());
            call.estimate.requested_amounts(dialect.kind)
        };
        let (reserved, status) = self
            .rate_limits
            .reserve(&caller.project, names.as_slice(), &requested)
            .await;
        context.rate_limit_status = status;
        reserved
    }
}

/// Returns the targets of a plan at which a request may be served: all, or those that keep the response if it is made in the
/// background.
///
/// # Errors
/// 400: no upstream that serves the model keeps responses.
fn background_plan(call: &Call, mut plan: Vec<Target>) -> Result<Vec<Target>> {
    if !call.is_background {
        return Ok(plan);
    }
    plan.retain(Target::stores);
    if plan.is_empty() {
        let shown = base::shown(&call.model);
        let message = format!(
            "background must be false: no model server with the model '{shown}' keeps responses. The operator can set stores = \
             true for an upstream that stores them."
        );
        return Err(Error::invalid("background", message));
    }
    Ok(plan)
}
