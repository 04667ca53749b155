//! Command line of the operator: subcommands of `orgplane` other than `admin:…`.

mod audit;
mod bodies;
mod deployment;
mod nodes;
mod org;
pub(crate) mod output;
mod prices;
mod secret;
pub(crate) mod serve;
mod sign_in;
mod timestamp;
mod usage;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use rustix::fs::Mode;

use crate::config::{self, Config, Overrides};
use crate::{demo, log};
use deployment::open;
use output::print;
use serve::serve;

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
    /// Serves the Administration API and the gateway on one address.
    Serve(Overrides),
    /// Serves a temporary organization with a fake model server and a day of generated traffic.
    Demo(demo::DemoArguments),
    /// Migrates the database.
    Migrate(Overrides),
    /// Lists the nodes that serve the database.
    Nodes(Overrides),
    /// Organizations.
    #[command(subcommand)]
    Org(org::Org),
    /// Sign-in of users in browsers.
    #[command(subcommand)]
    SignIn(sign_in::SignIn),
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
    let _log = log::start(match command {
        Command::Demo(_) => demo::LOG_FILTER,
        _ => log::DEFAULT_FILTER,
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Serve(overrides) => return serve(overrides).await,
            Command::Demo(arguments) => return demo::run(arguments).await,
            Command::Migrate(overrides) => migrate(&Config::load(&overrides)?).await,
            Command::Nodes(overrides) => nodes::run(&overrides).await,
            Command::Org(command) => org::run(command).await,
            Command::SignIn(command) => sign_in::run(command).await,
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

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let store = open(config).await?;
    print(&format!("The {} database is up to date.\n", store.kind()))
}
