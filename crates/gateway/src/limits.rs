//! Rate limits: the amounts of each model that a project may take during a minute, or a day.
//!
//! A request reserves what it may consume under every name of its model at once, and settles the reservation with what it did
//! consume. The counters are those of the crate `slices`; on PostgreSQL the nodes share them, on SQLite they are saved.

mod saving;
mod sharing;
mod status;
mod windows;

use std::sync::Arc;

use access::{LimitField, ModelLimits, Project};
use base::ids::{Id, ProjectId};
use base::time::Stopwatch;
use cluster::NodeSession;
use slices::{
    Category, Denial, Descriptor, Limiter, Quantity, Request, Reservation, Status, TimeBounds,
    Window,
};
use tasks::TaskHandle;

pub use slices::WindowUsage;

pub use windows::LimitWindows;

use saving::SavingTask;
use sharing::{SharingTask, SliceWaiters, bounds};
use windows::WindowStore;

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

/// The most times that a request waits for slices.
const MAX_WAITS: usize = 4;

/// The counters of all projects and models.
type Counters = Limiter<FIELD_COUNT>;

/// The time by which limits are counted.
#[derive(Clone)]
enum LimitClock {
    /// The time of this process, which began at a time of the wall clock.
    Own(Stopwatch, u64),
    /// The time of the clock that nodes share.
    Shared(NodeSession),
}

impl LimitClock {
    fn now(&self) -> TimeBounds {
        match self {
            Self::Own(start, started_at) => TimeBounds::exact(started_at + start.milliseconds()),
            Self::Shared(session) => bounds(session),
        }
    }
}

/// The limiter of all projects and models. Clones share the counters.
#[derive(Clone)]
pub(crate) struct RateLimiter {
    limiter: Arc<Counters>,
    clock: LimitClock,
    waiters: Arc<SliceWaiters>,
}

impl RateLimiter {
    /// Returns a limiter whose windows begin with those that were saved.
    pub(crate) fn new(windows: &LimitWindows) -> Self {
        let quantities = std::array::from_fn(|index| quantity(LimitField::ALL[index]));
        let (limiter, clock) = match &windows.0 {
            WindowStore::Memory => (
                Limiter::new(quantities),
                LimitClock::Own(Stopwatch::start(), 0),
            ),
            WindowStore::Own { started_at, .. } => (
                Limiter::new(quantities),
                LimitClock::Own(Stopwatch::start(), *started_at),
            ),
            WindowStore::Shared { session, .. } => (
                Limiter::shared(quantities),
                LimitClock::Shared(session.clone()),
            ),
        };
        if let WindowStore::Own { saved, .. } = &windows.0 {
            for row in saved {
                let now = clock.now();
                if !limiter.restore(now, &row.project, &row.model, &row.parts) {
                    tracing::warn!(
                        project = row.project,
                        model = row.model,
                        "saved rate limit windows not restored"
                    );
                }
            }
        }
        Self {
            limiter,
            clock,
            waiters: Arc::new(SliceWaiters::new()),
        }
    }

    /// Starts the task that saves or shares the windows, if they last longer than the process.
    pub(crate) fn start(&self, windows: LimitWindows) -> Option<TaskHandle> {
        let counters = Arc::clone(&self.limiter);
        match windows.0 {
            WindowStore::Memory => None,
            WindowStore::Own { database, .. } => {
                let clock = self.clock.clone();
                Some(tasks::start("rate limits", |stop| SavingTask {
                    counters,
                    clock,
                    database,
                    stop,
                    saving: Vec::new(),
                }))
            }
            WindowStore::Shared { store, session } => {
                let waiters = Arc::clone(&self.waiters);
                Some(tasks::start("rate limits", |stop| {
                    SharingTask::new(counters, waiters, session, store, stop)
                }))
            }
        }
    }

    /// Reserves the requested amounts under all models, or under none, and returns the status of the limits after that. Waits
    /// for the database where the slice of this node does not suffice.
    pub(crate) async fn reserve(
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
        let tenant = project.id.as_str();
        for _ in 0..MAX_WAITS {
            let now = self.clock.now();
            let (reservation, status) = self.limiter.reserve(now, tenant, models, &request);
            let waiting = match reservation {
                Ok(reservation) => {
                    let clock = self.clock.clone();
                    let reservation = RateLimitReservation { reservation, clock };
                    return (Ok(reservation), RateLimitStatus::new(status, None));
                }
                Err(Denial::Waiting(waiting)) => waiting,
                Err(denial) => return refused(denial, status),
            };
            if !self.waiters.wait(&self.limiter, tenant, &waiting).await {
                return refused(Denial::Unavailable, status);
            }
        }
        refused(Denial::Unavailable, Status::default())
    }
}

fn refused(
    denial: Denial,
    status: Status,
) -> (
    Result<RateLimitReservation, RateLimitRefusal>,
    RateLimitStatus,
) {
    let refusal = RateLimitRefusal(denial);
    let status = RateLimitStatus::new(status, Some(&refusal));
    (Err(refusal), status)
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
        let RateLimiter { limiter, clock, .. } = &self.0;
        let models = limiter.usage(clock.now(), project.as_str());
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
    clock: LimitClock,
}

impl RateLimitReservation {
    /// Replaces the reserved amounts by the consumed ones, as far as they are known.
    pub(crate) fn settle(self, consumed: &Amounts) {
        self.reservation.settle(self.clock.now(), &consumed.0);
    }

    /// Leaves the reservation charged, for a request whose consumption will never be known.
    pub(crate) fn forfeit(self) {
        self.reservation.forfeit();
    }
}
