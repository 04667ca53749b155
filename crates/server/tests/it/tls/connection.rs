//! TLS connection that carries one request after another.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::Method;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::authority::{Authority, Identity};

/// TLS settings of a client: protocols, trust and certificate.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    pub trusts: &'a Authority,
    pub shows: Option<&'a Identity>,
    pub tls: &'static SupportedProtocolVersion,
    /// As the handshake names it.
    pub http: &'static str,
}

pub struct Connection {
    requests: Requests,
    /// Certificate chain presented by the server.
    pub server: CertificateDer<'static>,
    /// True if the handshake resumed an earlier session.
    pub is_resumed: bool,
}

enum Requests {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Client<'_> {
    /// Opens a connection to the server at `https://…`.
    pub async fn connect(self, address: &str) -> Connection {
        let connected = self.try_connect(address).await;
        connected.expect("a connection")
    }

    pub async fn try_connect(self, address: &str) -> std::io::Result<Connection> {
        self.connect_again(address, &Arc::new(self.config())).await
    }

    /// Opens one with a configuration that remembers sessions.
    pub async fn connect_again(
        self,
        address: &str,
        config: &Arc<ClientConfig>,
    ) -> std::io::Result<Connection> {
        let address = address.strip_prefix("https://").expect("TLS");
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(name, stream).await?;
        let (_, tls) = stream.get_ref();
        assert_eq!(tls.protocol_version(), Some(self.tls.version));
        assert_eq!(tls.alpn_protocol(), Some(self.http.as_bytes()));
        let is_resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
        let chain = tls.peer_certificates().expect("the server shows one");
        let server = chain[0].clone();
        let stream = TokioIo::new(stream);
        let requests = if self.http == "h2" {
            let connected = http2::handshake(TokioExecutor::new(), stream).await;
            let (requests, connection) = connected.map_err(std::io::Error::other)?;
            tokio::spawn(connection);
            Requests::Two(requests)
        } else {
            let connected = http1::handshake(stream).await;
            let (requests, connection) = connected.map_err(std::io::Error::other)?;
            tokio::spawn(connection);
            Requests::One(requests)
        };
        Ok(Connection {
            requests,
            server,
            is_resumed,
        })
    }

    pub fn config(self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let trusted = CertificateDer::from_pem_slice(self.trusts.pem().as_bytes());
        roots.add(trusted.expect("PEM")).expect("an authority");
        let builder = ClientConfig::builder_with_protocol_versions(&[self.tls]);
        let builder = builder.with_root_certificates(roots);
        let mut config = match self.shows {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes());
                let chain: Result<Vec<_>, _> = chain.collect();
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes());
                let config = builder.with_client_auth_cert(chain.expect("PEM"), key.expect("PEM"));
                config.expect("a key that belongs to its certificate")
            }
        };
        config.alpn_protocols = vec![self.http.into()];
        config
    }
}

impl Connection {
    /// Sends a request, and reads its answer, which is JSON.
    pub async fn call(
        &mut self,
        method: Method,
        path: &str,
        key: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = http::Request::builder()
            .method(method)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        let body = Full::new(Bytes::from(body));
        let response = match &mut self.requests {
            Requests::One(requests) => {
                let request = request.uri(path).header("host", "127.0.0.1").body(body);
                requests.ready().await.expect("an open connection");
                requests.send_request(request.expect("a request")).await
            }
            Requests::Two(requests) => {
                let request = request.uri(format!("https://127.0.0.1{path}")).body(body);
                requests.ready().await.expect("an open connection");
                requests.send_request(request.expect("a request")).await
            }
        };
        let (head, body) = response.expect("an answer").into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let body = serde_json::from_slice(&bytes).expect("JSON");
        (head.status.as_u16(), body)
    }

    /// Sends JSON, which must be accepted.
    pub async fn post(&mut self, path: &str, key: &str, body: &Value) -> Value {
        let (status, answer) = self.call(Method::POST, path, key, Some(body)).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }
}
