//! Everything put together: the store, the ledger's writer, the Administration API and the gateway.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use access::Directory;
use access::stored::Objects;
use admin::Services;
use admin::mail::{MailerTask, Smtp};
use admin::spend_alerts::SpendAlertsTask;
use anyhow::Context;
use axum::Router;
use base::ids::IdGenerator;
use base::secret::Pepper;
use base::{Clock, Entropy};
use bodies::{Bodies, BodiesTask, KeeperOptions};
use futures_util::future::select_all;
use gateway::{Durability, FlowLimits, Gateway, GatewayOptions, GatewayTask, UpstreamConfig};
use store::Store;
use tasks::{Health, Task, TaskHandle};
use telemetry::{Tracer, TracerTask, TracingOptions};
use tokio::sync::watch;
use usage::{
    Keep, LastUsed, LastUsedTask, ModelFacts, PriceBook, Recorder, RecorderTask, Reports,
    RetentionTask, Spend, SpendReservations,
};

use crate::config::Bounds;
use crate::cors::Cors;
use crate::front::{Front, Parts};
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::reload::Reload;
use crate::routes::Routes;
use crate::sign_ins::SignIns;
use crate::stop::Stop;

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
    /// The facts about models.
    pub facts: ModelFacts,
    /// When the end of an answer is sent.
    pub durability: Durability,
    /// The address that others reach this server at.
    pub public_url: String,
    /// Where mails are handed over; without it they are kept.
    pub smtp: Option<Smtp>,
    /// For how many days bodies of the gateway's requests are kept; 0 for none.
    pub keep_bodies_days: u32,
    /// For how long the ledger and its sums are kept.
    pub keep_usage: Keep,
    /// Bounds of the requests under way.
    pub bounds: Bounds,
    /// Where traces go; without it there are none.
    pub tracing: Option<TracingOptions>,
    /// The web pages that may call.
    pub cors: Cors,
    /// Whether metrics are served apart, by [`App::metrics_router`].
    pub has_metrics_apart: bool,
}

/// The application: answers requests until it is stopped.
pub struct App {
    services: Arc<Services>,
    gateway: Gateway,
    gateway_task: GatewayTask,
    recorder_task: RecorderTask,
    last_used_task: LastUsedTask,
    bodies_task: BodiesTask,
    retention_task: RetentionTask,
    mailer_task: MailerTask,
    spend_alerts_task: SpendAlertsTask,
    tracer_task: Option<TracerTask>,
    metrics: Arc<Metrics>,
    tracer: Tracer,
    has_metrics_apart: bool,
    cors: Cors,
    sign_ins: Arc<SignIns>,
    following: TaskHandle,
    /// The health of everything that runs beside the requests.
    healths: Vec<Health>,
}

/// Reads the keys and certificates of upstreams anew at each reload.
struct Rereading {
    gateway: Gateway,
    reloads: watch::Receiver<()>,
}

impl Task for Rereading {
    async fn run(&mut self) {
        while self.reloads.changed().await.is_ok() {
            self.gateway.reread_credentials().await;
        }
    }
}

impl App {
    /// Starts what runs beside the requests, and loads the picture of the keys.
    ///
    /// # Errors
    /// An upstream makes no sense, or the database cannot be read.
    pub async fn start(options: AppOptions) -> anyhow::Result<Self> {
        let (patient, pepper, clock) = (options.store, options.pepper, options.clock);
        let (upstreams, prices) = (options.upstreams, options.prices);
        let store = patient.for_requests();
        let (tracer, tracer_task) = start_tracer(options.tracing, &options.entropy)?;
        let (spend, recorder, recorder_task) = ledger(&patient, prices.clone(), &clock).await?;
        let (last_used, last_used_task) = LastUsed::start(store.clone(), clock.clone());
        let mailer = MailerTask::start(store.clone(), pepper.clone(), clock.clone(), options.smtp);
        let (directory, following) = start_directory(&store, options.bounds.stale_keys).await?;
        let services = Arc::new(Services {
            usage: patient.usage().for_background(),
            reports: Reports::new(patient.usage().for_reports()),
            keep_usage: options.keep_usage,
            store,
            directory,
            models: known_models(&upstreams, &prices),
            facts: options.facts.clone(),
            recorder,
            spend,
            last_used,
            pepper,
            clock,
            entropy: options.entropy,
            ids: options.ids,
            public_url: options.public_url,
            body_memory: options.bounds.body_memory(),
        });
        let (bodies, bodies_task) = start_keeper(&patient, &services, options.keep_bodies_days)?;
        let (gateway, gateway_task) = Gateway::start(GatewayOptions {
            prices,
            upstreams,
            durability: options.durability,
            bodies,
            ..of_gateway(&services, &tracer, options.facts, options.bounds.flow)
        })?;
        let metrics = Metrics::start(&services, &gateway, &tracer)?;
        let app = Self {
            retention_task: start_retention(&services),
            spend_alerts_task: SpendAlertsTask::start(Arc::clone(&services)),
            sign_ins: SignIns::start(&services, metrics.registry())?,
            metrics,
            healths: Vec::new(),
            tracer,
            tracer_task,
            has_metrics_apart: options.has_metrics_apart,
            cors: options.cors,
            services,
            gateway,
            gateway_task,
            recorder_task,
            last_used_task,
            bodies_task,
            mailer_task: mailer,
            following,
        };
        Ok(app.watched())
    }

    /// Returns the same application, with its tasks known to readiness and metrics.
    fn watched(self) -> Self {
        let healths = self.healths();
        self.metrics.watch_tasks(healths.clone());
        Self { healths, ..self }
    }

    /// The health of every task that runs beside the requests.
    fn healths(&self) -> Vec<Health> {
        let own = [
            self.following.health(),
            self.recorder_task.health(),
            self.last_used_task.health(),
            self.bodies_task.health(),
            self.retention_task.health(),
            self.mailer_task.health(),
            self.spend_alerts_task.health(),
            self.sign_ins.health(),
        ];
        let tracer = self.tracer_task.as_ref().map(TracerTask::health);
        let own = own.into_iter().chain(tracer).cloned();
        own.chain(self.gateway_task.healths()).collect()
    }

    /// Resolves when a task has ended that cannot be started again: its name. The process is to end then.
    pub(crate) async fn died(&self) -> &'static str {
        let deaths = self.healths.iter().map(|health| Box::pin(health.died()));
        let (_, index, _) = select_all(deaths).await;
        self.healths[index].name()
    }

    /// Everything that is served.
    pub fn front(&self) -> Front {
        Front::new(Parts {
            routes: Routes::new(&self.metrics, !self.has_metrics_apart),
            services: Arc::clone(&self.services),
            gateway: self.gateway.clone(),
            metrics: Arc::clone(&self.metrics),
            tracer: self.tracer.clone(),
            readiness: Readiness::new(self.healths.clone()),
            sign_ins: Arc::clone(&self.sign_ins),
            cors: self.cors.clone(),
        })
    }

    /// The route of the metrics alone.
    pub fn metrics_router(&self) -> Router {
        self.metrics.router()
    }

    /// Reads the keys and certificates of upstreams anew whenever a reload is asked for, until the handle is dropped.
    pub(crate) fn follow(&self, reload: &Reload) -> TaskHandle {
        let (gateway, reloads) = (self.gateway.clone(), reload.subscribe());
        tasks::start("upstream reloads", |_| Rereading { gateway, reloads })
    }

    /// What the whole program shares.
    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Finishes what clients hung up on within `deadline`, and makes everything durable within some seconds after it. To
    /// be called when no more requests come in.
    pub async fn stop(self, deadline: Duration) {
        let stop = Stop::within(deadline);
        stop.ask();
        self.stop_by(&stop).await;
    }

    /// Does the same within the deadlines of `stop`.
    pub(crate) async fn stop_by(self, stop: &Stop) {
        self.gateway_task.stop_at(stop.drains_end()).await;
        let recorder = self.recorder_task.stop(stop.left_for_ledger());
        if !stop.ledger(recorder).await {
            tracing::error!("ledger not written in time: usage that waited for it is not recorded");
        }
        let tracer = async {
            if let Some(tracer_task) = self.tracer_task {
                tracer_task.stop().await;
            }
        };
        tokio::join!(
            last(stop, "last uses", self.last_used_task.stop()),
            last(stop, "bodies", self.bodies_task.stop()),
            last(stop, "usage retention", self.retention_task.stop()),
            last(stop, "spend alerts", self.spend_alerts_task.stop()),
            last(stop, "mailer", self.mailer_task.stop()),
            last(stop, "traces", tracer),
        );
    }
}

/// Waits for a part of the application that nothing else waits for.
async fn last(stop: &Stop, part: &str, ended: impl Future<Output = ()>) {
    if !stop.last(ended).await {
        tracing::warn!(part, "not stopped in time; left as it is");
    }
}

/// The ledger's writer, and what the ledger comes to.
async fn ledger(
    store: &Store,
    prices: PriceBook,
    clock: &Clock,
) -> anyhow::Result<(Spend, Recorder, RecorderTask)> {
    let clock = clock.clone();
    let spend = Spend::load(store.usage(), clock.clone())
        .await
        .context("what has been spent could not be loaded")?;
    let database = store.usage().for_background();
    let (recorder, task) = Recorder::start(database, Arc::new(prices), clock, spend.clone())
        .context("the ledger's writer could not be started")?;
    Ok((spend, recorder, task))
}

/// What drops usage that is not kept any more.
fn start_retention(services: &Services) -> RetentionTask {
    let (database, clock) = (services.usage.clone(), services.clock.clone());
    RetentionTask::start(database, services.keep_usage, clock)
}

/// The picture of the keys, and what follows their changes.
async fn start_directory(
    store: &Store,
    max_age: Option<Duration>,
) -> anyhow::Result<(Arc<Directory>, TaskHandle)> {
    let started = Directory::start_bounded(store.clone(), max_age).await;
    started.context("the keys could not be loaded")
}

/// What a gateway has in common with the rest of the program; it has no upstreams yet.
fn of_gateway(
    services: &Services,
    tracer: &Tracer,
    facts: ModelFacts,
    flow: FlowLimits,
) -> GatewayOptions {
    GatewayOptions {
        stored: Objects::new(services.store.clone(), services.clock.clone()),
        directory: Arc::clone(&services.directory),
        recorder: services.recorder.clone(),
        spend: services.spend.clone(),
        prices: PriceBook::default(),
        facts,
        reservations: SpendReservations::new(
            services.store.usage().clone(),
            services.spend.clone(),
            Arc::clone(&services.ids),
            services.clock.clone(),
        ),
        last_used: services.last_used.clone(),
        bodies: None,
        pepper: services.pepper.clone(),
        upstreams: Vec::new(),
        ids: Arc::clone(&services.ids),
        clock: services.clock.clone(),
        durability: Durability::default(),
        models: services.models.clone(),
        tracer: tracer.clone(),
        flow,
        body_memory: services.body_memory.clone(),
    }
}

/// Who keeps bodies, or deletes what was kept.
fn start_keeper(
    store: &Store,
    services: &Services,
    days: u32,
) -> anyhow::Result<(Option<Bodies>, BodiesTask)> {
    let keeper = KeeperOptions {
        store: store.for_background(),
        changes: services.directory.settings_changes(),
        pepper: services.pepper.clone(),
        entropy: services.entropy.clone(),
        clock: services.clock.clone(),
        days,
    };
    bodies::start(keeper).context("the keeper of bodies could not be started")
}

/// What makes spans, and sends them, if they are wanted.
fn start_tracer(
    tracing: Option<TracingOptions>,
    entropy: &Entropy,
) -> anyhow::Result<(Tracer, Option<TracerTask>)> {
    let Some(tracing) = tracing else {
        return Ok((Tracer::off(), None));
    };
    let (tracer, task) = Tracer::start(&tracing, entropy.clone())?;
    Ok((tracer, Some(task)))
}

/// The models that have an upstream or a price.
fn known_models(upstreams: &[UpstreamConfig], prices: &PriceBook) -> BTreeSet<String> {
    let served = upstreams.iter().flat_map(|upstream| &upstream.models);
    let served = served.map(String::as_str).filter(|model| *model != "*");
    served.chain(prices.models()).map(str::to_owned).collect()
}
