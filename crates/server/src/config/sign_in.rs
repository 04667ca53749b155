//! `[sign_in]`: sign-in of users in browsers.

use admin::sessions::{DEFAULT_ABSOLUTE_SECONDS, DEFAULT_IDLE_SECONDS, SessionLifetimes};
use anyhow::bail;
use identity::SignInOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MAX_IDLE_MINUTES: i64 = 24 * 60;
const MAX_ABSOLUTE_HOURS: i64 = 30 * 24;
const SECONDS_PER_MINUTE: i64 = 60;
const SECONDS_PER_HOUR: i64 = 3_600;

/// Sign-in of users in browsers.
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignInTable {
    /// True if users sign in with passwords.
    #[schemars(extend("x-default" = "true"))]
    password: Option<bool>,
    /// True if sign-in links are mailed on demand; has no effect without `[smtp]`.
    #[schemars(extend("x-default" = "true"))]
    links: Option<bool>,
    /// Minutes after which a session that is not used ends; 1 to 1440.
    #[schemars(extend("x-default" = "60"))]
    idle_minutes: Option<i64>,
    /// Hours after which every session ends; 1 to 720.
    #[schemars(extend("x-default" = "12"))]
    absolute_hours: Option<i64>,
}

impl SignInTable {
    /// Returns the validated lifetimes of sessions.
    pub(super) fn lifetimes(&self) -> anyhow::Result<SessionLifetimes> {
        Ok(SessionLifetimes {
            idle_seconds: match self.idle_minutes {
                None => DEFAULT_IDLE_SECONDS,
                Some(minutes @ 1..=MAX_IDLE_MINUTES) => minutes * SECONDS_PER_MINUTE,
                Some(other) => bail!(
                    "sign_in.idle_minutes is {other}; it must be from 1 to {MAX_IDLE_MINUTES}"
                ),
            },
            absolute_seconds: match self.absolute_hours {
                None => DEFAULT_ABSOLUTE_SECONDS,
                Some(hours @ 1..=MAX_ABSOLUTE_HOURS) => hours * SECONDS_PER_HOUR,
                Some(other) => bail!(
                    "sign_in.absolute_hours is {other}; it must be from 1 to {MAX_ABSOLUTE_HOURS}"
                ),
            },
        })
    }

    /// Returns the ways to sign in, given that there is a mail server or none.
    pub(super) fn options(&self, has_mail: bool) -> SignInOptions {
        SignInOptions {
            has_passwords: self.password.unwrap_or(true),
            has_mailed_links: has_mail && self.links.unwrap_or(true),
            providers: Vec::new(),
        }
    }

    /// Returns the table that `config show` prints.
    pub(super) fn shown(lifetimes: SessionLifetimes, options: &SignInOptions) -> Self {
        Self {
            password: Some(options.has_passwords),
            links: Some(options.has_mailed_links),
            idle_minutes: Some(lifetimes.idle_seconds / SECONDS_PER_MINUTE),
            absolute_hours: Some(lifetimes.absolute_seconds / SECONDS_PER_HOUR),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::load;

    #[test]
    fn links_are_mailed_only_with_a_mail_server() {
        let smtp = "\n[smtp]\nurl = 'smtp://localhost'\nfrom = 'a@b.example'";
        for (text, passwords, links) in [
            ("", true, false),
            (smtp, true, true),
            ("[sign_in]\nlinks = false\npassword = false", false, false),
            (&format!("[sign_in]\nlinks = false{smtp}"), true, false),
        ] {
            let options = load(text).expect("loaded").sign_in;
            let found = (options.has_passwords, options.has_mailed_links);
            assert_eq!(found, (passwords, links), "{text}");
        }
    }

    #[test]
    fn lifetimes_of_sessions_have_bounds_and_are_shown() {
        let config = load("[sign_in]\nidle_minutes = 15\nabsolute_hours = 8").expect("loaded");
        assert_eq!(config.session_lifetimes.idle_seconds, 15 * 60);
        assert_eq!(config.session_lifetimes.absolute_seconds, 8 * 3_600);
        let shown = config.show().expect("TOML");
        assert!(
            shown.contains(
                "[sign_in]\npassword = true\nlinks = false\nidle_minutes = 15\nabsolute_hours = 8\n"
            ),
            "{shown}"
        );
        for (text, words) in [
            ("idle_minutes = 0", "sign_in.idle_minutes is 0"),
            ("idle_minutes = 1441", "sign_in.idle_minutes is 1441"),
            ("absolute_hours = 0", "sign_in.absolute_hours is 0"),
            ("absolute_hours = 721", "sign_in.absolute_hours is 721"),
        ] {
            let error = load(&format!("[sign_in]\n{text}")).err();
            let error = error.map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.contains(words), "{error}");
        }
    }
}
