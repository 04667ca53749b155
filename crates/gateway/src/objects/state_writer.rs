//! The writer of what requests to models leave at upstreams: it records the owners of many answers in one transaction.

use std::sync::Arc;

use base::{Error, Result};
use http::StatusCode;
use tasks::Task;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use usage::Outcome;

use super::Objects;
use super::containers::is_uncharged;
use super::repository::{ObjectOwner, UpstreamObject};
use crate::object_kind::ObjectKind;
use crate::state_recording::{BackgroundEnd, StateObject, StateRecord};

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

/// The record of a response that is made in the background, compared with the one that was to be written.
enum BackgroundRecord {
    /// The record was written.
    Written,
    /// The project had the response before: the upstream has answered an earlier request again.
    Known,
    /// Another project has a response with this id.
    Foreign,
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
            let mut responses = rows.iter().filter(|row| row.kind == ObjectKind::Response);
            let response = responses.find(|row| row.work.is_some());
            match (failure, record.recorded) {
                (None, done) => {
                    if rows.iter().any(is_uncharged) {
                        self.state.due.notify_one();
                    }
                    match (done, response) {
                        (None, _) => {}
                        // The receiver is gone if the client has hung up.
                        (Some(done), None) => drop(done.send(())),
                        (Some(done), Some(response)) => {
                            self.end_background(response, record.end, done).await;
                        }
                    }
                }
                (Some(error), Some(_)) if record.is_repeated => {
                    let upstream = record.upstream.upstream_name();
                    tracing::error!(upstream, %error, "failed to record end of response in the background");
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

    /// Ends a request whose response is recorded, and tells `done` once that is durable. The response is metered by the poller
    /// from now on, unless the request has metered it.
    async fn end_background(
        self: &Arc<Self>,
        response: &UpstreamObject,
        end: Option<BackgroundEnd>,
        done: oneshot::Sender<()>,
    ) {
        let (id, upstream) = (&response.id, &response.upstream);
        match (self.background_record(response).await, end) {
            (Ok(BackgroundRecord::Written), Some(BackgroundEnd::HandedOver(request))) => {
                if let Some(reservation) = request.hand_over() {
                    self.reservations.bind(&reservation, response).await;
                }
                self.state.due.notify_one();
            }
            (Ok(BackgroundRecord::Written), Some(BackgroundEnd::Settled(recorded))) => {
                let (objects, response) = (Arc::clone(self), response.clone());
                // If the process ends before, the poller writes the same row again.
                tokio::spawn(async move {
                    if recorded.await.is_ok() {
                        objects.end_polling(&response).await;
                        let _ = done.send(());
                    }
                });
                return;
            }
            (Ok(BackgroundRecord::Written), None) => self.state.due.notify_one(),
            (Ok(BackgroundRecord::Known), end) => {
                if let Some(BackgroundEnd::HandedOver(request)) = end {
                    // Nothing new was made, and what was made before has a row.
                    drop(request.settle(Outcome::Succeeded, None));
                }
            }
            (Ok(BackgroundRecord::Foreign), _) => {
                tracing::error!(
                    upstream,
                    id,
                    "upstream answered with a response of another project"
                );
                return;
            }
            (Err(error), _) => {
                tracing::error!(upstream, id, %error, "failed to read record of response; usage estimated");
                return;
            }
        }
        let _ = done.send(());
    }

    async fn background_record(&self, response: &UpstreamObject) -> Result<BackgroundRecord> {
        let (owner, id) = (&response.owner, response.id.as_str());
        let found = self.repository.find(owner, response.kind, &[id]).await?;
        Ok(match found.first() {
            Some(found) if found.work == response.work => BackgroundRecord::Written,
            Some(found) if found.upstream == response.upstream => BackgroundRecord::Known,
            _ => BackgroundRecord::Foreign,
        })
    }

    /// Notes that a response is metered. A failure is left to the poller.
    async fn end_polling(&self, response: &UpstreamObject) {
        if let Err(error) = self.repository.set_due(response, None).await {
            let id = &response.id;
            tracing::warn!(id, %error, "failed to end polling of response; will retry");
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
        UpstreamObject {
            owner: owner.clone(),
            kind: object.kind,
            id: object.id.clone(),
            upstream: upstream.to_owned(),
            purpose: String::new(),
            created_at: self.clock.now_milliseconds(),
            work: object.work.clone(),
            due_at: object.due_at,
            bytes: None,
            expires_at: object.expires_at,
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
                    if object.work.is_some() {
                        objects.cancel_unrecorded(&object).await;
                    }
                    objects.delete(&object, target).await;
                }
            });
            if !is_running {
                tracing::error!(id, "failed to delete orphaned upstream object");
            }
        }
    }
}
