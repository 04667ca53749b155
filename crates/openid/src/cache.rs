//! Cache of one document of a provider. One request at a time reads the document; the others wait for that answer.

use std::sync::Arc;
use std::time::Duration;

use base::time::Stopwatch;
use tokio::sync::Mutex;

use crate::{OpenIdError, Result};

/// Minimum time between two attempts after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Cache of one document.
pub(crate) struct DocumentCache<T>(Mutex<CacheState<T>>);

struct CacheState<T> {
    document: Option<(Arc<T>, Stopwatch)>,
    failure: Option<(OpenIdError, Stopwatch)>,
    attempted: Option<Stopwatch>,
}

impl<T> CacheState<T> {
    async fn read(&mut self, reading: impl Future<Output = Result<T>>) -> Result<Arc<T>> {
        let started = Stopwatch::start();
        self.attempted = Some(started);
        match reading.await {
            Ok(document) => {
                let document = Arc::new(document);
                self.document = Some((Arc::clone(&document), started));
                self.failure = None;
                Ok(document)
            }
            Err(error) => {
                self.failure = Some((error.clone(), Stopwatch::start()));
                Err(error)
            }
        }
    }
}

impl<T> DocumentCache<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(CacheState {
            document: None,
            failure: None,
            attempted: None,
        }))
    }

    /// Returns the document, read anew if it is older than `max_age`. An old document is better than none: it is returned
    /// while the provider fails.
    ///
    /// # Errors
    /// There is no document and none can be read, or could not be a few seconds ago.
    pub(crate) async fn get(
        &self,
        max_age: Duration,
        reading: impl Future<Output = Result<T>>,
    ) -> Result<Arc<T>> {
        let mut state = self.0.lock().await;
        let old = match &state.document {
            Some((document, read)) if read.elapsed() < max_age => return Ok(Arc::clone(document)),
            Some((document, _)) => Some(Arc::clone(document)),
            None => None,
        };
        let read = match &state.failure {
            Some((error, failed)) if failed.elapsed() < RETRY_INTERVAL => Err(error.clone()),
            _ => state.read(reading).await,
        };
        match (read, old) {
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "document of the identity provider not refreshed");
                Ok(old)
            }
            (read, _) => read,
        }
    }

    /// Returns a document that is newer than `known`, read at most once in `interval`; `None` if there is none.
    ///
    /// # Errors
    /// The document cannot be read.
    pub(crate) async fn newer_than(
        &self,
        known: &Arc<T>,
        interval: Duration,
        reading: impl Future<Output = Result<T>>,
    ) -> Result<Option<Arc<T>>> {
        let mut state = self.0.lock().await;
        if let Some((document, _)) = &state.document
            && !Arc::ptr_eq(document, known)
        {
            return Ok(Some(Arc::clone(document)));
        }
        let is_too_soon = |attempted: Stopwatch| attempted.elapsed() < interval;
        if state.attempted.is_some_and(is_too_soon) {
            return Ok(None);
        }
        state.read(reading).await.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::Reason;

    const MAX_TEST_AGE: Duration = Duration::from_secs(60);

    async fn next(count: &AtomicU32) -> Result<u32> {
        Ok(count.fetch_add(1, Ordering::SeqCst))
    }

    async fn failing(count: &AtomicU32) -> Result<u32> {
        count.fetch_add(1, Ordering::SeqCst);
        Err(Reason::ProviderUnavailable.into())
    }

    #[tokio::test(start_paused = true)]
    async fn document_is_read_once_until_it_is_old() {
        let (cache, reads) = (DocumentCache::new(), AtomicU32::new(0));
        for _ in 0..3 {
            assert_eq!(
                cache.get(MAX_TEST_AGE, next(&reads)).await.as_deref(),
                Ok(&0)
            );
        }
        tokio::time::advance(MAX_TEST_AGE).await;
        assert_eq!(
            cache.get(MAX_TEST_AGE, next(&reads)).await.as_deref(),
            Ok(&1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn failing_provider_is_asked_once_in_five_seconds() {
        let (cache, reads) = (DocumentCache::<u32>::new(), AtomicU32::new(0));
        for _ in 0..3 {
            let error = cache.get(MAX_TEST_AGE, failing(&reads)).await;
            assert_eq!(
                error.expect_err("no document").reason(),
                Reason::ProviderUnavailable
            );
        }
        assert_eq!(reads.load(Ordering::SeqCst), 1);
        tokio::time::advance(RETRY_INTERVAL).await;
        assert_eq!(
            cache.get(MAX_TEST_AGE, next(&reads)).await.as_deref(),
            Ok(&1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn old_document_is_used_while_the_provider_fails() {
        let (cache, reads) = (DocumentCache::new(), AtomicU32::new(0));
        cache
            .get(MAX_TEST_AGE, next(&reads))
            .await
            .expect("a document");
        tokio::time::advance(MAX_TEST_AGE * 2).await;
        assert_eq!(
            cache.get(MAX_TEST_AGE, failing(&reads)).await.as_deref(),
            Ok(&0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn newer_document_is_read_at_most_once_in_the_interval() {
        let (cache, reads) = (DocumentCache::new(), AtomicU32::new(0));
        let first = cache
            .get(MAX_TEST_AGE, next(&reads))
            .await
            .expect("a document");
        let newer = || cache.newer_than(&first, MAX_TEST_AGE, next(&reads));
        assert_eq!(newer().await, Ok(None));
        tokio::time::advance(MAX_TEST_AGE).await;
        assert_eq!(newer().await, Ok(Some(Arc::new(1))));
        // Another sign-in that knows the first document gets the one that was read since.
        assert_eq!(newer().await, Ok(Some(Arc::new(1))));
        assert_eq!(reads.load(Ordering::SeqCst), 2);
    }
}
