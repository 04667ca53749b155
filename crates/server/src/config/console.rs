//! `[console]`: pages for people.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pages for people: the console.
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsoleTable {
    /// True to serve the console at `/console`.
    #[schemars(extend("x-default" = "true"))]
    enabled: Option<bool>,
}

impl ConsoleTable {
    /// Returns true if the console is served.
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }

    /// Returns the table that `config show` prints.
    pub(super) fn shown(is_enabled: bool) -> Self {
        Self {
            enabled: Some(is_enabled),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::load;

    #[test]
    fn console_is_served_unless_it_is_switched_off() {
        assert!(load("").expect("loaded").has_console);
        let config = load("[console]\nenabled = false").expect("loaded");
        assert!(!config.has_console);
        let shown = config.show().expect("TOML");
        assert!(shown.contains("[console]\nenabled = false\n"), "{shown}");
    }
}
