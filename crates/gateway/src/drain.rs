//! Answers that nobody waits for any more: they are read to their end, so that their usage is known.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use base::{Budget, BudgetLimits, BudgetPermit, Error};
use prometheus::IntCounter;
use proxy::UpstreamResponse;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use usage::Outcome;

use crate::flow::take;
use crate::reservation::Reservation;
use crate::source::Source;
use crate::upstreams::ForwardFailure;

/// The most answers that are read on at once; those beyond it are settled with an estimate. A key has half of the places
/// and
/// a project three quarters, so that nobody's clients who hang up cost others the count of their usage.
const MAX_DRAINS: usize = 1024;

/// The answers that are read on.
#[derive(Clone)]
pub(crate) struct Drains(Arc<Shared>);

struct Shared {
    room: Arc<Semaphore>,
    shares: Budget,
    running: TaskTracker,
    hurry: CancellationToken,
    /// Counts those that there was no room for.
    unread: IntCounter,
}

impl Drains {
    pub(crate) fn new(unread: IntCounter) -> Self {
        Self(Arc::new(Shared {
            room: Arc::new(Semaphore::new(MAX_DRAINS)),
            shares: Budget::new(BudgetLimits {
                total: MAX_DRAINS as u64,
                per_key: MAX_DRAINS as u64 / 2,
                per_project: MAX_DRAINS as u64 / 4 * 3,
            }),
            running: TaskTracker::new(),
            hurry: CancellationToken::new(),
            unread,
        }))
    }

    /// How many are read on now.
    pub(crate) fn running(&self) -> usize {
        self.0.running.len()
    }

    /// Reads `source` to its end in the background, then settles `reservation`.
    pub(crate) fn read_on(&self, source: Source, reservation: Reservation) {
        let (hurry, share) = (self.0.hurry.clone(), self.share(&reservation));
        self.spawn(share, read_on(source, reservation, hurry));
    }

    /// Settles `reservation` with what has come of `source`, which is not read on. Never waits: reading the usage of a long
    /// answer takes a moment.
    pub(crate) fn cut(&self, mut source: Source, reservation: Reservation) {
        let share = self.share(&reservation);
        self.spawn(share, async move {
            drop(source.settle(reservation, Outcome::ClientGone));
        });
    }

    /// Work that is dropped, for want of room or of a runtime, settles its reservation by being dropped.
    fn spawn(&self, share: Option<BudgetPermit>, work: impl Future<Output = ()> + Send + 'static) {
        let (Some(share), Ok(runtime), Ok(permit)) = (
            share,
            Handle::try_current(),
            Arc::clone(&self.0.room).try_acquire_owned(),
        ) else {
            self.0.unread.inc();
            tracing::warn!("an answer is not read to its end; its usage is estimated");
            return;
        };
        let work = async move {
            work.await;
            drop((permit, share));
        };
        self.0.running.spawn_on(work, &runtime);
    }

    /// A place for the reservation's key and project, if they have one left.
    fn share(&self, reservation: &Reservation) -> Option<BudgetPermit> {
        take(&self.0.shares, reservation.caller()?, 1).ok()
    }

    /// Does work to its end, also when nobody waits for it any more.
    ///
    /// # Errors
    /// 503: too much is being done already, or the gateway stops.
    pub(crate) async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> base::Result<T> {
        let overloaded =
            || Error::overloaded("Too much is being done at once. Try again in a second.", 1);
        let (permit, hurry) = (
            Arc::clone(&self.0.room).try_acquire_owned(),
            self.0.hurry.clone(),
        );
        let permit = permit.map_err(|_| overloaded())?;
        let work = async move {
            let done = tokio::select! {
                done = work => Some(done),
                () = hurry.cancelled() => None,
            };
            drop(permit);
            done
        };
        match self.0.running.spawn(work).await {
            Ok(done) => done.ok_or_else(overloaded),
            Err(_) => Err(Error::internal()),
        }
    }

    /// Waits until all have ended. Those that have not when `deadline` resolves are settled as they are.
    pub(crate) async fn stop(&self, deadline: impl Future<Output = ()>) {
        self.0.running.close();
        tokio::select! {
            biased;
            () = self.0.running.wait() => {}
            () = deadline => {
                self.0.hurry.cancel();
                self.0.running.wait().await;
            }
        }
    }
}

async fn read_on(mut source: Source, reservation: Reservation, hurry: CancellationToken) {
    let outcome = tokio::select! {
        outcome = source.drain() => outcome,
        () = hurry.cancelled() => Outcome::ClientGone,
    };
    drop(source.settle(reservation, outcome));
}

/// An answer whose beginning has not come yet.
type Beginning = Pin<Box<dyn Future<Output = Result<UpstreamResponse, ForwardFailure>> + Send>>;

/// A forwarded request that waits for its answer. Dropped because the client hung up, it waits on in the background.
pub(crate) struct Waiting {
    open: Option<(Beginning, Reservation)>,
    drains: Drains,
}

impl Waiting {
    pub(crate) fn new(
        beginning: impl Future<Output = Result<UpstreamResponse, ForwardFailure>> + Send + 'static,
        reservation: Reservation,
        drains: Drains,
    ) -> Self {
        Self {
            open: Some((Box::pin(beginning), reservation)),
            drains,
        }
    }
}

impl Future for Waiting {
    type Output = (Result<UpstreamResponse, ForwardFailure>, Reservation);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (beginning, _) = self.open.as_mut().expect("not polled again after its end");
        let answer = ready!(beginning.as_mut().poll(context));
        let (_, reservation) = self.open.take().expect("it was there a line ago");
        Poll::Ready((answer, reservation))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((beginning, reservation)) = self.open.take() {
            let hurry = self.drains.0.hurry.clone();
            let share = self.drains.share(&reservation);
            self.drains
                .spawn(share, wait_on(beginning, reservation, hurry));
        }
    }
}

async fn wait_on(beginning: Beginning, mut reservation: Reservation, hurry: CancellationToken) {
    let answer = tokio::select! {
        answer = beginning => answer,
        () = hurry.cancelled() => return,
    };
    match answer {
        Ok(answer) => {
            let status = answer.response.status();
            reservation
                .watched()
                .is_answered_by(answer.target.upstream_name());
            reservation.watched().is_passed_on(status);
            reservation.is_for(&answer.target.model);
            let deadline = answer.deadline();
            let (head, body) = answer.response.into_parts();
            let source = Source::new(&mut reservation, &head, body, false, deadline);
            read_on(source, reservation, hurry).await;
        }
        Err(failure) => drop(reservation.fail(&failure)),
    }
}
