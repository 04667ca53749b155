//! Recording of what requests to models leave at upstreams: the ids in an answer go to a writer, and the end of the answer waits
//! until their owner is recorded.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use access::{Key, Project};
use base::time::SECONDS_PER_DAY;
use base::{Clock, UnixTime};
use proxy::Target;
use tokio::sync::{mpsc, oneshot};

use crate::caller::Caller;
use crate::document::StoredIdScanner;
use crate::object_kind::ObjectKind;

/// The longest wait for the writer.
const RECORD_TIMEOUT: Duration = Duration::from_secs(10);
/// The time after which upstreams delete responses and chat completions.
const STATE_LIFETIME_SECONDS: i64 = 30 * SECONDS_PER_DAY;

/// Resolves once the owner of an answer's objects is recorded.
pub(crate) type StateRecorded = Pin<Box<dyn Future<Output = Result<(), NotRecorded>> + Send>>;

/// The owner of an answer's objects could not be recorded in time.
#[derive(Debug)]
pub(crate) struct NotRecorded;

/// Sends records to the writer. Clones share its queue.
#[derive(Clone)]
pub(crate) struct StateRecorder {
    pub(crate) queue: mpsc::Sender<StateRecord>,
    pub(crate) clock: Clock,
}

/// The objects of one answer, which belong to the project of its caller.
pub(crate) struct StateRecord {
    pub(crate) key: Arc<Key>,
    pub(crate) project: Arc<Project>,
    pub(crate) upstream: Target,
    pub(crate) objects: Vec<StateObject>,
    /// Told when the objects are recorded; dropped if they could not be. `None` if nobody waits.
    pub(crate) recorded: Option<oneshot::Sender<()>>,
}

/// An object of an answer.
pub(crate) struct StateObject {
    pub(crate) kind: ObjectKind,
    pub(crate) id: String,
    /// Time at which the upstream deletes the object by itself.
    pub(crate) expires_at: Option<UnixTime>,
}

/// Expiry of the objects of an answer.
#[derive(Clone, Copy)]
pub(crate) enum StateExpiry {
    /// Responses and chat completions expire with their items, unless these are in a conversation, which does not expire.
    OfAnswer,
    /// All objects expire at this time, if at any.
    At(Option<UnixTime>),
}

/// The recording of one answer.
pub(crate) struct StateRecording {
    recorder: StateRecorder,
    key: Arc<Key>,
    project: Arc<Project>,
    upstream: Target,
    expiry: StateExpiry,
    /// True if the first ids of a stream have been sent to the writer.
    is_announced: bool,
}

impl StateRecorder {
    /// Begins to record the objects of an answer of `upstream` to a caller.
    pub(crate) fn begin(
        &self,
        caller: &Caller,
        upstream: &Target,
        expiry: StateExpiry,
    ) -> StateRecording {
        StateRecording {
            recorder: self.clone(),
            key: Arc::clone(&caller.key),
            project: Arc::clone(&caller.project),
            upstream: upstream.clone(),
            expiry,
            is_announced: false,
        }
    }
}

impl StateRecording {
    /// Records the first ids of a stream without waiting, so that its client can use them before the stream ends. A failure is
    /// left to [`Self::finish`].
    pub(crate) fn announce(&mut self, ids: &StoredIdScanner) {
        if self.is_announced || ids.is_empty() {
            return;
        }
        self.is_announced = true;
        let record = self.record(ids, None);
        drop(self.recorder.queue.try_send(record));
    }

    /// Records all ids, also if the returned future is dropped. Returns `None` if the answer has none.
    pub(crate) fn finish(self, ids: &StoredIdScanner) -> Option<StateRecorded> {
        if ids.is_empty() {
            return None;
        }
        let (recorded, is_recorded) = oneshot::channel();
        let record = self.record(ids, Some(recorded));
        if let Err(error) = self.recorder.queue.try_send(record) {
            tracing::error!(%error, "failed to queue owner of stored answer");
        }
        Some(Box::pin(async move {
            let wait = tokio::time::timeout(RECORD_TIMEOUT, is_recorded);
            let recorded = wait.await.map_err(|_| NotRecorded)?;
            recorded.map_err(|_| NotRecorded)
        }))
    }

    fn record(&self, ids: &StoredIdScanner, recorded: Option<oneshot::Sender<()>>) -> StateRecord {
        let now = self.recorder.clock.now();
        StateRecord {
            key: Arc::clone(&self.key),
            project: Arc::clone(&self.project),
            upstream: self.upstream.clone(),
            objects: named_objects(ids, self.expiry, now).collect(),
            recorded,
        }
    }
}

/// Returns the objects that an answer has named until `now`.
pub(crate) fn named_objects(
    ids: &StoredIdScanner,
    expiry: StateExpiry,
    now: UnixTime,
) -> impl Iterator<Item = StateObject> {
    let in_30_days = now.plus(STATE_LIFETIME_SECONDS);
    let has_conversation = ids
        .found()
        .any(|(kind, _)| kind == ObjectKind::Conversation);
    ids.found().map(move |(kind, id)| StateObject {
        kind,
        id: id.to_owned(),
        expires_at: match (expiry, kind) {
            (StateExpiry::At(time), _) => time,
            (_, ObjectKind::Conversation) => None,
            (_, ObjectKind::ResponseItem) if has_conversation => None,
            _ => Some(in_30_days),
        },
    })
}
