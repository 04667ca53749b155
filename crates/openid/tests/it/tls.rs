//! TLS to a provider: the configured authorities are trusted, others are not.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::Listener;
use base::{Clock, Entropy};
use egress::Proxies;
use openid::{HttpClient, Provider, Reason};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::fake_provider::FakeProvider;
use crate::relying_party::{NOW, callback_of, request, settings};

/// Listener that speaks TLS.
struct TlsListener(TcpListener, TlsAcceptor);

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.0.accept().await.expect("a connection");
            // A client that does not trust the certificate gives up here.
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

#[tokio::test]
async fn provider_with_a_private_authority_is_trusted_by_its_file() {
    let clock = Clock::fake(NOW);
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let certificate = certificate.expect("a certificate");
    let pem = certificate.cert.pem();
    let key = PrivateKeyDer::Pkcs8(certificate.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .expect("a certificate");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let issuer = format!("https://localhost:{port}");
    let listener = TlsListener(listener, TlsAcceptor::from(Arc::new(config)));
    let fake = FakeProvider::start_on(listener, issuer.clone(), clock.clone());

    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let other = other.expect("a certificate").cert.pem();
    for (trusted, is_accepted) in [(&other, false), (&pem, true)] {
        let http = HttpClient::new(Some(trusted.as_bytes()), Proxies::new(|_| None));
        let http = Arc::new(http.expect("a certificate"));
        let entropy = Entropy::operating_system();
        let provider = Provider::new(settings(&issuer), http, clock.clone(), entropy);
        let provider = provider.unwrap_or_else(|error| panic!("{error}"));
        match provider.begin(request()).await {
            Ok(begun) => {
                assert!(is_accepted);
                let callback = callback_of(&fake.authorize(&begun.address));
                let finished = provider.finish(&begun.pending, &callback).await;
                finished.expect("a sign-in over TLS");
            }
            Err(error) => {
                assert!(!is_accepted, "{error}");
                assert_eq!(error.reason(), Reason::ProviderUnavailable);
            }
        }
    }
}

#[test]
fn file_without_certificates_is_refused() {
    for pem in [
        &b""[..],
        b"x",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert!(HttpClient::new(Some(pem), Proxies::new(|_| None)).is_err());
    }
}
