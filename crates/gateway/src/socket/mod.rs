//! WebSocket connections of clients at `/v1/responses`: the handshake, the client's side of a connection, and the relay of a
//! response's events. The session, which takes each message through the pipeline, is in `pipeline/socket_session.rs`.

mod answer;
mod client_socket;
mod error_event;
mod handshake;
mod relay;
mod response_ids;
mod upgrade_slot;

pub(crate) use answer::SocketAnswer;
pub(crate) use client_socket::{ClientSocket, SessionEnd};
pub(crate) use error_event::ErrorEvent;
pub(crate) use handshake::{accept, is_asked_for, refusal, take_connection};
pub(crate) use relay::{Relay, Relayed};
pub(crate) use response_ids::ResponseIds;
pub use upgrade_slot::UpgradeSlot;
