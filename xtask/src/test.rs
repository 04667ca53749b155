//! `cargo xtask test`: every test, on SQLite and then on a PostgreSQL server made for the run.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::environment::{Environment, cargo, root};
use crate::postgres::Postgres;
use crate::step::{run as run_command, say};

/// Which tests to run, and on what.
#[derive(Args)]
pub struct Options {
    /// The database to test on.
    #[arg(long, value_enum, default_value_t = Database::Both)]
    database: Database,
    /// Further words for `cargo test --workspace`: options, the name of a test, `-- --nocapture`.
    #[arg(last = true)]
    words: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Database {
    Sqlite,
    Postgres,
    Both,
}

/// Prepares what the tests need and runs them. Their output comes last, so that it ends with the runner's own summary.
pub fn run(options: &Options) -> Result<()> {
    let root = root()?;
    let environment = Environment::prepare(&root)?;
    let tests = |kinds: &[&str], database: Option<&str>| {
        let mut command = cargo(&root);
        command
            .args(["test", "--workspace"])
            .args(kinds)
            .args(&options.words);
        command.env("ORGPLANE_TEST_PYTHON", &environment.clients.python);
        command.env(
            "ORGPLANE_TEST_MODEL_SERVER",
            &environment.clients.model_server,
        );
        command.env_remove("ORGPLANE_TEST_DATABASE");
        command.envs(database.map(|url| ("ORGPLANE_TEST_DATABASE", url)));
        run_command(&mut command)
    };
    if options.database != Database::Postgres {
        say("tests on SQLite");
        tests(&[], None)?;
    }
    if options.database != Database::Sqlite {
        let server = Postgres::start(&root, &environment.postgres)?;
        say("tests on PostgreSQL");
        tests(&["--tests"], Some(server.url()))?;
    }
    Ok(())
}
