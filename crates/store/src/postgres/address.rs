//! `postgres://` URLs: the part that the driver parses, and the parameters of TLS, which it does not know.

use std::net::IpAddr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode as DriverMode};

use crate::error::describe;
use crate::{Error, Result};

/// A parsed URL.
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: TlsSettings,
}

/// The TLS settings of a URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TlsSettings {
    pub(super) mode: SslMode,
    pub(super) roots: Option<Roots>,
    /// The files of the client's certificate and its key.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

/// The values of `sslmode`, as in libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SslMode {
    /// Plain text.
    Disable,
    /// TLS if the server supports it, without verification of its identity.
    Prefer,
    /// TLS; the server's certificate is verified only if root certificates are given.
    Require,
    /// TLS with a certificate that chains to one of the root certificates.
    VerifyCa,
    /// TLS with a certificate that chains to a root certificate and names the host.
    VerifyFull,
}

/// The values of `sslrootcert`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Roots {
    /// `system`: the authorities trusted by the operating system.
    System,
    File(PathBuf),
}

/// The TLS parameters, which are removed from the URL before the driver parses it.
#[derive(Default)]
struct TlsParameters {
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    sslcert: Option<String>,
    sslkey: Option<String>,
}

impl Address {
    /// Parses a URL.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let (url, parameters) = TlsParameters::take_from(url)?;
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            Error::Url(format!("is not understood: {}", describe(&error)))
        })?;
        let tls = parameters.settings(network_of(&config))?;
        config.ssl_mode(match tls.mode {
            SslMode::Disable => DriverMode::Disable,
            SslMode::Prefer => DriverMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => DriverMode::Require,
        });
        if config.get_hosts().is_empty() {
            // The driver uses TLS only with a host name. An address serves as one.
            for address in config.get_hostaddrs().to_vec() {
                config.host(address.to_string());
            }
        }
        Ok(Self { config, tls })
    }
}

/// The network between this process and the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    /// A Unix socket, which has no TLS.
    Socket,
    Loopback,
    Remote,
}

fn network_of(config: &Config) -> Network {
    let is_socket = |host: &Host| matches!(host, Host::Unix(_));
    let is_loopback = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let address = name
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback());
            address || name.eq_ignore_ascii_case("localhost")
        }
    };
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    if addresses.is_empty() && !hosts.is_empty() && hosts.iter().all(is_socket) {
        return Network::Socket;
    }
    let is_near = if addresses.is_empty() {
        hosts.iter().all(is_loopback)
    } else {
        addresses.iter().all(IpAddr::is_loopback)
    };
    if is_near {
        Network::Loopback
    } else {
        Network::Remote
    }
}

impl TlsParameters {
    /// Splits a URL into the URL for the driver and the parameters of TLS.
    fn take_from(url: &str) -> Result<(String, Self)> {
        let mut taken = Self::default();
        // A password may contain a question mark, as for the driver.
        let authority = url.find('@').unwrap_or(0);
        let Some(mark) = url[authority..].find('?').map(|mark| authority + mark) else {
            return Ok((url.to_owned(), taken));
        };
        let mut left = Vec::new();
        for parameter in url[mark + 1..].split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let slot = match name {
                "sslmode" => &mut taken.sslmode,
                "sslrootcert" => &mut taken.sslrootcert,
                "sslcert" => &mut taken.sslcert,
                "sslkey" => &mut taken.sslkey,
                _ => {
                    left.push(parameter);
                    continue;
                }
            };
            let value = percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| Error::Url(format!("has a {name} that is not UTF-8")))?;
            if value.is_empty() {
                return Err(Error::Url(format!("has a {name} without a value")));
            }
            *slot = Some(value.into_owned());
        }
        let mut url = url[..mark].to_owned();
        if !left.is_empty() {
            url.push('?');
            url.push_str(&left.join("&"));
        }
        Ok((url, taken))
    }

    fn settings(self, network: Network) -> Result<TlsSettings> {
        let refuse = |why: &str| Err(Error::Url(why.to_owned()));
        let roots = self.sslrootcert.map(|value| match value.as_str() {
            "system" => Roots::System,
            _ => Roots::File(value.into()),
        });
        let mode = match self.sslmode.as_deref() {
            _ if network == Network::Socket => SslMode::Disable,
            None if network == Network::Remote || roots.is_some() => SslMode::VerifyFull,
            None => SslMode::Prefer,
            Some("disable") => SslMode::Disable,
            Some("prefer") => SslMode::Prefer,
            Some("require") => SslMode::Require,
            Some("verify-ca") => SslMode::VerifyCa,
            Some("verify-full") => SslMode::VerifyFull,
            Some(_) => {
                return refuse(
                    "has an sslmode that is not known; write disable, prefer, require, verify-ca or verify-full",
                );
            }
        };
        if mode == SslMode::Prefer && network == Network::Remote {
            return refuse(
                "has sslmode=prefer, which sends everything in plain text to a server without TLS; beyond this machine write sslmode=verify-full (or verify-ca, or require), or accept plain text with sslmode=disable",
            );
        }
        let is_weak = matches!(mode, SslMode::Prefer | SslMode::Require | SslMode::VerifyCa);
        if is_weak && roots == Some(Roots::System) {
            return refuse(
                "has sslrootcert=system, for which anybody's host has a certificate; it must come with sslmode=verify-full",
            );
        }
        if mode == SslMode::VerifyCa && roots.is_none() {
            return refuse(
                "has sslmode=verify-ca without a file of root certificates; add sslrootcert=FILE, or write sslmode=verify-full",
            );
        }
        let identity = match (self.sslcert, self.sslkey) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            _ => return refuse("must have both sslcert and sslkey, or neither"),
        };
        Ok(TlsSettings {
            mode,
            roots,
            identity,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(url: &str) -> Result<TlsSettings, String> {
        let address = Address::parse(url).map_err(|error| error.to_string())?;
        Ok(address.tls)
    }

    #[test]
    fn s18_plain_text_to_a_remote_server_must_be_requested() {
        use SslMode::{Disable, Prefer, Require, VerifyCa, VerifyFull};
        for (rest, mode) in [
            ("db.example/d", Ok(VerifyFull)),
            ("10.0.0.5,127.0.0.1/d", Ok(VerifyFull)),
            ("localhost/d?hostaddr=10.0.0.5", Ok(VerifyFull)),
            ("db.example/d?hostaddr=127.0.0.1", Ok(Prefer)),
            ("127.0.0.1/d", Ok(Prefer)),
            ("localhost/d", Ok(Prefer)),
            ("[::1]/d", Ok(Prefer)),
            ("%2Frun%2Fpostgresql/d?sslmode=require", Ok(Disable)),
            ("localhost/d?sslrootcert=/ca.pem", Ok(VerifyFull)),
            ("db.example/d?sslmode=disable", Ok(Disable)),
            ("db.example/d?sslmode=require", Ok(Require)),
            ("db.example/d?sslmode=verify-full", Ok(VerifyFull)),
            (
                "db.example/d?sslmode=verify-ca&sslrootcert=/ca.pem",
                Ok(VerifyCa),
            ),
            ("db.example/d?sslmode=prefer", Err("sslmode=disable")),
            ("db.example/d?sslmode=allow", Err("verify-full")),
            ("db.example/d?sslmode=", Err("without a value")),
            ("db.example/d?sslmode=verify-ca", Err("sslrootcert=FILE")),
            (
                "db.example/d?sslmode=require&sslrootcert=system",
                Err("verify-full"),
            ),
            (
                "db.example/d?sslcert=/c.pem",
                Err("both sslcert and sslkey"),
            ),
            ("db.example/d?sslmdoe=require", Err("sslmdoe")),
        ] {
            for user in ["", "u:p?w@"] {
                let found = tls(&format!("postgres://{user}{rest}")).map(|tls| tls.mode);
                match (&found, mode) {
                    (Ok(found), Ok(mode)) => assert_eq!(*found, mode, "{user}{rest}"),
                    (Err(told), Err(word)) => assert!(told.contains(word), "{rest}: {told}"),
                    _ => panic!("{user}{rest}: {found:?}"),
                }
            }
        }
    }

    #[test]
    fn tls_files_may_have_any_name() {
        let url =
            "postgres://h/d?application_name=x&sslrootcert=%2Fa%20b%26c.pem&sslcert=c&sslkey=k";
        let tls = tls(url).expect("settings");
        assert_eq!(tls.roots, Some(Roots::File("/a b&c.pem".into())));
        assert_eq!(tls.identity, Some(("c".into(), "k".into())));
    }
}
