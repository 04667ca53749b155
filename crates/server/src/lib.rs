//! The composition root: what is configured, put together, served and stopped.

mod activity;
mod addresses;
mod app;
mod client_address;
pub mod commands;
pub mod config;
mod connection;
mod cors;
pub mod demo;
mod descriptors;
mod first_start;
mod front;
mod leftover;
mod log;
mod metrics;
mod opening;
mod patience;
mod readiness;
mod reload;
mod routes;
mod secret_file;
mod serve;
mod sign_ins;
mod stop;
mod streams;
mod text_file;
mod tls;
mod write_timeout;

pub use app::{App, AppOptions};
pub use cors::Cors;
pub use first_start::{FirstStart, first_start};
pub use front::Front;
pub use reload::Reload;
pub use serve::{Server, Stopped};
pub use stop::Stop;
pub use tls::{Tls, TlsFiles};
