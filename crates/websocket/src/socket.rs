//! A WebSocket connection after its handshake.

use std::time::Duration;

use base::{BudgetPermit, Exhausted};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::charged_stream::{ChargedStream, FREE_BYTES};

/// The longest frame that is sent. Longer messages are sent in several, so that no copy of a whole message is made.
const MAX_FRAME_BYTES: usize = 256 * 1024;
/// The longest time that closing a connection takes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest reason of a close, in bytes.
const MAX_REASON_BYTES: usize = 123;
/// The most bytes that are discarded at once.
const DISCARD_BYTES: usize = FREE_BYTES as usize;

/// A WebSocket connection over a byte stream.
pub struct WebSocket<S>(WebSocketStream<ChargedStream<S>>);

/// Message or control frame of the peer.
#[derive(Debug)]
pub enum Incoming {
    /// A text message, which is UTF-8. Its charge to the budget ends when the last slice of the bytes is dropped.
    Text(Bytes),
    /// A binary message, whose content is dropped.
    Binary,
    /// A ping, which is answered, or a pong.
    Control,
}

/// Reason why nothing more comes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// The peer has closed the connection, with this code if it gave one, or the connection is lost.
    #[error("connection closed")]
    Closed(Option<u16>),
    /// A message is longer than the maximum.
    #[error("message too long")]
    TooLong,
    /// There is no memory left for a message.
    #[error("no memory left for a message")]
    NoMemory(Exhausted),
    /// The peer violates the protocol.
    #[error("invalid frame")]
    Invalid,
}

/// The connection is lost, or was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("connection closed")]
pub struct SendError;

/// A message with its memory permit, which is held until the last slice of the message is dropped.
struct ChargedMessage {
    text: Bytes,
    _memory: BudgetPermit,
}

impl AsRef<[u8]> for ChargedMessage {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Returns the server's side of a connection. Received bytes are charged to `memory`, an empty permit.
    pub async fn server(stream: S, memory: BudgetPermit, max_message_bytes: usize) -> Self {
        Self::new(stream, Vec::new(), Role::Server, memory, max_message_bytes).await
    }

    /// Returns the client's side of a connection, of which the bytes `received` have been read already. Further bytes are
    /// charged to `memory`, an empty permit.
    pub async fn client(
        stream: S,
        received: Vec<u8>,
        memory: BudgetPermit,
        max_message_bytes: usize,
    ) -> Self {
        Self::new(stream, received, Role::Client, memory, max_message_bytes).await
    }

    async fn new(
        stream: S,
        received: Vec<u8>,
        role: Role,
        memory: BudgetPermit,
        max_message_bytes: usize,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(FREE_BYTES as usize)
            // Every frame is written at once.
            .write_buffer_size(0)
            .max_message_size(Some(max_message_bytes))
            .max_frame_size(Some(max_message_bytes));
        let stream = ChargedStream::new(stream, memory);
        Self(WebSocketStream::from_partially_read(stream, received, role, Some(config)).await)
    }

    /// Waits for the next message or control frame. Cancel-safe.
    ///
    /// # Errors
    /// Nothing more will come. The connection can still be closed.
    pub async fn receive(&mut self) -> Result<Incoming, ReceiveError> {
        let message = match self.0.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(self.receive_error(&error)),
            None => return Err(ReceiveError::Closed(None)),
        };
        match message {
            Message::Text(text) => {
                let memory = self.0.get_mut().take_charge();
                Ok(Incoming::Text(charged(text.into(), memory)))
            }
            Message::Binary(_) => {
                drop(self.0.get_mut().take_charge());
                Ok(Incoming::Binary)
            }
            Message::Close(frame) => {
                let code = frame.map(|frame| frame.code.into());
                Err(ReceiveError::Closed(code))
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(Incoming::Control),
        }
    }

    /// Sends a text message, which must be UTF-8, and waits until the peer's machine or the operating system has taken the whole
    /// of it. A call that is cancelled has broken the connection, which can then only be closed.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn send_text(&mut self, text: Bytes) -> Result<(), SendError> {
        let (mut rest, mut opcode) = (text, OpCode::Data(Data::Text));
        loop {
            let part = rest.split_to(rest.len().min(MAX_FRAME_BYTES));
            let frame = Frame::message(part, opcode, rest.is_empty());
            self.0.send(Message::Frame(frame)).await.map_err(lost)?;
            if rest.is_empty() {
                return Ok(());
            }
            opcode = OpCode::Data(Data::Continue);
        }
    }

    /// Sends a ping. Cancel-safe.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn ping(&mut self) -> Result<(), SendError> {
        let ping = Message::Ping(Bytes::new());
        self.0.send(ping).await.map_err(lost)
    }

    /// Closes the connection with a code and a reason, of which at most 123 bytes are sent. Takes at most two seconds.
    pub async fn close(mut self, code: u16, reason: &str) {
        let mut end = reason.len().min(MAX_REASON_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: Utf8Bytes::from(&reason[..end]),
        };
        let closing = async {
            // An error means that the connection is lost already.
            let _ = self.0.close(Some(frame)).await;
            let stream = self.0.get_mut();
            let _ = stream.shutdown().await;
            discard(stream).await;
        };
        let _ = timeout(CLOSE_TIMEOUT, closing).await;
    }

    fn receive_error(&self, error: &Error) -> ReceiveError {
        if let Some(exhausted) = self.0.get_ref().exhausted() {
            return ReceiveError::NoMemory(exhausted);
        }
        match error {
            Error::Capacity(_) => ReceiveError::TooLong,
            Error::Protocol(_) | Error::Utf8(_) => ReceiveError::Invalid,
            _ => ReceiveError::Closed(None),
        }
    }
}

/// Returns the bytes of a message with their charge.
fn charged(text: Bytes, mut memory: BudgetPermit) -> Bytes {
    memory.shrink_to(text.len() as u64);
    if memory.amount() == 0 {
        return text;
    }
    let _memory = memory;
    Bytes::from_owner(ChargedMessage { text, _memory })
}

/// Reads to the end and drops what comes: a connection with unread bytes would be reset, and the peer might never see why.
async fn discard<S: AsyncRead + Unpin>(stream: &mut ChargedStream<S>) {
    let mut buffer = vec![0; DISCARD_BYTES];
    loop {
        // Nothing is kept, so nothing is charged.
        drop(stream.take_charge());
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 => {}
            _ => return,
        }
    }
}

fn lost(_: Error) -> SendError {
    SendError
}
