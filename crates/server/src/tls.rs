//! TLS of the listener: reloads its certificate when the files change, and accepts any client certificate.
//!
//! Whether a client certificate is acceptable depends on the API key of each request. The handshake only proves that
//! the client holds the private key; the gateway checks the chain.

mod files;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use gateway::PeerCertificates;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use tasks::{Task, TaskHandle};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use files::Stamp;
pub use files::TlsFiles;

use crate::reload::Reload;
use crate::write_timeout::WriteTimeout;

/// Maximum duration of a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval between two checks of the files.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// TLS configuration of a listener.
pub struct Tls {
    acceptor: TlsAcceptor,
    resolver: Arc<CertificateResolver>,
    files: TlsFiles,
    stamp: Stamp,
    provider: Arc<CryptoProvider>,
    reloads: watch::Receiver<()>,
}

/// Result of a handshake.
pub(crate) enum Handshake {
    /// Established, with the certificates that the client presented.
    Secure(Box<TlsStream<WriteTimeout<TcpStream>>>, PeerCertificates),
    /// Plain HTTP: the first byte is that of a method.
    Plain(TcpStream),
    /// Failed or timed out.
    Broken(io::Error),
}

impl Tls {
    /// Loads the certificate and key from files.
    ///
    /// # Errors
    /// A file is unreadable or malformed; the message names the file.
    pub fn load(files: TlsFiles) -> anyhow::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let stamp = files.stamp();
        let resolver = Arc::new(CertificateResolver(ArcSwap::from_pointee(
            files.load(&provider)?,
        )));
        let any = AnyCertificate(provider.signature_verification_algorithms);
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(any))
            .with_cert_resolver(Arc::clone(&resolver) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            resolver,
            files,
            stamp,
            provider,
            reloads: Reload::default().subscribe(),
        })
    }

    /// Also reloads the files whenever `reload` is requested.
    #[must_use]
    pub fn reloaded_by(self, reload: &Reload) -> Self {
        let reloads = reload.subscribe();
        Self { reloads, ..self }
    }

    /// Performs the handshake within `HANDSHAKE_TIMEOUT`.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Handshake {
        let accepted = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.shake_hands(stream));
        let accepted = accepted.await.map_err(|_| io::ErrorKind::TimedOut.into());
        accepted.flatten().unwrap_or_else(Handshake::Broken)
    }

    async fn shake_hands(&self, stream: TcpStream) -> io::Result<Handshake> {
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first[0].is_ascii_uppercase() {
            return Ok(Handshake::Plain(stream));
        }
        let stream = self.acceptor.accept(WriteTimeout::new(stream)).await?;
        let (_, connection) = stream.get_ref();
        let chain = connection.peer_certificates().unwrap_or_default();
        let certificates = PeerCertificates::of_handshake(chain);
        Ok(Handshake::Secure(Box::new(stream), certificates))
    }

    /// Starts the task that reloads the certificate when its files change or a reload is requested, until the handle
    /// is dropped.
    pub(crate) fn follow(&self) -> TaskHandle {
        tasks::start("certificate", |_| CertificateReloadTask {
            resolver: Arc::clone(&self.resolver),
            files: self.files.clone(),
            provider: Arc::clone(&self.provider),
            seen: self.stamp,
            // A reload requested since the files were loaded is not missed.
            reloads: self.reloads.clone(),
        })
    }
}

/// Task that reloads the certificate of the server.
struct CertificateReloadTask {
    resolver: Arc<CertificateResolver>,
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    seen: Stamp,
    reloads: watch::Receiver<()>,
}

impl Task for CertificateReloadTask {
    async fn run(&mut self) {
        loop {
            let is_asked = tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => false,
                Ok(()) = self.reloads.changed() => true,
            };
            let (files, provider) = (self.files.clone(), Arc::clone(&self.provider));
            let seen = self.seen;
            let look = move || {
                let stamp = files.stamp();
                (is_asked || stamp != seen).then(|| (stamp, files.load(&provider)))
            };
            let Ok(Some((stamp, loaded))) = tokio::task::spawn_blocking(look).await else {
                continue;
            };
            self.seen = stamp;
            match loaded {
                Ok(loaded) => {
                    self.resolver.0.store(Arc::new(loaded));
                    tracing::info!("server certificate reloaded");
                }
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "server certificate unusable; the previous certificate stays in use"
                ),
            }
        }
    }
}

/// Current certificate and key of the server.
#[derive(Debug)]
struct CertificateResolver(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Verifier that requests a client certificate and accepts none, or any whose private key the client holds.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
