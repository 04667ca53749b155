//! A response body that can be aborted from outside: its content is taken away, and the client sees the body break off.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::SizeHint;
use tokio::time::Instant;

use crate::watchdog::{AbortReason, Abortable, Registration};

/// The longest time for which a client may leave bytes of an overdue answer unread, unless its idle timeout is shorter.
const OVERDUE_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The content of a response body. A drop before the end means that the client has hung up.
pub(crate) trait BodyContent: Send + 'static {
    /// Returns the next bytes; `None` at the end. Must not be called after the end.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>>;

    /// Returns the known bounds of the remaining bytes.
    fn size_hint(&self) -> SizeHint;

    /// Returns the time since the deadline of the answer; `None` before the deadline.
    fn overdue(&self) -> Option<Duration>;

    /// Ends the content because its client does not read it. The upstream is not to blame for any delay from now on.
    fn abandon(self, reason: AbortReason);
}

/// A response body whose content can be taken away.
pub(crate) struct AbortableBody<C: BodyContent> {
    slot: Arc<ContentSlot<C>>,
    /// Ends the watch together with the body.
    _registration: Registration,
}

struct ContentSlot<C>(Mutex<SlotState<C>>);

struct SlotState<C> {
    /// `None` once the content has ended or was taken away.
    content: Option<C>,
    /// True if the content was taken away, and the client has not been told yet.
    is_aborted: bool,
    /// Wakes the task that waits for the next bytes.
    waker: Option<Waker>,
    /// Time at which the client got the last bytes, as long as it has not polled for more.
    idle_since: Option<Instant>,
}

impl<C: BodyContent> AbortableBody<C> {
    /// Returns a body that the watchdog may abort from now on.
    pub(crate) fn new(content: C, registration: Registration) -> Self {
        let slot = Arc::new(ContentSlot(Mutex::new(SlotState {
            content: Some(content),
            is_aborted: false,
            waker: None,
            idle_since: Some(Instant::now()),
        })));
        let abortable: Arc<dyn Abortable> = Arc::<ContentSlot<C>>::clone(&slot);
        registration.attach(&abortable);
        Self {
            slot,
            _registration: registration,
        }
    }

    /// Returns the next bytes; `None` at the end.
    pub(crate) fn poll_next(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let mut state = self.slot.lock();
        state.idle_since = None;
        let Some(content) = &mut state.content else {
            let is_aborted = std::mem::take(&mut state.is_aborted);
            return Poll::Ready(is_aborted.then_some(Err(BrokenOff)));
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
            Poll::Ready(Some(Ok(_))) => state.idle_since = Some(Instant::now()),
            Poll::Ready(None | Some(Err(_))) => state.content = None,
        }
        next
    }

    /// Returns the known bounds of the remaining bytes.
    pub(crate) fn size_hint(&self) -> SizeHint {
        let state = self.slot.lock();
        (state.content.as_ref()).map_or_else(SizeHint::new, BodyContent::size_hint)
    }
}

impl<C: BodyContent> Drop for AbortableBody<C> {
    fn drop(&mut self) {
        let content = self.slot.lock().content.take();
        drop(content);
    }
}

impl<C> ContentSlot<C> {
    fn lock(&self) -> MutexGuard<'_, SlotState<C>> {
        // Content that has panicked fails again or ends, so its state can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: BodyContent> Abortable for ContentSlot<C> {
    fn abort(&self, reason: AbortReason) {
        let (content, waker) = {
            let mut state = self.lock();
            let Some(content) = state.content.take() else {
                return;
            };
            state.is_aborted = true;
            (content, state.waker.take())
        };
        match reason {
            AbortReason::KeyRevoked => drop(content),
            AbortReason::ClientStalled | AbortReason::Overdue => content.abandon(reason),
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn abandonment(&self, now: Instant, idle_timeout: Duration) -> Option<AbortReason> {
        let state = self.lock();
        let idle_since = state.idle_since?;
        let content = state.content.as_ref()?;
        let idle = now.saturating_duration_since(idle_since);
        let is_late = |over| idle >= OVERDUE_IDLE_TIMEOUT.min(idle_timeout) || over >= idle_timeout;
        if content.overdue().is_some_and(is_late) {
            return Some(AbortReason::Overdue);
        }
        (idle >= idle_timeout).then_some(AbortReason::ClientStalled)
    }
}

/// The upstream broke off, or fell silent, in the middle of its answer, or the answer was aborted; the response to the client
/// breaks off, too.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the model server broke off its answer")]
pub struct BrokenOff;
