//! The world of a test: a gateway on a database of its own, with two organizations and a key of every kind.

mod keys;
mod ledger;
mod node;
mod settings;
mod started;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::ids::Id;
use base::secret::Pepper;
use base::{Clock, UnixTime};
use bodies::BodiesTask;
use bytes::Bytes;
use gateway::{Body, Durability, Gateway, GatewayTask, UpstreamConfig};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use store::testing::TestDatabase;
use store::{Statement, Store, sql};
use testkit::{NodeParts, Organization, ProjectKey};
use usage::{Recorder, RecorderTask, Spend};

pub use ledger::Row;
pub use node::Node;
pub use started::Bounds;

use self::started::{Others, Started, pepper, start};
use crate::upstream::{Reply, Upstream};

/// The time at which every test begins, in seconds since 1970.
pub const START_SECONDS: i64 = 1_760_000_000;
/// The time at which [`World::expiring_key`] expires, in seconds since 1970.
pub const EXPIRY_SECONDS: i64 = START_SECONDS + 3600;

/// Keys that a world begins with.
pub struct Keys {
    /// Key of the owner in the project.
    pub owner: ProjectKey,
    /// Key of a service account in the project.
    pub service: ProjectKey,
    /// Key of a service account in the other project.
    pub other: ProjectKey,
}

pub struct World {
    pub store: Store,
    pub recorder: Recorder,
    pub spend: Spend,
    pub gateway: Gateway,
    pub clock: Clock,
    pub upstream: Upstream,
    pub task: GatewayTask,
    /// Writer of captured bodies, if bodies are kept.
    pub keeper: Option<BodiesTask>,
    pub pepper: Pepper,
    /// The organization, administered through this node.
    pub organization: Organization,
    /// Id of the project of most keys.
    pub project: String,
    /// Id of the other project.
    pub other_project: String,
    pub keys: Keys,
    /// The task that writes the ledger; a test may stop it.
    pub recorder_task: Option<RecorderTask>,
    _others: Others,
    database: TestDatabase,
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
    /// True if the body broke off.
    pub is_broken: bool,
}

pub fn config(name: &str, base_url: String) -> UpstreamConfig {
    UpstreamConfig {
        models: vec!["real".to_owned()],
        aliases: BTreeMap::from([("nick".to_owned(), "real".to_owned())]),
        timeout_seconds: 5,
        ..UpstreamConfig::new(name, base_url)
    }
}

impl World {
    /// Starts a world with one upstream that answers `reply`.
    pub async fn start(reply: Reply) -> Self {
        Self::with(reply, Durability::Batched, |url| vec![config("local", url)]).await
    }

    /// Starts a world like [`Self::start`] that captures bodies.
    pub async fn keeping(reply: Reply) -> Self {
        let upstreams = |url| vec![config("local", url)];
        let bounds = Bounds::default();
        Self::made(reply, Durability::Batched, upstreams, true, bounds).await
    }

    /// Starts a world like [`Self::with`], within these bounds.
    pub async fn bounded(
        reply: Reply,
        upstreams: impl FnOnce(String) -> Vec<UpstreamConfig>,
        bounds: Bounds,
    ) -> Self {
        Self::made(reply, Durability::Batched, upstreams, false, bounds).await
    }

    pub async fn with(
        reply: Reply,
        durability: Durability,
        upstreams: impl FnOnce(String) -> Vec<UpstreamConfig>,
    ) -> Self {
        Self::made(reply, durability, upstreams, false, Bounds::default()).await
    }

    async fn made(
        reply: Reply,
        durability: Durability,
        upstreams: impl FnOnce(String) -> Vec<UpstreamConfig>,
        keeps_bodies: bool,
        bounds: Bounds,
    ) -> Self {
        let upstream = Upstream::start(reply).await;
        let database = TestDatabase::new();
        let store = Store::open(database.url()).await;
        let store = store.expect("a store");
        let clock = Clock::fake(UnixTime(START_SECONDS));
        let spend = Spend::load(store.usage(), clock.clone()).await;
        let spend = spend.expect("what was spent");
        let (ledger, book) = (store.usage().clone(), Arc::new(bounds.prices.clone()));
        let recorder = Recorder::start(ledger, book, clock.clone(), spend.clone());
        let (recorder, recorder_task) = recorder.expect("a recorder");
        let upstreams = upstreams(upstream.base_url());
        let models = administrable(&upstreams);
        let books = (&recorder, &spend);
        let how = (durability, keeps_bodies);
        let started = start(&store, books, &clock, upstreams, how, bounds).await;
        let Started {
            gateway,
            task,
            keeper,
            directory,
            others,
        } = started;
        let organization = Organization::create(NodeParts {
            store: store.clone(),
            directory,
            recorder: recorder.clone(),
            spend: spend.clone(),
            pepper: pepper(),
            clock: clock.clone(),
            models,
        });
        let organization = organization.await;
        let project = organization.create_project("One").await;
        let other_project = organization.create_project("Two").await;
        let keys = Keys::create(&organization, &project, &other_project).await;
        Self {
            store,
            recorder,
            spend,
            gateway,
            clock,
            upstream,
            task,
            keeper,
            pepper: pepper(),
            organization,
            project,
            other_project,
            keys,
            recorder_task: Some(recorder_task),
            _others: others,
            database,
        }
    }

    /// Starts another gateway on the same database, as after a restart.
    pub async fn another_gateway(&self, upstreams: Vec<UpstreamConfig>) -> impl Sized {
        let (store, clock) = (&self.store, &self.clock);
        let books = (&self.recorder, &self.spend);
        let how = (Durability::Batched, false);
        start(store, books, clock, upstreams, how, Bounds::default()).await
    }

    /// Starts another node on the same database, which shares no memory with this one.
    pub async fn another_node(&self, upstreams: Vec<UpstreamConfig>) -> Node {
        Node::start(self.url(), &self.clock, upstreams).await
    }

    /// Sends a request and reads its response to the end.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        read(self.gateway.handle(request).await).await
    }

    /// Requests a chat completion with the service account's key.
    pub async fn chat(&self, body: &str) -> Answer {
        self.send(chat(self.service(), body)).await
    }

    /// Returns the URL of the database.
    pub fn url(&self) -> &str {
        self.database.url()
    }

    pub fn organization_id(&self) -> &str {
        self.organization.id.as_str()
    }

    /// Returns the secret of the owner's key.
    pub fn owner(&self) -> &str {
        &self.keys.owner.secret
    }

    /// Returns the secret of the service account's key.
    pub fn service(&self) -> &str {
        &self.keys.service.secret
    }

    /// Returns the secret of the key of the other project.
    pub fn other(&self) -> &str {
        &self.keys.other.secret
    }

    /// Returns the secret of the owner's admin key.
    pub fn admin(&self) -> &str {
        self.organization.admin.key.as_deref().expect("a key")
    }

    /// Returns the organization as another node administers it, which shares no memory with this one.
    pub async fn elsewhere(&self) -> Organization {
        let store = Store::open(self.url()).await.expect("a store");
        self.organization.through(&store).await
    }

    /// Changes rows as no operation of the API can, and waits until the gateway's directory has the change.
    pub async fn change(&self, statement: Statement) {
        let mut transaction = self.store.begin().await.expect("a transaction");
        transaction.execute(statement).await.expect("a change");
        // The audit log does not tell of this change, so the directory must load all keys anew.
        let advance = sql!("UPDATE organizations SET revision = revision + 1");
        transaction.execute(advance).await.expect("advanced");
        transaction.commit().await.expect("a commit");
        self.store.revision().wait_applied().await;
    }
}

impl Keys {
    async fn create(organization: &Organization, project: &str, other_project: &str) -> Self {
        let owner = &organization.owner_id;
        Self {
            owner: organization
                .create_user_key(project, owner, json!({}))
                .await,
            service: organization.create_service_account(project).await,
            other: organization.create_service_account(other_project).await,
        }
    }
}

/// Returns the names by which clients call the models of these upstreams.
fn administrable(upstreams: &[UpstreamConfig]) -> BTreeSet<String> {
    let names = upstreams.iter().flat_map(|upstream| {
        let aliases = upstream.aliases.keys();
        upstream.models.iter().chain(aliases).cloned()
    });
    names.collect()
}

pub async fn read(response: Response<Body>) -> Answer {
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut is_broken) = (Vec::new(), false);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => is_broken = true,
        }
    }
    Answer {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8(bytes).expect("text"),
        is_broken,
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    /// Returns the four fields of the error envelope.
    pub fn error(&self) -> [Value; 4] {
        let body: Value = serde_json::from_str(&self.body).expect(&self.body);
        let error = &body["error"];
        assert_eq!(
            error.as_object().map(serde_json::Map::len),
            Some(4),
            "{body}"
        );
        ["message", "type", "param", "code"].map(|field| error[field].clone())
    }
}

pub fn request(method: Method, path: &str, key: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    request.body(body).expect("a request")
}

pub fn chat(key: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = request(Method::POST, "/v1/chat/completions", key, body);
    let json = http::HeaderValue::from_static("application/json");
    request.headers_mut().insert("content-type", json);
    request
}

/// Returns the cells of each line of a table; an empty cell is `None`.
pub fn table<const N: usize>(text: &str) -> impl Iterator<Item = [Option<&str>; N]> {
    text.lines().filter(|line| !line.is_empty()).map(|line| {
        let mut cells = line.split('|').map(str::trim);
        let cell = |_| cells.next().filter(|cell| !cell.is_empty());
        std::array::from_fn(cell)
    })
}
