//! Rate limits: the amounts that a request may consume are reserved before the request is forwarded.

use std::sync::Arc;

use access::{LimitField, Project, ScopeSettings};
use base::ids::Id;
use base::{Error, Result};
use proxy::{Target, Upstreams};
use usage::ModelFacts;

use crate::caller::Caller;
use crate::limits::{
    LimitedModel, RateLimitReservation, RateLimitStatus, RateLimiter, RequestedAmounts,
    limited_model,
};

/// The stage that reserves what a request may consume within the rate limits of the caller's project.
pub(crate) struct RateLimits {
    pub(crate) limiter: RateLimiter,
    pub(crate) facts: Arc<ModelFacts>,
    pub(crate) upstreams: Arc<Upstreams>,
}

/// The names under which a request counts, each with its limits.
pub(crate) enum LimitedNames<'a> {
    One([LimitedModel<'a>; 1]),
    /// The alias that the client chose, and the upstream's name of the model.
    Two([LimitedModel<'a>; 2]),
}

impl RateLimits {
    /// Refuses a request, before its body is read, if a limit of every model is 0.
    ///
    /// # Errors
    /// 429.
    pub(crate) fn check_not_zero(&self, caller: &Caller) -> Result<()> {
        if self.are_zero(&caller.level) {
            let message = format!(
                "The rate limits of the project '{}' are 0 for every model. Nothing passes while they are.",
                caller.project.id.as_str()
            );
            return Err(Error::rate_limited("requests", message, None));
        }
        Ok(())
    }

    /// Returns the names under which a request for `model` counts: the client's and, if clients can ask for it too, the
    /// upstream's, so that an alias evades no limit.
    pub(crate) fn names<'a>(
        &self,
        caller: &Caller,
        model: &'a str,
        plan: &'a [Target],
    ) -> LimitedNames<'a> {
        let name = |model| {
            let limits = caller
                .level
                .limits(model, self.facts.configured_kind_of(model));
            limited_model(model, &limits)
        };
        let known = plan.first().map_or(model, |target| &*target.model);
        if known != model && self.upstreams.lists_model(known) {
            LimitedNames::Two([name(model), name(known)])
        } else {
            LimitedNames::One([name(model)])
        }
    }

    /// Reserves the requested amounts under all names, or none of them. The status of the limits is returned in both cases.
    pub(crate) async fn reserve(
        &self,
        project: &Arc<Project>,
        names: &[LimitedModel<'_>],
        requested: &RequestedAmounts,
    ) -> (Result<RateLimitReservation>, RateLimitStatus) {
        let (reserved, status) = self.limiter.reserve(project, names, requested).await;
        (reserved.map_err(|refusal| refusal.error(project)), status)
    }

    /// True if a limit of every model is 0.
    fn are_zero(&self, level: &ScopeSettings) -> bool {
        let is_zero = |model: &str| {
            let limits = level.limits(model, self.facts.configured_kind_of(model));
            let fields = [
                LimitField::RequestsPerMinute,
                LimitField::RequestsPerDay,
                LimitField::TokensPerMinute,
            ];
            fields.iter().any(|field| limits.get(*field) == Some(0))
        };
        let mut models = self.upstreams.all_model_names().peekable();
        !self.upstreams.has_wildcard() && models.peek().is_some() && models.all(is_zero)
    }
}

impl<'a> LimitedNames<'a> {
    /// Returns the names.
    pub(crate) fn as_slice(&self) -> &[LimitedModel<'a>] {
        match self {
            Self::One(names) => names,
            Self::Two(names) => names,
        }
    }

    /// Returns the lowest limit of tokens per minute, if any is set.
    pub(crate) fn token_limit(&self) -> Option<i64> {
        let field = LimitField::TokensPerMinute as usize;
        let limits = self.as_slice().iter().map(|name| name.limits[field]);
        limits.flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use proxy::{ApiFormat, UpstreamConfig};

    use super::*;
    use crate::caller::tests::caller;
    use crate::limits::{Amounts, LimitWindows};
    use crate::upstreams;

    #[tokio::test]
    async fn a_request_for_an_alias_counts_under_both_names() {
        let config = UpstreamConfig {
            models: vec!["m".to_owned()],
            aliases: std::iter::once(("nick".to_owned(), "m".to_owned())).collect(),
            ..UpstreamConfig::new("u", "http://127.0.0.1:1/v1")
        };
        let upstreams = Arc::new(upstreams::build(&[config]).expect("upstreams"));
        let stage = RateLimits {
            limiter: RateLimiter::new(&LimitWindows::memory()),
            facts: Arc::default(),
            upstreams: Arc::clone(&upstreams),
        };
        let caller = caller(ScopeSettings::default());
        for (model, count) in [("m", 1), ("nick", 2)] {
            let plan = upstreams.plan(ApiFormat::OpenAi, model, || None);
            let plan = plan.expect(model);
            let names = stage.names(&caller, model, &plan);
            assert_eq!(names.as_slice().len(), count, "{model}");
            let requested = RequestedAmounts::from(Amounts::zero().with_requests(1));
            let reserving = stage.reserve(&caller.project, names.as_slice(), &requested);
            let (reserved, _) = reserving.await;
            assert!(reserved.is_ok(), "{model}");
        }
    }
}
