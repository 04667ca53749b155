//! Settings that win over the configuration file: flags, and the environment.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The settings that were given on the command line or in the environment.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Overrides {
    /// The configuration file [default: orgplane.toml, if it is there].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The address to listen on [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR", env = "ORGPLANE_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// The database: sqlite://FILE or postgres://… [default: sqlite://orgplane.db].
    #[arg(
        long,
        value_name = "URL",
        env = "ORGPLANE_DATABASE_URL",
        hide_env_values = true
    )]
    pub database: Option<String>,
    /// The most connections to PostgreSQL [default: 12].
    #[arg(
        long,
        value_name = "NUMBER",
        env = "ORGPLANE_DATABASE_CONNECTIONS",
        hide = true
    )]
    pub database_connections: Option<usize>,
    /// The address that others reach this server at [default: http:// or https:// and the address to listen on].
    #[arg(long, value_name = "URL", env = "ORGPLANE_PUBLIC_URL", hide = true)]
    pub public_url: Option<String>,
    /// The file with the secret that keys are hashed with [default: orgplane.secret beside the database].
    #[arg(long, value_name = "FILE", env = "ORGPLANE_SECRET_FILE", hide = true)]
    pub secret_file: Option<PathBuf>,
    /// The SMTP server that mails are handed to: smtp://HOST:PORT or smtps://… [default: none, mails are kept].
    #[arg(
        long,
        value_name = "URL",
        env = "ORGPLANE_SMTP_URL",
        hide = true,
        hide_env_values = true
    )]
    pub smtp_url: Option<String>,
    /// The sender that mails name.
    #[arg(long, value_name = "ADDRESS", env = "ORGPLANE_SMTP_FROM", hide = true)]
    pub smtp_from: Option<String>,
    /// The address to serve metrics on instead of the one to listen on [default: none].
    #[arg(
        long,
        value_name = "ADDR",
        env = "ORGPLANE_METRICS_LISTEN",
        hide = true
    )]
    pub metrics_listen: Option<SocketAddr>,
}
