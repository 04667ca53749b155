//! WebSocket connections (RFC 6455), on both sides: messages of bounded length, whose bytes are charged to a budget as they
//! come. Extensions and subprotocols are not negotiated.

mod charged_stream;
mod handshake;
mod socket;
#[cfg(test)]
mod tests;

pub use handshake::{accept_key, asks_for_upgrade, is_accepted, is_handshake_key, new_key};
pub use socket::{Incoming, ReceiveError, SendError, WebSocket};
