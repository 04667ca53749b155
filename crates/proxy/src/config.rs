//! Configuration of upstreams.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use base::money::Factor;
use egress::Proxy;

use crate::api_key::UpstreamKey;
use crate::format::{ApiFormat, KeyHeader};

/// Roots of trust, in PEM, for the certificate of an upstream.
#[derive(Clone)]
pub enum CaCertificates {
    /// PEM text.
    Pem(Vec<u8>),
    /// A file, which is read again when it changes.
    File(PathBuf),
}

/// Policy for asking an upstream to report the usage of its streams (`stream_options`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamUsage {
    /// Asks with every stream that would report no usage otherwise, until the upstream rejects `stream_options`.
    #[default]
    Ask,
    /// Never asks.
    Never,
}

/// Effect of an upstream on the price of what it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamBilling {
    /// Factor on every price.
    pub uplift: Factor,
    /// True if the cost that an answer reports replaces the prices.
    pub reports_cost: bool,
}

impl Default for UpstreamBilling {
    fn default() -> Self {
        Self {
            uplift: Factor::ONE,
            reports_cost: false,
        }
    }
}

/// Address, credentials, models, timeouts and billing of an upstream.
#[derive(Clone)]
pub struct UpstreamConfig {
    /// Name in logs and metrics; unique.
    pub name: String,
    /// URL in front of `/chat/completions` and the other paths: `http://127.0.0.1:9000/v1`.
    pub base_url: String,
    /// API that the upstream speaks.
    pub format: ApiFormat,
    /// API key that the gateway sends.
    pub api_key: Option<UpstreamKey>,
    /// Header that carries the API key; by default the one of the format.
    pub key_header: Option<KeyHeader>,
    /// Roots of trust for the upstream's certificate, instead of the system's.
    pub ca_certificates: Option<CaCertificates>,
    /// HTTP proxy that connections to the upstream go through.
    pub proxy: Option<Proxy>,
    /// Policy for asking the upstream for the usage of streams.
    pub stream_usage: StreamUsage,
    /// Names of the served models; `*` is every name that no upstream lists.
    pub models: Vec<String>,
    /// Further names that clients may request, each with the upstream's own name for the model.
    pub aliases: BTreeMap<String, String>,
    /// True if the upstream stores objects that belong to projects: responses, conversations and chat completions that it
    /// answers, and, if it is the first such upstream, the files, batches, vector stores and containers that clients create.
    pub stores: bool,
    /// True if the account at the upstream has zero data retention: its prompt caches are kept in memory only.
    pub zero_data_retention: bool,
    /// Weight among the upstreams of a model; 0 is a standby, used while all others have an open circuit.
    pub weight: u32,
    /// Maximum time for making a connection, TLS included, in seconds.
    pub connect_timeout_seconds: u64,
    /// Maximum silence inside an answer, in seconds; by default `timeout_seconds`.
    pub idle_timeout_seconds: Option<u64>,
    /// Maximum time from a request to the last byte of its answer, in seconds.
    pub timeout_seconds: u64,
    /// Path of health checks, below the base URL. Empty: no health checks; a client's request probes an open circuit.
    pub health_path: String,
    /// Maximum backoff between two health checks, in seconds.
    pub health_interval_seconds: u64,
    /// True if HTTP/2 is spoken with prior knowledge. For `http://` only, since TLS negotiates the protocol.
    pub http2: bool,
    /// Effect on the price of what the upstream serves.
    pub billing: UpstreamBilling,
    /// True if the upstream accepts WebSocket connections at `/responses`.
    pub websocket: bool,
}

/// Reason why upstreams cannot be used as configured, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamConfigError {
    /// A setting of an upstream is invalid.
    #[error("upstream '{name}': {reason}")]
    Invalid {
        /// Name of the upstream.
        name: String,
        /// Description of the setting's error, such as "models is empty".
        reason: String,
    },
    /// Roots of trust for upstreams could not be loaded.
    #[error("TLS to upstreams: {0}")]
    Tls(String),
}

impl UpstreamConfig {
    /// Returns a configuration with default settings and no models.
    #[must_use]
    pub fn new(name: impl Into<String>, base_url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            base_url: base_url.into(),
            format: ApiFormat::default(),
            api_key: None,
            key_header: None,
            ca_certificates: None,
            proxy: None,
            stream_usage: StreamUsage::default(),
            models: Vec::new(),
            aliases: BTreeMap::new(),
            stores: false,
            zero_data_retention: false,
            weight: 1,
            connect_timeout_seconds: 5,
            idle_timeout_seconds: None,
            timeout_seconds: 600,
            health_path: "/models".to_owned(),
            health_interval_seconds: 30,
            http2: false,
            billing: UpstreamBilling::default(),
            websocket: false,
        }
    }

    /// Returns the error of an invalid setting of this upstream.
    pub(crate) fn invalid(&self, reason: &str) -> UpstreamConfigError {
        UpstreamConfigError::Invalid {
            name: self.name.clone(),
            reason: reason.to_owned(),
        }
    }

    /// Checks every setting but the base URL, which is checked when it is taken apart.
    pub(crate) fn validate(&self) -> Result<(), UpstreamConfigError> {
        for (name, seconds) in [
            ("timeout_seconds", Some(self.timeout_seconds)),
            ("idle_timeout_seconds", self.idle_timeout_seconds),
            (
                "connect_timeout_seconds",
                Some(self.connect_timeout_seconds),
            ),
            (
                "health_interval_seconds",
                Some(self.health_interval_seconds),
            ),
        ] {
            if seconds == Some(0) {
                return Err(self.invalid(&format!("{name} must be at least 1")));
            }
        }
        if !self.health_path.is_empty() && !self.health_path.starts_with('/') {
            return Err(self.invalid("health_path must begin with a slash, or be empty"));
        }
        if self.aliases.contains_key("*") {
            return Err(self.invalid("'*' is for models and cannot be an alias"));
        }
        if self.api_key.as_ref().is_some_and(UpstreamKey::is_empty) {
            return Err(self.invalid("its key is empty"));
        }
        if self.http2 && self.proxy.is_some() {
            let reason = "http2 is not spoken through a proxy: set proxy = \"\" or name the host in NO_PROXY";
            return Err(self.invalid(reason));
        }
        if self.stores && self.format != ApiFormat::OpenAi {
            let reason = "stores = true needs the format \"openai\": files and batches of other formats are not served";
            return Err(self.invalid(reason));
        }
        if self.websocket && self.http2 {
            return Err(self.invalid("websocket is for HTTP/1.1 and cannot be set with http2"));
        }
        self.validate_names()
    }

    /// Returns the header that carries the API key.
    pub(crate) fn key_header(&self) -> KeyHeader {
        self.key_header.unwrap_or(self.format.key_header())
    }

    /// Checks the name of the upstream and the names of its models.
    fn validate_names(&self) -> Result<(), UpstreamConfigError> {
        let is_name = |name: &str| !name.trim().is_empty() && !name.contains(char::is_control);
        if !is_name(&self.name) {
            return Err(self.invalid("name must be some text without control characters"));
        }
        if self.models.is_empty() && self.aliases.is_empty() && !self.stores {
            let reason =
                "models is empty: nothing would reach it. Name its models, or [\"*\"] for any name";
            return Err(self.invalid(reason));
        }
        let mut known = BTreeSet::new();
        for name in self.models.iter().chain(self.aliases.keys()) {
            if !known.insert(name) {
                return Err(self.invalid(&format!("'{name}' is named twice in models and aliases")));
            }
        }
        let mut all = known.into_iter().chain(self.aliases.values());
        match all.find(|name| !is_name(name)) {
            Some(_) => Err(self
                .invalid("models and aliases must not hold an empty name, or control characters")),
            None => Ok(()),
        }
    }
}
