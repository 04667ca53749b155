//! An answer on its way to a client that can be ended from outside: its content is taken away, and the client sees it break
//! off.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::SizeHint;
use tokio::time::Instant;

use crate::body::BrokenOff;
use crate::flights::{Ending, Flight, Registered};

/// The longest that a client may take nothing of an answer whose time is over, if it may not take less.
const OVERDUE_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The content of an answer. Dropping it before its end is how a client hangs up.
pub(crate) trait Content: Send + 'static {
    /// The next piece; `None` at the end. Not called again after the end.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>>;

    /// The length of what is left, as far as it is known.
    fn size_hint(&self) -> SizeHint;

    /// Returns the time for which the whole answer has been overdue; `None` while it is not.
    fn overdue(&self) -> Option<Duration>;

    /// Ends it because its client does not take it: the upstream is not to blame for any delay from now on.
    fn abandon(self, ending: Ending);
}

/// The body of an answer whose content can be taken away.
pub(crate) struct Guarded<C: Content> {
    cell: Arc<Cell<C>>,
    /// Removed from the flights with the body.
    _registered: Registered,
}

struct Cell<C>(Mutex<State<C>>);

struct State<C> {
    /// `None` once it has ended, or was taken away.
    content: Option<C>,
    /// True if it was taken away, and the client does not know yet.
    is_cut: bool,
    /// Wakes the task that waits for the next piece.
    waker: Option<Waker>,
    /// The moment at which the client got the last piece, as long as it has not asked for the next one.
    given_at: Option<Instant>,
}

impl<C: Content> Guarded<C> {
    pub(crate) fn new(content: C, registered: Registered) -> Self {
        let cell = Arc::new(Cell(Mutex::new(State {
            content: Some(content),
            is_cut: false,
            waker: None,
            given_at: Some(Instant::now()),
        })));
        let flight: Arc<dyn Flight> = Arc::<Cell<C>>::clone(&cell);
        registered.becomes(&flight);
        Self {
            cell,
            _registered: registered,
        }
    }

    pub(crate) fn poll_next(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let mut state = self.cell.lock();
        state.given_at = None;
        let Some(content) = &mut state.content else {
            let is_cut = std::mem::take(&mut state.is_cut);
            return Poll::Ready(is_cut.then_some(Err(BrokenOff)));
        };
        let next = content.poll_next(context);
        match &next {
            Poll::Pending => {
                let is_known =
                    (state.waker.as_ref()).is_some_and(|waker| waker.will_wake(context.waker()));
                if !is_known {
                    state.waker = Some(context.waker().clone());
                }
            }
            Poll::Ready(Some(Ok(_))) => state.given_at = Some(Instant::now()),
            Poll::Ready(None | Some(Err(_))) => state.content = None,
        }
        next
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        let state = self.cell.lock();
        (state.content.as_ref()).map_or_else(SizeHint::new, Content::size_hint)
    }
}

impl<C: Content> Drop for Guarded<C> {
    fn drop(&mut self) {
        let content = self.cell.lock().content.take();
        drop(content);
    }
}

impl<C> Cell<C> {
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        // What a panic has left of an answer is not passed on: its content fails again, or ends.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Content> Flight for Cell<C> {
    fn end(&self, ending: Ending) {
        let (content, waker) = {
            let mut state = self.lock();
            let Some(content) = state.content.take() else {
                return;
            };
            state.is_cut = true;
            (content, state.waker.take())
        };
        match ending {
            Ending::Revoked => drop(content),
            Ending::Stalled | Ending::Overdue => content.abandon(ending),
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn is_abandoned(&self, now: Instant, idle_timeout: Duration) -> Option<Ending> {
        let state = self.lock();
        let given_at = state.given_at?;
        let content = state.content.as_ref()?;
        let idle = now.saturating_duration_since(given_at);
        let is_late = |over| idle >= OVERDUE_IDLE_TIMEOUT.min(idle_timeout) || over >= idle_timeout;
        if content.overdue().is_some_and(is_late) {
            return Some(Ending::Overdue);
        }
        (idle >= idle_timeout).then_some(Ending::Stalled)
    }
}
