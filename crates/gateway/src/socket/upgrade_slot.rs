//! The place in which the gateway leaves a connection that it has upgraded, for the listener to run.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The work of an upgraded connection, until its end.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Slot for the work of an upgraded connection. The listener puts a clone into the extensions of each request of a connection,
/// and runs the work once the connection has left HTTP, so that the bounds of the connection and a shutdown apply to it.
/// Without a slot in its extensions, no request is upgraded.
#[derive(Clone, Default)]
pub struct UpgradeSlot(Arc<UpgradeState>);

#[derive(Default)]
struct UpgradeState {
    work: Mutex<Option<Work>>,
    stopping: CancellationToken,
}

impl UpgradeSlot {
    /// Takes the work out of the slot. Its drop aborts the connection; usage of a running response is settled all the same.
    #[must_use]
    pub fn take(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        self.work().take()
    }

    /// Asks the connection to end after its running response.
    pub fn stop(&self) {
        self.0.stopping.cancel();
    }

    /// Leaves work in the slot.
    pub(crate) fn put(&self, work: impl Future<Output = ()> + Send + 'static) {
        *self.work() = Some(Box::pin(work));
    }

    /// Returns the token that is cancelled when the connection is to end.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.0.stopping.clone()
    }

    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.0.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
