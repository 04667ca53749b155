//! Objects that upstreams keep for clients: files, batches and vector stores.
//!
//! Projects share the account of an upstream, so the upstream cannot tell their objects apart. The gateway can: each new
//! object is recorded with its project before the client gets the id, and only ids of the caller's project are passed on.
//! Unlike requests to models, these requests may query the database.

mod batch_input;
mod batch_status;
mod batches;
mod cache;
mod create;
mod list;
mod ownership;
mod poller;
mod quota;
mod reconcile;
mod repository;
mod request;
mod reservations;
mod retrieve;
mod upstream;

use std::sync::Arc;

use base::{Clock, Result};
use http::Method;
use proxy::Target;
use usage::{DurableReservations, PriceBook, Recorder, Spend};

use crate::caller::Caller;
use crate::drain::Drains;
use crate::flow::ObjectLimits;
use crate::object_kind::ObjectKind;
use crate::rate_limits::RateLimits;
use batches::BatchCreator;
use cache::ObjectCache;
use create::Creator;
use list::Lister;
use ownership::Ownership;
use quota::Quota;
use reconcile::Reconciler;
use reservations::ObjectReservations;
use retrieve::Retriever;
use upstream::ObjectClient;

pub(crate) use poller::{Poller, PollerTask};
pub(crate) use quota::QuotaShare;
pub use repository::{ObjectOwner, ObjectRepository, UpstreamObject};
pub(crate) use request::{ObjectRequest, ObjectResponse, ObjectRoute};
pub(crate) use upstream::PassthroughBody;

/// Dependencies of [`Objects`].
pub(crate) struct ObjectDependencies {
    pub(crate) repository: ObjectRepository,
    pub(crate) rate_limits: Arc<RateLimits>,
    pub(crate) limits: ObjectLimits,
    pub(crate) recorder: Recorder,
    pub(crate) reservations: DurableReservations,
    pub(crate) spend: Spend,
    pub(crate) prices: PriceBook,
    pub(crate) drains: Drains,
    pub(crate) clock: Clock,
}

/// Serves requests about objects, and checks the objects that other requests name.
pub(crate) struct Objects {
    ownership: Arc<Ownership>,
    client: ObjectClient,
    quota: Arc<Quota>,
    creator: Arc<Creator>,
    batches: BatchCreator,
    retriever: Retriever,
    lister: Lister,
    poller: Arc<Poller>,
}

/// The parts that several others use.
struct SharedParts {
    repository: Arc<ObjectRepository>,
    client: ObjectClient,
    ownership: Arc<Ownership>,
    reservations: Arc<ObjectReservations>,
    reconciler: Arc<Reconciler>,
}

impl SharedParts {
    fn new(with: ObjectDependencies) -> Self {
        let upstreams = &with.rate_limits.upstreams;
        let repository = Arc::new(with.repository);
        let client = ObjectClient::new(Arc::clone(upstreams));
        let reservations = Arc::new(ObjectReservations {
            reservations: with.reservations,
            spend: with.spend,
            prices: with.prices,
            facts: Arc::clone(&with.rate_limits.facts),
            clock: with.clock.clone(),
        });
        Self {
            ownership: Arc::new(Ownership {
                repository: Arc::clone(&repository),
                is_enforced: upstreams.has_storage(),
            }),
            reconciler: Arc::new(Reconciler::new(
                Arc::clone(&repository),
                client.clone(),
                Arc::clone(&reservations),
                with.recorder,
                with.clock,
            )),
            repository,
            client,
            reservations,
        }
    }
}

impl Objects {
    /// Wires the parts that serve requests about objects.
    pub(crate) fn new(with: ObjectDependencies) -> Self {
        let (clock, drains, limits) =
            (with.clock.clone(), with.drains.clone(), with.limits.clone());
        let rate_limits = Arc::clone(&with.rate_limits);
        let limiter = Arc::clone(&rate_limits.limiter);
        let SharedParts {
            repository,
            client,
            ownership,
            reservations,
            reconciler,
        } = SharedParts::new(with);
        let quota = Arc::new(Quota::new(limits, limiter, Arc::clone(&repository)));
        let cache = Arc::new(ObjectCache::default());
        let creator = Arc::new(Creator {
            repository: Arc::clone(&repository),
            client: client.clone(),
            reservations: Arc::clone(&reservations),
            drains,
            clock: clock.clone(),
        });
        Self {
            batches: BatchCreator {
                ownership: Arc::clone(&ownership),
                client: client.clone(),
                creator: Arc::clone(&creator),
                reservations: Arc::clone(&reservations),
                rate_limits,
                clock: clock.clone(),
            },
            retriever: Retriever {
                ownership: Arc::clone(&ownership),
                client: client.clone(),
                reservations,
                reconciler: Arc::clone(&reconciler),
                cache: Arc::clone(&cache),
            },
            lister: Lister {
                repository: Arc::clone(&repository),
                client: client.clone(),
                quota: Arc::clone(&quota),
                reconciler: Arc::clone(&reconciler),
                cache,
                clock: clock.clone(),
                turns: Arc::default(),
            },
            poller: Arc::new(Poller {
                repository,
                reconciler,
                clock,
            }),
            ownership,
            client,
            quota,
            creator,
        }
    }

    /// Returns the check of the objects that a request names.
    pub(crate) fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// Returns the poller of the objects that are due.
    pub(crate) fn poller(&self) -> &Arc<Poller> {
        &self.poller
    }

    /// Returns the upstream that new objects are created at.
    ///
    /// # Errors
    /// 404: no upstream keeps objects.
    pub(crate) fn storage(&self) -> Result<Target> {
        self.client.storage()
    }

    /// Charges a request to the quota of its project.
    ///
    /// # Errors
    /// 429: the quota is exhausted.
    pub(crate) async fn charge(
        &self,
        caller: &Caller,
        route: &ObjectRoute,
        method: &Method,
    ) -> Result<QuotaShare> {
        let creates = (*method == Method::POST && route.id.is_none()).then_some(route.kind);
        self.quota.charge(caller, creates).await
    }

    /// Serves a request. `storage` is the upstream for new objects.
    pub(crate) async fn serve(
        &self,
        request: ObjectRequest<'_>,
        storage: Target,
    ) -> Result<ObjectResponse> {
        let (route, method) = (request.route, &request.head.method);
        if let Some(id) = &route.id {
            return self.retriever.serve(request, id).await;
        }
        let response = match (route.kind, method) {
            (ObjectKind::File, &Method::POST) => self.creator.upload(request, storage).await,
            (ObjectKind::Batch, &Method::POST) => self.batches.create(request).await,
            (ObjectKind::VectorStore, &Method::POST) => {
                let ownership = &self.ownership;
                self.creator
                    .create_vector_store(request, storage, ownership)
                    .await
            }
            _ => {
                let query = request.head.uri.query();
                self.lister.list(request.caller, route.kind, query).await
            }
        };
        response.map(ObjectResponse::Buffered)
    }
}
