//! Dialer: connects directly, to a forwarding proxy, or through a tunnel.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use crate::proxies::Proxy;
use crate::transport::Transport;

type BoxError = Box<dyn Error + Send + Sync>;
type ToProxy = HttpsConnector<HttpConnector>;

/// Error: the trusted authorities for a proxy cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("TLS to the proxy: {0}")]
pub struct TlsError(String);

/// Dialer. TLS to the destination is the job of a layer above. Clones share settings only.
#[derive(Clone)]
pub struct Dialer(Route);

#[derive(Clone)]
enum Route {
    Direct(HttpConnector),
    Proxied(Box<Proxied>),
}

#[derive(Clone)]
struct Proxied {
    /// Connector for destinations without TLS, whose requests the proxy forwards.
    forward: Option<(Uri, ToProxy)>,
    tunnel: AnyTunnel,
}

#[derive(Clone)]
enum AnyTunnel {
    Http(Tunnel<ToProxy>),
    Socks(SocksV5<ToProxy>),
}

impl Dialer {
    /// Creates a dialer that uses `tcp`, through `proxy` if given.
    ///
    /// # Errors
    /// The proxy uses TLS and the system's authorities cannot be read.
    pub fn new(mut tcp: HttpConnector, proxy: Option<&Proxy>) -> Result<Self, TlsError> {
        tcp.enforce_http(false);
        let Some(proxy) = proxy else {
            return Ok(Self(Route::Direct(tcp)));
        };
        let address = proxy.address().clone();
        let is_secure = address.scheme_str() == Some("https");
        let to_proxy = HttpsConnectorBuilder::new()
            .with_tls_config(tls(is_secure)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        // The connector takes no other scheme than these two; to it, a SOCKS proxy is a TCP address.
        let plain = || with_port(&with_scheme(&address, Scheme::HTTP), 1080);
        let proxied = if proxy.is_socks() {
            let socks = SocksV5::new(plain(), to_proxy).local_dns(proxy.needs_address());
            let socks = match proxy.user_and_password() {
                None => socks,
                Some((user, password)) => socks.with_auth(user.to_owned(), password.to_owned()),
            };
            Proxied {
                forward: None,
                tunnel: AnyTunnel::Socks(socks),
            }
        } else {
            let tunnel = Tunnel::new(address.clone(), to_proxy.clone());
            let tunnel = match proxy.authorization() {
                None => tunnel,
                Some(authorization) => tunnel.with_auth(authorization.clone()),
            };
            Proxied {
                forward: Some((address, to_proxy)),
                tunnel: AnyTunnel::Http(tunnel),
            }
        };
        Ok(Self(Route::Proxied(Box::new(proxied))))
    }

    async fn dial(self, destination: Uri) -> Result<Transport, BoxError> {
        let Proxied { forward, tunnel } = match self.0 {
            Route::Direct(mut tcp) => return Ok(Transport::from(tcp.call(destination).await?)),
            Route::Proxied(proxied) => *proxied,
        };
        let is_secure = destination.scheme() == Some(&Scheme::HTTPS);
        if let (Some((address, mut to_proxy)), false) = (forward, is_secure) {
            return Ok(Transport::to_proxy(to_proxy.call(address).await?));
        }
        let destination = with_port(&destination, if is_secure { 443 } else { 80 });
        let inner = match tunnel {
            AnyTunnel::Http(mut tunnel) => tunnel.call(destination).await?,
            AnyTunnel::Socks(mut socks) => socks.call(destination).await?,
        };
        Ok(Transport::to_destination(inner))
    }
}

impl Service<Uri> for Dialer {
    type Response = Transport;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Transport, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        Box::pin(self.clone().dial(destination))
    }
}

/// Loads the system's authorities for a proxy with TLS; takes some milliseconds.
fn tls(is_secure: bool) -> Result<ClientConfig, TlsError> {
    let failed = |error: &dyn std::fmt::Display| TlsError(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?;
    let builder = if is_secure {
        builder
            .with_native_roots()
            .map_err(|error| failed(&error))?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}

fn with_scheme(address: &Uri, scheme: Scheme) -> Uri {
    let mut parts = address.clone().into_parts();
    parts.scheme = Some(scheme);
    Uri::from_parts(parts).unwrap_or_else(|_| address.clone())
}

/// Adds the default port to an address without one.
fn with_port(address: &Uri, port: u16) -> Uri {
    let (Some(host), None) = (address.host(), address.port()) else {
        return address.clone();
    };
    let mut parts = address.clone().into_parts();
    parts.authority = Authority::try_from(format!("{host}:{port}")).ok();
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or_else(|_| address.clone())
}
