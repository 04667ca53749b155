//! `[[upstream]]`: upstream model servers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use base::money::Factor;
use egress::{Proxies, Proxy};
use gateway::{
    ApiFormat, CaCertificates, KeyHeader, StreamUsage, UpstreamBilling, UpstreamConfig, UpstreamKey,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use usage::MAX_UPLIFT_BILLIONTHS;

use super::{Config, without_password};

/// An upstream model server.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Name in logs and metrics, and the key of objects stored there; unique.
    pub name: String,
    /// Base URL that endpoint paths are appended to: `https://models.example/v1`.
    pub base_url: String,
    /// API that the upstream speaks; `anthropic` serves `/v1/messages`, and `openai` every other endpoint.
    #[serde(default)]
    pub format: ApiFormatName,
    /// Environment variable that holds the API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// File that holds the API key; reloaded when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// Program and arguments that print the API key; run again before the key expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_command: Option<Vec<String>>,
    /// Header that carries the API key; `authorization` (a bearer token) for the format `openai` and `x-api-key` for `anthropic` if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_header: Option<KeyHeaderName>,
    /// Proxy to the upstream; `""` for none, overriding the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Rule for requesting usage reports of streams.
    #[serde(default)]
    pub stream_usage: StreamUsageName,
    /// PEM file of the trusted authorities; the system's if not set. Reloaded when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Models that the upstream serves; `*` matches every model that no upstream lists.
    pub models: Vec<String>,
    /// Aliases that clients may request, mapped to the model names of the upstream.
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
    /// True if the upstream stores objects that belong to projects: its responses, conversations and stored chat completions,
    /// and the files, batches, vector stores and containers that clients create, if it is the first such upstream.
    #[serde(default)]
    pub stores: bool,
    /// True if the account at the upstream has zero data retention. Prompt caches of projects with zero data retention are then
    /// left to the upstream; everything else stays refused.
    #[serde(default)]
    pub zero_data_retention: bool,
    /// Weight in weighted round robin; 0 makes it a standby.
    #[serde(default = "usual::weight")]
    pub weight: u32,
    /// Timeout for connecting, TLS included, in seconds.
    #[serde(default = "usual::connect_timeout_seconds")]
    pub connect_timeout_seconds: u64,
    /// Timeout for silence within a response, in seconds; `timeout_seconds` if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_seconds: Option<u64>,
    /// Timeout for the whole response, retries included, in seconds.
    #[serde(default = "usual::timeout_seconds")]
    pub timeout_seconds: u64,
    /// Path of the health check below `base_url`; `""` disables it.
    #[serde(default = "usual::health_path")]
    pub health_path: String,
    /// Maximum interval between two health checks, in seconds.
    #[serde(default = "usual::health_interval_seconds")]
    pub health_interval_seconds: u64,
    /// True to use HTTP/2 without negotiation on `http://`.
    #[serde(default)]
    pub http2: bool,
    /// Factor on every price of what the upstream serves, such as `"1.1"` for processing in a region.
    #[serde(default = "usual::uplift")]
    pub uplift: String,
    /// True if the cost that an answer reports in `usage.cost` (US dollars) replaces the prices of the request.
    #[serde(default)]
    pub reports_cost: bool,
    /// True if the upstream accepts WebSocket connections at `/responses`; then `GET /v1/responses` upgrades clients.
    #[serde(default)]
    pub websocket: bool,
}

/// API that an upstream speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiFormatName {
    /// OpenAI's API.
    #[default]
    OpenAi,
    /// Anthropic's Messages API.
    Anthropic,
}

/// Header that carries an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyHeaderName {
    /// `authorization`, as a bearer token.
    Authorization,
    /// `x-api-key`.
    XApiKey,
}

/// Rule for requesting usage reports of streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamUsageName {
    /// Request a usage report with every stream that would lack one.
    #[default]
    Ask,
    /// Never request usage reports.
    Never,
}

/// Defaults, taken from the gateway.
mod usual {
    use gateway::UpstreamConfig;

    fn config() -> UpstreamConfig {
        UpstreamConfig::new("", "")
    }

    pub(super) fn weight() -> u32 {
        config().weight
    }

    pub(super) fn connect_timeout_seconds() -> u64 {
        config().connect_timeout_seconds
    }

    pub(super) fn timeout_seconds() -> u64 {
        config().timeout_seconds
    }

    pub(super) fn health_path() -> String {
        config().health_path
    }

    pub(super) fn uplift() -> String {
        config().billing.uplift.to_string()
    }

    pub(super) fn health_interval_seconds() -> u64 {
        config().health_interval_seconds
    }
}

impl Config {
    /// Loads the API keys of all upstreams, and the proxies of the environment.
    ///
    /// # Errors
    /// An API key is missing, or a proxy address is malformed; the message names the upstream or the variable.
    pub async fn resolve_upstreams(&self) -> anyhow::Result<Vec<UpstreamConfig>> {
        let proxies = Proxies::of_environment();
        let mut resolved = Vec::with_capacity(self.upstreams.len());
        for upstream in &self.upstreams {
            resolved.push(upstream.resolve(&proxies).await?);
        }
        Ok(resolved)
    }
}

impl Upstream {
    /// Returns the gateway configuration of the upstream, with its API key; `proxies` are those of the environment.
    ///
    /// # Errors
    /// The API key is missing, empty or configured twice; the certificates cannot be read; the proxy address is
    /// malformed.
    pub async fn resolve(&self, proxies: &Proxies) -> anyhow::Result<UpstreamConfig> {
        if let Some(file) = &self.ca_file {
            let (name, shown) = (&self.name, file.display());
            let opened = std::fs::File::open(file);
            opened.with_context(|| format!("upstream '{name}': {shown} cannot be read"))?;
        }
        Ok(UpstreamConfig {
            name: self.name.clone(),
            base_url: self.base_url.clone(),
            format: match self.format {
                ApiFormatName::OpenAi => ApiFormat::OpenAi,
                ApiFormatName::Anthropic => ApiFormat::Anthropic,
            },
            api_key: self.api_key().await?,
            key_header: self.key_header.map(|header| match header {
                KeyHeaderName::Authorization => KeyHeader::Authorization,
                KeyHeaderName::XApiKey => KeyHeader::XApiKey,
            }),
            ca_certificates: self.ca_file.clone().map(CaCertificates::File),
            proxy: self.proxy(proxies)?,
            stream_usage: match self.stream_usage {
                StreamUsageName::Ask => StreamUsage::Ask,
                StreamUsageName::Never => StreamUsage::Never,
            },
            models: self.models.clone(),
            aliases: self.aliases.clone(),
            stores: self.stores,
            zero_data_retention: self.zero_data_retention,
            weight: self.weight,
            connect_timeout_seconds: self.connect_timeout_seconds,
            idle_timeout_seconds: self.idle_timeout_seconds,
            timeout_seconds: self.timeout_seconds,
            health_path: self.health_path.clone(),
            health_interval_seconds: self.health_interval_seconds,
            http2: self.http2,
            billing: UpstreamBilling {
                uplift: self.uplift()?,
                reports_cost: self.reports_cost,
            },
            websocket: self.websocket,
        })
    }

    /// Returns the settings without secrets.
    pub(super) fn shown(&self) -> Self {
        // Arguments of the command may be secret.
        let command = self.api_key_command.as_ref().map(|words| {
            let (first, rest) = words.split_at(words.len().min(1));
            let rest = if rest.is_empty() { None } else { Some("…") };
            first
                .iter()
                .map(String::as_str)
                .chain(rest)
                .map(str::to_owned)
                .collect()
        });
        Self {
            base_url: without_password(&self.base_url),
            proxy: self.proxy.as_deref().map(without_password),
            api_key_command: command,
            ..self.clone()
        }
    }

    /// Returns the factor on prices.
    fn uplift(&self) -> anyhow::Result<Factor> {
        let uplift = Factor::parse(&self.uplift);
        let uplift =
            uplift.filter(|uplift| (1..=MAX_UPLIFT_BILLIONTHS).contains(&uplift.billionths()));
        uplift.ok_or_else(|| {
            anyhow!(
                "upstream '{}': uplift must be a factor as a decimal string, such as \"1.1\", more than 0 and at most 100",
                self.name
            )
        })
    }

    async fn api_key(&self) -> anyhow::Result<Option<UpstreamKey>> {
        let name = &self.name;
        let wrong = |reason: String| anyhow!("upstream '{name}': {reason}");
        match (&self.api_key_env, &self.api_key_file, &self.api_key_command) {
            (None, None, None) => Ok(None),
            (Some(variable), None, None) => {
                let key = std::env::var(variable)
                    .map_err(|_| wrong(format!("the variable {variable} holds no key")))?;
                let key = key.trim();
                UpstreamKey::check(key)
                    .map_err(|reason| wrong(format!("the variable {variable} {reason}")))?;
                Ok(Some(UpstreamKey::new(key.to_owned())))
            }
            (None, Some(file), None) => Ok(Some(UpstreamKey::of_file(file).map_err(wrong)?)),
            (None, None, Some(words)) => {
                let key = UpstreamKey::of_command(words).await;
                let key = key.map_err(|reason| wrong(format!("api_key_command: {reason}")))?;
                Ok(Some(key))
            }
            _ => bail!(
                "upstream '{name}': give one of api_key_env, api_key_file and api_key_command"
            ),
        }
    }

    /// Returns the configured proxy, or the one of the environment.
    fn proxy(&self, proxies: &Proxies) -> anyhow::Result<Option<Proxy>> {
        match self.proxy.as_deref().map(str::trim) {
            Some("") => Ok(None),
            Some(address) => {
                let proxy = Proxy::parse("proxy", address);
                Ok(Some(
                    proxy.with_context(|| format!("upstream '{}'", self.name))?,
                ))
            }
            None => {
                // The gateway reports a malformed address.
                let Ok(base) = self.base_url.parse() else {
                    return Ok(None);
                };
                let proxy = proxies.for_destination(&base);
                proxy.with_context(|| format!("upstream '{}'", self.name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "name = 'a'\nbase_url = 'http://me:pw@h.example/v1'\nmodels = ['m']\n";

    fn upstream(settings: &str) -> Upstream {
        toml::from_str(&format!("{REST}{settings}")).expect("settings")
    }

    /// Resolves the upstream with a proxy in the environment.
    async fn resolve(settings: &str) -> Result<UpstreamConfig, String> {
        let variable = |name: &str| (name == "HTTP_PROXY").then(|| "http://of.env:1".to_owned());
        let proxies = Proxies::new(variable);
        let resolved = upstream(settings).resolve(&proxies).await;
        resolved.map_err(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn uplift_is_a_factor_of_at_most_100() {
        let config = resolve("uplift = '1.1'\nreports_cost = true").await;
        let billing = config.expect("a configuration").billing;
        assert_eq!(
            (billing.uplift.to_string(), billing.reports_cost),
            ("1.1".to_owned(), true)
        );
        for wrong in ["'0'", "'-1'", "'100.1'", "'x'", "''"] {
            let error = resolve(&format!("uplift = {wrong}")).await;
            let error = error.err().unwrap_or_default();
            assert!(
                error.contains("upstream 'a': uplift must be"),
                "{wrong}: {error}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_not_said_is_as_the_gateway_says() {
        let config = resolve("").await.expect("a configuration");
        assert_eq!(config.billing, UpstreamBilling::default());
        assert_eq!((config.weight, config.timeout_seconds), (1, 600));
        assert_eq!(
            (config.connect_timeout_seconds, config.idle_timeout_seconds),
            (5, None)
        );
        assert_eq!(
            (config.health_path.as_str(), config.health_interval_seconds),
            ("/models", 30)
        );
        assert!(!config.http2 && config.api_key.is_none() && config.ca_certificates.is_none());
        assert_eq!(config.stream_usage, StreamUsage::Ask);
        assert_eq!(config.format, ApiFormat::OpenAi);
        assert_eq!(config.key_header, None);
    }

    #[tokio::test]
    async fn what_is_said_arrives() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("key");
        std::fs::write(&file, "sk-1\n").expect("written");
        let ca = directory.path().join("ca.pem");
        std::fs::write(&ca, "certificates").expect("written");
        let (file, ca) = (file.display(), ca.display());
        let settings = format!(
            "weight = 3\nconnect_timeout_seconds = 1\nidle_timeout_seconds = 2\ntimeout_seconds = 4\n\
             health_path = '/healthz'\nhealth_interval_seconds = 9\nhttp2 = true\nproxy = ''\nca_file = '{ca}'\n\
             api_key_file = '{file}'\nstream_usage = 'never'\nformat = 'anthropic'\nkey_header = 'x-api-key'",
        );
        let config = resolve(&settings).await.expect("a configuration");
        assert_eq!((config.weight, config.timeout_seconds), (3, 4));
        assert_eq!(
            (config.connect_timeout_seconds, config.idle_timeout_seconds),
            (1, Some(2))
        );
        assert_eq!(
            (config.health_path.as_str(), config.health_interval_seconds),
            ("/healthz", 9)
        );
        let ca = config.ca_certificates;
        assert!(matches!(ca, Some(CaCertificates::File(file)) if file.ends_with("ca.pem")));
        assert!(config.http2 && config.api_key.is_some());
        assert_eq!(config.stream_usage, StreamUsage::Never);
        assert_eq!(config.format, ApiFormat::Anthropic);
        assert_eq!(config.key_header, Some(KeyHeader::XApiKey));
    }

    #[tokio::test]
    async fn outbound_proxy_of_an_upstream_wins_over_that_of_the_environment() {
        for (settings, expected) in [
            ("", Some("http://of.env:1")),
            ("proxy = 'http://me:pw@own:2'", Some("http://own:2")),
            ("proxy = ''", None),
        ] {
            let proxy = resolve(settings).await.expect(settings).proxy;
            let proxy = proxy.map(|proxy| proxy.to_string());
            assert_eq!(proxy.as_deref(), expected, "{settings}");
        }
        let error = resolve("proxy = 'ftp://me:pw@h'")
            .await
            .err()
            .expect("an error");
        assert!(
            error.contains("upstream 'a': proxy is not the address"),
            "{error}"
        );
        assert!(!error.contains("pw"), "{error}");
    }

    #[tokio::test]
    async fn upstream_key_rotation_begins_with_one_key_that_is_there() {
        let directory = tempfile::tempdir().expect("a directory");
        let empty = directory.path().join("empty");
        std::fs::write(&empty, " \n").expect("written");
        let of_empty = format!("api_key_file = '{}'", empty.display());
        for (settings, reason) in [
            (
                "api_key_env = 'ORGPLANE_NO_SUCH'",
                "ORGPLANE_NO_SUCH holds no key",
            ),
            ("api_key_file = '/no/such'", "/no/such cannot be read"),
            (&of_empty, "empty is empty"),
            ("api_key_env = 'A'\napi_key_file = 'b'", "give one of"),
            ("api_key_command = ['a']\napi_key_file = 'b'", "give one of"),
            ("api_key_command = []", "the command is empty"),
            ("api_key_command = ['/no/such']", "cannot be run"),
            ("api_key_command = ['true']", "printed no key"),
            ("ca_file = '/no/such.pem'", "/no/such.pem cannot be read"),
        ] {
            let error = resolve(settings).await.err().expect(settings);
            assert!(
                error.starts_with("upstream 'a': ") && error.contains(reason),
                "{error}"
            );
        }
        let command = "api_key_command = ['printf', 'sk-1']";
        assert!(resolve(command).await.expect("a key").api_key.is_some());
    }

    #[test]
    fn no_secret_is_shown() {
        let settings = "api_key_command = ['vault', 'secret']\nproxy = 'http://me:pw@p:1'";
        let shown = upstream(settings).shown();
        assert_eq!(shown.base_url, "http://me:…@h.example/v1");
        assert_eq!(shown.proxy.as_deref(), Some("http://me:…@p:1"));
        let command = shown.api_key_command.expect("a command");
        assert_eq!(command, ["vault", "…"]);
    }
}
