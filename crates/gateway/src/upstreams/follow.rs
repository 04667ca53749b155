//! What is done beside requests for each upstream whose key or certificates may change: its files are looked at, and keys
//! that end are read anew.

use std::sync::Arc;
use std::time::Duration;

use tasks::{Task, TaskHandle};

use super::key::FileStamp;
use super::upstream::Upstream;

/// The time between two looks at a file.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Starts the tasks that an upstream needs.
pub(super) fn follow(upstream: &Arc<Upstream>) -> impl Iterator<Item = TaskHandle> {
    let credentials = &upstream.credentials;
    let key_file = credentials
        .is_in_a_file()
        .then(|| tasks::start("upstream key files", |_| KeyFile(Arc::clone(upstream))));
    let key_command = credentials.is_of_a_command().then(|| {
        tasks::start("upstream key commands", |_| {
            KeyCommand(Arc::clone(upstream))
        })
    });
    let certificates = upstream.ca_file().is_some().then(|| {
        tasks::start("upstream certificates", |_| CertificateFile {
            upstream: Arc::clone(upstream),
            // What has changed between the start and now is read once more.
            seen: upstream.ca_stamp(),
        })
    });
    [key_file, key_command, certificates].into_iter().flatten()
}

/// Reads the file of a key anew when it changes.
struct KeyFile(Arc<Upstream>);

impl Task for KeyFile {
    async fn run(&mut self) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            self.0.credentials.look().await;
        }
    }
}

/// Asks the command of a key again before the key ends.
struct KeyCommand(Arc<Upstream>);

impl Task for KeyCommand {
    async fn run(&mut self) {
        self.0.credentials.renew().await;
    }
}

/// Reads a file of certificates anew when it changes.
struct CertificateFile {
    upstream: Arc<Upstream>,
    seen: Option<FileStamp>,
}

impl Task for CertificateFile {
    async fn run(&mut self) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let stamp = self.stamp().await;
            if stamp.is_some() && stamp != self.seen {
                self.seen = stamp;
                self.upstream.reread_certificates().await;
            }
        }
    }
}

impl CertificateFile {
    async fn stamp(&self) -> Option<FileStamp> {
        let path = self.upstream.ca_file()?.to_owned();
        let look = tokio::task::spawn_blocking(move || FileStamp::of(&path));
        look.await.ok()
    }
}
