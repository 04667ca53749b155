//! `[smtp]`: where mails are handed over.

use admin::mail::Smtp;
use anyhow::bail;
use serde::Deserialize;

use super::without_password;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SmtpTable {
    pub(super) url: Option<String>,
    pub(super) from: Option<String>,
}

/// An SMTP server.
#[derive(Clone)]
pub struct SmtpServer {
    /// Where it is; it may hold a password.
    url: String,
    /// The sender that mails name.
    from: String,
}

impl SmtpServer {
    /// Both or neither: an address without a server is forgotten, a server without an address is a mistake.
    pub(super) fn new(url: Option<String>, from: Option<String>) -> anyhow::Result<Option<Self>> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        match (given(url), given(from)) {
            (None, _) => Ok(None),
            (Some(url), Some(from)) => Ok(Some(Self { url, from })),
            (Some(_), None) => bail!("smtp.url is given, but not smtp.from, the sender of mails"),
        }
    }

    /// What may be shown of it.
    pub(super) fn shown(&self) -> [(&'static str, String); 2] {
        [
            ("url", without_password(&self.url)),
            ("from", self.from.clone()),
        ]
    }

    /// Ready to be used.
    ///
    /// # Errors
    /// The URL or the sender makes no sense.
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
