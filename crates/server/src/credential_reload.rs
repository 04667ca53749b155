//! Reload of the keys and certificates of upstreams.

use gateway::Gateway;
use tasks::{Task, TaskHandle};
use tokio::sync::watch;

use crate::reload::Reload;

/// Task that reloads the keys and certificates of upstreams when a reload is requested.
pub(crate) struct CredentialReload {
    gateway: Gateway,
    reloads: watch::Receiver<()>,
}

impl Task for CredentialReload {
    async fn run(&mut self) {
        while self.reloads.changed().await.is_ok() {
            self.gateway.reread_credentials().await;
        }
    }
}

impl CredentialReload {
    /// Starts the task, which ends when the handle is dropped.
    pub(crate) fn start(gateway: Gateway, reload: &Reload) -> TaskHandle {
        let reloads = reload.subscribe();
        tasks::start("upstream reloads", |_| Self { gateway, reloads })
    }
}
