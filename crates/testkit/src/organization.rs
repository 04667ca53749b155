//! An organization that operations of the Administration API set up and change, on any store of the test's process.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use access::Directory;
use admin::Services;
use admin::organization::{self, Bootstrap, NewOrganization};
use admin::sessions::SessionLifetimes;
use axum::Router;
use axum::body::Body;
use axum::routing::{MethodFilter, on};
use base::ids::{IdGenerator, OrganizationId, ProjectId, UserId};
use base::secret::{KeyKind, Pepper, Secret};
use base::{Budget, BudgetLimits, Clock, Entropy};
use http::Request;
use serde_json::{Value, json};
use store::Store;
use usage::{LastUsed, ModelFacts, PriceBook, Recorder, Reports, RetentionPeriods, Spend};

use crate::{Client, NOW, invitation};

/// Memory budget for the bodies of administrative requests.
const BODY_MEMORY_BYTES: u64 = 64 * 1024 * 1024;

/// A node's state that the Administration API needs.
pub struct NodeParts {
    /// Store of the node.
    pub store: Store,
    /// Directory that follows the store.
    pub directory: Arc<Directory>,
    /// Recorder of the ledger.
    pub recorder: Recorder,
    /// Spend by month.
    pub spend: Spend,
    /// Pepper for hashing keys.
    pub pepper: Pepper,
    /// Wall clock.
    pub clock: Clock,
    /// Names of the models that can have rate limits.
    pub models: BTreeSet<String>,
}

/// An organization, and the clients that administer it through one node.
pub struct Organization {
    /// Id of the organization.
    pub id: OrganizationId,
    /// Id of its owner.
    pub owner_id: UserId,
    /// Id of its default project.
    pub default_project_id: ProjectId,
    /// Client with an admin key of the owner.
    pub admin: Client,
    services: Arc<Services>,
    /// Tasks of a node that only administers.
    _tasks: Option<Box<dyn Send + Sync>>,
}

/// A new key of a project.
#[derive(Clone, Debug)]
pub struct ProjectKey {
    /// Id of the key.
    pub id: String,
    /// Id of the user or the service account that owns the key.
    pub owner_id: String,
    /// Secret of the key.
    pub secret: String,
}

impl Organization {
    /// Creates an organization through this node.
    pub async fn create(parts: NodeParts) -> Self {
        Self::found(Arc::new(services(parts))).await
    }

    async fn found(services: Arc<Services>) -> Self {
        let Services {
            store,
            pepper,
            ids,
            clock,
            ..
        } = &*services;
        let key = Secret::generate(KeyKind::Admin, &services.entropy);
        let founded = found((store, pepper, ids, clock), key, "Acme", "ada@acme.example").await;
        store.revision().wait_applied().await;
        Self {
            id: founded.organization_id,
            owner_id: founded.user_id,
            default_project_id: founded.project_id,
            admin: client(&services, Some(founded.key.reveal())),
            services,
            _tasks: None,
        }
    }

    /// Creates another organization through the same node.
    pub async fn create_another(&self) -> Self {
        Self::found(Arc::clone(&self.services)).await
    }

    /// Creates an organization through a node of its own on this store, with rate limits for these models.
    pub async fn on(store: &Store, models: &[&str]) -> Self {
        let pepper = Pepper::generate(&Entropy::operating_system());
        let models = models.iter().map(|model| (*model).to_owned()).collect();
        let (parts, tasks) = node(store, &pepper, &Clock::fake(NOW), models).await;
        Self {
            _tasks: Some(tasks),
            ..Self::create(parts).await
        }
    }

    /// Returns the same organization, administered through another node, which has this store.
    pub async fn through(&self, store: &Store) -> Self {
        let Services {
            pepper,
            clock,
            models,
            ..
        } = &*self.services;
        let (parts, tasks) = node(store, pepper, clock, models.clone()).await;
        let services = Arc::new(services(parts));
        Self {
            id: self.id.clone(),
            owner_id: self.owner_id.clone(),
            default_project_id: self.default_project_id.clone(),
            admin: client(&services, self.admin.key.clone()),
            services,
            _tasks: Some(tasks),
        }
    }

    /// Sends `POST /v1/organization{path}` as the owner, and returns the answer.
    ///
    /// # Panics
    /// The request is refused.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let path = format!("/organization{path}");
        self.admin.post(&path, body).await.ok()
    }

    /// Creates something with `POST /v1{path}` as the owner, and returns its id.
    ///
    /// # Panics
    /// The request is refused.
    pub async fn create_at(&self, path: &str, body: Value) -> String {
        let created = self.admin.post(path, body).await.ok();
        text(&created["id"])
    }

    /// Sends `DELETE /v1/organization{path}` as the owner.
    ///
    /// # Panics
    /// The request is refused.
    pub async fn delete(&self, path: &str) {
        let path = format!("/organization{path}");
        self.admin.delete(&path).await.ok();
    }

    /// Creates a project and returns its id.
    pub async fn create_project(&self, name: &str) -> String {
        self.create_at("/organization/projects", json!({"name": name}))
            .await
    }

    /// Creates a group and returns its id.
    pub async fn create_group(&self, name: &str) -> String {
        self.create_at("/organization/groups", json!({"name": name}))
            .await
    }

    /// Creates a service account with the role `member` in a project, and returns its key.
    pub async fn create_service_account(&self, project: &str) -> ProjectKey {
        let path = format!("/projects/{project}/service_accounts");
        let account = self.post(&path, json!({"name": "Service"})).await;
        ProjectKey::new(&account["id"], &account["api_key"])
    }

    /// Creates a service account without a role in a project, and returns its key.
    pub async fn create_powerless_account(&self, project: &str) -> ProjectKey {
        let path = format!("/projects/{project}/service_accounts");
        let body = json!({"name": "Powerless", "create_service_account_only": true});
        let account = self.post(&path, body).await;
        self.create_service_account_key(project, &text(&account["id"]))
            .await
    }

    /// Creates another key of a service account.
    pub async fn create_service_account_key(&self, project: &str, account: &str) -> ProjectKey {
        let path = format!("/projects/{project}/service_accounts/{account}/api_keys");
        let key = self.post(&path, json!({})).await;
        ProjectKey::new(&json!(account), &key)
    }

    /// Creates a key of a user in a project, with these further members of the request.
    pub async fn create_user_key(&self, project: &str, user: &UserId, more: Value) -> ProjectKey {
        let mut body = json!({"name": "Key", "user_id": user});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let path = format!("/projects/{project}/api_keys");
        let key = self.post(&path, body).await;
        ProjectKey::new(&json!(user), &key)
    }

    /// Invites a user, accepts the invitation and returns the id of the user.
    pub async fn join(&self, email: &str, role: &str) -> UserId {
        let anonymous = client(&self.services, None);
        invitation::join(&self.services, (&self.admin, &anonymous), email, role).await
    }
}

impl ProjectKey {
    fn new(owner: &Value, key: &Value) -> Self {
        Self {
            id: text(&key["id"]),
            owner_id: text(owner),
            secret: text(&key["value"]),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Creates an organization owned by `owner_email` with this admin key.
pub(crate) async fn found(
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

/// Starts a node that only administers.
async fn node(
    store: &Store,
    pepper: &Pepper,
    clock: &Clock,
    models: BTreeSet<String>,
) -> (NodeParts, Box<dyn Send + Sync>) {
    let directory = Directory::start(store.clone()).await;
    let (directory, following) = directory.expect("the keys");
    let spend = Spend::load(store.usage(), clock.clone()).await;
    let spend = spend.expect("what was spent");
    let (ledger, prices) = (store.usage().clone(), Arc::new(PriceBook::default()));
    let recorder = Recorder::start(ledger, prices, clock.clone(), spend.clone());
    let (recorder, writing) = recorder.expect("a recorder");
    let parts = NodeParts {
        store: store.clone(),
        directory,
        recorder,
        spend,
        pepper: pepper.clone(),
        clock: clock.clone(),
        models,
    };
    (parts, Box::new((following, writing)))
}

/// Returns the services of the operations. Last uses of the keys that administer are not written.
fn services(parts: NodeParts) -> Services {
    let (clock, entropy) = (parts.clock, Entropy::operating_system());
    let (last_used, _) = LastUsed::start(parts.store.clone(), clock.clone());
    Services {
        rate_limit_usage: OnceLock::new(),
        usage: parts.store.usage().for_background(),
        reports: Reports::new(parts.store.usage().for_reports()),
        keep_bodies_days: 0,
        keep_usage: RetentionPeriods::default(),
        store: parts.store,
        directory: parts.directory,
        models: parts.models,
        facts: ModelFacts::with(Vec::new()),
        recorder: parts.recorder,
        spend: parts.spend,
        last_used,
        pepper: parts.pepper,
        ids: Arc::new(IdGenerator::new(clock.clone(), entropy.clone())),
        clock,
        entropy,
        public_url: "https://orgplane.example".to_owned(),
        session_lifetimes: SessionLifetimes::default(),
        body_memory: Budget::new(BudgetLimits::shared(BODY_MEMORY_BYTES)),
    }
}

/// Returns a client of all operations, with a key or without one.
fn client(services: &Arc<Services>, key: Option<String>) -> Client {
    let mut routes = Router::new();
    for operation in admin::operations() {
        let method = MethodFilter::try_from(operation.method.clone()).expect("a method");
        let path = format!("/v1{}", operation.path);
        let (operation, services) = (Arc::new(operation), Arc::clone(services));
        let answer = async move |request: Request<Body>| operation.answer(&services, request).await;
        routes = routes.route(&path, on(method, answer));
    }
    Client::new(routes, key)
}
