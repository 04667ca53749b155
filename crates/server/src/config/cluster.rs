//! `[cluster]`: this node among others on the same database.

use std::time::Duration;

use anyhow::ensure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gateway::{Bounds, MAX_SECONDS};

/// The most characters of a node's name.
const MAX_NAME_CHARS: usize = 100;

/// This node among others on the same database.
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClusterTable {
    /// Name of this node in `orgplane nodes` and in the logs of other nodes; at most 100 characters.
    #[schemars(extend("x-default" = "the name of the machine and the port of `listen`"))]
    name: Option<String>,
    /// Maximum age of the keys and settings in memory while the database is unreachable, in seconds; 0 for no limit, at most 86400.
    #[schemars(extend("x-default" = "30"))]
    stale_keys_seconds: Option<u64>,
    /// `own`: an administrative change is answered when this node acts on it, and other nodes follow within a second; `all`: it is
    /// answered when all nodes act on it, or after a second.
    settle: SettleScope,
    /// End of the money that a node which has died had reserved within spend limits: `release`: it is free once the
    /// requests of the node have rows in the ledger; `keep`: it stays reserved until the month ends.
    lost: LostSlices,
}

/// The end of what a lost node has reserved within spend limits.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LostSlices {
    /// The money is free once the requests of the node have rows.
    #[default]
    Release,
    /// The money stays reserved until the month ends.
    Keep,
}

/// Nodes that must act on an administrative change before it is answered.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SettleScope {
    /// The node that has made the change.
    #[default]
    Own,
    /// All nodes.
    All,
}

/// This node among others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeOptions {
    /// The name of the node; that of the machine and the port if `None`.
    pub name: Option<String>,
    /// Nodes that must act on an administrative change before it is answered.
    pub settle: SettleScope,
    /// The end of what a lost node has reserved within spend limits.
    pub lost: LostSlices,
}

impl ClusterTable {
    /// Returns the maximum age of the directory; `None` for no limit.
    pub(super) fn stale_keys(&self) -> anyhow::Result<Option<Duration>> {
        let Some(seconds) = self.stale_keys_seconds else {
            return Ok(Bounds::default().stale_keys);
        };
        ensure!(
            seconds <= MAX_SECONDS,
            "[cluster] stale_keys_seconds must be at most {MAX_SECONDS}"
        );
        Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
    }

    /// Returns the validated options of the node.
    pub(super) fn node(&self) -> anyhow::Result<NodeOptions> {
        let is_valid = |name: &String| {
            let length = name.chars().count();
            (1..=MAX_NAME_CHARS).contains(&length) && !name.chars().any(char::is_control)
        };
        ensure!(
            self.name.as_ref().is_none_or(is_valid),
            "[cluster] name must have 1 to {MAX_NAME_CHARS} characters, none of them a control character"
        );
        Ok(NodeOptions {
            name: self.name.clone(),
            settle: self.settle,
            lost: self.lost,
        })
    }

    /// Returns the table that `config show` prints.
    pub(super) fn shown(node: &NodeOptions, bounds: &Bounds) -> Self {
        Self {
            name: node.name.clone(),
            stale_keys_seconds: Some(bounds.stale_keys.map_or(0, |age| age.as_secs())),
            settle: node.settle,
            lost: node.lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::load;

    #[test]
    fn what_is_written_is_shown() {
        let text = "[cluster]\nname = 'a'\nstale_keys_seconds = 3\nsettle = 'all'\nlost = 'keep'\n";
        let shown = load(text).expect("loaded").show().expect("TOML");
        assert!(shown.contains(&text.replace('\'', "\"")), "{shown}");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, wrong) in [
            ("name = ''", "[cluster] name must have 1 to 100"),
            ("name = \"a\\nb\"", "[cluster] name must have 1 to 100"),
            ("settle = 'some'", "settle"),
            (
                "stale_keys_seconds = 86401",
                "stale_keys_seconds must be at most",
            ),
        ] {
            let error = load(&format!("[cluster]\n{text}")).err();
            let error = error.map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
