//! The application: store, ledger recorder, Administration API and gateway.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use access::{Directory, DirectoryOptions};
use admin::Services;
use admin::mail::{Smtp, start_mailer};
use admin::spend_alerts::start_notifier;
use anyhow::Context;
use axum::Router;
use base::Entropy;
use bodies::{Bodies, BodiesTask, BodyWriterOptions};
use cluster::NodeSession;
use console::IdentityProviderFacts;
use futures_util::future::select_all;
use gateway::{
    Durability, FlowLimits, Gateway, GatewayOptions, GatewayTask, LimitWindows, ObjectRepository,
    UnpricedModels,
};
use identity::Identity;
use store::Store;
use tasks::{Health, TaskHandle};
use telemetry::{Tracer, TracerTask, TracingOptions};
use usage::{
    DurableReservations, LastUsed, ModelFacts, PriceBook, Recorder, RecorderTask, Refusals,
    Reports, Retention, Spend, record_lost,
};

use crate::app_options::AppOptions;
use crate::authentication::AuthenticationGuard;
use crate::config::SettleScope;
use crate::console::{ConsoleService, RunningGateway, provider_facts};
use crate::cors::Cors;
use crate::credential_reload::CredentialReload;
use crate::http_service::{HttpService, HttpServiceParts};
use crate::limits_now;
use crate::metrics::Metrics;
use crate::node_session::{NodeFacts, ledger_node, start_session};
use crate::public_url::PublicOrigin;
use crate::readiness::Readiness;
use crate::reload::Reload;
use crate::routes::Routes;
use crate::shutdown::Shutdown;

/// A running application.
pub struct App {
    services: Arc<Services>,
    gateway: Gateway,
    gateway_task: GatewayTask,
    recorder_task: RecorderTask,
    last_used_task: TaskHandle,
    refusals_task: TaskHandle,
    bodies_task: BodiesTask,
    retention_task: TaskHandle,
    mailer_task: TaskHandle,
    spend_alerts_task: TaskHandle,
    tracer_task: Option<TracerTask>,
    metrics: Arc<Metrics>,
    tracer: Tracer,
    has_metrics_apart: bool,
    cors: Cors,
    console: Option<Arc<RunningGateway>>,
    authentication: Arc<AuthenticationGuard>,
    identity: Identity,
    sign_in_task: TaskHandle,
    public_origin: PublicOrigin,
    following: TaskHandle,
    session_task: Option<TaskHandle>,
    /// Health of every background task.
    healths: Vec<Health>,
    session: NodeSession,
}

impl App {
    /// Starts the background tasks and loads the directory.
    ///
    /// # Errors
    /// An upstream is misconfigured, or the database cannot be read.
    pub async fn start(options: AppOptions) -> anyhow::Result<Self> {
        let store = options.store.for_requests();
        let (tracer, tracer_task) = start_tracer(options.tracing.clone(), &options.entropy)?;
        let (session, session_task) = start_session(NodeFacts::of(&options)).await?;
        let (spend, recorder, recorder_task) = ledger(&options, &store, &session).await?;
        let (last_used, last_used_task) = LastUsed::start(store.clone(), options.clock.clone());
        let (directory, following) = start_directory(&store, &options, session.clone()).await?;
        let shared = SharedParts {
            store,
            directory,
            recorder,
            spend,
            last_used,
        };
        let services = Arc::new(services(&options, shared));
        let (bodies, bodies_task) = start_bodies(&options, &services)?;
        let limit_windows = open_limit_windows(&options.store, &session).await?;
        let gateway_options = GatewayOptions {
            prices: options.prices.clone(),
            unpriced: options.unpriced,
            upstreams: options.upstreams,
            durability: options.durability,
            admission: options.admission,
            bodies,
            limit_windows,
            ..gateway_options(&services, &tracer, options.facts, options.bounds.flow)
        };
        let (gateway, gateway_task, refusals_task) = start_gateway(&services, gateway_options)?;
        let metrics = Metrics::start(&services, &gateway, &tracer, session.clone())?;
        let facts = (provider_facts(&options.sign_in), options.smtp.is_some());
        let console = || running_gateway(gateway.clone(), options.prices, facts);
        let (identity, sign_in_task) = Identity::start(&services, options.sign_in)?;
        let app = Self {
            retention_task: start_retention(&services),
            spend_alerts_task: start_notifier(Arc::clone(&services)),
            authentication: AuthenticationGuard::start(&services, metrics.registry())?,
            public_origin: PublicOrigin::new(&services.public_url)?,
            identity,
            sign_in_task,
            metrics,
            healths: Vec::new(),
            tracer,
            tracer_task,
            has_metrics_apart: options.has_metrics_apart,
            cors: options.cors,
            console: options.has_console.then(console),
            mailer_task: start_mails(&services, options.smtp),
            services,
            gateway,
            gateway_task,
            recorder_task,
            last_used_task,
            refusals_task,
            bodies_task,
            following,
            session_task,
            session,
        };
        Ok(app.watched())
    }

    /// Registers the health of all tasks with readiness and metrics.
    fn watched(self) -> Self {
        let healths = self.healths();
        self.metrics.watch_tasks(healths.clone());
        Self { healths, ..self }
    }

    /// Returns the health of every background task.
    fn healths(&self) -> Vec<Health> {
        let own = [
            self.following.health(),
            self.recorder_task.health(),
            self.last_used_task.health(),
            self.refusals_task.health(),
            self.bodies_task.health(),
            self.retention_task.health(),
            self.mailer_task.health(),
            self.spend_alerts_task.health(),
            self.authentication.health(),
            self.sign_in_task.health(),
        ];
        let own = own
            .into_iter()
            .chain(self.session_task.as_ref().map(TaskHandle::health));
        let own = own.cloned();
        own.chain(self.gateway_task.healths()).collect()
    }

    /// Resolves with the name of a task that ended and cannot be restarted; the process must then end.
    pub(crate) async fn died(&self) -> &'static str {
        let deaths = self.healths.iter().map(|health| Box::pin(health.died()));
        let (_, index, _) = select_all(deaths).await;
        self.healths[index].name()
    }

    /// Returns the service that answers every request.
    pub fn http_service(&self) -> HttpService {
        HttpService::new(HttpServiceParts {
            routes: Routes::new(&self.metrics, !self.has_metrics_apart),
            services: Arc::clone(&self.services),
            gateway: self.gateway.clone(),
            metrics: Arc::clone(&self.metrics),
            tracer: self.tracer.clone(),
            readiness: Readiness::new(self.healths.clone(), self.session.clone()),
            authentication: Arc::clone(&self.authentication),
            identity: self.identity.clone(),
            public_origin: self.public_origin.clone(),
            cors: self.cors.clone(),
            console: self.console.as_ref().map(|gateway| {
                ConsoleService::new(&self.services, &self.identity, Arc::clone(gateway))
            }),
        })
    }

    /// Returns a router that serves only `/metrics`.
    pub fn metrics_router(&self) -> Router {
        self.metrics.router()
    }

    /// Starts the task that reloads the keys and certificates of upstreams on every reload, until the handle is
    /// dropped.
    pub(crate) fn follow(&self, reload: &Reload) -> TaskHandle {
        CredentialReload::start(self.gateway.clone(), reload)
    }

    /// Returns the services that handlers use.
    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Returns the sign-in of users.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Drains abandoned responses within `deadline`, then writes everything to the database within some seconds. Must
    /// be called after the last request.
    pub async fn stop(self, deadline: Duration) {
        let stop = Shutdown::within(deadline);
        stop.ask();
        self.stop_by(&stop).await;
    }

    /// Stops like [`App::stop`], with the deadlines of `stop`.
    pub(crate) async fn stop_by(self, stop: &Shutdown) {
        self.gateway_task.stop_at(stop.drains_end()).await;
        let recorder = self.recorder_task.stop(stop.left_for_ledger());
        if !stop.ledger(recorder).await {
            tracing::error!("ledger not written in time; queued usage is lost");
        }
        let tracer = async {
            if let Some(tracer_task) = self.tracer_task {
                tracer_task.stop().await;
            }
        };
        tokio::join!(
            last(stop, "last uses", self.last_used_task.stop()),
            last(stop, "refusals", self.refusals_task.stop()),
            last(stop, "bodies", self.bodies_task.stop()),
            last(stop, "usage retention", self.retention_task.stop()),
            last(stop, "spend alerts", self.spend_alerts_task.stop()),
            last(stop, "sign-in", self.sign_in_task.stop()),
            last(stop, "mailer", self.mailer_task.stop()),
            last(stop, "traces", tracer),
        );
        // Everything of this session is written.
        if let Some(task) = self.session_task {
            last(stop, "session", task.stop()).await;
        }
    }
}

/// Waits for the end of a task until the last deadline of the shutdown.
async fn last(stop: &Shutdown, part: &str, ended: impl Future<Output = ()>) {
    if !stop.last(ended).await {
        tracing::warn!(part, "task not stopped in time");
    }
}

/// Parts of the services that have tasks of their own.
struct SharedParts {
    store: Store,
    directory: Arc<Directory>,
    recorder: Recorder,
    spend: Spend,
    last_used: LastUsed,
}

/// Returns the services that handlers use.
fn services(options: &AppOptions, shared: SharedParts) -> Services {
    let SharedParts {
        store,
        directory,
        recorder,
        spend,
        last_used,
    } = shared;
    let patient = &options.store;
    Services {
        rate_limit_usage: OnceLock::new(),
        usage: patient.usage().for_background(),
        reports: Reports::new(patient.usage().for_reports()),
        keep_bodies_days: options.keep_bodies_days,
        keep_usage: options.keep_usage,
        store,
        directory,
        models: options.known_models(),
        facts: options.facts.clone(),
        recorder,
        spend,
        last_used,
        pepper: options.pepper.clone(),
        clock: options.clock.clone(),
        entropy: options.entropy.clone(),
        ids: Arc::clone(&options.ids),
        public_url: options.public_url.clone(),
        session_lifetimes: options.session_lifetimes,
        body_memory: options.bounds.body_memory(),
    }
}

/// Loads the spend counters and starts the recorder. `requests` is the store of handlers.
async fn ledger(
    options: &AppOptions,
    requests: &Store,
    session: &NodeSession,
) -> anyhow::Result<(Spend, Recorder, RecorderTask)> {
    let (usage, clock) = (options.store.usage(), options.clock.clone());
    let prices = Arc::new(options.prices.clone());
    if usage.is_local() {
        // Before the spend is loaded, so that no request is admitted for what they have cost.
        record_lost(usage, Arc::clone(&prices), clock.clone())
            .await
            .context("the requests that the last process left could not be recorded")?;
    }
    let spend = Spend::load(usage, clock.clone())
        .await
        .context("what has been spent could not be loaded")?;
    let node = ledger_node(options, session);
    if let Some(node) = node.clone() {
        spend.share(requests.usage().clone(), node);
    }
    let database = usage.for_background();
    let recorder = Recorder::start_on_node(database, prices, clock, spend.clone(), node);
    let (recorder, task) = recorder.context("the ledger's writer could not be started")?;
    Ok((spend, recorder, task))
}

/// Returns what the console shows of the gateway.
fn running_gateway(
    gateway: Gateway,
    prices: PriceBook,
    (providers, sends_mail): (Vec<IdentityProviderFacts>, bool),
) -> Arc<RunningGateway> {
    Arc::new(RunningGateway::new(gateway, prices, providers, sends_mail))
}

/// Starts the task that sends mails, if there is a mail server.
fn start_mails(services: &Services, smtp: Option<Smtp>) -> TaskHandle {
    let (store, pepper) = (services.store.clone(), services.pepper.clone());
    start_mailer(store, pepper, services.clock.clone(), smtp)
}

/// Starts the task that deletes usage past its retention.
fn start_retention(services: &Services) -> TaskHandle {
    let (database, clock) = (services.usage.clone(), services.clock.clone());
    Retention::start(database, services.keep_usage, clock)
}

/// Opens the windows of rate limits.
async fn open_limit_windows(store: &Store, session: &NodeSession) -> anyhow::Result<LimitWindows> {
    let opened = LimitWindows::open(store, session).await;
    opened.context("failed to read the windows of rate limits")
}

/// Loads the directory and starts the task that keeps it current.
async fn start_directory(
    store: &Store,
    options: &AppOptions,
    session: NodeSession,
) -> anyhow::Result<(Arc<Directory>, TaskHandle)> {
    let options = DirectoryOptions {
        max_age: options.bounds.stale_keys,
        session,
        settles_everywhere: options.node.settle == SettleScope::All,
    };
    let started = Directory::start_with(store.clone(), options).await;
    started.context("the keys could not be loaded")
}

/// Returns gateway options with everything that the gateway shares with the rest of the program, and no upstreams.
fn gateway_options(
    services: &Services,
    tracer: &Tracer,
    facts: ModelFacts,
    flow: FlowLimits,
) -> GatewayOptions {
    GatewayOptions {
        objects: ObjectRepository::new(services.store.clone(), services.clock.clone()),
        directory: Arc::clone(&services.directory),
        recorder: services.recorder.clone(),
        spend: services.spend.clone(),
        prices: PriceBook::default(),
        unpriced: UnpricedModels::default(),
        facts,
        limit_windows: LimitWindows::memory(),
        reservations: DurableReservations::new(
            services.store.usage().clone(),
            services.spend.clone(),
            Arc::clone(&services.ids),
            services.clock.clone(),
        ),
        refusals: Refusals::new(services.clock.clone()),
        last_used: services.last_used.clone(),
        bodies: None,
        pepper: services.pepper.clone(),
        upstreams: Vec::new(),
        ids: Arc::clone(&services.ids),
        clock: services.clock.clone(),
        durability: Durability::default(),
        admission: Durability::default(),
        models: services.models.clone(),
        tracer: tracer.clone(),
        flow,
        body_memory: services.body_memory.clone(),
    }
}

/// Starts the gateway, and the task that writes the counts of refused requests; the handlers see its rate limits.
fn start_gateway(
    services: &Services,
    options: GatewayOptions,
) -> anyhow::Result<(Gateway, GatewayTask, TaskHandle)> {
    let (refusals, refusals_task) = Refusals::start(services.usage.clone(), services.clock.clone());
    let options = GatewayOptions {
        refusals,
        ..options
    };
    let (gateway, gateway_task) = Gateway::start(options)?;
    limits_now::wire(services, &gateway);
    Ok((gateway, gateway_task, refusals_task))
}

/// Starts the task that stores bodies, or deletes those past their retention.
fn start_bodies(
    options: &AppOptions,
    services: &Services,
) -> anyhow::Result<(Option<Bodies>, BodiesTask)> {
    let keeper = BodyWriterOptions {
        store: options.store.for_background(),
        changes: services.directory.settings_changes(),
        pepper: services.pepper.clone(),
        entropy: services.entropy.clone(),
        clock: services.clock.clone(),
        days: options.keep_bodies_days,
    };
    bodies::start(keeper).context("failed to start the body writer")
}

/// Starts the tracer if a collector is configured.
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
