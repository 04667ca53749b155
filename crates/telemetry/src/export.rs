//! The exporter of spans: OTLP over HTTP, with the HTTP client and the TLS of the rest of the program.

use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use rustls::{ClientConfig, RootCertStore};

use crate::StartError;

/// The time in which the collector must answer.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns an exporter to the collector at `endpoint`, or at the one that the environment names.
pub(crate) fn exporter(
    endpoint: Option<&str>,
    resource: &Resource,
) -> Result<SpanExporter, StartError> {
    let client = HyperClient::new(connector()?, EXPORT_TIMEOUT, None);
    let mut builder = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_timeout(EXPORT_TIMEOUT)
        .with_protocol(Protocol::HttpBinary);
    if let Some(endpoint) = endpoint {
        let base = endpoint.trim_end_matches('/');
        builder = builder.with_endpoint(format!("{base}/v1/traces"));
    }
    let mut exporter = builder.build()?;
    exporter.set_resource(resource);
    Ok(exporter)
}

fn connector() -> Result<HttpsConnector<HttpConnector>, StartError> {
    let tls = |error: &dyn std::fmt::Display| StartError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(&error))?;
    // Without certificates a collector can still be reached over plain HTTP.
    let config = match config.clone().with_native_roots() {
        Ok(config) => config,
        Err(_) => config.with_root_certificates(RootCertStore::empty()),
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(EXPORT_TIMEOUT));
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(config.with_no_client_auth())
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp))
}
