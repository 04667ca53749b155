//! What an operator configures: flags, then the environment, then the file, then the defaults.

mod bodies;
mod cors;
mod database;
mod gateway;
mod metering;
mod model;
mod overrides;
mod server;
mod smtp;
mod source;
mod telemetry;
mod tls;
mod upstream;
mod usage;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::gateway::Durability;
use ::telemetry::TracingOptions;
use ::usage::{ModelFact, PriceBook, PriceEntry, RetentionPeriods};
use anyhow::Context;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use bodies::BodiesTable;
use cors::CorsTable;
pub use gateway::Bounds;
use gateway::{ClusterTable, GatewayTable, ObjectsTable};
use metering::MeteringTable;
pub use overrides::Overrides;
use server::ServerTable;
pub use smtp::SmtpServer;
use smtp::SmtpTable;
pub use source::Source;
use telemetry::{MetricsTable, TelemetryTable};
pub use tls::Tls;
use tls::TlsTable;
pub use upstream::Upstream;
use usage::UsageTable;

use crate::cors::Cors;

/// The file that is read when no other is named, if it is there.
const DEFAULT_FILE: &str = "orgplane.toml";

/// Everything that can be configured, as it is after all sources were read.
pub struct Config {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// Which database it uses.
    pub database: String,
    /// The most connections to PostgreSQL.
    pub database_connections: usize,
    /// What addresses it has for others.
    pub public_url: String,
    /// The file with what keys are hashed with.
    pub secret_file: PathBuf,
    /// The model servers.
    pub upstreams: Vec<Upstream>,
    /// What things cost.
    pub prices: PriceBook,
    /// The facts about models, beside those that ship with the program.
    pub models: Vec<ModelFact>,
    /// When the end of an answer is sent.
    pub durability: Durability,
    /// Where mails are handed over, if anywhere.
    pub smtp: Option<SmtpServer>,
    /// For how many days bodies of the gateway's requests are kept; 0 for none.
    pub keep_bodies_days: u32,
    /// For how long the ledger and its sums are kept.
    pub keep_usage: RetentionPeriods,
    /// Bounds of the requests under way.
    pub bounds: Bounds,
    /// Where metrics are served, if not with all else.
    pub metrics_listen: Option<SocketAddr>,
    /// Where traces go, if anywhere.
    pub tracing: Option<TracingOptions>,
    /// How connections are secured.
    pub tls: Tls,
    /// The time that requests under way have to end when the server stops.
    pub stop_timeout: Duration,
    /// The most connections that a client may have open.
    pub max_connections_per_address: usize,
    /// The proxies that say in headers which address a request comes from.
    pub trusted_proxies: Vec<IpNet>,
    /// The web pages that may call.
    pub cors: Cors,
    /// The files that all of this was read from.
    pub source: Source,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<SocketAddr>,
    database: Option<String>,
    database_connections: Option<usize>,
    public_url: Option<String>,
    secret_file: Option<PathBuf>,
    prices: Option<PathBuf>,
    #[serde(default)]
    trusted_proxies: Vec<String>,
    #[serde(default)]
    metering: MeteringTable,
    #[serde(default)]
    smtp: SmtpTable,
    #[serde(default)]
    bodies: BodiesTable,
    #[serde(default)]
    usage: UsageTable,
    #[serde(default)]
    gateway: GatewayTable,
    #[serde(default)]
    objects: ObjectsTable,
    #[serde(default)]
    cluster: ClusterTable,
    #[serde(default)]
    metrics: MetricsTable,
    #[serde(default)]
    telemetry: TelemetryTable,
    #[serde(default)]
    tls: TlsTable,
    #[serde(default)]
    server: ServerTable,
    #[serde(default)]
    cors: CorsTable,
    #[serde(default)]
    upstream: Vec<Upstream>,
    #[serde(default)]
    price: Vec<PriceEntry>,
    #[serde(default)]
    model: Vec<ModelFact>,
}

impl Config {
    /// Reads all sources.
    ///
    /// # Errors
    /// The file cannot be read, has an unknown key or a value that makes no sense; the message names it.
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
        let tls = Tls::new(file.tls)?;
        let connections = overrides.database_connections.or(file.database_connections);
        Ok(Self {
            database_connections: database::connections(connections)?,
            public_url: overrides
                .public_url
                .clone()
                .or(file.public_url)
                .unwrap_or_else(|| format!("{}://{listen}", tls.scheme())),
            secret_file: secret_file.unwrap_or_else(|| beside(&database)),
            prices: prices.with_overrides(PriceBook::from_entries(file.price)),
            models: model::checked(file.model)?,
            upstreams: file.upstream,
            smtp: SmtpServer::new(
                overrides.smtp_url.clone().or(file.smtp.url),
                overrides.smtp_from.clone().or(file.smtp.from),
            )?,
            keep_bodies_days: file.bodies.keep_days,
            keep_usage: file.usage.keep()?,
            bounds: Bounds::new(&file.gateway, &file.objects, &file.cluster)?,
            metrics_listen: overrides.metrics_listen.or(file.metrics.listen),
            tracing: file.telemetry.tracing(|name| std::env::var(name).ok())?,
            durability: file.metering.durability(),
            stop_timeout: file.server.stop_timeout()?,
            max_connections_per_address: file.server.max_connections_per_address(),
            trusted_proxies: tls::networks("trusted_proxies", &file.trusted_proxies)?,
            cors: file.cors.cors()?,
            source,
            tls,
            listen,
            database,
        })
    }

    /// Which database it is, as it may be shown.
    #[must_use]
    pub fn database_without_password(&self) -> String {
        without_password(&self.database)
    }

    /// The configuration in effect, as TOML without secrets.
    ///
    /// # Errors
    /// It cannot be written as TOML.
    pub fn show(&self) -> anyhow::Result<String> {
        #[derive(Serialize)]
        struct Shown<'a> {
            listen: String,
            database: String,
            database_connections: usize,
            public_url: &'a str,
            secret_file: String,
            trusted_proxies: &'a [IpNet],
            metering: MeteringTable,
            smtp: BTreeMap<&'a str, String>,
            bodies: BTreeMap<&'a str, u32>,
            usage: UsageTable,
            gateway: GatewayTable,
            objects: ObjectsTable,
            cluster: ClusterTable,
            metrics: BTreeMap<&'a str, String>,
            telemetry: TelemetryTable,
            tls: &'a Tls,
            server: ServerTable,
            cors: CorsTable,
            upstream: Vec<Upstream>,
            model: &'a [ModelFact],
        }
        Ok(toml::to_string(&Shown {
            listen: self.listen.to_string(),
            database: self.database_without_password(),
            database_connections: self.database_connections,
            public_url: &self.public_url,
            secret_file: self.secret_file.display().to_string(),
            trusted_proxies: &self.trusted_proxies,
            metering: MeteringTable::shown(self.durability),
            smtp: self.smtp.iter().flat_map(SmtpServer::shown).collect(),
            bodies: BTreeMap::from([("keep_days", self.keep_bodies_days)]),
            usage: UsageTable::shown(self.keep_usage),
            gateway: GatewayTable::shown(&self.bounds),
            objects: ObjectsTable::shown(&self.bounds),
            cluster: ClusterTable::shown(&self.bounds),
            metrics: (self.metrics_listen.iter())
                .map(|address| ("listen", address.to_string()))
                .collect(),
            telemetry: TelemetryTable::shown(self.tracing.as_ref()),
            tls: &self.tls,
            server: ServerTable::shown(self),
            cors: CorsTable::shown(&self.cors),
            upstream: self.upstreams.iter().map(Upstream::shown).collect(),
            model: &self.models,
        })?)
    }
}

/// The secret's file when none is named: beside the database's, or in the working directory for a server.
fn beside(database: &str) -> PathBuf {
    let directory = database
        .strip_prefix("sqlite://")
        .and_then(|file| Path::new(file).parent());
    directory.unwrap_or(Path::new("")).join("orgplane.secret")
}

/// A URL without what may be secret in it: everything between the user's name and the host, and the parameters.
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

    /// Loads the configuration of a file with this text.
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
        assert_eq!(config.public_url, "http://127.0.0.1:2");
    }

    #[test]
    fn with_a_certificate_the_address_for_others_is_secure() {
        let text =
            "[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'\nclient_certificate_header_from = ['::1']";
        let config = load(text).expect("loaded");
        assert_eq!(config.public_url, "https://127.0.0.1:8080");
        let shown = config.show().expect("TOML");
        assert!(
            shown.contains(&text.replace('\'', "\"").replace("::1", "::1/128")),
            "{shown}"
        );
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
