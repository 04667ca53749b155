//! Background tasks of a process. A task that panics is started again with the state that it has, after a pause that grows
//! from panic to panic; a thread that ends although its task did not is known to have ended, so that the process can end
//! too. Nothing that runs beside requests is spawned in another way, unless its end concerns one request or connection only.

mod health;
mod priority;
mod supervisor;

pub use health::Health;
pub use priority::lower_thread_priority;
pub use supervisor::{TaskHandle, ThreadHandle, start, start_thread};

/// Work that goes on beside requests.
pub trait Task: Send + 'static {
    /// Works until the task is asked to stop, or has nothing left to do. Called again on the same value after a panic: what
    /// must not get lost belongs to `self`, not to the future.
    fn run(&mut self) -> impl Future<Output = ()> + Send;

    /// Puts the state in order after a panic, which may have happened between any two statements.
    fn recover(&mut self) {}
}
