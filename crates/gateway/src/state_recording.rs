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
use usage::Recorded;

use crate::background_work::BackgroundWork;
use crate::caller::Caller;
use crate::container_session::ContainerSession;
use crate::document::StoredIdScanner;
use crate::in_flight::InFlightRequest;
use crate::object_kind::ObjectKind;

/// The longest wait for the writer.
const RECORD_TIMEOUT: Duration = Duration::from_secs(10);
/// The time after which upstreams delete responses and chat completions.
const STATE_LIFETIME_SECONDS: i64 = 30 * SECONDS_PER_DAY;
/// The delay until the first poll of a response that is made in the background, in seconds.
const FIRST_POLL_SECONDS: i64 = 2;

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
    /// End of a request whose response is made in the background; `None` of any other request, and while its answer comes.
    pub(crate) end: Option<BackgroundEnd>,
    /// True if an earlier record has the same response, which is made in the background.
    pub(crate) is_repeated: bool,
    /// Told when the objects are recorded; dropped if they could not be. `None` if nobody waits.
    pub(crate) recorded: Option<oneshot::Sender<()>>,
}

/// The end of a request whose response is made in the background.
pub(crate) enum BackgroundEnd {
    /// The answer has ended, but the response has not: it is metered once it has. Dropped, the request is settled by an estimate.
    HandedOver(Box<InFlightRequest>),
    /// The answer had the end of the response, and the request is settled.
    Settled(Recorded),
}

/// An object of an answer.
pub(crate) struct StateObject {
    pub(crate) kind: ObjectKind,
    pub(crate) id: String,
    /// Time at which the upstream deletes the object by itself.
    pub(crate) expires_at: Option<UnixTime>,
    /// Facts for the metering of a response that is made in the background, or of the session of a container, in JSON.
    pub(crate) work: Option<String>,
    /// Time of the first poll of such an object.
    pub(crate) due_at: Option<UnixTime>,
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
    /// Facts for the metering of a response that is made in the background.
    work: Option<BackgroundWork>,
    /// Memory of the containers that the upstream makes for the answer, if the request has named one.
    container_memory: Option<String>,
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
            work: None,
            container_memory: None,
            is_announced: false,
        }
    }
}

impl StateRecording {
    /// Returns the recording of a response that is made in the background if there is `work`.
    pub(crate) fn with_work(self, work: Option<BackgroundWork>) -> Self {
        Self { work, ..self }
    }

    /// Returns the recording of an answer whose containers have this memory.
    pub(crate) fn with_container_memory(self, memory: Option<&str>) -> Self {
        Self {
            container_memory: memory.map(str::to_owned),
            ..self
        }
    }

    /// True if these are the ids of an answer with a response that is made in the background.
    pub(crate) fn has_response(&self, ids: &StoredIdScanner) -> bool {
        self.work.is_some() && ids.has_response()
    }

    /// True if a response that is made in the background is recorded, or about to be: its metering needs the answer no more.
    pub(crate) fn is_left_to_poller(&self) -> bool {
        self.work.is_some() && self.is_announced
    }

    /// Records the first ids of a stream without waiting, so that its client can use them before the stream ends. A failure is
    /// left to [`Self::finish`]. Of a response that is made in the background, returns what its first event waits for: once the
    /// client has the id, the response is metered whatever happens.
    pub(crate) fn announce(&mut self, ids: &StoredIdScanner) -> Option<StateRecorded> {
        let is_known = match self.work {
            Some(_) => ids.has_response(),
            None => !ids.is_empty(),
        };
        if self.is_announced || !is_known {
            return None;
        }
        self.is_announced = true;
        if self.work.is_some() {
            return Some(self.send(ids, None));
        }
        let record = self.record(ids, None, None);
        drop(self.recorder.queue.try_send(record));
        None
    }

    /// Records all ids, also if the returned future is dropped. Returns `None` if the answer has none.
    pub(crate) fn finish(
        mut self,
        ids: &StoredIdScanner,
        end: Option<BackgroundEnd>,
    ) -> Option<StateRecorded> {
        if ids.is_empty() {
            return None;
        }
        if end.is_none() {
            self.work = None;
        }
        Some(self.send(ids, end))
    }

    fn send(&self, ids: &StoredIdScanner, end: Option<BackgroundEnd>) -> StateRecorded {
        let (recorded, is_recorded) = oneshot::channel();
        let record = self.record(ids, end, Some(recorded));
        if let Err(error) = self.recorder.queue.try_send(record) {
            tracing::error!(%error, "failed to queue owner of stored answer");
        }
        Box::pin(async move {
            let wait = tokio::time::timeout(RECORD_TIMEOUT, is_recorded);
            let recorded = wait.await.map_err(|_| NotRecorded)?;
            recorded.map_err(|_| NotRecorded)
        })
    }

    fn record(
        &self,
        ids: &StoredIdScanner,
        end: Option<BackgroundEnd>,
        recorded: Option<oneshot::Sender<()>>,
    ) -> StateRecord {
        let now = self.recorder.clock.now();
        let memory = self.container_memory.as_deref();
        let objects = named_objects(ids, self.expiry, memory, now).map(|object| {
            match self
                .work
                .as_ref()
                .filter(|_| object.kind == ObjectKind::Response)
            {
                None => object,
                Some(work) => StateObject {
                    due_at: Some(now.plus(FIRST_POLL_SECONDS)),
                    work: Some(work.to_text()),
                    ..object
                },
            }
        });
        StateRecord {
            key: Arc::clone(&self.key),
            project: Arc::clone(&self.project),
            upstream: self.upstream.clone(),
            objects: objects.collect(),
            is_repeated: end.is_some() && self.is_announced,
            end,
            recorded,
        }
    }
}

/// Returns the objects that an answer has named until `now`. Sessions of containers, which have this memory, are to be charged at
/// once.
pub(crate) fn named_objects(
    ids: &StoredIdScanner,
    expiry: StateExpiry,
    container_memory: Option<&str>,
    now: UnixTime,
) -> impl Iterator<Item = StateObject> {
    let session = ContainerSession::of(container_memory).to_text();
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
        work: (kind == ObjectKind::Container).then(|| session.clone()),
        due_at: (kind == ObjectKind::Container).then_some(now),
    })
}
