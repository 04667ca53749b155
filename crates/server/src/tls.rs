//! TLS of the listener: it shows the certificate as it is in its files now, and takes any that a client shows.
//!
//! Whether a client's certificate is good depends on the key of each request, so the handshake only makes sure that the
//! client has what it shows; the gateway checks where it comes from.

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

/// How long a handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What handshakes are made with.
pub struct Tls {
    acceptor: TlsAcceptor,
    shown: Arc<Shown>,
    files: TlsFiles,
    stamp: Stamp,
    provider: Arc<CryptoProvider>,
    reloads: watch::Receiver<()>,
}

/// What has become of a connection.
pub(crate) enum Accepted {
    /// It is secured; with what the client has shown.
    Secure(Box<TlsStream<WriteTimeout<TcpStream>>>, PeerCertificates),
    /// It begins as a request in plain HTTP does, with a method.
    Plain(TcpStream),
    /// The handshake failed, or took too long.
    Broken(io::Error),
}

impl Tls {
    /// With the certificate and the key in these files.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn load(files: TlsFiles) -> anyhow::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let stamp = files.stamp();
        let shown = Arc::new(Shown(ArcSwap::from_pointee(files.load(&provider)?)));
        let any = AnyCertificate(provider.signature_verification_algorithms);
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(any))
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            shown,
            files,
            stamp,
            provider,
            reloads: Reload::default().subscribe(),
        })
    }

    /// Returns the same, whose files are also read again whenever `reload` is asked for.
    #[must_use]
    pub fn reloaded_by(self, reload: &Reload) -> Self {
        let reloads = reload.subscribe();
        Self { reloads, ..self }
    }

    /// Shakes hands.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Accepted {
        let accepted = tokio::time::timeout(HANDSHAKE_TIME, self.shake_hands(stream));
        let accepted = accepted.await.map_err(|_| io::ErrorKind::TimedOut.into());
        accepted.flatten().unwrap_or_else(Accepted::Broken)
    }

    async fn shake_hands(&self, stream: TcpStream) -> io::Result<Accepted> {
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first[0].is_ascii_uppercase() {
            return Ok(Accepted::Plain(stream));
        }
        let stream = self.acceptor.accept(WriteTimeout::new(stream)).await?;
        let (_, connection) = stream.get_ref();
        let chain = connection.peer_certificates().unwrap_or_default();
        let certificates = PeerCertificates::of_handshake(chain);
        Ok(Accepted::Secure(Box::new(stream), certificates))
    }

    /// Shows what is in the files whenever they change or a reload is asked for, until the handle is dropped.
    pub(crate) fn follow(&self) -> TaskHandle {
        tasks::start("certificate", |_| Following {
            shown: Arc::clone(&self.shown),
            files: self.files.clone(),
            provider: Arc::clone(&self.provider),
            seen: self.stamp,
            // What was asked for since the files were loaded is not missed.
            reloads: self.reloads.clone(),
        })
    }
}

/// The task that follows the files of the server's certificate.
struct Following {
    shown: Arc<Shown>,
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    seen: Stamp,
    reloads: watch::Receiver<()>,
}

impl Task for Following {
    async fn run(&mut self) {
        loop {
            let is_asked = tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => false,
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
                    self.shown.0.store(Arc::new(loaded));
                    tracing::info!("the server's certificate was read anew");
                }
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the server's certificate cannot be used; the one before is kept"
                ),
            }
        }
    }
}

/// The server's certificate with its key.
#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Asks clients for a certificate, and takes none and any whose key they have.
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
