//! The composition root: reads the configuration, assembles the program, serves it and shuts it down.

mod activity;
mod app;
mod authentication;
mod client_address;
pub mod commands;
pub mod config;
mod connection;
mod connection_limiter;
mod cors;
pub mod demo;
mod descriptors;
mod drain_body;
mod first_start;
mod http_service;
mod log;
mod metrics;
mod protocol_detect;
mod readiness;
mod reload;
mod routes;
mod secret_file;
mod serve;
mod shutdown;
mod stream_executor;
mod text_file;
mod tls;
mod write_timeout;

pub use app::{App, AppOptions};
pub use cors::Cors;
pub use first_start::{FirstStart, first_start};
pub use http_service::HttpService;
pub use reload::Reload;
pub use serve::{Server, ShutdownOutcome};
pub use shutdown::Shutdown;
pub use tls::{Tls, TlsFiles};
