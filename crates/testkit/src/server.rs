//! The whole application in the process of the test, with its own database and a clock that the test sets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::{Directory, Settings};
use admin::Services;
use admin::mail::QueuedMail;
use admin::organization::NewOrganization;
use admin::sessions::{self, NewSession, SessionLifetimes, SignInMethod};
use base::ids::{IdGenerator, KeyId, OrganizationId, ProjectId, UserId};
use base::secret::{KeyKind, Pepper, Secret};
use base::{Clock, Entropy, UnixTime};
use gateway::{Durability, UnpricedModels, UpstreamConfig};
use identity::{Identity, SignInOptions};
use orgplane::config::{Bounds, NodeOptions};
use orgplane::{App, AppOptions, Cors, HttpService, Shutdown};
use store::{Store, sql};
use usage::{ModelFact, ModelFacts, PriceBook, RetentionPeriods};

use crate::organization::found;
use crate::{Client, TestStorage, invitation};

/// Initial time of the test clock: 2026-01-15, 12:00 UTC.
pub const NOW: UnixTime = UnixTime(1_768_478_400);

/// Options of a test server.
pub struct ServerOptions {
    /// Clock; a fake clock at [`NOW`] by default.
    pub clock: Clock,
    /// Upstreams; none by default.
    pub upstreams: Vec<UpstreamConfig>,
    /// Price book.
    pub prices: PriceBook,
    /// Facts about models that override the built-in ones.
    pub models: Vec<ModelFact>,
    /// Durability of ledger rows.
    pub durability: Durability,
    /// Retention of the ledger and its rollups; unlimited by default.
    pub keep_usage: RetentionPeriods,
    /// Limits of running requests.
    pub bounds: Bounds,
    /// Cross-origin policy; none by default.
    pub cors: Cors,
    /// Base URL.
    pub public_url: String,
    /// Ways to sign in.
    pub sign_in: SignInOptions,
    /// True if there is a console.
    pub has_console: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            clock: Clock::fake(NOW),
            upstreams: Vec::new(),
            prices: PriceBook::built_in(),
            models: Vec::new(),
            durability: Durability::Batched,
            keep_usage: RetentionPeriods::default(),
            bounds: Bounds::default(),
            cors: Cors::default(),
            public_url: "https://orgplane.example".to_owned(),
            sign_in: SignInOptions {
                has_mailed_links: true,
                ..SignInOptions::default()
            },
            has_console: true,
        }
    }
}

/// A server with two organizations: one under test, and a foreign one.
pub struct Server {
    pub(crate) app: App,
    parts: Parts,
    front: HttpService,
    founded: NewOrganization,
    stranger: NewOrganization,
    reader_key: String,
    reader_id: UserId,
    /// Clock of the server.
    pub clock: Clock,
    /// Store of the server, for state that no API shows.
    pub store: Store,
    /// Database and its directory.
    pub database: TestStorage,
}

/// Parts of the application that survive a restart, except the store.
struct Parts {
    pepper: Pepper,
    entropy: Entropy,
    ids: Arc<IdGenerator>,
    clock: Clock,
    upstreams: Vec<UpstreamConfig>,
    prices: PriceBook,
    models: Vec<ModelFact>,
    durability: Durability,
    keep_usage: RetentionPeriods,
    bounds: Bounds,
    cors: Cors,
    public_url: String,
    sign_in: SignInOptions,
    has_console: bool,
}

impl Parts {
    async fn start(&self, store: &Store) -> App {
        let app = App::start(AppOptions {
            store: store.clone(),
            pepper: self.pepper.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            ids: Arc::clone(&self.ids),
            upstreams: self.upstreams.clone(),
            prices: self.prices.clone(),
            unpriced: UnpricedModels::default(),
            facts: ModelFacts::with(self.models.clone()),
            durability: self.durability,
            admission: Durability::Batched,
            public_url: self.public_url.clone(),
            sign_in: self.sign_in.clone(),
            session_lifetimes: SessionLifetimes::default(),
            smtp: None,
            keep_bodies_days: 0,
            keep_usage: self.keep_usage,
            tracing: None,
            bounds: self.bounds.clone(),
            node: NodeOptions::default(),
            has_metrics_apart: false,
            cors: self.cors.clone(),
            has_console: self.has_console,
        });
        app.await.expect("the application starts")
    }
}

impl Server {
    /// Starts a server with default options.
    pub async fn start() -> Self {
        Self::with(ServerOptions::default()).await
    }

    /// Starts a server.
    pub async fn with(options: ServerOptions) -> Self {
        // The future of a whole application is large, and tests have it inside theirs.
        Box::pin(Self::start_with(options)).await
    }

    async fn start_with(options: ServerOptions) -> Self {
        let database = TestStorage::new();
        let store = database.store().await;
        let (clock, entropy) = (options.clock, Entropy::seeded(7));
        let ids = Arc::new(IdGenerator::new(clock.clone(), entropy.clone()));
        let pepper = Pepper::generate(&entropy);
        let parts = (&store, &pepper, &*ids, &clock);
        let found = |name, email| {
            found(
                parts,
                Secret::generate(KeyKind::Admin, &entropy),
                name,
                email,
            )
        };
        let founded = found("Acme", "ada@acme.example").await;
        let stranger = found("Other", "eve@other.example").await;
        let reader = Secret::generate(KeyKind::Admin, &entropy);
        let reader_key = reader.reveal();
        let reader_id = add_reader(
            &store,
            &founded.organization_id,
            &ids,
            &clock,
            &pepper,
            &reader,
        )
        .await;
        let parts = Parts {
            pepper,
            entropy,
            ids,
            clock: clock.clone(),
            upstreams: options.upstreams,
            prices: options.prices,
            models: options.models,
            durability: options.durability,
            keep_usage: options.keep_usage,
            bounds: options.bounds,
            cors: options.cors,
            public_url: options.public_url,
            sign_in: options.sign_in,
            has_console: options.has_console,
        };
        let app = parts.start(&store).await;
        Self {
            front: app.http_service(),
            app,
            parts,
            founded,
            stranger,
            reader_key,
            reader_id,
            clock,
            store,
            database,
        }
    }

    /// Returns a client with an admin key of an owner.
    #[must_use]
    pub fn admin(&self) -> Client {
        self.with_key(&self.founded.key.reveal())
    }

    /// Returns a client with an admin key that may only read projects.
    #[must_use]
    pub fn reader(&self) -> Client {
        self.with_key(&self.reader_key)
    }

    /// Returns a client with an admin key of an owner of the foreign organization.
    #[must_use]
    pub fn stranger(&self) -> Client {
        self.with_key(&self.stranger.key.reveal())
    }

    /// Returns a client without a key.
    #[must_use]
    pub fn anonymous(&self) -> Client {
        Client::new(self.front.clone(), None)
    }

    /// Returns a client with this key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Client {
        Client::new(self.front.clone(), Some(key.to_owned()))
    }

    /// Returns the id of the organization under test.
    #[must_use]
    pub fn organization_id(&self) -> &OrganizationId {
        &self.founded.organization_id
    }

    /// Returns the id of its default project.
    #[must_use]
    pub fn default_project_id(&self) -> &ProjectId {
        &self.founded.project_id
    }

    /// Returns the id of its owner.
    #[must_use]
    pub fn owner_id(&self) -> &UserId {
        &self.founded.user_id
    }

    /// Returns the id of its reader.
    #[must_use]
    pub fn reader_id(&self) -> &UserId {
        &self.reader_id
    }

    /// Returns the id of the default project of the foreign organization.
    #[must_use]
    pub fn stranger_project_id(&self) -> &ProjectId {
        &self.stranger.project_id
    }

    /// Signs the owner of the foreign organization in, and returns the token of the session.
    pub async fn sign_in_stranger(&self) -> String {
        let stranger = &self.stranger;
        self.sign_in_to(&stranger.organization_id, &stranger.user_id)
            .await
    }

    /// Lets a reader join the foreign organization, and returns the token of a session.
    pub async fn sign_in_strange_reader(&self, email: &str) -> String {
        let clients = (&self.stranger(), &self.anonymous());
        let user = invitation::join(self.app.services(), clients, email, "reader").await;
        self.sign_in_to(&self.stranger.organization_id, &user).await
    }

    /// Returns the services of the application.
    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        self.app.services()
    }

    /// Returns the sign-in of users.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        self.app.identity()
    }

    /// Returns the HTTP service, for a test that serves it itself.
    pub fn http_service(&self) -> HttpService {
        self.front.clone()
    }

    /// Serves on a free port until the end of the test.
    pub async fn listen(&self) -> SocketAddr {
        let listener = orgplane::Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .expect("a free port");
        let address = listener.address();
        self.serve(listener);
        address
    }

    /// Serves on a listener until the end of the test.
    pub fn serve(&self, listener: orgplane::Server) {
        let front = self.http_service();
        tokio::spawn(async move { listener.run(front, &Shutdown::within(Duration::ZERO)).await });
    }

    /// Returns the keys and settings of the organization as this server has them in memory, and as a newly started
    /// server would load them.
    pub async fn pictures(&self) -> [(Vec<String>, Arc<Settings>); 2] {
        let fresh = Directory::start(self.database.store().await).await;
        let (fresh, _following) = fresh.expect("the keys");
        [&self.app.services().directory, &fresh].map(|directory| {
            let keys = directory.keys();
            let mut keys: Vec<_> = keys.iter().map(|key| format!("{key:?}")).collect();
            keys.sort_unstable();
            (keys, directory.settings(self.organization_id()))
        })
    }

    /// Returns the unsent mails, oldest first.
    pub async fn waiting(&self) -> Vec<QueuedMail> {
        invitation::waiting(self.app.services()).await
    }

    /// Returns recipients and texts of the unsent mails, like [`Self::waiting`].
    pub async fn mails(&self) -> Vec<(String, String)> {
        let mails = self.waiting().await.into_iter();
        mails
            .map(|mail| (mail.recipient, mail.body.to_string()))
            .collect()
    }

    /// Invites a user with `role` and without a project, accepts the invitation and returns the id of the user.
    pub async fn join(&self, email: &str, role: &str) -> UserId {
        let clients = (&self.admin(), &self.anonymous());
        invitation::join(self.app.services(), clients, email, role).await
    }

    /// Returns the token of the newest unsent invitation to this address.
    pub async fn token(&self, email: &str) -> String {
        invitation::token(self.app.services(), email).await
    }

    /// Invites a reader to the foreign organization and returns the token of the invitation.
    pub async fn stranger_invite(&self, email: &str) -> String {
        let body = serde_json::json!({"email": email, "role": "reader"});
        self.stranger()
            .post("/organization/invites", body)
            .await
            .ok();
        self.token(email).await
    }

    /// Signs a user of the organization in, with proof of an identity by a link, and returns the token of the session.
    pub async fn sign_in(&self, user: &UserId) -> String {
        self.sign_in_to(self.organization_id(), user).await
    }

    /// Signs a user of an organization in, like [`Self::sign_in`].
    pub async fn sign_in_to(&self, organization: &OrganizationId, user: &UserId) -> String {
        let new = NewSession {
            method: SignInMethod::Link,
            provider: None,
            user_agent: Some("Mozilla/5.0 (X11; Linux x86_64)"),
            replaces: None,
        };
        let services = self.app.services();
        let started = sessions::begin(services, organization, user, None, new).await;
        started.expect("a session").token.reveal()
    }

    /// Waits until all recorded usage is in the ledger.
    pub async fn flush(&self) {
        self.app.services().recorder.flush().await;
    }

    /// Stops the server gracefully and starts it again on the same database.
    pub async fn restart(mut self) -> Self {
        drop(self.front);
        self.app.stop(Duration::from_secs(5)).await;
        self.store = self.database.store().await;
        self.app = self.parts.start(&self.store).await;
        self.front = self.app.http_service();
        self
    }

    /// Stops the server gracefully and starts it again with other ways to sign in.
    pub async fn restart_with(mut self, sign_in: SignInOptions) -> Self {
        self.parts.sign_in = sign_in;
        self.restart().await
    }

    /// Starts a second server on the same database, as another node. PostgreSQL only.
    pub async fn another(&self) -> App {
        self.parts.start(&self.database.store().await).await
    }

    /// Stops the server gracefully.
    pub async fn stop(self) -> TestStorage {
        drop(self.front);
        self.app.stop(Duration::from_secs(5)).await;
        self.database
    }
}

/// Adds a reader with an admin key. No published operation can: an owner creates the key and is demoted afterwards.
async fn add_reader(
    store: &Store,
    organization: &OrganizationId,
    ids: &IdGenerator,
    clock: &Clock,
    pepper: &Pepper,
    key: &Secret,
) -> UserId {
    let mut transaction = store.begin().await.expect("a transaction");
    let user: UserId = ids.next();
    let statements = [
        sql!(
            "INSERT INTO users (organization_id, id, name, email, email_key, role, added_at) \
             VALUES ($1, $2, 'Rita', 'rita@acme.example', 'rita@acme.example', 'reader', $3)",
            organization,
            &user,
            clock.now()
        ),
        sql!(
            "INSERT INTO api_keys (organization_id, id, kind, user_id, name, redacted_value, hash, scopes, created_at) \
             VALUES ($1, $2, 'admin', $3, 'Reader', $4, $5, '[]', $6)",
            organization,
            &ids.next::<KeyId>(),
            &user,
            key.redacted(),
            pepper.hash_secret(key),
            clock.now()
        ),
    ];
    for statement in statements {
        transaction.execute(statement).await.expect("inserted");
    }
    transaction.commit().await.expect("committed");
    user
}
