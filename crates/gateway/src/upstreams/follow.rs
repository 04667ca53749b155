//! What is done beside requests for each upstream whose key or certificates may change: its files are looked at, and keys
//! that end are read anew.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::key::FileStamp;
use super::upstream::Upstream;

/// How often files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Adds the tasks that an upstream needs.
pub(super) fn follow(upstream: &Arc<Upstream>, tasks: &mut JoinSet<()>) {
    let credentials = &upstream.credentials;
    if credentials.is_in_a_file() {
        tasks.spawn(look_at_key(Arc::clone(upstream)));
    }
    if credentials.is_of_a_command() {
        tasks.spawn(renew_key(Arc::clone(upstream)));
    }
    if upstream.ca_file().is_some() {
        tasks.spawn(look_at_certificates(Arc::clone(upstream)));
    }
}

async fn look_at_key(upstream: Arc<Upstream>) {
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        upstream.credentials.look().await;
    }
}

async fn renew_key(upstream: Arc<Upstream>) {
    upstream.credentials.renew().await;
}

async fn look_at_certificates(upstream: Arc<Upstream>) {
    let stamp = || async {
        let path = upstream.ca_file()?.to_owned();
        let look = tokio::task::spawn_blocking(move || FileStamp::of(&path));
        look.await.ok()
    };
    // What has changed between the start and now is read once more.
    let mut seen = upstream.ca_stamp();
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let stamp = stamp().await;
        if stamp.is_some() && stamp != seen {
            seen = stamp;
            upstream.reread_certificates().await;
        }
    }
}
