//! Draining: answers whose clients hung up are read to their end in the background, so that their usage is known.

use std::pin::Pin;
use std::sync::Arc;

use base::{Budget, BudgetLimits, BudgetPermit, Error};
use prometheus::IntCounter;
use proxy::UpstreamResponse;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use usage::Outcome;

use crate::caller::Caller;
use crate::in_flight::InFlightRequest;
use crate::metered_answer::{self, MeteredAnswer};
use crate::socket::SocketAnswer;
use crate::upstreams::ForwardFailure;

/// The maximum number of answers that are drained at the same time; beyond it, usage is estimated. A key has half of the
/// permits and a project three quarters, so that no tenant's hang-ups leave the usage of others uncounted.
const MAX_DRAINS: usize = 1024;

/// An answer of which nothing has come yet.
pub(crate) type AwaitedAnswer =
    Pin<Box<dyn Future<Output = Result<UpstreamResponse, ForwardFailure>> + Send>>;

/// The answers that are drained. Clones share the same drains.
#[derive(Clone)]
pub(crate) struct Drains(Arc<DrainTasks>);

struct DrainTasks {
    permits: Arc<Semaphore>,
    shares: Budget,
    running: TaskTracker,
    /// Cancelled when the deadline of a shutdown has passed.
    cancelled: CancellationToken,
    /// Counts the answers that are not drained for want of permits.
    undrained: IntCounter,
}

impl Drains {
    /// Returns drains that count the answers beyond their limit in `undrained`.
    pub(crate) fn new(undrained: IntCounter) -> Self {
        Self(Arc::new(DrainTasks {
            permits: Arc::new(Semaphore::new(MAX_DRAINS)),
            shares: Budget::new(BudgetLimits {
                total: MAX_DRAINS as u64,
                per_key: MAX_DRAINS as u64 / 2,
                per_project: MAX_DRAINS as u64 / 4 * 3,
            }),
            running: TaskTracker::new(),
            cancelled: CancellationToken::new(),
            undrained,
        }))
    }

    /// Returns the number of answers that are being drained.
    pub(crate) fn running(&self) -> usize {
        self.0.running.len()
    }

    /// Reads an answer to its end in the background, then settles its request.
    pub(crate) fn read_on(&self, answer: MeteredAnswer) {
        let share = self.share(answer.caller());
        self.spawn(share, drain(answer, self.0.cancelled.clone()));
    }

    /// Waits for an answer in the background, reads the answer to its end, then settles its request.
    pub(crate) fn wait_for(
        &self,
        answer: AwaitedAnswer,
        request: InFlightRequest,
        hides_usage: bool,
    ) {
        let share = self.share(request.caller());
        let cancelled = self.0.cancelled.clone();
        self.spawn(share, async move {
            let Some(answered) = cancelled.run_until_cancelled(answer).await else {
                return;
            };
            if let Ok((_, answer)) = metered_answer::begin(answered, request, hides_usage) {
                drain(answer, cancelled).await;
            }
        });
    }

    /// Reads the events of a response to its end in the background, then settles its request and closes the connection.
    pub(crate) fn read_on_socket(&self, answer: SocketAnswer) {
        let share = self.share(answer.caller());
        self.spawn(share, drain_socket(answer, self.0.cancelled.clone()));
    }

    /// Settles the request of an answer by what has come, and does not read on. Never waits: measuring the usage of a long
    /// answer takes a moment.
    pub(crate) fn cut(&self, mut answer: MeteredAnswer) {
        let share = self.share(answer.caller());
        self.spawn(share, async move {
            drop(answer.settle(Outcome::ClientGone));
        });
    }

    /// Spawns `work`. Without a permit or a runtime the work is dropped, which settles its request by an estimate.
    fn spawn(&self, share: Option<BudgetPermit>, work: impl Future<Output = ()> + Send + 'static) {
        let (Some(share), Ok(runtime), Ok(permit)) = (
            share,
            Handle::try_current(),
            Arc::clone(&self.0.permits).try_acquire_owned(),
        ) else {
            self.0.undrained.inc();
            tracing::warn!("drain limit reached; usage estimated");
            return;
        };
        let work = async move {
            work.await;
            drop((permit, share));
        };
        self.0.running.spawn_on(work, &runtime);
    }

    /// Charges one drain to the key and project of the caller, if they have any left.
    fn share(&self, caller: Option<&Caller>) -> Option<BudgetPermit> {
        caller?.charge(&self.0.shares, 1).ok()
    }

    /// Runs work in the background that belongs to no request. Without a permit the work is dropped, and `false` returned.
    pub(crate) fn run(&self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        let Ok(permit) = Arc::clone(&self.0.permits).try_acquire_owned() else {
            return false;
        };
        let cancelled = self.0.cancelled.clone();
        self.0.running.spawn(async move {
            cancelled.run_until_cancelled(work).await;
            drop(permit);
        });
        true
    }

    /// Runs work to its end even if the returned future is dropped.
    ///
    /// # Errors
    /// 503: no permit is left, or the gateway stops.
    pub(crate) async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> base::Result<T> {
        let overloaded =
            || Error::overloaded("Too much is being done at once. Try again in a second.", 1);
        let permit = Arc::clone(&self.0.permits).try_acquire_owned();
        let permit = permit.map_err(|_| overloaded())?;
        let cancelled = self.0.cancelled.clone();
        let work = async move {
            let done = cancelled.run_until_cancelled(work).await;
            drop(permit);
            done
        };
        match self.0.running.spawn(work).await {
            Ok(done) => done.ok_or_else(overloaded),
            Err(_) => Err(Error::internal()),
        }
    }

    /// Waits until all answers are drained. Those left when `deadline` resolves are settled by what has come.
    pub(crate) async fn stop(&self, deadline: impl Future<Output = ()>) {
        self.0.running.close();
        tokio::select! {
            biased;
            () = self.0.running.wait() => {}
            () = deadline => {
                self.0.cancelled.cancel();
                self.0.running.wait().await;
            }
        }
    }
}

async fn drain(mut answer: MeteredAnswer, cancelled: CancellationToken) {
    let outcome = cancelled.run_until_cancelled(answer.drain()).await;
    drop(answer.settle(outcome.unwrap_or(Outcome::ClientGone)));
}

async fn drain_socket(mut answer: SocketAnswer, cancelled: CancellationToken) {
    let outcome = cancelled.run_until_cancelled(answer.drain()).await;
    drop(answer.settle(outcome.unwrap_or(Outcome::ClientGone)));
    let closing = answer.into_upstream().close();
    Box::pin(cancelled.run_until_cancelled(closing)).await;
}
