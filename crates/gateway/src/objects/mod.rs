//! Objects that upstreams keep for clients: files, uploads, batches, vector stores, containers, and the state of models' answers:
//! responses and their items, conversations, chat completions.
//!
//! Projects share the account of an upstream, so the upstream cannot tell their objects apart. The gateway can: each new
//! object is recorded with its project before the client gets the id, and only ids of the caller's project are passed on.
//! Unlike requests to models, these requests may query the database.

mod background;
mod batch_answers;
mod batch_file;
mod batch_input;
mod batch_policy;
mod batch_status;
mod batch_usage;
mod cache;
mod containers;
mod create;
mod followed_response;
mod list;
mod ownership;
mod part_body;
mod poller;
mod quota;
mod reconcile;
mod repository;
mod request;
mod reservations;
mod retrieve;
mod state;
mod state_writer;
mod uploads;
mod upstream;

use std::sync::Arc;

use base::{Clock, Result};
use http::Method;
use proxy::Target;
use tokio::sync::Notify;
use usage::Recorder;

use crate::drain::Drains;
use crate::object_kind::ObjectKind;
use crate::rate_limits::RateLimits;
use crate::state_recording::StateRecorder;
use batch_file::BatchFileReads;
use cache::ObjectCache;
use list::ListTurns;

pub(crate) use ownership::Ownership;
pub(crate) use part_body::PartBody;
pub(crate) use poller::PollerTask;
pub(crate) use quota::{Quota, QuotaShare};
pub use repository::{ObjectOwner, ObjectRepository, UpstreamObject};
pub(crate) use request::{ObjectRequest, ObjectResponse, ObjectRoute};
pub(crate) use reservations::ObjectReservations;
pub(crate) use state_writer::{STATE_QUEUE_CAPACITY, StateWriterTask};
pub(crate) use upstream::{ObjectClient, PassthroughBody};

/// Serves requests about objects, checks the objects that other requests name, and polls objects for their usage.
pub(crate) struct Objects {
    pub(crate) repository: Arc<ObjectRepository>,
    pub(crate) ownership: Ownership,
    pub(crate) client: ObjectClient,
    pub(crate) quota: Quota,
    pub(crate) reservations: ObjectReservations,
    pub(crate) rate_limits: Arc<RateLimits>,
    pub(crate) recorder: Recorder,
    pub(crate) drains: Drains,
    pub(crate) state_recorder: StateRecorder,
    pub(crate) clock: Clock,
    pub(crate) state: ObjectsState,
}

/// State of [`Objects`] in memory.
#[derive(Default)]
pub(crate) struct ObjectsState {
    cache: ObjectCache,
    turns: ListTurns,
    batch_file_reads: BatchFileReads,
    /// Notified when an object has become due before the next round of the poller.
    due: Notify,
}

impl Objects {
    /// Serves a request. `storage` is the upstream for new objects.
    pub(crate) async fn serve(
        self: &Arc<Self>,
        request: ObjectRequest<'_>,
        storage: Target,
    ) -> Result<ObjectResponse> {
        let (route, method) = (request.route, &request.head.method);
        if let Some(id) = &route.id {
            if route.kind == ObjectKind::Upload && route.rest == "/complete" {
                let completed = self.complete_upload(request, id).await;
                return completed.map(ObjectResponse::Buffered);
            }
            return self.retrieve(request, id).await;
        }
        let response = match (route.kind, method) {
            (ObjectKind::File, &Method::POST) => self.upload(request, storage).await,
            (ObjectKind::Batch, &Method::POST) => self.create_batch(request).await,
            (ObjectKind::VectorStore, &Method::POST) => {
                self.create_vector_store(request, storage).await
            }
            (ObjectKind::Conversation, &Method::POST) => {
                self.create_conversation(request, storage).await
            }
            (ObjectKind::Upload, &Method::POST) => self.create_upload(request, storage).await,
            (ObjectKind::Container, &Method::POST) => self.create_container(request, storage).await,
            _ => self.list(&request).await,
        };
        response.map(ObjectResponse::Buffered)
    }
}
