//! `[smtp]`: mail server.

use admin::mail::Smtp;
use anyhow::bail;
use schemars::JsonSchema;
use serde::Deserialize;

use super::without_password;

/// Mail server.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SmtpTable {
    /// URL of the server: `smtp://` or `smtps://`. Without it, mails stay in the outbox.
    pub(super) url: Option<String>,
    /// Sender: an address, or `Name <address>`; required with `url`.
    pub(super) from: Option<String>,
}

/// An SMTP server.
#[derive(Clone)]
pub struct SmtpServer {
    /// URL of the server; may contain a password.
    url: String,
    /// Sender address of mails.
    from: String,
}

impl SmtpServer {
    /// Combines URL and sender. A sender without a server is ignored; a server without a sender is an error.
    pub(super) fn new(url: Option<String>, from: Option<String>) -> anyhow::Result<Option<Self>> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        match (given(url), given(from)) {
            (None, _) => Ok(None),
            (Some(url), Some(from)) => Ok(Some(Self { url, from })),
            (Some(_), None) => bail!("smtp.url is given, but not smtp.from, the sender of mails"),
        }
    }

    /// Returns the settings without the password.
    pub(super) fn shown(&self) -> [(&'static str, String); 2] {
        [
            ("url", without_password(&self.url)),
            ("from", self.from.clone()),
        ]
    }

    /// Returns the mail client.
    ///
    /// # Errors
    /// The URL or the sender is malformed.
    pub fn resolve(&self) -> anyhow::Result<Smtp> {
        Smtp::new(&self.url, &self.from).map_err(anyhow::Error::msg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_needs_a_sender() {
        let new = |url: &str, from: &str| SmtpServer::new(Some(url.into()), Some(from.into()));
        assert!(new("", "a@b.example").is_ok_and(|server| server.is_none()));
        let error = new("smtp://localhost", "").err();
        assert!(error.is_some_and(|error| error.to_string().contains("smtp.from")));
        let server = new("smtp://localhost", "a@b.example").expect("both");
        assert!(server.is_some_and(|server| server.resolve().is_ok()));
    }
}
