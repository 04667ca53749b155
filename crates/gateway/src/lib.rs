//! The OpenAI-compatible gateway: checks, forwards and meters every request.
//!
//! A request to a model waits for no database: keys and settings are in a snapshot in memory, and usage goes to the ledger's
//! writer through a place in its queue that is reserved before the request is forwarded. Only requests that name objects of
//! upstreams, such as files, query the database.

mod abortable_body;
mod answer;
mod answer_settlement;
mod auth;
mod background_work;
mod budget;
mod caller;
mod certificate;
#[cfg(test)]
mod chunking_tests;
mod container_session;
mod dialect;
mod document;
mod drain;
mod endpoint;
mod flow;
mod forward;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gateway;
#[cfg(test)]
mod generated_docs;
mod headers;
mod in_flight;
mod limits;
mod lost_request;
mod message_models;
mod messages_api;
mod metered_answer;
mod metrics;
mod models;
mod object_kind;
mod objects;
mod offload;
#[cfg(test)]
mod operations_tests;
mod options;
mod percent;
mod permission_rules;
mod pipeline;
mod policy;
mod query;
mod rate_limits;
mod relayed_body;
mod request_body;
mod request_events;
mod request_observer;
mod response_body;
mod socket;
mod sse;
mod state_recording;
mod tokens;
mod upstreams;
mod watchdog;

pub use abortable_body::BrokenOff;
pub use budget::UnpricedModels;
pub use certificate::PeerCertificates;
pub use flow::{DEFAULT_BODY_MEMORY_BYTES, FlowLimits, ObjectLimits};
pub use gateway::{Gateway, GatewayTask};
pub use limits::{LimitWindows, RateLimitCounters, WindowUsage};
pub use object_kind::ObjectKind;
pub use objects::{ObjectOwner, ObjectRepository, UpstreamObject};
pub use options::{Durability, GatewayOptions, StartError};
pub use proxy::{
    ApiFormat, CaCertificates, FileStamp, KeyHeader, StreamUsage, UpstreamBilling, UpstreamConfig,
    UpstreamConfigError, UpstreamKey, UpstreamStatus,
};
pub use request_body::MAX_REQUEST_BYTES;
pub use response_body::Body;
pub use socket::UpgradeSlot;
