//! `[tls]`: server certificate, and proxies that pass on client certificates.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tls::TlsFiles;

/// TLS of the listener.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsTable {
    /// PEM file with the certificate chain of the server.
    #[schemars(extend("x-default" = "plain HTTP"))]
    certificate: Option<PathBuf>,
    /// PEM file with the private key of the server.
    key: Option<PathBuf>,
    /// Addresses and networks of proxies that pass on client certificates in headers (RFC 9440).
    #[serde(default)]
    client_certificate_header_from: Vec<String>,
}

/// TLS configuration.
#[derive(Clone, Debug, Serialize)]
pub struct TlsConfig {
    /// Certificate and key; plain HTTP if `None`.
    #[serde(flatten)]
    pub files: Option<TlsFiles>,
    /// Proxies that pass on the certificates of their clients in headers (RFC 9440).
    #[serde(rename = "client_certificate_header_from")]
    pub proxies: Vec<IpNet>,
}

impl TlsConfig {
    /// Validates the table: certificate and key must be set together.
    pub(super) fn new(table: TlsTable) -> anyhow::Result<Self> {
        let files = match (table.certificate, table.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (Some(_), None) => bail!("tls.certificate is given, but not tls.key, its private key"),
            (None, Some(_)) => bail!("tls.key is given, but not tls.certificate, which it is for"),
        };
        let key = "tls.client_certificate_header_from";
        Ok(Self {
            files,
            proxies: networks(key, &table.client_certificate_header_from)?,
        })
    }

    /// Returns the scheme of the listener.
    pub(super) fn scheme(&self) -> &'static str {
        if self.files.is_some() {
            "https"
        } else {
            "http"
        }
    }
}

/// Parses the addresses and networks in the value of `key`.
pub(super) fn networks(key: &str, texts: &[String]) -> anyhow::Result<Vec<IpNet>> {
    texts.iter().map(|text| network(key, text)).collect()
}

/// Parses an address or a network.
fn network(key: &str, text: &str) -> anyhow::Result<IpNet> {
    let address = text.parse().map(|address: IpAddr| IpNet::from(address));
    let network = address.or_else(|_| text.parse::<IpNet>());
    let network =
        network.with_context(|| format!("{key}: '{text}' is neither an address nor a network"))?;
    if network != network.trunc() {
        let meant = network.trunc();
        bail!("{key}: '{text}' is no network; is '{meant}' meant?");
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(text: &str) -> Result<TlsConfig, String> {
        let table = toml::from_str(text).map_err(|error| error.to_string())?;
        TlsConfig::new(table).map_err(|error| error.to_string())
    }

    #[test]
    fn a_certificate_has_a_key() {
        assert!(tls("").is_ok_and(|tls| tls.files.is_none()));
        assert!(tls("certificate = 'c'\nkey = 'k'").is_ok_and(|tls| tls.files.is_some()));
        for (text, missing) in [
            ("certificate = 'c'", "not tls.key"),
            ("key = 'k'", "not tls.certificate"),
        ] {
            let error = tls(text).expect_err("half of it");
            assert!(error.contains(missing), "{error}");
        }
    }

    #[test]
    fn proxies_are_addresses_and_networks() {
        let from = |text: &str| tls(&format!("client_certificate_header_from = ['{text}']"));
        for (text, inside, outside) in [
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("::1", "::1", "::2"),
            ("fd00::/8", "fd12::1", "fe80::1"),
        ] {
            let proxies = from(text).expect(text).proxies;
            let holds = |address: &str| {
                let address: IpAddr = address.parse().expect("an address");
                proxies[0].contains(&address)
            };
            assert!(holds(inside) && !holds(outside), "{text}");
        }
        for (text, reason) in [
            ("10.0.0.1/8", "is '10.0.0.0/8' meant?"),
            ("10.0.0.0/33", "neither an address nor a network"),
            ("proxy.example", "neither an address nor a network"),
            ("", "neither an address nor a network"),
        ] {
            let error = from(text).expect_err(text);
            assert!(error.contains(reason), "{error}");
        }
    }
}
