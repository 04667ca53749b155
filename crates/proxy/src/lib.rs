//! Upstream HTTP: the model servers that requests are forwarded to.
//!
//! [`Upstreams`] holds one `Upstream` for each configured model server: its connection pool, its API key and its circuit
//! breaker. A request is sent along a plan, an ordered list of [`Target`]s: smooth weighted round robin, or affinity, over
//! upstreams with a closed circuit, then standbys, then upstreams with an open circuit. [`Upstreams::send`] fails over to the next target
//! until one answers, and only before the first byte of an answer is passed on. Background tasks send health checks to
//! upstreams with an open circuit and reload API keys and certificates.
//!
//! ```text
//! Upstreams ─ plan ─ affinity, round_robin, circuit_breaker
//!           ─ send ─ forward ─ upstream ─ client ─ pool ─ http1, http2 ─ connector
//!                            └ error_cause, in_band      └ body, request_body
//!           ─ start_tasks ─ health_check, reload ─ credentials ─ api_key
//! ```

mod affinity;
mod api_key;
mod body;
mod circuit_breaker;
mod client;
mod config;
mod connector;
mod credentials;
mod error_cause;
mod exhaustion;
mod file_stamp;
mod format;
mod forward;
mod headers;
mod health_check;
mod http1;
mod http2;
mod in_band;
mod pool;
mod redirect;
mod reload;
mod request_body;
mod response;
mod round_robin;
mod storage_upstream;
mod stream_options;
mod trust;
mod upstream;
mod upstreams;

pub use affinity::Affinity;
pub use api_key::UpstreamKey;
pub use body::ResponseBody;
pub use config::{
    CaCertificates, StreamUsage, UpstreamBilling, UpstreamConfig, UpstreamConfigError,
};
pub use error_cause::ErrorCause;
pub use file_stamp::FileStamp;
pub use format::{ApiFormat, KeyHeader};
pub use forward::ForwardError;
pub use health_check::UpstreamTasks;
pub use request_body::{RequestBody, RequestBroken};
pub use response::{ResponseDeadline, ResponseEnd, UpstreamResponse};
pub use upstream::ForwardRequest;
pub use upstreams::{Target, UpstreamStatus, Upstreams};
