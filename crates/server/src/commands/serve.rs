//! `orgplane serve`: starts the server and runs it until it is shut down.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;

use access::KeyHashes;
use admin::credentials::{self, links::LinkOrigin};
use anyhow::Context;
use futures_util::FutureExt;
use tasks::TaskHandle;
use tokio::runtime::Handle;

use super::deployment::Deployment;
use super::output::announce;
use super::sign_in;
use crate::config::{Config, Overrides, SmtpServer, Source};
use crate::first_start::first_start;
use crate::reload::{Reload, ReloadSignals};
use crate::serve::{Server, ShutdownOutcome};
use crate::shutdown::Shutdown;
use crate::{App, AppOptions, Tls, descriptors, metrics};

pub(super) async fn serve(overrides: Overrides) -> anyhow::Result<ExitCode> {
    let signals = ReloadSignals::listen()?;
    let reload = Reload::default();
    let config = &Config::load(&overrides)?;
    descriptors::raise_limit();
    // Files named by the configuration are read before anything is created: the first key is shown only once.
    let tls = config.tls.files.clone().map(Tls::load).transpose()?;
    let tls = tls.map(|tls| tls.reloaded_by(&reload));
    let upstreams = config.resolve_upstreams().await?;
    let smtp = config.smtp.as_ref();
    let smtp = smtp.map(SmtpServer::resolve).transpose()?;
    let server = Server::bind(config.listen).await?;
    let metrics = match config.metrics_listen {
        Some(address) => Some(Server::bind(address).await?),
        None => None,
    };
    let server = server
        .secured(tls)
        .behind(config.tls.proxies.clone())
        .bounded(
            config.max_connections_per_address,
            config.trusted_proxies.clone(),
        );
    let deployment = Deployment::open(config).await?;
    let checked = deployment.store.administration().check_connections().await;
    checked.context("the database")?;
    let app = App::start(AppOptions {
        store: deployment.store.clone(),
        pepper: deployment.pepper.clone(),
        clock: deployment.clock.clone(),
        entropy: deployment.entropy.clone(),
        ids: Arc::clone(&deployment.ids),
        upstreams,
        prices: config.prices.clone(),
        unpriced: config.unpriced,
        facts: ::usage::ModelFacts::with(config.models.clone()),
        durability: config.durability,
        admission: config.admission,
        public_url: config.public_url_at(server.address()),
        session_lifetimes: config.session_lifetimes,
        sign_in: config.resolve_sign_in()?,
        smtp,
        keep_bodies_days: config.keep_bodies_days,
        keep_usage: config.keep_usage,
        tracing: config.tracing.clone(),
        bounds: config.bounds.clone(),
        node: config.node_at(server.address()),
        cors: config.cors.clone(),
        has_console: config.has_console,
        has_metrics_apart: metrics.is_some(),
    })
    .await?;
    let stop = Shutdown::at_signals(config.stop_timeout)?;
    let _rereading = app.follow(&reload);
    let source = config.source.clone();
    let _following = signals.follow(reload, stop.clone(), move || reread(&overrides, &source));
    found(&deployment, &app).await?;
    let _serving_metrics = metrics.map(|server| serve_metrics(server, &app));
    announce(&format!("Listening on {}\n", server.url()));
    Ok(run_until(server, app, stop).await)
}

/// Reads the configuration again and logs the keys that changed; they take effect at the next start. Blocks; must run
/// within a runtime.
fn reread(overrides: &Overrides, running: &Source) {
    let checked = Config::load(overrides).and_then(|config| {
        config.tls.files.clone().map(Tls::load).transpose()?;
        Handle::current().block_on(config.resolve_upstreams())?;
        let smtp = config.smtp.as_ref();
        smtp.map(SmtpServer::resolve).transpose()?;
        config.resolve_sign_in()?;
        Ok(running.changes(&config.source))
    });
    match checked {
        Ok(changes) if changes.is_empty() => tracing::info!("configuration unchanged"),
        Ok(changes) => tracing::warn!(
            keys = changes.join(", "),
            "configuration changed: these keys take effect at the next start"
        ),
        Err(error) => tracing::error!(
            error = format!("{error:#}"),
            "configuration invalid: the next start would fail; the current configuration stays in use"
        ),
    }
}

/// Creates the first organization in an empty database and prints its admin key. Called after everything else has
/// started, so that the key works as soon as it is visible.
async fn found(deployment: &Deployment, app: &App) -> anyhow::Result<()> {
    let chosen = std::env::var("ORGPLANE_BOOTSTRAP_ADMIN_KEY").ok();
    let chosen = chosen.map(|key| key.trim().to_owned());
    let chosen = chosen.filter(|key| !key.is_empty());
    let given = chosen.clone();
    if let Some(founded) = first_start(deployment.founding(chosen)).await? {
        let key = match given {
            Some(_) => "the one in ORGPLANE_BOOTSTRAP_ADMIN_KEY".to_owned(),
            None => founded.key.reveal(),
        };
        announce(&format!(
            "First start: organization {} with project {}.\nAdmin key (shown only now): {key}\n",
            founded.organization_id, founded.project_id
        ));
        return offer_sign_in(deployment, app).await;
    }
    if !credentials::any(app.services()).await? {
        tracing::info!(
            "no user can sign in with a password or an identity provider yet; 'orgplane sign-in link --email OWNER' makes a link"
        );
    }
    let Some(given) = given else { return Ok(()) };
    let directory = &app.services().directory;
    let hashes = KeyHashes::of(&deployment.pepper, &given);
    match directory.look_up(&hashes).await? {
        Some(_) => tracing::info!(
            "ORGPLANE_BOOTSTRAP_ADMIN_KEY ignored: an organization exists, and the key is valid there already"
        ),
        None => tracing::warn!(
            "ORGPLANE_BOOTSTRAP_ADMIN_KEY ignored: an organization exists, and the key is unknown there; \
             'orgplane org key --email OWNER' makes an admin key"
        ),
    }
    Ok(())
}

/// Prints a link that signs in the owner of the first organization. Later starts print none, so that a credential of the
/// owner is not in the log of each of them.
async fn offer_sign_in(deployment: &Deployment, app: &App) -> anyhow::Result<()> {
    let made = deployment
        .new_link(LinkOrigin::FirstStart)
        .for_first_owner();
    let made = made
        .await
        .map_err(|error| anyhow::Error::msg(error.message))?;
    if let Some(made) = made {
        announce(&sign_in::shown(&made, &app.services().public_url));
    }
    Ok(())
}

/// Serves metrics on their own address until the handle is dropped.
fn serve_metrics(server: Server, app: &App) -> TaskHandle {
    announce(&format!("Metrics on http://{}/metrics\n", server.address()));
    metrics::listener::serve(server, app.metrics_router())
}

/// Serves until `stop` is requested, then finishes running requests and writes everything to the database. Returns
/// the exit code of the process.
pub(crate) async fn run_until(server: Server, app: App, stop: Shutdown) -> ExitCode {
    // A component that died and cannot be restarted ends the process with exit code 1 after an orderly shutdown.
    let serving = AssertUnwindSafe(server.run(app.http_service(), &stop)).catch_unwind();
    let died = async {
        let task = app.died().await;
        tracing::error!(task, "background task ended; shutting down");
        stop.fail();
        std::future::pending().await
    };
    let stopped = tokio::select! {
        stopped = serving => stopped,
        stopped = died => stopped,
    };
    match stopped {
        Ok(ShutdownOutcome::Cleanly) => {}
        Ok(ShutdownOutcome::AtDeadline) => {
            tracing::warn!("requests aborted at the shutdown deadline");
        }
        Err(_) => {
            tracing::error!("listener panicked; shutting down");
            stop.fail();
        }
    }
    app.stop_by(&stop).await;
    tracing::info!("server stopped");
    stop.exit_code()
}
