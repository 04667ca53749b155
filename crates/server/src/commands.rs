//! Command line of the operator: subcommands of `orgplane` other than `admin:…`.

mod audit;
mod bodies;
mod org;
mod output;
mod prices;
mod secret;
mod timestamp;
mod usage;

use std::ffi::OsString;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use access::KeyHashes;
use admin::organization;
use anyhow::Context;
use base::ids::IdGenerator;
use base::secret::Pepper;
use base::{Clock, Entropy};
use clap::{CommandFactory, Parser, Subcommand};
use futures_util::FutureExt;
use rustix::fs::Mode;
use store::Store;
use tasks::TaskHandle;
use tokio::runtime::Handle;

use crate::config::{self, Config, Overrides, SmtpServer, Source};
use crate::first_start::{FirstStart, first_start};
use crate::reload::{Reload, ReloadSignals};
use crate::serve::{Server, ShutdownOutcome};
use crate::shutdown::Shutdown;
use crate::{App, AppOptions, Tls, demo, descriptors, log, metrics, secret_file};

use output::escape_control;
pub(crate) use output::{announce, print};

/// Time given to work that cannot be aborted, such as a running query, after a command is done.
const RUNTIME_TIMEOUT: Duration = Duration::from_millis(200);

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("ORGPLANE_COMMIT"),
    ")"
);

/// Help text for the commands that clap does not know here.
const ADMINISTRATION: &str = "\
Administration:
  admin:organization:… VERB  Calls the Administration API of a server; see 'orgplane admin:organization --help'
  completion SHELL           Prints completion for bash, zsh, fish or powershell
  manpages --out DIR         Writes the manual";

/// A self-hosted organization for language-model APIs: the Administration API and an enforcing, metering gateway.
#[derive(Parser)]
#[command(name = "orgplane", version = VERSION, after_help = ADMINISTRATION)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the Administration API and the gateway on one address.
    Serve(Overrides),
    /// Runs everything on a throw-away database, with a built-in model server and a day of made-up traffic.
    Demo(demo::DemoArguments),
    /// Brings the database's tables up to date, and does nothing else.
    Migrate(Overrides),
    /// Organizations.
    #[command(subcommand)]
    Org(org::Org),
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The usage ledger.
    #[command(subcommand)]
    Usage(usage::Usage),
    /// Prices of models.
    #[command(subcommand)]
    Prices(prices::Prices),
    /// The secret that keys are hashed with.
    #[command(subcommand)]
    Secret(secret::Secret),
    /// The audit log.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Stored request and response bodies.
    #[command(subcommand)]
    Bodies(bodies::Bodies),
    /// Prints the OpenAPI 3.1 document of this version.
    #[command(hide = true)]
    Openapi,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Prints the configuration in effect, without secrets.
    Show(Box<Overrides>),
    /// Prints every key of the configuration with its type, default and meaning, as Markdown.
    Reference,
}

/// Runs the command in `arguments`, whose first item is the name of the program; prints help without one. Returns 0
/// on success, 1 on failure and 2 for a malformed command line.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(program) = administration(&arguments) {
        return cli::run(&program, arguments.into_iter().skip(1));
    }
    if arguments.len() < 2 {
        arguments.push("-h".into());
    }
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match execute(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "orgplane: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the command line of the Administration API if `arguments` ask for it, or if the program is called
/// `openai`.
fn administration(arguments: &[OsString]) -> Option<cli::Program> {
    let (called, words) = arguments.split_first()?;
    if Path::new(called)
        .file_stem()
        .is_some_and(|name| name == "openai")
    {
        return Some(cli::Program {
            name: "openai".to_owned(),
            version: VERSION,
            base_url: "https://api.openai.com/v1",
            others: None,
        });
    }
    cli::takes(words).then(|| cli::Program {
        name: "orgplane".to_owned(),
        version: VERSION,
        base_url: "http://127.0.0.1:8080/v1",
        others: Some(Arguments::command()),
    })
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    // Files that this process creates (databases, exports, the secret) are readable by its user only.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    // Dropped last, so that the last log lines are written.
    let _log = log::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Serve(overrides) => return serve(overrides).await,
            Command::Demo(arguments) => return demo::run(arguments).await,
            Command::Migrate(overrides) => migrate(&Config::load(&overrides)?).await,
            Command::Org(command) => org::run(command).await,
            Command::Config(ConfigCommand::Show(overrides)) => {
                print(&Config::load(&overrides)?.show()?)
            }
            Command::Config(ConfigCommand::Reference) => print(&config::reference()),
            Command::Usage(command) => usage::run(command).await,
            Command::Prices(command) => prices::run(command).await,
            Command::Secret(command) => secret::run(command).await,
            Command::Audit(command) => audit::run(command).await,
            Command::Bodies(command) => bodies::run(command).await,
            Command::Openapi => {
                let document = admin::operation::document(&admin::operations());
                print(&format!("{}\n", serde_json::to_string_pretty(&document)?))
            }
        }
        .map(|()| ExitCode::SUCCESS)
    });
    runtime.shutdown_timeout(RUNTIME_TIMEOUT);
    outcome
}

async fn open(config: &Config) -> anyhow::Result<Store> {
    Store::open_with(&config.database, config.database_connections)
        .await
        .context("the database")
}

/// Database, secret, clock, entropy and ids of an existing deployment.
struct Deployment {
    store: Store,
    pepper: Pepper,
    clock: Clock,
    entropy: Entropy,
    ids: Arc<IdGenerator>,
}

impl Deployment {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        let store = open(config).await?;
        let entropy = Entropy::operating_system();
        let is_new = !organization::exists(&store).await?;
        let secret_file = Path::new(&config.secret_file);
        let pepper = secret_file::read_or_create(secret_file, &entropy, is_new)?;
        secret_file::check(secret_file, &pepper, &store).await?;
        let clock = Clock::system();
        let ids = Arc::new(IdGenerator::new(clock.clone(), entropy.clone()));
        Ok(Self {
            store,
            pepper,
            clock,
            entropy,
            ids,
        })
    }

    fn founding(&self, chosen_key: Option<String>) -> FirstStart<'_> {
        let Self {
            store,
            pepper,
            clock,
            entropy,
            ids,
        } = self;
        FirstStart {
            store,
            pepper,
            ids,
            clock,
            entropy,
            chosen_key,
        }
    }
}

async fn serve(overrides: Overrides) -> anyhow::Result<ExitCode> {
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
        facts: ::usage::ModelFacts::with(config.models.clone()),
        durability: config.durability,
        public_url: config.public_url.clone(),
        smtp,
        keep_bodies_days: config.keep_bodies_days,
        keep_usage: config.keep_usage,
        tracing: config.tracing.clone(),
        bounds: config.bounds.clone(),
        cors: config.cors.clone(),
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
            "configuration invalid: the next start would fail; keeping the current one"
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
        return Ok(());
    }
    let Some(given) = given else { return Ok(()) };
    let directory = &app.services().directory;
    let hashes = KeyHashes::of(&deployment.pepper, &given);
    match directory.look_up(&hashes).await? {
        Some(_) => tracing::info!(
            "ORGPLANE_BOOTSTRAP_ADMIN_KEY not needed: there is an organization already, and the key works"
        ),
        None => tracing::warn!(
            "ORGPLANE_BOOTSTRAP_ADMIN_KEY ignored: there is an organization already, and none of its keys is this one; \
             'orgplane org key --email OWNER' makes an admin key"
        ),
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
    tracing::info!("stopped");
    stop.exit_code()
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let store = open(config).await?;
    print(&format!("The {} database is up to date.\n", store.kind()))
}
