//! Settings from flags and the environment, which override the configuration file.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Settings from flags and the environment.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Overrides {
    /// Configuration file [default: orgplane.toml, if it exists].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR", env = "ORGPLANE_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Database: sqlite://FILE or postgres://… [default: sqlite://orgplane.db].
    #[arg(
        long,
        value_name = "URL",
        env = "ORGPLANE_DATABASE_URL",
        hide_env_values = true
    )]
    pub database: Option<String>,
    /// Maximum number of connections to PostgreSQL [default: 12].
    #[arg(
        long,
        value_name = "NUMBER",
        env = "ORGPLANE_DATABASE_CONNECTIONS",
        hide = true
    )]
    pub database_connections: Option<usize>,
    /// Base URL under which clients reach this server [default: http://localhost: and the port].
    #[arg(long, value_name = "URL", env = "ORGPLANE_PUBLIC_URL", hide = true)]
    pub public_url: Option<String>,
    /// File with the secret that keys are hashed with [default: orgplane.secret beside the database].
    #[arg(long, value_name = "FILE", env = "ORGPLANE_SECRET_FILE", hide = true)]
    pub secret_file: Option<PathBuf>,
    /// SMTP server: smtp://HOST:PORT or smtps://… [default: none; mails are kept].
    #[arg(
        long,
        value_name = "URL",
        env = "ORGPLANE_SMTP_URL",
        hide = true,
        hide_env_values = true
    )]
    pub smtp_url: Option<String>,
    /// Sender address of mails.
    #[arg(long, value_name = "ADDRESS", env = "ORGPLANE_SMTP_FROM", hide = true)]
    pub smtp_from: Option<String>,
    /// Separate address for metrics [default: none].
    #[arg(
        long,
        value_name = "ADDR",
        env = "ORGPLANE_METRICS_LISTEN",
        hide = true
    )]
    pub metrics_listen: Option<SocketAddr>,
}
