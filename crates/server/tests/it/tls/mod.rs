//! The server over TLS, with the certificate of an authority that the tests make.

mod client_certificates;
mod connection;
mod listener;

use rustls::version::{TLS12, TLS13};

use crate::authority::{Authority, Identity};
use crate::installation::Installation;
use connection::Client;

/// The files of [`secure`] as settings.
const SETTINGS: &str = "[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n";

/// An installation with a certificate, and the authority that issued it.
fn secure(settings: &str) -> (Installation, Authority) {
    let installation = Installation::new(&format!("{settings}{SETTINGS}"));
    let authority = Authority::new("Servers");
    authority
        .issue("127.0.0.1")
        .write(installation.directory(), "server");
    (installation, authority)
}

impl<'a> Client<'a> {
    /// The four ways to speak to the server.
    fn ways(trusts: &'a Authority, shows: Option<&'a Identity>) -> [Self; 4] {
        let all = [
            (&TLS13, "h2"),
            (&TLS13, "http/1.1"),
            (&TLS12, "h2"),
            (&TLS12, "http/1.1"),
        ];
        all.map(|(tls, http)| Self {
            trusts,
            shows,
            tls,
            http,
        })
    }

    fn new(trusts: &'a Authority, shows: Option<&'a Identity>) -> Self {
        let [first, ..] = Self::ways(trusts, shows);
        first
    }
}
