//! Objects that upstreams keep for clients: files, batches and vector stores.
//!
//! Projects share the account of an upstream, so the upstream cannot tell their objects apart. The gateway can: each new
//! object is recorded with its project before the client gets the id, and only ids of the caller's project are passed on.
//! Unlike requests to models, these requests may query the database.

mod batches;
mod cache;
mod create;
mod list;
mod ownership;
mod poller;
mod quota;
mod reconcile;
mod repository;
mod reservations;
mod retrieve;
mod upstream;

use std::sync::Arc;

use base::{Clock, Result};
use bytes::Bytes;
use http::{Method, Response, request};
use proxy::{Target, Upstreams};
use usage::{ModelFacts, PriceBook, Recorder, Spend, SpendReservations};

use crate::caller::Caller;
use crate::drain::Drains;
use crate::flow::ObjectLimits;
use crate::limits::{RateLimitStatus, RateLimiter};
use crate::object_kind::ObjectKind;
use crate::query::no_query;
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
use upstream::{ObjectClient, is_plausible};

pub(crate) use poller::{Poller, PollerTask};
pub(crate) use quota::QuotaShare;
pub use repository::{ObjectOwner, ObjectRepository, UpstreamObject};
pub(crate) use upstream::PassthroughBody;

/// Dependencies of [`Objects`].
pub(crate) struct ObjectDependencies {
    pub(crate) repository: ObjectRepository,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) limiter: Arc<RateLimiter>,
    pub(crate) rate_limits: Arc<RateLimits>,
    pub(crate) limits: ObjectLimits,
    pub(crate) recorder: Recorder,
    pub(crate) reservations: SpendReservations,
    pub(crate) spend: Spend,
    pub(crate) prices: PriceBook,
    pub(crate) facts: Arc<ModelFacts>,
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

/// A request about an object, or about all objects of a kind, by an authenticated caller.
pub(crate) struct ObjectRequest<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) route: &'a ObjectRoute,
    pub(crate) head: &'a request::Parts,
    pub(crate) body: Bytes,
    pub(crate) share: &'a Arc<QuotaShare>,
    /// Set to the status of the rate limits that the request counts under, if it counts under any.
    pub(crate) rate_limit_status: &'a mut RateLimitStatus,
}

/// The response to a request about objects.
pub(crate) enum ObjectResponse {
    Buffered(Response<Bytes>),
    Passthrough(Response<PassthroughBody>),
}

impl Objects {
    /// Wires the parts that serve requests about objects.
    pub(crate) fn new(with: ObjectDependencies) -> Self {
        let clock = with.clock;
        let repository = Arc::new(with.repository);
        let client = ObjectClient::new(Arc::clone(&with.upstreams));
        let ownership = Arc::new(Ownership {
            repository: Arc::clone(&repository),
            is_enforced: with.upstreams.has_storage(),
        });
        let reservations = Arc::new(ObjectReservations {
            reservations: with.reservations,
            spend: with.spend,
            prices: with.prices,
            facts: with.facts,
            clock: clock.clone(),
        });
        let quota = Arc::new(Quota::new(
            with.limits,
            with.limiter,
            Arc::clone(&repository),
        ));
        let cache = Arc::new(ObjectCache::default());
        let reconciler = Arc::new(Reconciler::new(
            Arc::clone(&repository),
            client.clone(),
            Arc::clone(&reservations),
            with.recorder,
            clock.clone(),
        ));
        let creator = Arc::new(Creator {
            repository: Arc::clone(&repository),
            client: client.clone(),
            reservations: Arc::clone(&reservations),
            drains: with.drains,
            clock: clock.clone(),
        });
        Self {
            batches: BatchCreator {
                ownership: Arc::clone(&ownership),
                client: client.clone(),
                creator: Arc::clone(&creator),
                reservations: Arc::clone(&reservations),
                rate_limits: with.rate_limits,
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

/// The parameters of lists of what is in a vector store.
const VECTOR_STORE_FILE_PARAMETERS: [&str; 5] = ["limit", "order", "after", "before", "filter"];

/// The path of a request about objects.
pub(crate) struct ObjectRoute {
    kind: ObjectKind,
    /// Id of the object; `None` for requests about all objects, or for a new one.
    id: Option<String>,
    /// Rest of the path after the id, with a leading slash; empty for the object itself.
    rest: String,
}

impl ObjectRoute {
    /// Returns the route at a path below `/v1`, and its methods.
    pub(crate) fn at(path: &str) -> Option<(&'static [Method], Self)> {
        const GET: Method = Method::GET;
        const POST: Method = Method::POST;
        const DELETE: Method = Method::DELETE;
        let mut segments = path.strip_prefix('/')?.split('/');
        let kind = match segments.next()? {
            "files" => ObjectKind::File,
            "batches" => ObjectKind::Batch,
            "vector_stores" => ObjectKind::VectorStore,
            _ => return None,
        };
        let segments: Vec<&str> = segments.collect();
        if !segments.iter().all(|segment| is_plausible(segment)) {
            return None;
        }
        let methods: &[Method] = match (kind, segments.as_slice()) {
            (_, []) | (ObjectKind::VectorStore, [_, "files"]) => &[GET, POST],
            (ObjectKind::File, [_]) => &[GET, DELETE],
            (ObjectKind::Batch, [_])
            | (ObjectKind::File, [_, "content"])
            | (
                ObjectKind::VectorStore,
                [_, "files", _, "content"]
                | [_, "file_batches", _]
                | [_, "file_batches", _, "files"],
            ) => &[GET],
            (ObjectKind::VectorStore, [_] | [_, "files", _]) => &[GET, POST, DELETE],
            (ObjectKind::Batch, [_, "cancel"])
            | (
                ObjectKind::VectorStore,
                [_, "search" | "file_batches"] | [_, "file_batches", _, "cancel"],
            ) => &[POST],
            _ => return None,
        };
        let (id, rest) = match segments.split_first() {
            None => (None, String::new()),
            Some((id, rest)) => (
                Some((*id).to_owned()),
                rest.iter().flat_map(|it| ["/", it]).collect(),
            ),
        };
        Some((methods, Self { kind, id, rest }))
    }

    /// Returns the name of the route in metrics and traces: one for each kind.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.path()
    }

    /// True if the body of a request is a form.
    pub(crate) fn takes_form(&self) -> bool {
        self.kind == ObjectKind::File
    }

    /// True if a request with this method only releases resources of the upstream.
    pub(crate) fn is_release(&self, method: &Method) -> bool {
        *method == Method::DELETE || self.rest.ends_with("/cancel")
    }

    /// Refuses query parameters that the upstream would get, and could read in another way than the gateway does. Lists of
    /// the gateway itself check theirs when they read them.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub(crate) fn check_query(&self, method: &Method, query: Option<&str>) -> Result<()> {
        if method == Method::GET && self.id.is_none() {
            return Ok(());
        }
        let is_file_list = method == Method::GET
            && self.kind == ObjectKind::VectorStore
            && self.rest.ends_with("/files");
        if !is_file_list {
            return no_query(query);
        }
        for pair in query.unwrap_or_default().split('&') {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            if !name.is_empty() && !VECTOR_STORE_FILE_PARAMETERS.contains(&name) {
                return no_query(Some(pair));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_the_methods_of_the_contract() {
        for (path, methods) in [
            ("/files", "GET POST"),
            ("/files/file-1", "GET DELETE"),
            ("/files/file-1/content", "GET"),
            ("/batches", "GET POST"),
            ("/batches/b_1", "GET"),
            ("/batches/b_1/cancel", "POST"),
            ("/vector_stores", "GET POST"),
            ("/vector_stores/vs_1", "GET POST DELETE"),
            ("/vector_stores/vs_1/search", "POST"),
            ("/vector_stores/vs_1/files", "GET POST"),
            ("/vector_stores/vs_1/files/f", "GET POST DELETE"),
            ("/vector_stores/vs_1/files/f/content", "GET"),
            ("/vector_stores/vs_1/file_batches", "POST"),
            ("/vector_stores/vs_1/file_batches/b", "GET"),
            ("/vector_stores/vs_1/file_batches/b/cancel", "POST"),
            ("/vector_stores/vs_1/file_batches/b/files", "GET"),
        ] {
            let (known, route) = ObjectRoute::at(path).expect(path);
            let known: Vec<&str> = known.iter().map(Method::as_str).collect();
            assert_eq!(known.join(" "), methods, "{path}");
            let id = route.id.map(|id| format!("/{id}")).unwrap_or_default();
            assert_eq!(format!("{}{id}{}", route.kind.path(), route.rest), path);
        }
        for path in [
            "/files/",
            "/files//content",
            "/files/../batches",
            "/files/a%2Fb",
            "/files/a.b",
            "/files/a/other",
            "/vector_stores/vs_1/../files",
            "/vector_stores/vs_1/files/f/content/more",
            "/uploads",
        ] {
            assert!(ObjectRoute::at(path).is_none(), "{path}");
        }
    }
}
