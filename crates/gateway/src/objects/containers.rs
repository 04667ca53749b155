//! Containers of the code interpreter: each is a session that is charged once, when it is created.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::money::Factor;
use base::time::SECONDS_PER_HOUR;
use base::{Error, Result, UnixTime};
use bytes::Bytes;
use http::{HeaderValue, Response};
use proxy::{Target, UpstreamBilling};
use serde::Deserialize;
use usage::{ItemName, Metric, Quantities, QueuePermit, ToolCalls, UsageEvent, UsageKind};

use super::Objects;
use super::create::{NewObject, NewSession};
use super::ownership::NamedFiles;
use super::reconcile::object_event;
use super::repository::{ObjectOwner, UpstreamObject};
use super::request::ObjectRequest;
use super::upstream::UpstreamRequest;
use crate::budget::with_billing;
use crate::caller::Caller;
use crate::container_session::ContainerSession;
use crate::dialect::{Fields, JSON, form_type, read_form};
use crate::object_kind::ObjectKind;
use crate::policy::ProjectPolicy;

/// The interval between two polls of a container, in seconds.
pub(super) const CONTAINER_POLL_SECONDS: i64 = SECONDS_PER_HOUR;
/// The maximum length of the name of a container.
const MAX_NAME_BYTES: usize = 512;

#[derive(Deserialize)]
struct ContainerStatus {
    status: Option<String>,
}

impl Objects {
    /// Creates a container, at the upstream that keeps its first files, or at `storage` if it has none.
    ///
    /// # Errors
    /// 403: the project may not use the code interpreter. 404: a file is not of the caller's project. 400: a field is invalid, or
    /// names an object whose owner cannot be known. 429: a limit leaves no room. 503: the ledger's queue is full.
    pub(super) async fn create_container(
        self: &Arc<Self>,
        request: ObjectRequest<'_>,
        storage: Target,
    ) -> Result<Response<Bytes>> {
        let (caller, head, body) = (request.caller, request.head, request.body);
        ProjectPolicy::of(caller).check_tools(std::iter::once("code_interpreter"))?;
        let fields = Fields::of_request(&head.headers, &body, &["name", "memory_limit"])?;
        let name = fields.text("name")?.unwrap_or_default();
        if name.len() > MAX_NAME_BYTES || name.contains('\0') {
            let message =
                format!("name must have at most {MAX_NAME_BYTES} bytes, and no NUL character.");
            return Err(Error::invalid("name", message));
        }
        let memory = fields.text("memory_limit")?;
        let owner = ObjectOwner::of(caller);
        let files = self.ownership.check_files(&owner, &body, None).await?;
        let keeper = files.upstream.and_then(|name| self.client.0.by_name(&name));
        let target = keeper.unwrap_or(storage);
        let uplift = target.billing().uplift;
        let permit = self.reserve_session(caller, memory.as_deref(), uplift);
        let permit = permit.await?;
        let new = NewObject {
            purpose: name,
            due_at: Some(self.clock.now().plus(CONTAINER_POLL_SECONDS)),
            session: Some(NewSession { permit, memory }),
            ..NewObject::new(owner, ObjectKind::Container)
        };
        let upstream_request = UpstreamRequest::of_client(head, request.share, body, JSON);
        self.create(new, target, upstream_request).await
    }

    /// Reserves a place in the ledger's queue for a session, and its cost within the spend limits: at the price of any memory
    /// if the request names none, for then the upstream decides.
    async fn reserve_session(
        &self,
        caller: &Caller,
        memory: Option<&str>,
        uplift: Factor,
    ) -> Result<QueuePermit> {
        let spend = if caller.has_spend_limit() {
            let budget = &self.reservations.budget;
            let now = self.clock.now();
            let session = [ToolCalls {
                tool: ItemName::CodeInterpreterSessions,
                count: 1,
                variant: memory,
            }];
            let cost = (budget.prices).max_tool_cost(usage::ANY_MODEL, now, &session, uplift);
            let request = caller.spend_request(now, cost);
            budget.spend.reserve(&request).await?
        } else {
            None
        };
        Ok(self.recorder.reserve().await?.with_spend(spend))
    }

    /// Checks the file that a request adds to a container, and returns the content type for the upstream.
    ///
    /// # Errors
    /// 404: the file is not of the caller's project. 400: the body is malformed, or the file is kept by another upstream.
    pub(super) async fn check_container_file(
        &self,
        container: &UpstreamObject,
        request: &ObjectRequest<'_>,
    ) -> Result<HeaderValue> {
        let (headers, body) = (&request.head.headers, &request.body);
        let (owner, keeper) = (&container.owner, container.upstream.as_str());
        if !request.route.takes_form(headers) {
            let checked = self.ownership.check_files(owner, body, Some(keeper));
            return checked.await.map(|_| JSON);
        }
        let fields = read_form(headers, body, &["file", "file_id"])?;
        if let Some(id) = fields.text("file_id")? {
            let mut files = NamedFiles {
                upstream: Some(keeper.to_owned()),
                max_bytes: 0,
            };
            let ids = BTreeSet::from([id]);
            let checked = self.ownership.add_files(&mut files, owner, "file_id", &ids);
            checked.await?;
        }
        form_type(headers)
    }

    /// Charges the session of a container that a model server has made for a response, as the same event however often it is
    /// called. The container is not polled: it ends by itself when no program has run in it for a while.
    ///
    /// # Errors
    /// 503: the ledger or the database does not respond.
    pub(super) async fn charge_session(&self, container: &UpstreamObject) -> Result<()> {
        let session = ContainerSession::of_text(container.work.as_deref());
        let memory = session.and_then(|session| session.memory_limit);
        let event = session_event(container, memory, self.client.billing_of(container));
        self.recorder.settle(vec![event], Vec::new()).await?;
        self.repository.end_work(container).await
    }

    /// Records whether a container still runs. One that does not is polled no more, and does not count for the quota.
    pub(super) async fn poll_container(
        &self,
        object: &UpstreamObject,
        answer: &[u8],
    ) -> Result<()> {
        let container: ContainerStatus = serde_json::from_slice(answer)
            .map_err(|_| Error::upstream("The model server's answer is no container."))?;
        let has_ended = matches!(container.status.as_deref(), Some("expired" | "deleted"));
        let next = self.clock.now().plus(CONTAINER_POLL_SECONDS);
        let next = Some(next).filter(|_| !has_ended);
        self.repository.set_due(object, next).await
    }
}

/// True if an object is a container that a model server has made for a response, and whose session is not charged yet.
pub(super) fn is_uncharged(object: &UpstreamObject) -> bool {
    object.kind == ObjectKind::Container && object.work.is_some()
}

/// The memory in the answer about a new container.
#[derive(Deserialize)]
struct ContainerMemory {
    memory_limit: Option<String>,
}

/// Returns the memory that an upstream says a new container has.
pub(super) fn memory_in(answer: &[u8]) -> Option<String> {
    let container: ContainerMemory = serde_json::from_slice(answer).ok()?;
    container.memory_limit
}

/// Returns the usage event for the session of a new container with this memory, at an upstream that bills like this.
pub(super) fn session_event(
    container: &UpstreamObject,
    memory: Option<String>,
    billing: UpstreamBilling,
) -> UsageEvent {
    let created_at = UnixTime(container.created_at.div_euclid(1_000));
    let quantities = Quantities::default().with(Metric::NumSessions, 1);
    let quantities = with_billing(quantities, billing, None);
    let kind = UsageKind::CodeInterpreterSessions;
    let id = container.id.clone();
    UsageEvent {
        size: memory,
        ..object_event(container, id, created_at, kind, quantities)
    }
}
