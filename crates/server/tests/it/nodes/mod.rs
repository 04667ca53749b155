//! Several nodes on one PostgreSQL: processes that start at once, lose their way to the database, and share its connections.

mod connections;
mod failover;
mod first_start;
mod hang;
mod limits;
mod listing;
mod proxy;
mod revocation;
mod sessions;
mod spend;
mod upgrade;

use std::process::Command;

use testkit::Cluster;

use crate::installation::{Installation, Server};

/// A PostgreSQL server, and a directory that all nodes have in common.
struct World {
    cluster: Cluster,
    installation: Installation,
}

impl World {
    /// `None` where PostgreSQL is not installed and no tests with it are asked for.
    fn start(settings: &str) -> Option<Self> {
        Some(Self {
            cluster: Cluster::start("", "", &[])?,
            installation: Installation::new(settings),
        })
    }

    /// A node on a database of the server.
    fn node(&self, database: &str) -> Command {
        self.installation
            .command(&["serve", "--database", database])
    }

    fn first_node(&self) -> (Server, crate::api::Api) {
        let server = Server::from(self.node(&self.url()));
        let key = server.process.line("Admin key (shown only now): ");
        let admin = server.api(&key.expect("a first start prints a key"));
        (server, admin)
    }

    fn url(&self) -> String {
        self.cluster.url("orgplane", "localhost")
    }

    /// The answer of PostgreSQL to a query of one value.
    fn ask(&self, query: &str) -> String {
        ask(&self.url(), query)
    }
}

/// Runs psql, and returns what it prints.
fn ask(url: &str, query: &str) -> String {
    let mut command = Command::new("psql");
    command.args([url, "-v", "ON_ERROR_STOP=1", "-Atqc", query]);
    let output = command.output().expect("psql");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{query}: {told}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
