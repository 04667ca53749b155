//! TLS connections to PostgreSQL, by rustls.

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ring::digest;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as Encrypted;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::address::{SslMode, TlsSettings};
use super::verifier::Verifier;
use crate::{Error, Result};

/// The ALPN protocol that PostgreSQL 17 requires for direct TLS.
const PROTOCOL: &[u8] = b"postgresql";

/// A factory of TLS connections; of none where the URL disables TLS.
#[derive(Clone)]
pub(super) struct Tls(Option<TlsConnector>);

impl Tls {
    /// Reads the files in `settings`.
    pub(super) fn new(settings: &TlsSettings) -> Result<Self> {
        if settings.mode == SslMode::Disable {
            return Ok(Self(None));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new(settings, provider.signature_verification_algorithms)?;
        let failed = |error: rustls::Error| Error::Tls(error.to_string());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &settings.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
                .map_err(|error| {
                    Error::Tls(format!(
                        "the certificate {} cannot be used with the key {}: {error}",
                        certificate.display(),
                        key.display()
                    ))
                })?,
        };
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self(Some(TlsConnector::from(Arc::new(config)))))
    }
}

/// Reads all certificates of a PEM file, which must have at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable = |error: &dyn std::fmt::Display| {
        let file = path.display();
        Error::Tls(format!(
            "the certificates in {file} cannot be read: {error}"
        ))
    };
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| unreadable(&error))?
        .collect();
    let read = read.map_err(|error| unreadable(&error))?;
    if read.is_empty() {
        return Err(unreadable(&"there is none in PEM"));
    }
    Ok(read)
}

/// Reads the private key of a PEM file, which must be readable by its owner only; by its group too if root owns it.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    use std::os::unix::fs::MetadataExt;
    let file = path.display();
    let unreadable = |error: &dyn std::fmt::Display| {
        Error::Tls(format!("the private key {file} cannot be read: {error}"))
    };
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    let others = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.permissions().mode() & others != 0 {
        return Err(unreadable(
            &"its mode lets others read it; it must be 0600 or stricter",
        ));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable(&error))
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Stream;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> io::Result<Handshake> {
        Ok(Handshake {
            connector: self.0.clone(),
            domain: domain.to_owned(),
        })
    }
}

/// A TLS handshake. The driver creates one for plain connections too, so the host name is parsed only when it starts.
pub(super) struct Handshake {
    connector: Option<TlsConnector>,
    domain: String,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let connector = self.connector.ok_or(io::ErrorKind::Unsupported)?;
            let name = ServerName::try_from(self.domain).map_err(io::Error::other)?;
            let stream = connector.connect(name, socket).await?;
            Ok(Stream(Box::new(stream)))
        })
    }
}

/// An encrypted connection.
pub(super) struct Stream(Box<Encrypted<Socket>>);

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        certificate
            .and_then(end_point)
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// Returns the `tls-server-end-point` channel binding of RFC 5929; `None` if it is undefined for the signature algorithm.
fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let algorithm = match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        // RSA with MD5, SHA-1 and SHA-256, ECDSA with SHA-1 and SHA-256. RFC 5929 replaces MD5 and SHA-1 by SHA-256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => &digest::SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &digest::SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
