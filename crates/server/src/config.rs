//! Configuration of the program. Precedence: flags, environment, file, defaults.

mod bodies;
mod cluster;
mod console;
mod cors;
mod database;
mod gateway;
mod identity_provider;
mod metering;
mod model;
mod overrides;
mod reference;
mod server;
mod sign_in;
mod smtp;
mod source;
mod spend;
mod telemetry;
mod tls;
mod upstream;
mod usage;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::gateway::{Durability, UnpricedModels};
use ::telemetry::TracingOptions;
use ::usage::{ModelFact, PriceBook, PriceEntry, RetentionPeriods};
use admin::sessions::SessionLifetimes;
use anyhow::Context;
use identity::SignInOptions;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use bodies::BodiesTable;
use cluster::ClusterTable;
pub use cluster::{LostSlices, NodeOptions, SettleScope};
use console::ConsoleTable;
use cors::CorsTable;
pub use gateway::Bounds;
use gateway::{GatewayTable, ObjectsTable};
pub use identity_provider::IdentityProvider;
use metering::MeteringTable;
pub use overrides::Overrides;
pub use reference::reference;
use server::ServerTable;
use sign_in::SignInTable;
pub use smtp::SmtpServer;
use smtp::SmtpTable;
pub use source::Source;
use spend::SpendTable;
use telemetry::{MetricsTable, TelemetryTable};
pub use tls::TlsConfig;
use tls::TlsTable;
pub use upstream::Upstream;
use usage::UsageTable;

use crate::cors::Cors;
use crate::public_url::{self, default_public_url};

/// Configuration file read if no other is named and this one exists.
const DEFAULT_FILE: &str = "orgplane.toml";

/// Effective configuration, merged from all sources.
pub struct Config {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// URL of the database.
    pub database: String,
    /// Maximum number of connections to PostgreSQL.
    pub database_connections: usize,
    /// Base URL under which clients reach the server.
    pub public_url: String,
    /// Lifetimes of sessions.
    pub session_lifetimes: SessionLifetimes,
    /// Ways to sign in beside identity providers.
    pub sign_in: SignInOptions,
    /// Identity providers.
    pub identity_providers: Vec<IdentityProvider>,
    /// File with the secret that keys are hashed with.
    pub secret_file: PathBuf,
    /// Upstream model servers.
    pub upstreams: Vec<Upstream>,
    /// Price book used to charge requests.
    pub prices: PriceBook,
    /// Requests under a spend limit for models without a price.
    pub unpriced: UnpricedModels,
    /// Facts about models that override the built-in ones.
    pub models: Vec<ModelFact>,
    /// Durability of the ledger row at the end of a response.
    pub durability: Durability,
    /// Durability of a request before it is forwarded.
    pub admission: Durability,
    /// Mail server.
    pub smtp: Option<SmtpServer>,
    /// Retention of request and response bodies, in days; 0 disables it.
    pub keep_bodies_days: u32,
    /// Retention of the ledger and its rollups.
    pub keep_usage: RetentionPeriods,
    /// Limits of concurrent requests and their memory.
    pub bounds: Bounds,
    /// This node among others on the same database.
    pub node: NodeOptions,
    /// Separate address for metrics.
    pub metrics_listen: Option<SocketAddr>,
    /// Trace collector.
    pub tracing: Option<TracingOptions>,
    /// TLS of the listener.
    pub tls: TlsConfig,
    /// Time given to running requests at shutdown.
    pub stop_timeout: Duration,
    /// Maximum number of open connections per client.
    pub max_connections_per_address: usize,
    /// Proxies that are trusted to pass on client addresses.
    pub trusted_proxies: Vec<IpNet>,
    /// Cross-origin policy for browsers.
    pub cors: Cors,
    /// True if the console is served.
    pub has_console: bool,
    /// Contents of the files, to detect changes.
    pub source: Source,
}

/// The configuration file. The doc comments of its fields, and those of its tables, are the configuration reference.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ConfigFile {
    /// Address to listen on.
    #[schemars(extend("x-default" = "127.0.0.1:8080"))]
    listen: Option<SocketAddr>,
    /// URL of the database: `sqlite://FILE`, created if missing, or `postgres://…`. `?synchronous=full` makes SQLite wait for the
    /// disk at each commit.
    #[schemars(extend("x-default" = "sqlite://orgplane.db"))]
    database: Option<String>,
    /// Maximum number of connections of a node to PostgreSQL; 7 to 1000.
    #[schemars(extend("x-default" = "12"))]
    database_connections: Option<usize>,
    /// Base URL under which clients reach this server; used in mails and by the pages for browsers, which work under no other
    /// address.
    #[schemars(extend("x-default" = "`http://localhost:` and the port of `listen`; `https://` with `tls.certificate`"))]
    public_url: Option<String>,
    /// File with the secret that keys are hashed with; created with mode 0600.
    #[schemars(extend("x-default" = "`orgplane.secret` beside the database"))]
    secret_file: Option<PathBuf>,
    /// File with the price book.
    #[schemars(extend("x-default" = "the built-in price book"))]
    prices: Option<PathBuf>,
    /// Addresses and networks of proxies whose `X-Forwarded-For`, `Forwarded` and `traceparent` headers are trusted.
    trusted_proxies: Vec<String>,
    server: ServerTable,
    tls: TlsTable,
    cors: CorsTable,
    console: ConsoleTable,
    sign_in: SignInTable,
    identity_provider: Vec<IdentityProvider>,
    upstream: Vec<Upstream>,
    gateway: GatewayTable,
    objects: ObjectsTable,
    cluster: ClusterTable,
    metering: MeteringTable,
    spend: SpendTable,
    usage: UsageTable,
    bodies: BodiesTable,
    /// Prices that override those of the price book.
    #[schemars(with = "Vec<serde_json::Value>")]
    price: Vec<PriceEntry>,
    model: Vec<ModelFact>,
    smtp: SmtpTable,
    metrics: MetricsTable,
    telemetry: TelemetryTable,
}

impl Config {
    /// Reads and merges all sources.
    ///
    /// # Errors
    /// The file is unreadable, or has an unknown key or an invalid value; the message names it.
    pub fn load(overrides: &Overrides) -> anyhow::Result<Self> {
        let (mut source, file) = Source::read(overrides.config.as_deref())?;
        let listen = overrides
            .listen
            .or(file.listen)
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)));
        let database = overrides
            .database
            .clone()
            .or(file.database)
            .unwrap_or_else(|| "sqlite://orgplane.db".into());
        let secret_file = overrides.secret_file.clone().or(file.secret_file);
        let mut prices = PriceBook::built_in();
        if let Some(path) = &file.prices {
            prices = PriceBook::parse(source.price_book(path)?)
                .with_context(|| format!("the price book {}", path.display()))?;
        }
        let tls = TlsConfig::new(file.tls)?;
        let smtp = SmtpServer::new(
            overrides.smtp_url.clone().or(file.smtp.url),
            overrides.smtp_from.clone().or(file.smtp.from),
        )?;
        let connections = overrides.database_connections.or(file.database_connections);
        Ok(Self {
            database_connections: database::connections(connections)?,
            public_url: match overrides.public_url.clone().or(file.public_url) {
                Some(url) => public_url::checked(url)?,
                None => default_public_url(tls.scheme(), listen),
            },
            secret_file: secret_file.unwrap_or_else(|| beside(&database)),
            prices: prices.with_overrides(PriceBook::from_entries(file.price)),
            unpriced: file.spend.unpriced(),
            models: model::checked(file.model)?,
            upstreams: file.upstream,
            sign_in: file.sign_in.options(smtp.is_some()),
            smtp,
            keep_bodies_days: file.bodies.keep_days,
            keep_usage: file.usage.keep()?,
            bounds: Bounds::new(&file.gateway, &file.objects, &file.cluster)?,
            node: file.cluster.node()?,
            metrics_listen: overrides.metrics_listen.or(file.metrics.listen),
            tracing: file.telemetry.tracing(|name| std::env::var(name).ok())?,
            durability: file.metering.durability(),
            admission: file.metering.admission(),
            stop_timeout: file.server.stop_timeout()?,
            max_connections_per_address: file.server.max_connections_per_address(),
            trusted_proxies: tls::networks("trusted_proxies", &file.trusted_proxies)?,
            cors: file.cors.cors()?,
            has_console: file.console.is_enabled(),
            session_lifetimes: file.sign_in.lifetimes()?,
            identity_providers: identity_provider::checked(file.identity_provider)?,
            source,
            tls,
            listen,
            database,
        })
    }

    /// Returns the base URL, with the port of `bound` in place of port 0.
    pub(crate) fn public_url_at(&self, bound: SocketAddr) -> String {
        let default = default_public_url(self.tls.scheme(), self.listen);
        if self.listen.port() == 0 && self.public_url == default {
            return default_public_url(self.tls.scheme(), bound);
        }
        self.public_url.clone()
    }

    /// Returns this node's options, with a name: the configured one, or that of the machine and the port of `bound`.
    pub(crate) fn node_at(&self, bound: SocketAddr) -> NodeOptions {
        let own = || {
            let machine = rustix::system::uname();
            format!("{}:{}", machine.nodename().to_string_lossy(), bound.port())
        };
        NodeOptions {
            name: Some(self.node.name.clone().unwrap_or_else(own)),
            ..self.node.clone()
        }
    }

    /// Returns the URL of the database without its password.
    #[must_use]
    pub fn database_without_password(&self) -> String {
        without_password(&self.database)
    }

    /// Returns the effective configuration as TOML without secrets.
    ///
    /// # Errors
    /// The configuration cannot be represented as TOML.
    pub fn show(&self) -> anyhow::Result<String> {
        #[derive(Serialize)]
        struct ShownConfig<'a> {
            listen: String,
            database: String,
            database_connections: usize,
            public_url: &'a str,
            secret_file: String,
            trusted_proxies: &'a [IpNet],
            metering: MeteringTable,
            spend: SpendTable,
            smtp: BTreeMap<&'a str, String>,
            bodies: BTreeMap<&'a str, u32>,
            usage: UsageTable,
            gateway: GatewayTable,
            objects: ObjectsTable,
            cluster: ClusterTable,
            metrics: BTreeMap<&'a str, String>,
            telemetry: TelemetryTable,
            tls: &'a TlsConfig,
            server: ServerTable,
            cors: CorsTable,
            console: ConsoleTable,
            sign_in: SignInTable,
            identity_provider: &'a [IdentityProvider],
            upstream: Vec<Upstream>,
            model: &'a [ModelFact],
        }
        Ok(toml::to_string(&ShownConfig {
            listen: self.listen.to_string(),
            database: self.database_without_password(),
            database_connections: self.database_connections,
            public_url: &self.public_url,
            secret_file: self.secret_file.display().to_string(),
            trusted_proxies: &self.trusted_proxies,
            metering: MeteringTable::shown(self.durability, self.admission),
            spend: SpendTable::shown(self.unpriced),
            smtp: self.smtp.iter().flat_map(SmtpServer::shown).collect(),
            bodies: BTreeMap::from([("keep_days", self.keep_bodies_days)]),
            usage: UsageTable::shown(self.keep_usage),
            gateway: GatewayTable::shown(&self.bounds),
            objects: ObjectsTable::shown(&self.bounds),
            cluster: ClusterTable::shown(&self.node, &self.bounds),
            metrics: (self.metrics_listen.iter())
                .map(|address| ("listen", address.to_string()))
                .collect(),
            telemetry: TelemetryTable::shown(self.tracing.as_ref()),
            tls: &self.tls,
            server: ServerTable::shown(self),
            cors: CorsTable::shown(&self.cors),
            console: ConsoleTable::shown(self.has_console),
            sign_in: SignInTable::shown(self.session_lifetimes, &self.sign_in),
            identity_provider: &self.identity_providers,
            upstream: self.upstreams.iter().map(Upstream::shown).collect(),
            model: &self.models,
        })?)
    }
}

/// Returns the default path of the secret: beside an SQLite database, else in the working directory.
fn beside(database: &str) -> PathBuf {
    let directory = database
        .strip_prefix("sqlite://")
        .and_then(|file| Path::new(file).parent());
    directory.unwrap_or(Path::new("")).join("orgplane.secret")
}

/// Removes from a URL everything that may be secret: the password and the query parameters.
fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (place, parameters) = place.split_once('?').unwrap_or((place, ""));
    let mut shown = String::new();
    if !scheme.is_empty() {
        shown.push_str(scheme);
        shown.push_str("://");
    }
    if !user.is_empty() {
        shown.push_str(user.split_once(':').map_or(user, |(user, _)| user));
        shown.push_str(":…@");
    }
    shown.push_str(place);
    if !parameters.is_empty() {
        shown.push_str("?…");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loads a configuration file with this text.
    pub(super) fn load(text: &str) -> anyhow::Result<Config> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("orgplane.toml");
        std::fs::write(&path, text)?;
        Config::load(&Overrides {
            config: Some(path),
            ..Overrides::default()
        })
    }

    #[test]
    fn an_unknown_key_is_named() {
        for (text, key) in [
            ("lisen = 'x'", "lisen"),
            ("[metering]\ndurabilty = 'strict'", "durabilty"),
        ] {
            let error = load(text)
                .err()
                .map(|error| format!("{error:#}"))
                .unwrap_or_default();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("orgplane.toml");
        std::fs::write(
            &path,
            "listen = '127.0.0.1:1'\ndatabase = 'sqlite:///a/b.db'",
        )
        .expect("written");
        let listen = Some(SocketAddr::from(([127, 0, 0, 1], 2)));
        let config = Config::load(&Overrides {
            config: Some(path),
            listen,
            ..Overrides::default()
        })
        .expect("loaded");
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.secret_file, Path::new("/a/orgplane.secret"));
        assert_eq!(config.public_url, "http://localhost:2");
    }

    #[test]
    fn with_a_certificate_the_address_for_others_is_secure() {
        let text =
            "[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'\nclient_certificate_header_from = ['::1']";
        let config = load(text).expect("loaded");
        assert_eq!(config.public_url, "https://localhost:8080");
        let shown = config.show().expect("TOML");
        assert!(
            shown.contains(&text.replace('\'', "\"").replace("::1", "::1/128")),
            "{shown}"
        );
    }

    #[test]
    fn base_url_has_the_port_that_the_system_chose_unless_it_is_configured() {
        let bound = SocketAddr::from(([127, 0, 0, 1], 4321));
        for (text, expected) in [
            ("listen = '127.0.0.1:0'", "http://localhost:4321"),
            ("listen = '127.0.0.1:1'", "http://localhost:1"),
            (
                "listen = '127.0.0.1:0'\npublic_url = 'https://plane.example'",
                "https://plane.example",
            ),
        ] {
            let config = load(text).expect("loaded");
            assert_eq!(config.public_url_at(bound), expected);
        }
        let error = load("public_url = 'plane.example'").err();
        let error = error.map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains("http:// or https://"), "{error}");
    }

    #[test]
    fn the_password_of_a_mail_server_is_not_shown() {
        let config = load("[smtp]\nurl = 'smtps://u:hunter2@host:465'\nfrom = 'a@b.example'");
        let shown = config.expect("loaded").show().expect("TOML");
        assert!(
            shown.contains("smtps://u:…@host:465") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn what_is_shown_has_no_password() {
        assert_eq!(
            without_password("postgres://u:p@w@host/db"),
            "postgres://u:…@host/db"
        );
        assert_eq!(
            without_password("sqlite://orgplane.db"),
            "sqlite://orgplane.db"
        );
        assert_eq!(
            without_password("postgres://u@host/db?sslmode=disable&password=p"),
            "postgres://u:…@host/db?…"
        );
    }
}
