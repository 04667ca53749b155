//! `[cors]`: cross-origin requests from web pages.

use anyhow::anyhow;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cors::Cors;

/// Cross-origin requests from web pages.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CorsTable {
    /// Origins whose pages may call the gateway, such as `["https://chat.example"]`, or `["*"]`.
    origins: Vec<String>,
    /// True to let the same pages call the Administration API.
    administration: bool,
}

impl CorsTable {
    /// Returns the cross-origin policy.
    pub(super) fn cors(&self) -> anyhow::Result<Cors> {
        let cors = Cors::new(&self.origins, self.administration);
        cors.map_err(|reason| anyhow!("cors.origins: {reason}"))
    }

    /// Returns the table that `config show` prints.
    pub(super) fn shown(cors: &Cors) -> Self {
        Self {
            origins: cors.origins().map(str::to_owned).collect(),
            administration: cors.is_for_administration(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::load;

    #[test]
    fn cors_origins_are_checked_when_the_configuration_is_read() {
        let text = "[cors]\norigins = [\"https://a.example\", \"*\"]\nadministration = true\n";
        let shown = load(text).expect("loaded").show().expect("TOML");
        assert!(shown.contains(text), "{shown}");
        let shown = load("").expect("loaded").show().expect("TOML");
        assert!(shown.contains("[cors]\norigins = []\nadministration = false\n"));
        for (text, words) in [
            (
                "[cors]\norigins = ['https://a.example/']",
                "cors.origins: 'https://a.example/' is not what a browser sends",
            ),
            ("[cors]\norigin = ['*']", "origin"),
        ] {
            let error = load(text).err().map(|error| format!("{error:#}"));
            assert!(error.is_some_and(|error| error.contains(words)), "{text}");
        }
    }
}
