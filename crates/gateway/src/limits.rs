//! Rate limits: the amounts of each model that a project may take during a minute, or a day.
//!
//! A request reserves what it may consume under every name of its model at once, and settles the reservation with what it did
//! consume. The counters are those of the crate `slices`.

mod status;

use std::sync::Arc;

use access::{LimitField, ModelLimits, Project};
use base::ids::{Id, ProjectId};
use base::time::Stopwatch;
use slices::{Category, Descriptor, Limiter, Quantity, Request, Reservation, TimeBounds, Window};

pub use slices::WindowUsage;

pub(crate) use status::{RateLimitRefusal, RateLimitStatus};

const FIELD_COUNT: usize = LimitField::ALL.len();

/// A model that a request is counted under, with the limits that hold for it.
pub(crate) type LimitedModel<'a> = Descriptor<'a, FIELD_COUNT>;

/// Returns the model `name` with its limits.
pub(crate) fn limited_model<'a>(name: &'a str, limits: &ModelLimits) -> LimitedModel<'a> {
    LimitedModel {
        name,
        limits: std::array::from_fn(|index| limits.get(LimitField::ALL[index])),
    }
}

/// Amounts of the things that are limited; some may be unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts(slices::Amounts<FIELD_COUNT>);

impl Amounts {
    /// Returns zero of everything.
    pub(crate) fn zero() -> Self {
        Self(slices::Amounts::zero())
    }

    #[cfg(test)]
    pub(crate) fn get(&self, field: LimitField) -> Option<i64> {
        self.0.get(field as usize)
    }

    pub(crate) fn set(&mut self, field: LimitField, amount: i64) {
        self.0.set(field as usize, amount);
    }

    #[must_use]
    pub(crate) fn with(mut self, field: LimitField, amount: i64) -> Self {
        self.set(field, amount);
        self
    }

    /// Returns these amounts with a number of requests.
    #[must_use]
    pub(crate) fn with_requests(self, requests: i64) -> Self {
        self.with(LimitField::RequestsPerMinute, requests)
            .with(LimitField::RequestsPerDay, requests)
    }
}

/// The amounts that a request may consume, as far as they are known before its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestedAmounts {
    pub(crate) amounts: Amounts,
    /// The estimated output tokens among them, where the client set no maximum. They are ignored when deciding whether the
    /// request can ever fit the limit.
    pub(crate) estimated_output_tokens: i64,
}

impl From<Amounts> for RequestedAmounts {
    fn from(amounts: Amounts) -> Self {
        Self {
            amounts,
            estimated_output_tokens: 0,
        }
    }
}

/// The limiter of all projects and models. Clones share the counters.
#[derive(Clone)]
pub(crate) struct RateLimiter {
    limiter: Arc<Limiter<FIELD_COUNT>>,
    clock: Stopwatch,
}

impl RateLimiter {
    pub(crate) fn new() -> Self {
        let quantities = std::array::from_fn(|index| quantity(LimitField::ALL[index]));
        Self {
            limiter: Limiter::new(quantities),
            clock: Stopwatch::start(),
        }
    }

    /// Reserves the requested amounts under all models, or under none, and returns the status of the limits after that.
    pub(crate) fn reserve(
        &self,
        project: &Project,
        models: &[LimitedModel<'_>],
        requested: &RequestedAmounts,
    ) -> (
        Result<RateLimitReservation, RateLimitRefusal>,
        RateLimitStatus,
    ) {
        let mut request = Request::from(requested.amounts.0);
        request.optional[LimitField::TokensPerMinute as usize] = requested.estimated_output_tokens;
        let now = TimeBounds::exact(self.clock.milliseconds());
        let (reservation, status) =
            self.limiter
                .reserve(now, project.id.as_str(), models, &request);
        let reservation = reservation.map_err(RateLimitRefusal);
        let status = RateLimitStatus::new(status, reservation.as_ref().err());
        let clock = self.clock;
        let reservation =
            reservation.map(|reservation| RateLimitReservation { reservation, clock });
        (reservation, status)
    }
}

/// A view of the counters of rate limits, which changes nothing. Clones share the counters.
#[derive(Clone)]
pub struct RateLimitCounters(RateLimiter);

/// The use of the windows of a model, by limit.
pub type ModelWindows = Vec<(LimitField, WindowUsage)>;

impl RateLimitCounters {
    pub(crate) fn of(limiter: &RateLimiter) -> Self {
        Self(limiter.clone())
    }

    /// Returns the use of the windows of a project, by the name of the model, on this node. Models with empty windows are
    /// left out.
    #[must_use]
    pub fn usage(&self, project: &ProjectId) -> Vec<(Arc<str>, ModelWindows)> {
        let RateLimiter { limiter, clock } = &self.0;
        let models = limiter.usage(TimeBounds::exact(clock.milliseconds()), project.as_str());
        let fields = |windows: [WindowUsage; FIELD_COUNT]| {
            let fields = LimitField::ALL.iter().copied();
            fields.zip(windows).collect()
        };
        let models = models.into_iter();
        models
            .map(|(model, windows)| (model, fields(windows)))
            .collect()
    }
}

/// Returns the window and the category of a limit.
fn quantity(field: LimitField) -> Quantity {
    let (window, category) = match field {
        LimitField::RequestsPerMinute => (Window::MINUTE, Some(Category::Requests)),
        LimitField::RequestsPerDay => (Window::DAY, Some(Category::Requests)),
        LimitField::TokensPerMinute => (Window::MINUTE, Some(Category::Tokens)),
        LimitField::ImagesPerMinute | LimitField::AudioMegabytesPerMinute => (Window::MINUTE, None),
        LimitField::BatchInputTokensPerDay => (Window::DAY, None),
    };
    Quantity { window, category }
}

/// RAII guard of a rate-limit reservation. Drop refunds it; [`Self::settle`] replaces the estimate by actual usage;
/// [`Self::forfeit`] leaves it charged.
#[must_use]
pub(crate) struct RateLimitReservation {
    reservation: Reservation<FIELD_COUNT>,
    clock: Stopwatch,
}

impl RateLimitReservation {
    /// Replaces the reserved amounts by the consumed ones, as far as they are known.
    pub(crate) fn settle(self, consumed: &Amounts) {
        self.reservation
            .settle(TimeBounds::exact(self.clock.milliseconds()), &consumed.0);
    }

    /// Leaves the reservation charged, for a request whose consumption will never be known.
    pub(crate) fn forfeit(self) {
        self.reservation.forfeit();
    }
}
