//! The world of a test: a gateway on a database of its own, with two organizations and a key of every kind.

mod ledger;
mod node;
mod started;

use std::collections::BTreeMap;
use std::sync::Arc;

use base::secret::Pepper;
use base::{Clock, UnixTime};
use bodies::BodiesTask;
use bytes::Bytes;
use gateway::{Body, Durability, Gateway, GatewayTask, UpstreamConfig};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use store::testing::TestDatabase;
use store::{Store, sql};
use usage::{Recorder, RecorderTask, Spend};

pub use ledger::Row;
pub use node::Node;
pub use started::Bounds;

use self::started::{Others, Started, pepper, prices, start};
use crate::upstream::{Reply, Upstream};

/// The time at which every test begins, in seconds since 1970.
pub const START_SECONDS: i64 = 1_760_000_000;
/// The time at which [`EXPIRING`] expires, in seconds since 1970.
pub const EXPIRY_SECONDS: i64 = START_SECONDS + 3600;

pub const OWNER: &str = "sk-proj-owner";
pub const SERVICE: &str = "sk-svcacct-member";
/// A key of another project than the others.
pub const OTHER: &str = "sk-svcacct-other";
pub const ADMIN: &str = "sk-admin-1";
pub const EXPIRING: &str = "sk-proj-expiring";

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
        fill(&store, &pepper()).await;
        let clock = Clock::fake(UnixTime(START_SECONDS));
        let spend = Spend::load(store.usage(), clock.clone()).await;
        let spend = spend.expect("what was spent");
        let (ledger, book) = (store.usage().clone(), Arc::new(prices()));
        let recorder = Recorder::start(ledger, book, clock.clone(), spend.clone());
        let (recorder, recorder_task) = recorder.expect("a recorder");
        let upstreams = upstreams(upstream.base_url());
        let books = (&recorder, &spend);
        let how = (durability, keeps_bodies);
        let started = start(&store, books, &clock, upstreams, how, bounds).await;
        let Started {
            gateway,
            task,
            keeper,
            others,
        } = started;
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
        self.send(chat(SERVICE, body)).await
    }

    /// Returns the URL of the database.
    pub fn url(&self) -> &str {
        self.database.url()
    }

    /// Changes the administrative data, and waits until the gateway's directory has the change.
    pub async fn change(&self, statements: &[&'static str]) {
        change(&self.store, statements).await;
        self.store.revision().wait_applied().await;
    }

    /// Changes the database like [`Self::change`], but as another process would: the gateway is not told.
    pub async fn change_elsewhere(&self, statements: &[&'static str]) {
        let store = Store::open(self.url()).await.expect("a store");
        change(&store, statements).await;
    }
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

async fn change(store: &Store, statements: &[&'static str]) {
    let mut transaction = store.begin().await.expect("a transaction");
    for statement in statements {
        transaction
            .execute(sql!(*statement))
            .await
            .expect(statement);
    }
    // A change that the audit log does not tell of: all keys are loaded anew.
    let advance = sql!("UPDATE organizations SET revision = revision + 1");
    transaction.execute(advance).await.expect("advanced");
    transaction.commit().await.expect("a commit");
}

/// Columns: secret, id, kind, project, user, service account, scopes, expiry.
const KEYS: &str = "
sk-admin-1        | key_admin    | admin           |          | user-owner  |                 | []                   |
sk-proj-owner     | key_owner    | user            | proj_1   | user-owner  |                 | []                   |
sk-proj-expiring  | key_expiring | user            | proj_1   | user-owner  |                 | []                   | 1760003600
sk-proj-narrow    | key_narrow   | user            | proj_1   | user-owner  |                 | [\"api.model.read\"] |
sk-proj-reader    | key_reader   | user            | proj_1   | user-reader |                 | []                   |
sk-proj-archived  | key_archived | user            | proj_old | user-owner  |                 | []                   |
sk-svcacct-member | key_service  | service_account | proj_1   |             | svc_acct_member | []                   |
sk-svcacct-none   | key_none     | service_account | proj_1   |             | svc_acct_none   | []                   |
sk-svcacct-other  | key_other    | service_account | proj_2   |             | svc_acct_other  | []                   |
sk-svcacct-gone   | key_gone     | service_account | proj_1   |             | svc_acct_gone   | []                   |
";

/// Returns the cells of each line of a table; an empty cell is `None`.
pub fn table<const N: usize>(text: &str) -> impl Iterator<Item = [Option<&str>; N]> {
    text.lines().filter(|line| !line.is_empty()).map(|line| {
        let mut cells = line.split('|').map(str::trim);
        let cell = |_| cells.next().filter(|cell| !cell.is_empty());
        std::array::from_fn(cell)
    })
}

const ROWS: &[&str] = &[
    "INSERT INTO organizations (id, name, created_at, revision, audit_hash) VALUES ('org-1', 'One', 1, 0, $1)",
    "INSERT INTO organizations (id, name, created_at, revision, audit_hash) VALUES ('org-2', 'Two', 1, 0, $1)",
];

const MORE_ROWS: &[&str] = &[
    "INSERT INTO users (organization_id, id, name, email, email_key, role, added_at)
     VALUES ('org-1', 'user-owner', 'O', 'o@x', 'o@x', 'owner', 1), ('org-1', 'user-reader', 'R', 'r@x', 'r@x', 'reader', 1)",
    "INSERT INTO projects (organization_id, id, name, created_at, archived_at)
     VALUES ('org-1', 'proj_1', 'P', 1, NULL), ('org-1', 'proj_2', 'R', 1, NULL), ('org-1', 'proj_old', 'Q', 1, 2)",
    "INSERT INTO service_accounts (organization_id, project_id, id, name, role, created_at)
     VALUES ('org-1', 'proj_1', 'svc_acct_member', 'S', 'member', 1), ('org-1', 'proj_1', 'svc_acct_none', 'N', 'none', 1),
            ('org-1', 'proj_2', 'svc_acct_other', 'T', 'member', 1)",
];

async fn fill(store: &Store, pepper: &Pepper) {
    let mut transaction = store.begin().await.expect("a transaction");
    for statement in ROWS {
        transaction
            .execute(sql!(*statement, [0; 32]))
            .await
            .expect(statement);
    }
    for statement in MORE_ROWS {
        transaction
            .execute(sql!(*statement))
            .await
            .expect(statement);
    }
    for [secret, id, kind, project, user, account, scopes, expiry] in table(KEYS) {
        let statement = sql!(
            "INSERT INTO api_keys (organization_id, id, kind, project_id, user_id, service_account_id, name,
                                   redacted_value, hash, scopes, created_at, expires_at)
             VALUES ('org-1', $1, $2, $3, $4, $5, 'k', 'sk-...', $6, $7, 1, $8)",
            id,
            kind,
            project,
            user,
            account,
            secret.map(|secret| pepper.hash(secret)),
            scopes,
            expiry.map(|expiry| expiry.parse::<i64>().expect("a time"))
        );
        transaction.execute(statement).await.expect("a key");
    }
    transaction.commit().await.expect("a commit");
}
