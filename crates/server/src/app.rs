//! Everything put together: the store, the ledger's writer, the Administration API and the gateway.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use access::Directory;
use admin::Services;
use admin::mail::{MailerTask, Smtp};
use admin::operation::Kept;
use anyhow::Context;
use axum::Router;
use base::ids::IdGenerator;
use base::secret::Pepper;
use base::{Clock, Entropy};
use bodies::{Bodies, BodiesTask, KeeperOptions};
use gateway::{Durability, Gateway, GatewayOptions, GatewayTask, UpstreamConfig};
use store::Store;
use tokio_util::task::AbortOnDropHandle;
use usage::{LastUsed, LastUsedTask, PriceBook, Recorder, RecorderTask};

use crate::routes;

/// What an application is made of.
pub struct AppOptions {
    /// Where everything lasts.
    pub store: Store,
    /// What keys are hashed with.
    pub pepper: Pepper,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// New ids.
    pub ids: Arc<IdGenerator>,
    /// The model servers.
    pub upstreams: Vec<UpstreamConfig>,
    /// What things cost.
    pub prices: PriceBook,
    /// When the end of an answer is sent.
    pub durability: Durability,
    /// The address that others reach this server at.
    pub public_url: String,
    /// Where mails are handed over; without it they are kept.
    pub smtp: Option<Smtp>,
    /// For how many days bodies of the gateway's requests are kept; 0 for none.
    pub keep_bodies_days: u32,
}

/// The application: answers requests until it is stopped.
pub struct App {
    services: Arc<Services>,
    gateway: Gateway,
    gateway_task: GatewayTask,
    recorder_task: RecorderTask,
    last_used_task: LastUsedTask,
    bodies_task: BodiesTask,
    mailer_task: MailerTask,
    _following: AbortOnDropHandle<()>,
}

impl App {
    /// Starts what runs beside the requests, and loads the picture of the keys.
    ///
    /// # Errors
    /// An upstream makes no sense, or the database cannot be read.
    pub async fn start(options: AppOptions) -> anyhow::Result<Self> {
        let AppOptions {
            store,
            pepper,
            clock,
            entropy,
            ids,
            upstreams,
            prices,
            durability,
            public_url,
            smtp,
            keep_bodies_days,
        } = options;
        let models = known_models(&upstreams, &prices);
        let apart = store.usage().clone().apart()?;
        let recorder = Recorder::start(store.usage().clone(), Arc::new(prices), clock.clone());
        let (recorder, recorder_task) =
            recorder.context("the ledger's writer could not be started")?;
        let (last_used, last_used_task) = LastUsed::start(store.clone(), clock.clone());
        let mailer_task = MailerTask::start(store.clone(), pepper.clone(), clock.clone(), smtp);
        let directory = Directory::start(store.clone()).await;
        let (directory, following) = directory.context("the keys could not be loaded")?;
        let services = Arc::new(Services {
            store,
            directory,
            kept: Kept::default(),
            usage: apart,
            models,
            recorder,
            last_used,
            pepper,
            clock,
            entropy,
            ids,
            public_url,
        });
        let (bodies, bodies_task) = start_keeper(&services, keep_bodies_days)?;
        let gateway = GatewayOptions {
            upstreams,
            durability,
            bodies,
            ..of_gateway(&services)
        };
        let (gateway, gateway_task) = Gateway::start(gateway)?;
        Ok(Self {
            services,
            gateway,
            gateway_task,
            recorder_task,
            last_used_task,
            bodies_task,
            mailer_task,
            _following: following,
        })
    }

    /// Every route.
    pub fn router(&self) -> Router {
        routes::router(&self.services, &self.gateway)
    }

    /// What the whole program shares.
    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Finishes what clients hung up on within `deadline`, and makes everything durable. To be called when no more
    /// requests come in.
    pub async fn stop(self, deadline: Duration) {
        self.gateway_task.stop(deadline).await;
        self.recorder_task.stop().await;
        self.last_used_task.stop().await;
        self.bodies_task.stop().await;
        self.mailer_task.stop().await;
    }
}

/// What the gateway shares with the whole program; no model servers yet.
fn of_gateway(services: &Services) -> GatewayOptions {
    GatewayOptions {
        directory: Arc::clone(&services.directory),
        recorder: services.recorder.clone(),
        last_used: services.last_used.clone(),
        bodies: None,
        pepper: services.pepper.clone(),
        upstreams: Vec::new(),
        ids: Arc::clone(&services.ids),
        clock: services.clock.clone(),
        durability: Durability::default(),
    }
}

/// Who keeps bodies, or deletes what was kept.
fn start_keeper(services: &Services, days: u32) -> anyhow::Result<(Option<Bodies>, BodiesTask)> {
    let keeper = KeeperOptions {
        store: services.store.clone(),
        changes: services.directory.settings_changes(),
        pepper: services.pepper.clone(),
        entropy: services.entropy.clone(),
        clock: services.clock.clone(),
        days,
    };
    bodies::start(keeper).context("the keeper of bodies could not be started")
}

/// The models that have an upstream or a price.
fn known_models(upstreams: &[UpstreamConfig], prices: &PriceBook) -> BTreeSet<String> {
    let served = upstreams.iter().flat_map(|upstream| &upstream.models);
    let served = served.map(String::as_str).filter(|model| *model != "*");
    served.chain(prices.models()).map(str::to_owned).collect()
}
