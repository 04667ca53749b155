//! An installation as an operator has one: a directory with a configuration file, a database, and the binary.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::TestStorage;

use crate::api::Api;
use crate::process::{Ended, Process};

/// A configured, empty installation. Its files go with the test.
pub struct Installation {
    database: TestStorage,
}

/// A server that runs. Killed when dropped.
pub struct Server {
    pub process: Process,
    /// Base URL: `http://127.0.0.1:…`.
    pub address: String,
}

impl Installation {
    /// Creates an installation with these settings, its own database and a free port.
    pub fn new(settings: &str) -> Self {
        Self::on(TestStorage::new(), settings)
    }

    /// Creates an installation as [`Installation::new`] does, whose database has no tables on PostgreSQL either.
    pub fn without_tables(settings: &str) -> Self {
        Self::on(TestStorage::without_tables(), settings)
    }

    fn on(database: TestStorage, settings: &str) -> Self {
        let installation = Self { database };
        installation.configure(settings);
        installation
    }

    /// Writes its `orgplane.toml` anew.
    pub fn configure(&self, settings: &str) {
        let url = self.database_url();
        let text = format!("listen = \"127.0.0.1:0\"\ndatabase = \"{url}\"\n{settings}");
        std::fs::write(self.directory().join("orgplane.toml"), text)
            .expect("a file in our directory");
    }

    /// URL of the database: in the directory, or on a server.
    pub fn database_url(&self) -> String {
        if self.database.url.starts_with("sqlite:") {
            format!(
                "sqlite://{}",
                self.directory().join("orgplane.db").display()
            )
        } else {
            self.database.url.clone()
        }
    }

    /// Directory of the files; also the working directory of its processes.
    pub fn directory(&self) -> &Path {
        self.database.directory.path()
    }

    /// The file with what keys are hashed with.
    pub fn secret_file(&self) -> PathBuf {
        self.directory().join("orgplane.secret")
    }

    /// The binary with these words, with nothing in its environment.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orgplane"));
        command
            .args(words)
            .env_clear()
            .env("TMPDIR", self.directory())
            .current_dir(self.directory());
        command
    }

    /// Runs the binary with these words until it ends.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Ended {
        Process::start(self.command(words)).ended()
    }

    /// Starts the server and waits until it listens.
    #[track_caller]
    pub fn serve(&self) -> Server {
        Server::from(self.command(&["serve"]))
    }

    /// Starts the server for the first time; also gives back a client with the admin key that it printed.
    #[track_caller]
    pub fn first_serve(&self) -> (Server, Api) {
        let server = self.serve();
        let key = server.process.line("Admin key (shown only now): ");
        let api = server.api(&key.expect("a first start prints a key"));
        (server, api)
    }
}

impl Server {
    /// Returns a client with this key.
    pub fn api(&self, key: &str) -> Api {
        Api::new(&self.address, key)
    }

    /// Asks it to stop, and waits until it has: in order, and with nothing to complain about.
    #[track_caller]
    pub fn stop(self) -> Ended {
        self.process.terminate();
        let ended = self.process.ended();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{ended:?}");
        ended
    }
}

impl From<Command> for Server {
    #[track_caller]
    fn from(command: Command) -> Self {
        let mut process = Process::start(command);
        let address = process.wait_for_line("Listening on ");
        Self { process, address }
    }
}
