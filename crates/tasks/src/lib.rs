//! Supervised background tasks.
//!
//! A task that panics is restarted with its state after an exponential backoff. A thread that ends before its task is
//! reported, so that the process can end. All background work runs under this supervisor, except tasks whose end
//! affects a single request or connection.

mod health;
mod supervisor;

pub use health::Health;
pub use supervisor::{TaskHandle, ThreadHandle, start, start_thread};

/// Background work.
pub trait Task: Send + 'static {
    /// Runs until the task is asked to stop or has nothing left to do. Called again on the same value after a panic:
    /// state that must survive belongs into `self`, not into the future.
    fn run(&mut self) -> impl Future<Output = ()> + Send;

    /// Restores the invariants of the state after a panic at any point.
    fn recover(&mut self) {}
}
