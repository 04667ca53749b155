//! Cache of the upstreams' descriptions of objects, so that a list that is polled by clients costs the upstream one request
//! for each object within [`MAX_AGE_MILLISECONDS`].

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::ids::ProjectId;
use serde_json::value::RawValue;

use super::repository::UpstreamObject;
use crate::object_kind::ObjectKind;

/// The age at which an entry expires.
const MAX_AGE_MILLISECONDS: i64 = 3_000;
/// The capacity of the cache: the bytes of all descriptions.
const CAPACITY_BYTES: usize = 32 * 1024 * 1024;
/// The maximum length of a description that is cached.
const MAX_OBJECT_BYTES: usize = 64 * 1024;

/// Project, kind, upstream and id of an object.
type CacheKey = (ProjectId, ObjectKind, String, String);

/// The cache. A change through this process invalidates the entry at once; after a change through another process the entry is
/// stale until it expires.
#[derive(Default)]
pub(super) struct ObjectCache(Mutex<CacheState>);

#[derive(Default)]
struct CacheState {
    entries: HashMap<CacheKey, CacheEntry>,
    /// Insertions, the oldest first, those of replaced and invalidated entries included.
    order: VecDeque<(CacheKey, i64)>,
    bytes: usize,
    /// Fetches that are in flight, by project.
    fetches: HashMap<ProjectId, PendingFetches>,
}

struct CacheEntry {
    description: Box<RawValue>,
    at: i64,
}

/// Fetches of a project's objects that are in flight, and the invalidations since the first of them.
#[derive(Default)]
struct PendingFetches {
    count: usize,
    invalidations: u64,
}

/// RAII guard of a fetch that is in flight.
pub(super) struct CacheFill<'a> {
    cache: &'a ObjectCache,
    key: CacheKey,
    invalidations: u64,
}

impl ObjectCache {
    /// Returns the cached description of an object, if it is fresh at `now`, in milliseconds.
    pub(super) fn find(&self, object: &UpstreamObject, now: i64) -> Option<Box<RawValue>> {
        let state = self.lock();
        let entry = state.entries.get(&key(object))?;
        is_fresh(entry.at, now).then(|| entry.description.clone())
    }

    /// Begins to fetch an object.
    pub(super) fn begin_fetch(&self, object: &UpstreamObject) -> CacheFill<'_> {
        let key = key(object);
        let mut state = self.lock();
        let fetches = state.fetches.entry(key.0.clone()).or_default();
        fetches.count += 1;
        let invalidations = fetches.invalidations;
        drop(state);
        CacheFill {
            cache: self,
            key,
            invalidations,
        }
    }

    /// Invalidates an object that a request may have changed, and all fetches of its project that are in flight.
    pub(super) fn invalidate(&self, object: &UpstreamObject) {
        let key = key(object);
        let mut state = self.lock();
        state.remove(&key);
        if let Some(fetches) = state.fetches.get_mut(&key.0) {
            fetches.invalidations += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, CacheState> {
        // The state is consistent after every statement, so a panic in between does no harm.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CacheFill<'_> {
    /// Inserts the fetched description, unless the project has changed an object since the fetch began, so that the description
    /// may be stale.
    pub(super) fn insert(self, description: &RawValue, now: i64) {
        let mut state = self.cache.lock();
        let fetches = state.fetches.get(&self.key.0);
        let is_current = fetches.is_some_and(|fetches| fetches.invalidations == self.invalidations);
        if is_current && description.get().len() <= MAX_OBJECT_BYTES {
            state.insert(self.key.clone(), description.to_owned(), now);
        }
    }
}

impl Drop for CacheFill<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.lock();
        if let Some(fetches) = state.fetches.get_mut(&self.key.0) {
            fetches.count -= 1;
            if fetches.count == 0 {
                state.fetches.remove(&self.key.0);
            }
        }
    }
}

impl CacheState {
    fn insert(&mut self, key: CacheKey, description: Box<RawValue>, now: i64) {
        self.remove(&key);
        self.bytes += description.get().len();
        self.order.push_back((key.clone(), now));
        let entry = CacheEntry {
            description,
            at: now,
        };
        self.entries.insert(key, entry);
        while let Some((_, at)) = self.order.front()
            && (self.bytes > CAPACITY_BYTES || !is_fresh(*at, now))
        {
            let Some((key, at)) = self.order.pop_front() else {
                break;
            };
            if self.entries.get(&key).is_some_and(|entry| entry.at == at) {
                self.remove(&key);
            }
        }
    }

    fn remove(&mut self, key: &CacheKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.description.get().len();
        }
    }
}

fn key(object: &UpstreamObject) -> CacheKey {
    let UpstreamObject { upstream, id, .. } = object;
    let project = object.owner.project.clone();
    (project, object.kind, upstream.clone(), id.clone())
}

/// True if an entry has not expired. The clock may be set back, so an entry of the future is not fresh either.
fn is_fresh(at: i64, now: i64) -> bool {
    (0..MAX_AGE_MILLISECONDS).contains(&now.saturating_sub(at))
}

#[cfg(test)]
mod tests {
    use base::ids::{Id, OrganizationId};

    use super::*;
    use crate::objects::repository::ObjectOwner;

    fn object(project: &str, id: &str) -> UpstreamObject {
        UpstreamObject {
            owner: ObjectOwner {
                organization: OrganizationId::from_text("org-1".into()),
                project: ProjectId::from_text(project.into()),
                key: None,
                user: None,
            },
            kind: ObjectKind::File,
            id: id.to_owned(),
            upstream: "keeper".to_owned(),
            purpose: String::new(),
            created_at: 0,
            work: None,
            due_at: None,
            expires_at: None,
            bytes: None,
        }
    }

    fn raw(text: String) -> Box<RawValue> {
        RawValue::from_string(text).expect("JSON")
    }

    #[test]
    fn an_object_is_found_for_three_seconds_and_until_it_is_written_to() {
        let cache = ObjectCache::default();
        let file = object("proj_1", "file-1");
        cache.begin_fetch(&file).insert(&raw("1".into()), 1_000);
        let found =
            |object: &UpstreamObject, now| cache.find(object, now).map(|it| it.get().to_owned());
        assert_eq!(found(&file, 3_999).as_deref(), Some("1"));
        assert_eq!(found(&file, 4_000), None);
        assert_eq!(found(&file, 999), None, "the clock was set back");
        assert_eq!(found(&object("proj_2", "file-1"), 1_000), None);
        cache.invalidate(&file);
        assert_eq!(found(&file, 1_001), None);
    }

    #[test]
    fn a_description_that_may_be_older_than_a_change_is_not_inserted() {
        let cache = ObjectCache::default();
        let file = object("proj_1", "file-1");
        let fetch = cache.begin_fetch(&file);
        cache.invalidate(&file);
        fetch.insert(&raw("1".into()), 1_000);
        assert!(cache.find(&file, 1_000).is_none());
        cache.begin_fetch(&file).insert(&raw("2".into()), 1_000);
        assert!(cache.find(&file, 1_000).is_some());
        assert!(cache.lock().fetches.is_empty());
    }

    #[test]
    fn the_cache_has_a_capacity() {
        let cache = ObjectCache::default();
        let text = format!("\"{}\"", "x".repeat(MAX_OBJECT_BYTES - 2));
        for number in 0..1_000 {
            let file = object("proj_1", &number.to_string());
            cache.begin_fetch(&file).insert(&raw(text.clone()), 1_000);
        }
        assert!(cache.lock().bytes <= CAPACITY_BYTES);
        assert!(cache.find(&object("proj_1", "999"), 1_000).is_some());
        assert!(cache.find(&object("proj_1", "0"), 1_000).is_none());
        let longer = raw(format!("\"{}\"", "x".repeat(MAX_OBJECT_BYTES)));
        let file = object("proj_1", "long");
        cache.begin_fetch(&file).insert(&longer, 1_000);
        assert!(cache.find(&file, 1_000).is_none());
        // An insertion evicts the expired entries.
        let file = object("proj_1", "new");
        cache.begin_fetch(&file).insert(&raw("1".into()), 10_000);
        assert_eq!(cache.lock().entries.len(), 1);
        assert_eq!(cache.lock().order.len(), 1);
    }
}
