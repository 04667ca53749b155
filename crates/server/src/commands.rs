//! The words that an operator types.

mod bodies;
mod moment;
mod org;
mod prices;
mod usage;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use access::KeyHashes;
use admin::audit_logs::verify::{Verified, verify as verify_log};
use admin::organization;
use anyhow::{Context, bail};
use base::ids::IdGenerator;
use base::secret::Pepper;
use base::{Clock, Entropy};
use clap::{CommandFactory, Parser, Subcommand};
use cli::Progress;
use rustix::fs::Mode;
use store::Store;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Config, Overrides, SmtpServer};
use crate::first_start::{FirstStart, first_start};
use crate::serve::{Server, Stopped};
use crate::stop::Stop;
use crate::{App, AppOptions, Tls, demo, descriptors, log, secret_file};

/// The time that the runtime has to end what it cannot abort, such as a query under way, once a command is done.
const RUNTIME_TIMEOUT: Duration = Duration::from_millis(200);

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("ORGPLANE_COMMIT"),
    ")"
);

/// What help says of the words that are not clap's.
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
    Demo(demo::Arguments),
    /// Brings the database's tables up to date, and does nothing else.
    Migrate(Overrides),
    /// Organizations.
    #[command(subcommand)]
    Org(org::Org),
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The ledger of what was consumed.
    #[command(subcommand)]
    Usage(usage::Usage),
    /// What things cost.
    #[command(subcommand)]
    Prices(prices::Prices),
    /// The audit log.
    #[command(subcommand)]
    Audit(Audit),
    /// What was kept of requests and their answers.
    #[command(subcommand)]
    Bodies(bodies::Bodies),
    /// Prints our OpenAPI 3.1 document.
    #[command(hide = true)]
    Openapi,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Prints the configuration in effect, without secrets.
    Show(Overrides),
}

#[derive(Subcommand)]
enum Audit {
    /// Computes every hash of the audit log anew, and names the first entry that is not what was written.
    Verify(Overrides),
}

/// Runs the command that `arguments` spell, the program's name first; no word asks for help. 0 when done, 1 when it failed, 2 when the words were wrong.
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

/// The command line of the Administration API, when the words are for it: all of them are when we are called `openai`.
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
    // Whatever is made here is for the user that runs the program: databases, exports, the secret.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    log::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Serve(overrides) => return serve(&Config::load(&overrides)?).await,
            Command::Demo(arguments) => return demo::run(arguments).await,
            Command::Migrate(overrides) => migrate(&Config::load(&overrides)?).await,
            Command::Org(command) => org::run(command).await,
            Command::Config(ConfigCommand::Show(overrides)) => {
                print(&Config::load(&overrides)?.show()?)
            }
            Command::Usage(command) => usage::run(command).await,
            Command::Prices(command) => prices::run(command).await,
            Command::Audit(Audit::Verify(overrides)) => verify(&Config::load(&overrides)?).await,
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

/// Writes to stdout; a reader that has gone is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// The text, with every control character but the ends of lines and tabs spelled out: what comes from elsewhere gives a
/// terminal no orders.
fn plain(text: &str) -> String {
    let spelled = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(spelled).collect()
}

async fn open(config: &Config) -> anyhow::Result<Store> {
    Store::open(&config.database).await.context("the database")
}

/// What every command on an existing deployment needs.
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

async fn serve(config: &Config) -> anyhow::Result<ExitCode> {
    descriptors::raise_limit();
    // What the configuration names is looked at before anything is made: a first key is shown only once.
    let tls = config.tls.files.clone().map(Tls::load).transpose()?;
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
        has_metrics_apart: metrics.is_some(),
    })
    .await?;
    let stop = Stop::at_signals(config.stop_timeout)?;
    found(&deployment, &app).await?;
    let _serving_metrics = metrics
        .map(|server| serve_metrics(server, &app))
        .transpose()?;
    print(&format!("Listening on {}\n", server.url()))?;
    Ok(run_until(server, app, stop).await)
}

/// Founds the first organization where there is none, and prints its admin key. Everything else has started by now, so
/// whoever sees the key can use it.
async fn found(deployment: &Deployment, app: &App) -> anyhow::Result<()> {
    let chosen = std::env::var("ORGPLANE_BOOTSTRAP_ADMIN_KEY").ok();
    let chosen = chosen.filter(|key| !key.is_empty());
    let given = chosen.clone();
    if let Some(founded) = first_start(deployment.founding(chosen)).await? {
        let key = match given {
            Some(_) => "the one in ORGPLANE_BOOTSTRAP_ADMIN_KEY".to_owned(),
            None => founded.key.reveal(),
        };
        return print(&format!(
            "First start: organization {} with project {}.\nAdmin key (shown only now): {key}\n",
            founded.organization_id, founded.project_id
        ));
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

/// Serves metrics where they have an address of their own, for as long as the handle lives.
fn serve_metrics(server: Server, app: &App) -> anyhow::Result<AbortOnDropHandle<Stopped>> {
    print(&format!("Metrics on http://{}/metrics\n", server.address()))?;
    let never = Stop::within(Duration::ZERO);
    let router = app.metrics_router();
    let serving = async move { server.run(router, &never).await };
    Ok(AbortOnDropHandle::new(tokio::spawn(serving)))
}

/// Serves until `stop` is asked for, then finishes what is under way and makes it durable. Returns the exit code of the
/// process.
pub(crate) async fn run_until(server: Server, app: App, stop: Stop) -> ExitCode {
    let stopped = server.run(app.front(), &stop).await;
    if stopped == Stopped::AtDeadline {
        tracing::warn!("requests under way were cut off at the stop's deadline");
    }
    app.stop_by(&stop).await;
    tracing::info!("stopped");
    stop.exit_code()
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let store = open(config).await?;
    print(&format!("The {} database is up to date.\n", store.kind()))
}

async fn verify(config: &Config) -> anyhow::Result<()> {
    let store = open(config).await?;
    let mut progress = Progress::of("entries");
    let logs = verify_log(&store, |done, of| progress.at(done, Some(of))).await;
    drop(progress);
    let logs = logs?;
    let mut broken = Vec::new();
    for log in &logs {
        print(&proved(log))?;
        if let Some(entry) = &log.broken {
            let id = entry.id.as_ref().map(|id| format!(" ({id})"));
            broken.push(format!(
                "{}: entry {}{} {}",
                log.organization_id,
                entry.sequence,
                id.unwrap_or_default(),
                entry.reason
            ));
        }
    }
    if !broken.is_empty() {
        bail!("the audit log was changed: {}", broken.join("; "));
    }
    Ok(())
}

fn proved(log: &Verified) -> String {
    let hash: String = log.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let all = if log.broken.is_none() { "all" } else { "only" };
    let entries = log.entries;
    format!(
        "{}: {all} {entries} entries are as they were written; hash of the last one: {hash}\n",
        log.organization_id
    )
}
