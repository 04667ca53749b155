//! Health of a background task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Health of a background task. Clones refer to the same task.
#[derive(Clone, Debug)]
pub struct Health(Arc<HealthInner>);

#[derive(Debug)]
struct HealthInner {
    name: &'static str,
    panics: AtomicU64,
    state: watch::Sender<State>,
}

/// State of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Running, or ended as intended.
    Well,
    /// Panicked recently.
    Failing,
    /// Ended permanently without a request to stop.
    Died,
}

impl Health {
    pub(crate) fn new(name: &'static str) -> Self {
        Self(Arc::new(HealthInner {
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

    /// True unless the task has panicked recently or ended permanently.
    #[must_use]
    pub fn is_well(&self) -> bool {
        *self.0.state.borrow() == State::Well
    }

    /// Returns the number of panics.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.0.panics.load(Ordering::Relaxed)
    }

    /// Resolves when the task has ended permanently without a request to stop.
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
