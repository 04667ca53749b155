//! `[[upstream]]`: a model server.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use gateway::{UpstreamConfig, UpstreamKey};
use serde::{Deserialize, Serialize};

use super::without_password;
use crate::text_file;

/// A model server.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// What it is called in logs.
    pub name: String,
    /// Where its API begins.
    pub base_url: String,
    /// The environment variable with its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The file with its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// The file with the certificates that its own is checked against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The models it serves; `*` is any.
    pub models: Vec<String>,
    /// Names that clients ask for, and the names that it knows.
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
    /// Whether it keeps the files, batches and vector stores that clients make.
    #[serde(default)]
    pub stores: bool,
    /// Its share of the requests for a model that several serve.
    #[serde(default = "usual::weight")]
    pub weight: u32,
    /// How long a connection may take to be made.
    #[serde(default = "usual::connect_timeout_seconds")]
    pub connect_timeout_seconds: u64,
    /// How long it may be silent inside an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_seconds: Option<u64>,
    /// How long an answer may take.
    #[serde(default = "usual::timeout_seconds")]
    pub timeout_seconds: u64,
    /// What is asked for to find out whether it is back.
    #[serde(default = "usual::health_path")]
    pub health_path: String,
    /// The longest pause before that.
    #[serde(default = "usual::health_interval_seconds")]
    pub health_interval_seconds: u64,
    /// Whether it is spoken to in HTTP/2 from the beginning.
    #[serde(default)]
    pub http2: bool,
}

/// What is in effect where nothing is said: what the gateway says.
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

    pub(super) fn health_interval_seconds() -> u64 {
        config().health_interval_seconds
    }
}

impl Upstream {
    /// With its key and its certificates read, ready to be used.
    ///
    /// # Errors
    /// The key is not where it should be, or is said to be in two places; the certificates cannot be read.
    pub fn resolve(&self) -> anyhow::Result<UpstreamConfig> {
        let read = |file: &PathBuf| {
            std::fs::read(file).with_context(|| {
                format!(
                    "upstream '{}': {} cannot be read",
                    self.name,
                    file.display()
                )
            })
        };
        Ok(UpstreamConfig {
            name: self.name.clone(),
            base_url: self.base_url.clone(),
            api_key: self.api_key()?.map(UpstreamKey::new),
            ca_certificates: self.ca_file.as_ref().map(read).transpose()?,
            models: self.models.clone(),
            aliases: self.aliases.clone(),
            stores: self.stores,
            weight: self.weight,
            connect_timeout_seconds: self.connect_timeout_seconds,
            idle_timeout_seconds: self.idle_timeout_seconds,
            timeout_seconds: self.timeout_seconds,
            health_path: self.health_path.clone(),
            health_interval_seconds: self.health_interval_seconds,
            http2: self.http2,
        })
    }

    /// What may be shown of it.
    pub(super) fn shown(&self) -> Self {
        Self {
            base_url: without_password(&self.base_url),
            ..self.clone()
        }
    }

    fn api_key(&self) -> anyhow::Result<Option<String>> {
        let name = &self.name;
        match (&self.api_key_env, &self.api_key_file) {
            (Some(_), Some(_)) => {
                bail!("upstream '{name}': give either api_key_env or api_key_file, not both")
            }
            (Some(variable), None) => {
                let key = std::env::var(variable);
                let key = key.with_context(|| {
                    format!("upstream '{name}': the variable {variable} holds no key")
                })?;
                Ok(Some(key.trim().to_owned()))
            }
            (None, Some(file)) => {
                let key = text_file::read(file).with_context(|| {
                    format!("upstream '{name}': {} cannot be read", file.display())
                })?;
                Ok(Some(key.trim().to_owned()))
            }
            (None, None) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "name = 'a'\nbase_url = 'http://me:pw@h/v1'\nmodels = ['m']\n";

    fn upstream(settings: &str) -> Upstream {
        toml::from_str(&format!("{REST}{settings}")).expect("settings")
    }

    #[test]
    fn what_is_not_said_is_as_the_gateway_says() {
        let config = upstream("").resolve().expect("a configuration");
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
    }

    #[test]
    fn what_is_said_arrives() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("ca.pem");
        std::fs::write(&file, "certificates").expect("written");
        let config = upstream(&format!(
            "weight = 3\nconnect_timeout_seconds = 1\nidle_timeout_seconds = 2\ntimeout_seconds = 4\n\
             health_path = '/healthz'\nhealth_interval_seconds = 9\nhttp2 = true\nca_file = '{}'\n\
             api_key_file = '{}'",
            file.display(),
            file.display(),
        ));
        let config = config.resolve().expect("a configuration");
        assert_eq!((config.weight, config.timeout_seconds), (3, 4));
        assert_eq!(
            (config.connect_timeout_seconds, config.idle_timeout_seconds),
            (1, Some(2))
        );
        assert_eq!(
            (config.health_path.as_str(), config.health_interval_seconds),
            ("/healthz", 9)
        );
        assert_eq!(
            config.ca_certificates.as_deref(),
            Some(&b"certificates"[..])
        );
        assert!(config.http2 && config.api_key.is_some());
    }

    #[test]
    fn a_secret_that_is_not_there_is_named_and_none_is_shown() {
        for (settings, reason) in [
            (
                "api_key_env = 'ORGPLANE_NO_SUCH'",
                "ORGPLANE_NO_SUCH holds no key",
            ),
            ("api_key_file = '/no/such'", "/no/such cannot be read"),
            ("ca_file = '/no/such.pem'", "/no/such.pem cannot be read"),
            ("api_key_env = 'A'\napi_key_file = 'b'", "not both"),
        ] {
            let error = upstream(settings).resolve().err().expect("an error");
            assert!(error.to_string().contains(reason), "{error}");
        }
        assert_eq!(upstream("").shown().base_url, "http://me:…@h/v1");
    }
}
