//! Supervisor: runs a task and restarts it after a panic.

use std::io;
use std::panic::AssertUnwindSafe;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::{Health, Task};

/// Backoff after the first panic; doubled with each further one.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// Running time after which the backoff is reset.
const BACKOFF_RESET_DELAY: Duration = Duration::from_secs(60);

/// Handle of a running task. Drop aborts the task.
#[derive(Debug)]
pub struct TaskHandle {
    task: AbortOnDropHandle<()>,
    stop: CancellationToken,
    health: Health,
}

/// Handle of a task on its own thread. Drop lets the thread continue.
#[derive(Debug)]
pub struct ThreadHandle {
    thread: JoinHandle<()>,
    health: Health,
}

/// Starts a task on the current runtime. `make` gets the token that is cancelled when the task must stop.
pub fn start<T: Task>(name: &'static str, make: impl FnOnce(CancellationToken) -> T) -> TaskHandle {
    let (stop, health) = (CancellationToken::new(), Health::new(name));
    let supervised = supervise(make(stop.clone()), health.clone());
    TaskHandle {
        task: AbortOnDropHandle::new(tokio::spawn(supervised)),
        stop,
        health,
    }
}

/// Starts a task on its own thread, which drives `runtime`. `begin` runs on that thread before the task.
///
/// # Errors
/// The thread cannot be started.
pub fn start_thread(
    name: &'static str,
    runtime: Runtime,
    begin: impl FnOnce() + Send + 'static,
    task: impl Task,
) -> io::Result<ThreadHandle> {
    let health = Health::new(name);
    let guard = DeathGuard(Some(health.clone()));
    let supervised = supervise(task, health.clone());
    let thread = std::thread::Builder::new().name(name.to_owned());
    let thread = thread.spawn(move || {
        let mut guard = guard;
        begin();
        runtime.block_on(supervised);
        guard.0 = None;
    })?;
    Ok(ThreadHandle { thread, health })
}

/// Guard that reports a thread that ends before its task.
struct DeathGuard(Option<Health>);

impl Drop for DeathGuard {
    fn drop(&mut self) {
        if let Some(health) = &self.0 {
            health.has_died();
            tracing::error!(task = health.name(), "background thread ended");
        }
    }
}

impl TaskHandle {
    /// Returns the health of the task.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Asks the task to stop and waits for its end.
    pub async fn stop(self) {
        self.stop.cancel();
        // An error: the runtime ends, and the task with it.
        let _ = self.task.await;
    }

    /// Lets the task run without a handle until it ends by itself.
    pub fn detach(self) {
        drop(self.task.detach());
    }
}

impl ThreadHandle {
    /// Returns the health of the task.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Waits for the end of the thread, after its task was asked to stop.
    pub async fn ended(self) {
        let Self { thread, .. } = self;
        // A thread that panicked has said so by its health.
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
}

/// Runs a task to its end, restarting it after panics.
async fn supervise(mut task: impl Task, health: Health) {
    let mut backoff = MIN_BACKOFF;
    loop {
        let started = Instant::now();
        let is_done = run(&mut task, &health, backoff).await;
        if is_done {
            return;
        }
        health.panicked();
        if started.elapsed() >= BACKOFF_RESET_DELAY {
            backoff = MIN_BACKOFF;
        }
        let seconds = backoff.as_secs_f64();
        tracing::error!(
            task = health.name(),
            seconds,
            "background task panicked; restarting after a pause"
        );
        sleep(backoff).await;
        // After a panic here the task does not run, and panics again in the next round.
        let recovered = std::panic::catch_unwind(AssertUnwindSafe(|| task.recover()));
        if recovered.is_err() {
            tracing::error!(task = health.name(), "background task failed to recover");
        }
        backoff = MAX_BACKOFF.min(backoff * 2);
    }
}

/// Runs a task once. Returns true if the task ended, false after a panic. The task is healthy after running for
/// `backoff`.
async fn run(task: &mut impl Task, health: &Health, backoff: Duration) -> bool {
    let mut running = std::pin::pin!(AssertUnwindSafe(task.run()).catch_unwind());
    let outcome = tokio::select! {
        biased;
        outcome = &mut running => outcome,
        () = sleep(backoff), if !health.is_well() => {
            health.recovered();
            tracing::info!(task = health.name(), "background task recovered");
            running.await
        }
    };
    if outcome.is_ok() {
        health.recovered();
    }
    outcome.is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Task that panics some times and then waits for its stop.
    struct Stumbling {
        panics_left: usize,
        runs: Arc<AtomicUsize>,
        recoveries: usize,
        stop: CancellationToken,
    }

    impl Task for Stumbling {
        async fn run(&mut self) {
            self.runs.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if self.panics_left > 0 {
                self.panics_left -= 1;
                panic!("on purpose");
            }
            self.stop.cancelled().await;
            assert_eq!(self.recoveries, 3, "the state is that of before");
        }

        fn recover(&mut self) {
            self.recoveries += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_1_a_task_that_panics_is_started_again_with_its_state() {
        let runs = Arc::<AtomicUsize>::default();
        let handle = start("stumbling", |stop| Stumbling {
            panics_left: 3,
            runs: Arc::clone(&runs),
            recoveries: 0,
            stop,
        });
        let health = handle.health().clone();
        assert!(health.is_well());
        for panics in 1..=3 {
            while health.panics() < panics {
                sleep(Duration::from_millis(1)).await;
            }
            assert!(!health.is_well());
        }
        let since = Instant::now();
        while !health.is_well() {
            sleep(Duration::from_millis(1)).await;
        }
        // The pause, and as long again without a panic.
        let took = since.elapsed();
        assert!(
            (MIN_BACKOFF * 4..MIN_BACKOFF * 14).contains(&took),
            "{took:?}"
        );
        assert_eq!(runs.load(Ordering::SeqCst), 4);
        handle.stop().await;
        assert_eq!(health.panics(), 3);
    }

    /// Task that panics on every run.
    struct Falling;

    impl Task for Falling {
        async fn run(&mut self) {
            panic!("on purpose");
        }

        fn recover(&mut self) {
            panic!("here, too");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_1_a_task_that_always_panics_is_never_well_and_costs_little() {
        let handle = start("falling", |_| Falling);
        let health = handle.health().clone();
        while health.panics() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        for _ in 0..600 {
            sleep(Duration::from_secs(1)).await;
            assert!(!health.is_well());
        }
        let panics = health.panics();
        assert!((100..150).contains(&panics), "{panics}");
    }

    #[tokio::test]
    async fn strangers_1_a_thread_that_ends_before_its_task_has_died() {
        let runtime = || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().expect("a runtime")
        };
        let thread = start_thread("dying", runtime(), || panic!("on purpose"), Falling);
        let thread = thread.expect("a thread");
        thread.health().died().await;
        assert!(!thread.health().is_well());
        thread.ended().await;

        struct Ending;
        impl Task for Ending {
            async fn run(&mut self) {}
        }
        let thread = start_thread("ending", runtime(), || {}, Ending).expect("a thread");
        let health = thread.health().clone();
        thread.ended().await;
        assert!(health.is_well());
    }
}
