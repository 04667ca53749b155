//! The writer of what requests to models leave at upstreams: it records the owners of many answers in one transaction.

use std::sync::Arc;

use base::Error;
use http::StatusCode;
use tasks::Task;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Objects;
use super::containers::{is_uncharged, uncharged};
use super::repository::{ObjectOwner, UpstreamObject};
use crate::object_kind::ObjectKind;
use crate::state_recording::{StateObject, StateRecord};

/// The capacity of the queue: more than the answers that can be under way, each of which is recorded at most twice.
pub(crate) const STATE_QUEUE_CAPACITY: usize = 16_384;
/// The maximum number of answers that are recorded in one transaction.
const MAX_GROUP: usize = 64;

/// The background task that records the owners of stored answers. When asked to stop, it records what is in its queue.
pub(crate) struct StateWriterTask {
    pub(crate) objects: Arc<Objects>,
    pub(crate) queue: mpsc::Receiver<StateRecord>,
    pub(crate) stop: CancellationToken,
}

impl Task for StateWriterTask {
    /// Records answers until the task is asked to stop and the queue is empty.
    async fn run(&mut self) {
        let mut group = Vec::with_capacity(MAX_GROUP);
        loop {
            let received = tokio::select! {
                biased;
                count = self.queue.recv_many(&mut group, MAX_GROUP) => count,
                () = self.stop.cancelled() => 0,
            };
            if received == 0 {
                return;
            }
            self.objects.record_group(std::mem::take(&mut group)).await;
        }
    }
}

/// A record, and the rows that it becomes.
struct RecordRows {
    record: StateRecord,
    rows: Vec<UpstreamObject>,
}

impl Objects {
    /// Records answers in one transaction, or one after the other if the database refuses that.
    async fn record_group(self: &Arc<Self>, group: Vec<StateRecord>) {
        let group: Vec<RecordRows> = group.into_iter().map(|it| self.rows(it)).collect();
        let all = group.iter().flat_map(|record| &record.rows);
        let failure = self.repository.add_all(all).await.err();
        let is_down = |error: &Error| error.status == StatusCode::SERVICE_UNAVAILABLE;
        for RecordRows { record, rows } in group {
            let failure = match &failure {
                // Each would wait for the database as long as the group has.
                Some(error) if is_down(error) => Some(error.to_string()),
                Some(_) => {
                    let alone = self.repository.add_all(rows.iter()).await;
                    alone.err().map(|error| error.to_string())
                }
                None => None,
            };
            match (failure, record.recorded) {
                (None, done) => {
                    if rows.iter().any(is_uncharged) {
                        self.state.due.notify_one();
                    }
                    // The receiver is gone if the client has hung up.
                    let _ = done.map(|done| done.send(()));
                }
                (Some(error), Some(_)) => {
                    let upstream = record.upstream.upstream_name();
                    tracing::error!(upstream, %error, "failed to record owner of stored answer; deleting it at upstream");
                    self.delete_answer(rows);
                }
                // What a stream has announced is recorded again at its end.
                (Some(_), None) => {}
            }
        }
    }

    fn rows(&self, record: StateRecord) -> RecordRows {
        let owner = ObjectOwner::of_key(&record.key, &record.project);
        let upstream = record.upstream.upstream_name();
        let objects = record.objects.iter();
        let rows = objects.map(|object| self.state_row(&owner, upstream, object));
        RecordRows {
            rows: rows.collect(),
            record,
        }
    }

    /// Returns the row of an object of an answer.
    pub(super) fn state_row(
        &self,
        owner: &ObjectOwner,
        upstream: &str,
        object: &StateObject,
    ) -> UpstreamObject {
        let row = UpstreamObject {
            owner: owner.clone(),
            kind: object.kind,
            id: object.id.clone(),
            upstream: upstream.to_owned(),
            purpose: String::new(),
            created_at: self.clock.now_milliseconds(),
            work: None,
            due_at: None,
            bytes: None,
            expires_at: object.expires_at,
        };
        match object.kind {
            ObjectKind::Container => uncharged(row, self.clock.now()),
            _ => row,
        }
    }

    /// Deletes a response or a chat completion without an owner in the background. Its conversation stays, since the request may
    /// have named it.
    fn delete_answer(self: &Arc<Self>, rows: Vec<UpstreamObject>) {
        let is_answer = |object: &UpstreamObject| {
            matches!(
                object.kind,
                ObjectKind::Response | ObjectKind::ChatCompletion
            )
        };
        for object in rows.into_iter().filter(is_answer) {
            let objects = Arc::clone(self);
            let id = object.id.clone();
            let is_running = self.drains.run(async move {
                if let Ok(target) = objects.client.upstream_of(&object) {
                    objects.delete(&object, target).await;
                }
            });
            if !is_running {
                tracing::error!(id, "failed to delete orphaned upstream object");
            }
        }
    }
}
