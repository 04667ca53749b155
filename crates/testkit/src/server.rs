//! The whole application in the test's own process, on a database of its own, with a clock that the test moves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::{Directory, Settings};
use admin::Services;
use admin::mail::{QueuedMail, queued};
use admin::organization::{self, Bootstrap, NewOrganization};
use base::ids::{Id, IdGenerator, KeyId, OrganizationId, ProjectId, UserId};
use base::secret::{KeyKind, Pepper, Secret};
use base::{Clock, Entropy, UnixTime};
use gateway::{Durability, UpstreamConfig};
use orgplane::config::Bounds;
use orgplane::{App, AppOptions, Cors, Front, Stop};
use serde_json::json;
use store::{Store, sql};
use usage::{Keep, ModelFact, ModelFacts, PriceBook};

use crate::{Client, TestDatabase};

/// What time it is when a test begins: 2026-01-15, 12:00 UTC.
pub const NOW: UnixTime = UnixTime(1_768_478_400);

/// What a test's server is made of.
pub struct ServerOptions {
    /// The time; a fake clock at [`NOW`] when not said otherwise.
    pub clock: Clock,
    /// The model servers; none when not said otherwise.
    pub upstreams: Vec<UpstreamConfig>,
    /// What things cost.
    pub prices: PriceBook,
    /// Facts about models, beside those that ship with the program.
    pub models: Vec<ModelFact>,
    /// When the end of an answer is sent.
    pub durability: Durability,
    /// For how long the ledger and its sums are kept; for ever when not said otherwise.
    pub keep_usage: Keep,
    /// Bounds of the requests under way.
    pub bounds: Bounds,
    /// The web pages that may call; none when not said otherwise.
    pub cors: Cors,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            clock: Clock::fake(NOW),
            upstreams: Vec::new(),
            prices: PriceBook::built_in(),
            models: Vec::new(),
            durability: Durability::Batched,
            keep_usage: Keep::default(),
            bounds: Bounds::default(),
            cors: Cors::default(),
        }
    }
}

/// A server with two organizations: the one under test, and a stranger's.
pub struct Server {
    pub(crate) app: App,
    parts: Parts,
    front: Front,
    founded: NewOrganization,
    stranger: NewOrganization,
    reader_key: String,
    reader_id: UserId,
    /// The clock of the server.
    pub clock: Clock,
    /// The server's store, for what no API shows.
    pub store: Store,
    /// The database and its directory.
    pub database: TestDatabase,
}

/// What an application is made of, besides its store; the same after a restart.
struct Parts {
    pepper: Pepper,
    entropy: Entropy,
    ids: Arc<IdGenerator>,
    clock: Clock,
    upstreams: Vec<UpstreamConfig>,
    prices: PriceBook,
    models: Vec<ModelFact>,
    durability: Durability,
    keep_usage: Keep,
    bounds: Bounds,
    cors: Cors,
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
            facts: ModelFacts::with(self.models.clone()),
            durability: self.durability,
            public_url: "https://orgplane.example".to_owned(),
            smtp: None,
            keep_bodies_days: 0,
            keep_usage: self.keep_usage,
            tracing: None,
            bounds: self.bounds.clone(),
            has_metrics_apart: false,
            cors: self.cors.clone(),
        });
        app.await.expect("the application starts")
    }
}

impl Server {
    /// Starts one with everything as usual.
    pub async fn start() -> Self {
        Self::with(ServerOptions::default()).await
    }

    /// Starts one.
    pub async fn with(options: ServerOptions) -> Self {
        let database = TestDatabase::new();
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
        };
        let app = parts.start(&store).await;
        Self {
            front: app.front(),
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

    /// An owner's admin key.
    #[must_use]
    pub fn admin(&self) -> Client {
        self.with_key(&self.founded.key.reveal())
    }

    /// The admin key of somebody who may look at projects, and no more.
    #[must_use]
    pub fn reader(&self) -> Client {
        self.with_key(&self.reader_key)
    }

    /// An owner's admin key of another organization.
    #[must_use]
    pub fn stranger(&self) -> Client {
        self.with_key(&self.stranger.key.reveal())
    }

    /// Nobody.
    #[must_use]
    pub fn anonymous(&self) -> Client {
        Client::new(self.front.clone(), None)
    }

    /// Whoever has this key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Client {
        Client::new(self.front.clone(), Some(key.to_owned()))
    }

    /// The organization under test.
    #[must_use]
    pub fn organization_id(&self) -> &OrganizationId {
        &self.founded.organization_id
    }

    /// Its default project.
    #[must_use]
    pub fn default_project_id(&self) -> &ProjectId {
        &self.founded.project_id
    }

    /// Its owner.
    #[must_use]
    pub fn owner_id(&self) -> &UserId {
        &self.founded.user_id
    }

    /// Its reader.
    #[must_use]
    pub fn reader_id(&self) -> &UserId {
        &self.reader_id
    }

    /// The default project of the stranger's organization.
    #[must_use]
    pub fn stranger_project_id(&self) -> &ProjectId {
        &self.stranger.project_id
    }

    /// The services that the whole program shares.
    #[must_use]
    pub fn services(&self) -> &Services {
        self.app.services()
    }

    /// Everything it serves, for a test that serves them itself.
    pub fn front(&self) -> Front {
        self.front.clone()
    }

    /// Serves on a free port until the test ends.
    pub async fn listen(&self) -> SocketAddr {
        let server = orgplane::Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .expect("a free port");
        let address = server.address();
        let front = self.front();
        tokio::spawn(async move { server.run(front, &Stop::within(Duration::ZERO)).await });
        address
    }

    /// Every key, and what is set in the organization, as the server has them in memory; and as a server would that starts now.
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

    /// The mails that wait to be sent, oldest first.
    pub async fn waiting(&self) -> Vec<QueuedMail> {
        let services = self.app.services();
        let mails = queued(&services.store, &services.pepper).await;
        mails.expect("the database is readable")
    }

    /// As [`Self::waiting`]: to whom, and what they say.
    pub async fn mails(&self) -> Vec<(String, String)> {
        let mails = self.waiting().await.into_iter();
        mails
            .map(|mail| (mail.recipient, mail.body.to_string()))
            .collect()
    }

    /// Somebody who was invited with `role` and no project, and has accepted: their id.
    pub async fn join(&self, email: &str, role: &str) -> UserId {
        let body = json!({"email": email, "role": role, "projects": []});
        let invited = self.admin().post("/organization/invites", body).await;
        assert!(invited.status.is_success(), "{}", invited.json);
        let token = self.token(email).await;
        let body = json!({"token": token, "name": email});
        let accepted = self
            .anonymous()
            .post("/organization/invites/accept", body)
            .await;
        let user = accepted.ok();
        UserId::from_text(user["id"].as_str().expect("an id").to_owned())
    }

    /// The token in the newest invitation that waits to be mailed to this address.
    pub async fn token(&self, email: &str) -> String {
        let mails = self.mails().await;
        let to = mails.iter().rfind(|(recipient, _)| recipient == email);
        let (_, text) = to.expect("a mail to this address");
        let (_, token) = text.split_once("?token=").expect("a link");
        let end = token.find(|c: char| !c.is_ascii_alphanumeric());
        token[..end.unwrap_or(token.len())].to_owned()
    }

    /// Waits until everything recorded is in the ledger.
    pub async fn flush(&self) {
        self.app.services().recorder.flush().await;
    }

    /// Stops it gracefully, and starts it again on the same database.
    pub async fn restart(mut self) -> Self {
        drop(self.front);
        self.app.stop(Duration::from_secs(5)).await;
        self.store = self.database.store().await;
        self.app = self.parts.start(&self.store).await;
        self.front = self.app.front();
        self
    }

    /// Another server on the same database, as a second node is. Only on PostgreSQL a database may have several.
    pub async fn another(&self) -> App {
        self.parts.start(&self.database.store().await).await
    }

    /// Stops it gracefully.
    pub async fn stop(self) -> TestDatabase {
        drop(self.front);
        self.app.stop(Duration::from_secs(5)).await;
        self.database
    }
}

/// Makes an organization that `owner_email` owns, with this admin key.
async fn found(
    (store, pepper, ids, clock): (&Store, &Pepper, &IdGenerator, &Clock),
    key: Secret,
    name: &str,
    owner_email: &str,
) -> NewOrganization {
    let founded = organization::create(Bootstrap {
        store,
        pepper,
        ids,
        clock,
        name,
        owner_email,
        key,
    });
    founded.await.expect("founded")
}

/// Adds a reader with an admin key, which no published operation can: an owner made the key and was demoted since.
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
