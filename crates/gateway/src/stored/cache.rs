//! Objects as their upstream told of them a moment ago, so that a list that is asked for again and again is asked of the
//! upstream once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use access::stored::{Kind, Object};
use base::ids::ProjectId;
use serde_json::value::RawValue;

/// The time for which an object is believed to be as its upstream told, in milliseconds.
const MAX_AGE_MILLISECONDS: i64 = 3_000;
/// The most bytes of all objects.
const CAPACITY_BYTES: usize = 32 * 1024 * 1024;
/// The longest object that is cached, in bytes.
const MAX_OBJECT_BYTES: usize = 64 * 1024;

type Key = (ProjectId, Kind, String);

/// The cache. What is written through this process is never answered as it was before; what another one has written, for
/// three seconds at the most.
#[derive(Default)]
pub(super) struct ObjectCache(Mutex<Objects>);

#[derive(Default)]
struct Objects {
    entries: HashMap<Key, Entry>,
    /// The oldest first; what was replaced, or invalidated, is among them until it is its turn.
    order: VecDeque<(Key, i64)>,
    bytes: usize,
    /// The invalidations of a project's objects, counted where an answer that is still awaited depends on them.
    awaited: HashMap<ProjectId, Awaited>,
}

struct Entry {
    object: Box<RawValue>,
    at: i64,
}

/// Answers about a project's objects that are still awaited.
#[derive(Default)]
struct Awaited {
    answers: usize,
    invalidations: u64,
}

/// An answer about an object that is awaited from its upstream.
pub(super) struct Asking<'a> {
    cache: &'a ObjectCache,
    key: Key,
    invalidations: u64,
}

impl ObjectCache {
    /// The object, if its upstream told of it a moment ago.
    pub(super) fn find(&self, object: &Object, now: i64) -> Option<Box<RawValue>> {
        let objects = self.lock();
        let entry = objects.entries.get(&key(object))?;
        is_fresh(entry.at, now).then(|| entry.object.clone())
    }

    /// Begins to ask the upstream for an object.
    pub(super) fn ask(&self, object: &Object) -> Asking<'_> {
        let key = key(object);
        let mut objects = self.lock();
        let awaited = objects.awaited.entry(key.0.clone()).or_default();
        awaited.answers += 1;
        let invalidations = awaited.invalidations;
        drop(objects);
        Asking {
            cache: self,
            key,
            invalidations,
        }
    }

    /// Forgets an object that is written to, and whatever is awaited of its project.
    pub(super) fn invalidate(&self, object: &Object) {
        let key = key(object);
        let mut objects = self.lock();
        objects.remove(&key);
        if let Some(awaited) = objects.awaited.get_mut(&key.0) {
            awaited.invalidations += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        // An entry is whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asking<'_> {
    /// Takes in the answer, unless the project has written meanwhile: the answer may be older than that.
    pub(super) fn answered(self, object: &RawValue, now: i64) {
        let mut objects = self.cache.lock();
        let awaited = objects.awaited.get(&self.key.0);
        let is_current = awaited.is_some_and(|awaited| awaited.invalidations == self.invalidations);
        if is_current && object.get().len() <= MAX_OBJECT_BYTES {
            objects.insert(self.key.clone(), object.to_owned(), now);
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut objects = self.cache.lock();
        if let Some(awaited) = objects.awaited.get_mut(&self.key.0) {
            awaited.answers -= 1;
            if awaited.answers == 0 {
                objects.awaited.remove(&self.key.0);
            }
        }
    }
}

impl Objects {
    fn insert(&mut self, key: Key, object: Box<RawValue>, now: i64) {
        self.remove(&key);
        self.bytes += object.get().len();
        self.order.push_back((key.clone(), now));
        self.entries.insert(key, Entry { object, at: now });
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

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.object.get().len();
        }
    }
}

fn key(object: &Object) -> Key {
    (object.owner.project.clone(), object.kind, object.id.clone())
}

/// The clock may be set back: what is of the future is not fresh either.
fn is_fresh(at: i64, now: i64) -> bool {
    (0..MAX_AGE_MILLISECONDS).contains(&now.saturating_sub(at))
}

#[cfg(test)]
mod tests {
    use access::stored::Owner;
    use base::ids::{Id, OrganizationId};

    use super::*;

    fn object(project: &str, id: &str) -> Object {
        Object {
            owner: Owner {
                organization: OrganizationId::from_text("org-1".into()),
                project: ProjectId::from_text(project.into()),
                key: None,
                user: None,
            },
            kind: Kind::File,
            id: id.to_owned(),
            upstream: "keeper".to_owned(),
            purpose: String::new(),
            created_at: 0,
            work: None,
            due_at: None,
        }
    }

    fn raw(text: String) -> Box<RawValue> {
        RawValue::from_string(text).expect("JSON")
    }

    #[test]
    fn an_object_is_found_for_three_seconds_and_until_it_is_written_to() {
        let cache = ObjectCache::default();
        let file = object("proj_1", "file-1");
        cache.ask(&file).answered(&raw("1".into()), 1_000);
        let found = |object: &Object, now| cache.find(object, now).map(|it| it.get().to_owned());
        assert_eq!(found(&file, 3_999).as_deref(), Some("1"));
        assert_eq!(found(&file, 4_000), None);
        assert_eq!(found(&file, 999), None, "the clock was set back");
        assert_eq!(found(&object("proj_2", "file-1"), 1_000), None);
        cache.invalidate(&file);
        assert_eq!(found(&file, 1_001), None);
    }

    #[test]
    fn an_answer_that_may_be_older_than_a_write_is_not_taken_in() {
        let cache = ObjectCache::default();
        let file = object("proj_1", "file-1");
        let asking = cache.ask(&file);
        cache.invalidate(&file);
        asking.answered(&raw("1".into()), 1_000);
        assert!(cache.find(&file, 1_000).is_none());
        cache.ask(&file).answered(&raw("2".into()), 1_000);
        assert!(cache.find(&file, 1_000).is_some());
        assert!(cache.lock().awaited.is_empty());
    }

    #[test]
    fn it_is_bounded() {
        let cache = ObjectCache::default();
        let text = format!("\"{}\"", "x".repeat(MAX_OBJECT_BYTES - 2));
        for number in 0..1_000 {
            let file = object("proj_1", &number.to_string());
            cache.ask(&file).answered(&raw(text.clone()), 1_000);
        }
        assert!(cache.lock().bytes <= CAPACITY_BYTES);
        assert!(cache.find(&object("proj_1", "999"), 1_000).is_some());
        assert!(cache.find(&object("proj_1", "0"), 1_000).is_none());
        let longer = raw(format!("\"{}\"", "x".repeat(MAX_OBJECT_BYTES)));
        let file = object("proj_1", "long");
        cache.ask(&file).answered(&longer, 1_000);
        assert!(cache.find(&file, 1_000).is_none());
        // What is old goes when something comes.
        let file = object("proj_1", "new");
        cache.ask(&file).answered(&raw("1".into()), 10_000);
        assert_eq!(cache.lock().entries.len(), 1);
        assert_eq!(cache.lock().order.len(), 1);
    }
}
