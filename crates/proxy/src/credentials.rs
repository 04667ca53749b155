//! Current API key of an upstream: reloaded when its file changes, before it expires, and when the upstream rejects it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use base::time::Stopwatch;
use http::HeaderValue;
use tokio::sync::Mutex;

use crate::api_key::{KeySource, UpstreamKey};
use crate::file_stamp::FileStamp;
use crate::format::KeyHeader;

/// Maximum number of 403 in a row that are taken for rejections of requests; further ones are rejections of the key.
const MAX_CONSECUTIVE_FORBIDDEN: u32 = 20;
/// Maximum time before the expiry of a key at which it is renewed.
const MAX_RENEWAL_LEAD_SECONDS: u64 = 60;
/// Time after which a failed renewal is repeated.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// API key of one upstream, and its source.
pub(crate) struct Credentials {
    upstream: String,
    /// Header that carries the key.
    pub(crate) header: KeyHeader,
    source: KeySource,
    current: ArcSwap<Credential>,
    /// Held while the key is loaded.
    last_load: Mutex<LastLoad>,
}

/// Version of an API key, and the upstream's verdicts on it.
pub(crate) struct Credential {
    /// Value of the header that carries the key, if the upstream needs one.
    pub(crate) header_value: Option<HeaderValue>,
    /// Time for which the key is valid, from `loaded` on; `None` if it does not expire.
    lifetime: Option<Duration>,
    loaded: Stopwatch,
    /// True once the upstream has done as a request with this key asked.
    is_accepted: AtomicBool,
    /// Number of 403 since then.
    consecutive_forbidden: AtomicU32,
}

struct LastLoad {
    /// End of the last load that a rejection caused.
    after_rejection: Option<Stopwatch>,
    source: KeySource,
}

impl Credentials {
    /// Returns the credentials of an upstream; `None` if the key cannot be part of a header.
    pub(crate) fn new(
        upstream: &str,
        header: KeyHeader,
        key: Option<&UpstreamKey>,
    ) -> Option<Self> {
        let source = key.map_or(KeySource::Fixed, |key| key.source.clone());
        let credential = match key {
            None => Credential::new(None, None),
            Some(key) => Credential::new(Some(key.header_value(header)?), key.lifetime),
        };
        Some(Self {
            upstream: upstream.to_owned(),
            header,
            last_load: Mutex::new(LastLoad {
                after_rejection: None,
                source: source.clone(),
            }),
            source,
            current: ArcSwap::from_pointee(credential),
        })
    }

    /// True if the key comes from a file, which may change.
    pub(crate) fn has_file(&self) -> bool {
        matches!(self.source, KeySource::File(..))
    }

    /// True if the key comes from a command, and may expire.
    pub(crate) fn has_command(&self) -> bool {
        matches!(self.source, KeySource::Command(_))
    }

    /// Returns the key to send now.
    pub(crate) fn current(&self) -> Arc<Credential> {
        self.current.load_full()
    }

    /// Returns another key than `rejected`, if there is one by now. Loads the key again, but not with every rejection.
    pub(crate) async fn replace_rejected(
        &self,
        rejected: &Arc<Credential>,
    ) -> Option<Arc<Credential>> {
        let min_interval = self.source.min_interval()?;
        let newer = || {
            let current = self.current();
            (!current.is_same_key(rejected)).then_some(current)
        };
        if let Some(newer) = newer() {
            return Some(newer);
        }
        let mut last_load = self.last_load.lock().await;
        if let Some(newer) = newer() {
            return Some(newer);
        }
        if last_load
            .after_rejection
            .is_some_and(|end| end.elapsed() < min_interval)
        {
            return None;
        }
        let is_loaded = self.load(&mut last_load).await;
        // Measured from the end of the load: a command may take longer than the interval.
        last_load.after_rejection = Some(Stopwatch::start());
        if is_loaded { newer() } else { None }
    }

    /// Loads the key again, if it can change.
    pub(crate) async fn reload(&self) {
        if self.has_file() || self.has_command() {
            self.load(&mut *self.last_load.lock().await).await;
        }
    }

    /// Loads the key again if its file has changed.
    pub(crate) async fn reload_changed_file(&self) {
        let mut last_load = self.last_load.lock().await;
        let KeySource::File(path, stamp) = &last_load.source else {
            return;
        };
        let (path, stamp) = (path.clone(), *stamp);
        let has_changed = move || FileStamp::of(&path) != stamp;
        if tokio::task::spawn_blocking(has_changed)
            .await
            .unwrap_or(false)
        {
            self.load(&mut last_load).await;
        }
    }

    /// Loads keys again before they expire. Never returns.
    pub(crate) async fn renew(&self) {
        loop {
            let current = self.current();
            let Some(left) = current.until_renewal() else {
                // A reload after a rejection may bring a key that expires.
                tokio::time::sleep(RETRY_INTERVAL).await;
                continue;
            };
            tokio::time::sleep(left).await;
            let mut last_load = self.last_load.lock().await;
            let is_due = Arc::ptr_eq(&current, &self.current());
            let is_loaded = !is_due || self.load(&mut last_load).await;
            drop(last_load);
            let is_due_again = self.current().until_renewal() == Some(Duration::ZERO);
            if !is_loaded || is_due_again {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }

    /// Loads the key. False, with the previous key still in use, if the key could not be loaded.
    async fn load(&self, last_load: &mut LastLoad) -> bool {
        let upstream = self.upstream.as_str();
        if let KeySource::File(path, stamp) = &mut last_load.source {
            *stamp = FileStamp::of(path);
        }
        let read = self.source.read().await;
        let read = read.and_then(|key| {
            let value = key.header_value(self.header);
            let value = value.ok_or("no header can carry the key")?;
            Ok((value, key.lifetime))
        });
        match read {
            Ok((value, lifetime)) => {
                let is_known = self.current.load().header_value.as_ref() == Some(&value);
                if is_known && lifetime.is_none() {
                    tracing::debug!(upstream, "upstream API key unchanged");
                    return true;
                }
                let previous = self.current();
                let credential = Credential::new(Some(value), lifetime);
                if previous.is_same_key(&credential) {
                    let is_accepted = previous.is_accepted.load(Ordering::Relaxed);
                    credential.is_accepted.store(is_accepted, Ordering::Relaxed);
                } else {
                    tracing::info!(upstream, "upstream API key changed");
                }
                self.current.store(Arc::new(credential));
                true
            }
            Err(error) => {
                tracing::error!(
                    upstream,
                    error,
                    "failed to read upstream API key; the previous key stays in use"
                );
                false
            }
        }
    }
}

impl Credential {
    fn new(header_value: Option<HeaderValue>, lifetime: Option<Duration>) -> Self {
        Self {
            header_value,
            lifetime,
            loaded: Stopwatch::start(),
            is_accepted: AtomicBool::new(false),
            consecutive_forbidden: AtomicU32::new(0),
        }
    }

    /// Records that the upstream has done as a request with this key asked.
    pub(crate) fn record_accepted(&self) {
        if !self.is_accepted.load(Ordering::Relaxed) {
            self.is_accepted.store(true, Ordering::Relaxed);
        }
        if self.consecutive_forbidden.load(Ordering::Relaxed) > 0 {
            self.consecutive_forbidden.store(0, Ordering::Relaxed);
        }
    }

    /// Records a 403. True if the upstream rejects the request rather than the key, which it has accepted not long ago.
    pub(crate) fn record_forbidden(&self) -> bool {
        if !self.is_accepted.load(Ordering::Relaxed) {
            return false;
        }
        let before = self.consecutive_forbidden.fetch_add(1, Ordering::Relaxed);
        if before >= MAX_CONSECUTIVE_FORBIDDEN {
            self.is_accepted.store(false, Ordering::Relaxed);
        }
        before < MAX_CONSECUTIVE_FORBIDDEN
    }

    fn is_same_key(&self, other: &Self) -> bool {
        self.header_value == other.header_value
    }

    /// Returns the time until the key is to be renewed: a fifth of its lifetime before its expiry, at most
    /// [`MAX_RENEWAL_LEAD_SECONDS`]. `None` if the key does not expire.
    fn until_renewal(&self) -> Option<Duration> {
        let lifetime = self.lifetime?;
        let lead = Duration::from_secs(MAX_RENEWAL_LEAD_SECONDS).min(lifetime / 5);
        let age = lifetime.saturating_sub(lead);
        Some(age.saturating_sub(self.loaded.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_key_rotation_renews_a_key_before_its_expiry() {
        for (lifetime, earliest) in [(3600, 3540), (300, 240), (100, 80), (10, 8), (0, 0)] {
            let lifetime = Some(Duration::from_secs(lifetime));
            let credential = Credential::new(None, lifetime);
            let left = credential.until_renewal().expect("an expiry").as_secs_f64();
            let earliest = f64::from(earliest);
            assert!(left <= earliest && left > earliest - 30.0, "{left}");
        }
        assert_eq!(Credential::new(None, None).until_renewal(), None);
    }

    #[test]
    fn accepted_key_is_valid_until_too_many_requests_in_a_row_are_forbidden() {
        let credential = Credential::new(None, None);
        assert!(!credential.record_forbidden());
        credential.record_accepted();
        for _ in 0..MAX_CONSECUTIVE_FORBIDDEN {
            assert!(credential.record_forbidden());
        }
        assert!(!credential.record_forbidden() && !credential.record_forbidden());
        credential.record_accepted();
        assert!(credential.record_forbidden());
    }

    #[tokio::test]
    async fn upstream_key_rotation_keeps_the_key_while_its_file_is_empty_or_missing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key");
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        write("sk-first");
        let key = UpstreamKey::of_file(&path).expect("a key");
        let credentials =
            Credentials::new("local", KeyHeader::Authorization, Some(&key)).expect("a header");
        let sent = || {
            let credential = credentials.current();
            let value = credential.header_value.as_ref().expect("a key");
            value.to_str().expect("text").to_owned()
        };
        write("\n");
        credentials.reload_changed_file().await;
        assert_eq!(sent(), "Bearer sk-first");
        std::fs::remove_file(&path).expect("removed");
        credentials.reload_changed_file().await;
        assert_eq!(sent(), "Bearer sk-first");
        write("sk-newest");
        credentials.reload_changed_file().await;
        assert_eq!(sent(), "Bearer sk-newest");
    }
}
