//! A collector of traces: takes OTLP over HTTP, and decodes it with OpenTelemetry's own types.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::routing::post;
use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use tokio::net::TcpListener;

/// A span as it was received.
#[derive(Clone, Debug)]
pub struct Span {
    pub name: String,
    pub trace_id: String,
    pub span_id: String,
    pub parent_span_id: String,
    /// 2 is a server's.
    pub kind: i32,
    /// 2 is an error.
    pub status: i32,
    pub nanoseconds: u64,
    pub attributes: BTreeMap<String, String>,
    /// Name of the sender.
    pub resource: BTreeMap<String, String>,
}

pub struct Collector {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Bytes>>>,
}

impl Collector {
    /// Answers with this status, once it has taken everything.
    pub async fn start(status: StatusCode) -> Self {
        let received: Arc<Mutex<Vec<Bytes>>> = Arc::default();
        let keep = Arc::clone(&received);
        let take = move |request: Request| async move {
            let kind = request.headers()["content-type"].clone();
            assert_eq!(kind, "application/x-protobuf");
            let body = to_bytes(request.into_body(), 64 * 1024 * 1024).await;
            keep.lock().expect("a lock").push(body.expect("a body"));
            status
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, received }
    }

    /// As the configuration file has it.
    pub fn setting(&self) -> String {
        let address = self.address;
        format!("[telemetry]\notlp_endpoint = \"http://{address}\"\n")
    }

    /// Everything that was received, as it came.
    pub fn bytes(&self) -> Vec<u8> {
        self.received.lock().expect("a lock").concat()
    }

    /// Every span that was received.
    pub fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().expect("a lock");
        let mut spans = Vec::new();
        for body in received.iter() {
            let export = ExportTraceServiceRequest::decode(body.clone()).expect("protobuf");
            for of_resource in export.resource_spans {
                let resource = of_resource.resource.expect("a resource");
                let resource = texts(&resource.attributes);
                let found = of_resource.scope_spans.into_iter().flat_map(|it| it.spans);
                spans.extend(found.map(|span| Span {
                    name: span.name,
                    trace_id: hex(&span.trace_id),
                    span_id: hex(&span.span_id),
                    parent_span_id: hex(&span.parent_span_id),
                    kind: span.kind,
                    status: span.status.map_or(0, |status| status.code),
                    nanoseconds: span.end_time_unix_nano - span.start_time_unix_nano,
                    attributes: texts(&span.attributes),
                    resource: resource.clone(),
                }));
            }
        }
        spans
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| {
        let value = attribute.value.as_ref()?.value.as_ref()?;
        let value = match value {
            Value::StringValue(text) => text.clone(),
            Value::IntValue(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        Some((attribute.key.clone(), value))
    };
    attributes.iter().filter_map(text).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
