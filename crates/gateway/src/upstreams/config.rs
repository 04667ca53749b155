//! What an operator says about a model server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use egress::Proxy;

use super::key::UpstreamKey;
use crate::StartError;

/// The certificates, in PEM, that an upstream's own is checked against.
#[derive(Clone)]
pub enum CaCertificates {
    /// These.
    Pem(Vec<u8>),
    /// Those in this file, which is read again when it changes.
    File(PathBuf),
}

/// The time at which an upstream is asked to report the usage of its streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamUsage {
    /// With every stream that would not report it else, until the upstream refuses to be asked.
    #[default]
    Ask,
    /// Never.
    Never,
}

/// How an upstream is reached and what it serves.
#[derive(Clone)]
pub struct UpstreamConfig {
    /// What logs call it.
    pub name: String,
    /// What stands before `/chat/completions` and the other paths: `http://127.0.0.1:9000/v1`.
    pub base_url: String,
    /// The key it wants, if it wants one.
    pub api_key: Option<UpstreamKey>,
    /// The certificates that its own is checked against instead of the system's.
    pub ca_certificates: Option<CaCertificates>,
    /// The proxy that connections to it go through.
    pub proxy: Option<Proxy>,
    /// The rule for asking the upstream for the usage of streams.
    pub stream_usage: StreamUsage,
    /// The models it serves; `*` is every name that no upstream lists.
    pub models: Vec<String>,
    /// Further names that a client may ask for, and the upstream's own name for each.
    pub aliases: BTreeMap<String, String>,
    /// Whether it keeps the files, batches and vector stores that clients make. One upstream at the most does.
    pub stores: bool,
    /// Its share of the requests for a model that several serve; 0 stands by until the others cannot be used.
    pub weight: u32,
    /// The longest that a connection may take to be made, TLS included, in seconds.
    pub connect_timeout_seconds: u64,
    /// The longest silence inside an answer, in seconds; as long as the whole when not said otherwise.
    pub idle_timeout_seconds: Option<u64>,
    /// The longest that an answer may take, from the request to its last byte, in seconds.
    pub timeout_seconds: u64,
    /// What follows the base URL in the request that finds out whether a skipped upstream is back; empty: the next
    /// client's request finds out.
    pub health_path: String,
    /// The longest pause between two such requests, in seconds.
    pub health_interval_seconds: u64,
    /// Whether it is spoken to in HTTP/2 without being asked; for `http://` only, since TLS agrees on it.
    pub http2: bool,
}

impl UpstreamConfig {
    /// One about which nothing else is said.
    #[must_use]
    pub fn new(name: impl Into<String>, base_url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            base_url: base_url.into(),
            api_key: None,
            ca_certificates: None,
            proxy: None,
            stream_usage: StreamUsage::default(),
            models: Vec::new(),
            aliases: BTreeMap::new(),
            stores: false,
            weight: 1,
            connect_timeout_seconds: 5,
            idle_timeout_seconds: None,
            timeout_seconds: 600,
            health_path: "/models".to_owned(),
            health_interval_seconds: 30,
            http2: false,
        }
    }

    /// The error that says what of it makes no sense, as a sentence without its subject.
    pub(super) fn wrong(&self, reason: &str) -> StartError {
        StartError::Upstream {
            name: self.name.clone(),
            reason: reason.to_owned(),
        }
    }

    /// What can be seen without looking at its address.
    pub(super) fn check(&self) -> Result<(), StartError> {
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
                return Err(self.wrong(&format!("{name} must be at least 1")));
            }
        }
        if !self.health_path.is_empty() && !self.health_path.starts_with('/') {
            return Err(self.wrong("health_path must begin with a slash, or be empty"));
        }
        if self.aliases.contains_key("*") {
            return Err(self.wrong("'*' is for models and cannot be an alias"));
        }
        if self.api_key.as_ref().is_some_and(UpstreamKey::is_empty) {
            return Err(self.wrong("its key is empty"));
        }
        if self.http2 && self.proxy.is_some() {
            let reason = "http2 is not spoken through a proxy: set proxy = \"\" or name the host in NO_PROXY";
            return Err(self.wrong(reason));
        }
        self.check_names()
    }

    /// What can be seen of the names that it is known by, and has.
    fn check_names(&self) -> Result<(), StartError> {
        let is_name = |name: &str| !name.trim().is_empty() && !name.contains(char::is_control);
        if !is_name(&self.name) {
            return Err(self.wrong("name must be some text without control characters"));
        }
        if self.models.is_empty() && self.aliases.is_empty() && !self.stores {
            let reason =
                "models is empty: nothing would reach it. Name its models, or [\"*\"] for any name";
            return Err(self.wrong(reason));
        }
        let mut known = BTreeSet::new();
        for name in self.models.iter().chain(self.aliases.keys()) {
            if !known.insert(name) {
                return Err(self.wrong(&format!("'{name}' is named twice in models and aliases")));
            }
        }
        let mut all = known.into_iter().chain(self.aliases.values());
        match all.find(|name| !is_name(name)) {
            Some(_) => {
                Err(self
                    .wrong("models and aliases must not hold an empty name, or control characters"))
            }
            None => Ok(()),
        }
    }
}
