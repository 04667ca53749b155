//! `[server]`: connection limits and graceful shutdown.

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::bail;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use crate::serve::DEFAULT_CONNECTIONS_PER_ADDRESS;
use crate::shutdown::{DEFAULT_STOP_TIMEOUT, MAX_STOP_TIMEOUT};

/// Connections and graceful shutdown.
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerTable {
    /// Time given to running requests at shutdown, in seconds; at most 20.
    #[schemars(extend("x-default" = "20"))]
    stop_timeout_seconds: Option<u64>,
    /// Maximum number of open connections per client address.
    #[schemars(extend("x-default" = "1024"))]
    max_connections_per_address: Option<NonZeroUsize>,
}

impl ServerTable {
    /// Returns the validated shutdown timeout.
    pub(super) fn stop_timeout(&self) -> anyhow::Result<Duration> {
        let longest = MAX_STOP_TIMEOUT.as_secs();
        match self.stop_timeout_seconds {
            None => Ok(DEFAULT_STOP_TIMEOUT),
            Some(seconds) if seconds <= longest => Ok(Duration::from_secs(seconds)),
            Some(seconds) => bail!(
                "server.stop_timeout_seconds is {seconds}; it must be from 0 to {longest}, so that the whole stop takes at most 25 seconds"
            ),
        }
    }

    /// Returns the maximum number of open connections per client.
    pub(super) fn max_connections_per_address(&self) -> usize {
        let most = self.max_connections_per_address;
        most.map_or(DEFAULT_CONNECTIONS_PER_ADDRESS, NonZeroUsize::get)
    }

    /// Returns the table that `config show` prints.
    pub(super) fn shown(config: &Config) -> Self {
        Self {
            stop_timeout_seconds: Some(config.stop_timeout.as_secs()),
            max_connections_per_address: NonZeroUsize::new(config.max_connections_per_address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::load;

    fn stop_timeout(text: &str) -> Result<u64, String> {
        let table: ServerTable = toml::from_str(text).map_err(|error| error.to_string())?;
        let timeout = table.stop_timeout().map_err(|error| error.to_string())?;
        Ok(timeout.as_secs())
    }

    #[test]
    fn the_stop_timeout_has_a_bound() {
        assert_eq!(stop_timeout(""), Ok(20));
        assert_eq!(stop_timeout("stop_timeout_seconds = 0"), Ok(0));
        assert_eq!(stop_timeout("stop_timeout_seconds = 20"), Ok(20));
        let error = stop_timeout("stop_timeout_seconds = 21").expect_err("too long");
        assert!(error.contains("from 0 to 20"), "{error}");
        assert!(stop_timeout("stop_timeout_seconds = -1").is_err());
    }

    #[test]
    fn what_is_written_is_shown() {
        let text = "trusted_proxies = ['10.0.0.0/8']\n[server]\nstop_timeout_seconds = 7\nmax_connections_per_address = 9\n";
        let shown = load(text).expect("loaded").show().expect("TOML");
        for line in text.replace('\'', "\"").lines() {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        for (text, words) in [
            (
                "trusted_proxies = ['10.0.0.1/8']",
                "trusted_proxies: '10.0.0.1/8'",
            ),
            (
                "[server]\nmax_connections_per_address = 0",
                "max_connections_per_address",
            ),
        ] {
            let error = load(text).err().map(|error| format!("{error:#}"));
            assert!(
                error.as_ref().is_some_and(|error| error.contains(words)),
                "{error:?}"
            );
        }
    }
}
