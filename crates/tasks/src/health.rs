//! The health of a task, for those who watch it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// The health of a background task. Clones are of the same task.
#[derive(Clone, Debug)]
pub struct Health(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    name: &'static str,
    panics: AtomicU64,
    state: watch::Sender<State>,
}

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The task runs, or has ended as it should.
    Well,
    /// The task panicked a moment ago.
    Failing,
    /// The task has ended for ever, and nobody asked it to.
    Died,
}

impl Health {
    pub(crate) fn new(name: &'static str) -> Self {
        Self(Arc::new(Watched {
            name,
            panics: AtomicU64::new(0),
            state: watch::Sender::new(State::Well),
        }))
    }

    /// Returns the name of the task.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// True unless the task panicked and has not run for a while since, or has ended for ever.
    #[must_use]
    pub fn is_well(&self) -> bool {
        *self.0.state.borrow() == State::Well
    }

    /// Returns the number of times that the task panicked.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.0.panics.load(Ordering::Relaxed)
    }

    /// Resolves when the task has ended for ever although nobody asked it to.
    pub async fn died(&self) {
        let mut state = self.0.state.subscribe();
        // The sender lives as long as this value.
        let _ = state.wait_for(|state| *state == State::Died).await;
    }

    pub(crate) fn panicked(&self) {
        self.0.panics.fetch_add(1, Ordering::Relaxed);
        self.set(State::Failing);
    }

    pub(crate) fn recovered(&self) {
        self.set(State::Well);
    }

    pub(crate) fn has_died(&self) {
        self.set(State::Died);
    }

    fn set(&self, new: State) {
        self.0.state.send_if_modified(|state| {
            let is_news = *state != new && *state != State::Died;
            if is_news {
                *state = new;
            }
            is_news
        });
    }
}
