//! The key that an upstream gets now: read anew when its file changes, before it ends, and when the upstream refuses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use base::time::Stopwatch;
use http::HeaderValue;
use tokio::sync::Mutex;

use super::key::{KeySource, UpstreamKey};

/// The number of refusals in a row after which they are taken to be about the gateway, though the key was accepted before.
const MAX_REFUSALS: u32 = 20;
/// The longest time before the end of a key at which it is read anew.
const MAX_LEAD: Duration = Duration::from_secs(60);
/// The time after which it is tried again to read a key that ends.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// The key of one upstream.
pub(super) struct Credentials {
    upstream: String,
    source: KeySource,
    current: ArcSwap<Credential>,
    /// Held while the key is read.
    reading: Mutex<LastReading>,
}

/// A key as it is shown, and what the upstream thinks of it.
pub(super) struct Credential {
    authorization: Option<HeaderValue>,
    /// The time for which it is good, from `since` on.
    lifetime: Option<Duration>,
    since: Stopwatch,
    /// True once it has been good for an answer.
    is_accepted: AtomicBool,
    /// The refusals since then.
    refusals: AtomicU32,
}

struct LastReading {
    /// The last reading that a refusal was the reason for.
    after_refusal: Option<Stopwatch>,
    source: KeySource,
}

impl Credentials {
    /// Makes them of a key that was read; `None` if no header can carry it.
    pub(super) fn new(upstream: &str, key: Option<&UpstreamKey>) -> Option<Self> {
        let source = key.map_or(KeySource::Fixed, |key| key.source.clone());
        let credential = match key {
            None => Credential::new(None, None),
            Some(key) => Credential::new(Some(key.authorization()?), key.lifetime),
        };
        Some(Self {
            upstream: upstream.to_owned(),
            reading: Mutex::new(LastReading {
                after_refusal: None,
                source: source.clone(),
            }),
            source,
            current: ArcSwap::from_pointee(credential),
        })
    }

    /// True if the key is in a file, which may change.
    pub(super) fn is_in_a_file(&self) -> bool {
        matches!(self.source, KeySource::File(..))
    }

    /// True if a command prints the key, which may end.
    pub(super) fn is_of_a_command(&self) -> bool {
        matches!(self.source, KeySource::Command(_))
    }

    /// The key to show now.
    pub(super) fn current(&self) -> Arc<Credential> {
        self.current.load_full()
    }

    /// Takes note that the upstream does not accept `refused`: returns another key to try, if there is one by now. Reads the
    /// key anew, but not with every refusal.
    pub(super) async fn after_refusal(&self, refused: &Arc<Credential>) -> Option<Arc<Credential>> {
        let interval = self.source.interval()?;
        let newer = || {
            let current = self.current();
            (!current.is_same(refused)).then_some(current)
        };
        if let Some(newer) = newer() {
            return Some(newer);
        }
        let mut last = self.reading.lock().await;
        if let Some(newer) = newer() {
            return Some(newer);
        }
        if last
            .after_refusal
            .is_some_and(|last| last.elapsed() < interval)
        {
            return None;
        }
        let is_read = self.read(&mut last).await;
        // From its end on: a command may take longer than the interval.
        last.after_refusal = Some(Stopwatch::start());
        if is_read { newer() } else { None }
    }

    /// Reads the key anew, wherever it comes from.
    pub(super) async fn reread(&self) {
        if self.is_in_a_file() || self.is_of_a_command() {
            self.read(&mut *self.reading.lock().await).await;
        }
    }

    /// Reads the key anew where its file has changed.
    pub(super) async fn look(&self) {
        let mut last = self.reading.lock().await;
        let KeySource::File(path, stamp) = &last.source else {
            return;
        };
        let (path, stamp) = (path.clone(), *stamp);
        let look = move || super::key::FileStamp::of(&path) != stamp;
        if tokio::task::spawn_blocking(look).await.unwrap_or(false) {
            self.read(&mut last).await;
        }
    }

    /// Reads keys anew before they end, for ever.
    pub(super) async fn renew(&self) {
        loop {
            let current = self.current();
            let Some(left) = current.until_renewal() else {
                // It may be replaced by one that ends, after a refusal.
                tokio::time::sleep(RETRY_INTERVAL).await;
                continue;
            };
            tokio::time::sleep(left).await;
            let mut last = self.reading.lock().await;
            let is_old = Arc::ptr_eq(&current, &self.current());
            let is_read = !is_old || self.read(&mut last).await;
            drop(last);
            let is_short = self.current().until_renewal() == Some(Duration::ZERO);
            if !is_read || is_short {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }

    /// Reads the key; true if it was read. One that cannot be read leaves the one before in use.
    async fn read(&self, last: &mut LastReading) -> bool {
        let upstream = self.upstream.as_str();
        if let KeySource::File(path, stamp) = &mut last.source {
            *stamp = super::key::FileStamp::of(path);
        }
        let read = self.source.read().await;
        let read = read.and_then(|key| {
            let authorization = key.authorization();
            let authorization = authorization.ok_or("no header can carry the key")?;
            Ok((authorization, key.lifetime))
        });
        match read {
            Ok((authorization, lifetime)) => {
                if self.current.load().shows(&authorization) && lifetime.is_none() {
                    tracing::debug!(upstream, "key read: it is the same");
                    return true;
                }
                let before = self.current();
                let credential = Credential::new(Some(authorization), lifetime);
                if before.is_same(&credential) {
                    let is_accepted = before.is_accepted.load(Ordering::Relaxed);
                    credential.is_accepted.store(is_accepted, Ordering::Relaxed);
                } else {
                    tracing::info!(upstream, "key changed");
                }
                self.current.store(Arc::new(credential));
                true
            }
            Err(error) => {
                tracing::error!(upstream, error, "key not read; the one before stays in use");
                false
            }
        }
    }
}

impl Credential {
    fn new(authorization: Option<HeaderValue>, lifetime: Option<Duration>) -> Self {
        Self {
            authorization,
            lifetime,
            since: Stopwatch::start(),
            is_accepted: AtomicBool::new(false),
            refusals: AtomicU32::new(0),
        }
    }

    /// The value of the header `authorization`, if the upstream wants one.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Takes note that the upstream has done what was asked.
    pub(super) fn accepted(&self) {
        if !self.is_accepted.load(Ordering::Relaxed) {
            self.is_accepted.store(true, Ordering::Relaxed);
        }
        if self.refusals.load(Ordering::Relaxed) > 0 {
            self.refusals.store(0, Ordering::Relaxed);
        }
    }

    /// Takes note that the upstream has forbidden what was asked; true if that is about the request, for the key has been
    /// good for others, and not too long ago.
    pub(super) fn is_good_otherwise(&self) -> bool {
        if !self.is_accepted.load(Ordering::Relaxed) {
            return false;
        }
        let refusals = self.refusals.fetch_add(1, Ordering::Relaxed);
        if refusals >= MAX_REFUSALS {
            self.is_accepted.store(false, Ordering::Relaxed);
        }
        refusals < MAX_REFUSALS
    }

    fn shows(&self, authorization: &HeaderValue) -> bool {
        self.authorization.as_ref() == Some(authorization)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.authorization == other.authorization
    }

    /// The time until it is to be read anew: a fifth of its lifetime before its end, but no more than a minute.
    fn until_renewal(&self) -> Option<Duration> {
        let lifetime = self.lifetime?;
        let age = lifetime.saturating_sub(MAX_LEAD.min(lifetime / 5));
        Some(age.saturating_sub(self.since.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_key_rotation_renews_a_key_before_its_end() {
        for (lifetime, earliest) in [(3600, 3540), (300, 240), (100, 80), (10, 8), (0, 0)] {
            let lifetime = Some(Duration::from_secs(lifetime));
            let credential = Credential::new(None, lifetime);
            let left = credential.until_renewal().expect("it ends").as_secs_f64();
            let earliest = f64::from(earliest);
            assert!(left <= earliest && left > earliest - 30.0, "{left}");
        }
        assert_eq!(Credential::new(None, None).until_renewal(), None);
    }

    #[test]
    fn in_band_errors_a_key_is_good_until_it_is_refused_without_end() {
        let credential = Credential::new(None, None);
        assert!(!credential.is_good_otherwise());
        credential.accepted();
        for _ in 0..MAX_REFUSALS {
            assert!(credential.is_good_otherwise());
        }
        assert!(!credential.is_good_otherwise() && !credential.is_good_otherwise());
        credential.accepted();
        assert!(credential.is_good_otherwise());
    }
}
