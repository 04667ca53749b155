//! Background tasks that reload the API key and the CA certificates of an upstream.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tasks::{Task, TaskHandle};

use crate::file_stamp::FileStamp;
use crate::upstream::Upstream;

/// Time between two checks of a file for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Starts the tasks that an upstream needs, as its configuration names files or commands.
pub(crate) fn start(upstream: &Arc<Upstream>) -> impl Iterator<Item = TaskHandle> {
    let credentials = &upstream.credentials;
    let key_file = credentials.has_file().then(|| {
        tasks::start("upstream key files", |_| {
            KeyFileReload(Arc::clone(upstream))
        })
    });
    let key_command = credentials.has_command().then(|| {
        tasks::start("upstream key commands", |_| {
            KeyRenewal(Arc::clone(upstream))
        })
    });
    let certificates = upstream.ca_file.clone().map(|(path, stamp)| {
        tasks::start("upstream certificates", |_| CertificateReload {
            upstream: Arc::clone(upstream),
            path,
            // Not read now: changes since the configuration was loaded are to be noticed.
            stamp,
        })
    });
    [key_file, key_command, certificates].into_iter().flatten()
}

/// Task that reloads a key file when it changes.
struct KeyFileReload(Arc<Upstream>);

impl Task for KeyFileReload {
    async fn run(&mut self) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            self.0.credentials.reload_changed_file().await;
        }
    }
}

/// Task that runs a key command again before the key expires.
struct KeyRenewal(Arc<Upstream>);

impl Task for KeyRenewal {
    async fn run(&mut self) {
        self.0.credentials.renew().await;
    }
}

/// Task that reloads a file of CA certificates when it changes.
struct CertificateReload {
    upstream: Arc<Upstream>,
    path: PathBuf,
    /// Stamp of the file when it was loaded last.
    stamp: FileStamp,
}

impl Task for CertificateReload {
    async fn run(&mut self) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let path = self.path.clone();
            let stamp = tokio::task::spawn_blocking(move || FileStamp::of(&path)).await;
            if let Ok(stamp) = stamp
                && stamp != self.stamp
            {
                self.stamp = stamp;
                self.upstream.reload_certificates().await;
            }
        }
    }
}
