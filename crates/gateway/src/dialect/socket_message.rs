//! The messages that a client sends over WebSocket: a request for a response, in the members of `POST /v1/responses`.

use base::{Error, Result};
use bytes::Bytes;

use super::call::MIN_OFFLOAD_BYTES;
use super::responses::RESPONSES;
use super::{Call, Fields, JSON};
use crate::offload::offload;
use crate::request_body::json_text;

/// The longest name of a lane.
const MAX_STREAM_ID_BYTES: usize = 256;

/// A message of a client.
pub(crate) enum SocketMessage {
    /// `response.create`.
    Create {
        call: Box<Call>,
        /// The lane of the response, which its events name.
        stream_id: Option<String>,
    },
    /// `response.processed`: a client's word that it has read a response. Nothing answers it.
    Processed,
}

/// A message that is refused, and its lane, if that could be read.
pub(crate) struct RefusedMessage {
    pub(crate) error: Error,
    pub(crate) stream_id: Option<String>,
}

impl From<Error> for RefusedMessage {
    fn from(error: Error) -> Self {
        let stream_id = None;
        Self { error, stream_id }
    }
}

impl SocketMessage {
    /// Reads a message. A long one is parsed on another thread, so that it delays no other request.
    ///
    /// # Errors
    /// 400: the message is malformed, or of another type.
    #[expect(clippy::result_large_err, reason = "refused messages are rare")]
    pub(crate) async fn read(message: Bytes) -> Result<Self, RefusedMessage> {
        let message = json_text(&message);
        if message.len() < MIN_OFFLOAD_BYTES {
            return Self::parse(&message);
        }
        offload(move || Self::parse(&message)).await?
    }

    #[expect(clippy::result_large_err, reason = "refused messages are rare")]
    fn parse(message: &Bytes) -> Result<Self, RefusedMessage> {
        let fields = Fields::of_json(message, RESPONSES.fields)?;
        let stream_id = stream_id(&fields)?;
        Self::of_fields(fields, message, stream_id.clone())
            .map_err(|error| RefusedMessage { error, stream_id })
    }

    fn of_fields(fields: Fields<'_>, message: &Bytes, stream_id: Option<String>) -> Result<Self> {
        match fields.text("type")?.as_deref() {
            Some("response.create") => {}
            Some("response.processed") => return Ok(Self::Processed),
            Some(other) => {
                let shown = base::shown(other);
                let message = format!(
                    "Messages of the type '{shown}' are not taken here; response.create is."
                );
                return Err(Error::refused("unknown_message_type", message).about("type"));
            }
            None => {
                let message = "type is missing: it must be response.create.";
                return Err(Error::invalid("type", message));
            }
        }
        if fields.boolean("background")? {
            let message =
                "background must be false over WebSocket. Send POST /v1/responses instead.";
            return Err(Error::invalid("background", message));
        }
        let mut call = Box::new(Call::of_fields(&RESPONSES, fields, JSON, message)?);
        call.estimate.is_streamed = true;
        Ok(Self::Create { call, stream_id })
    }
}

/// Returns the lane of a message.
fn stream_id(fields: &Fields<'_>) -> Result<Option<String>> {
    let stream_id = fields.text("stream_id")?;
    if stream_id
        .as_ref()
        .is_some_and(|id| id.len() > MAX_STREAM_ID_BYTES)
    {
        let message = format!("stream_id must have at most {MAX_STREAM_ID_BYTES} bytes.");
        return Err(Error::invalid("stream_id", message));
    }
    Ok(stream_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::result_large_err, reason = "refused messages are rare")]
    fn read(message: &'static str) -> Result<SocketMessage, RefusedMessage> {
        SocketMessage::parse(&Bytes::from_static(message.as_bytes()))
    }

    #[test]
    fn only_response_create_is_a_request() {
        let create = r#"{"type":"response.create","model":"m","stream_id":"a","input":"x"}"#;
        let Ok(SocketMessage::Create { call, stream_id }) = read(create) else {
            panic!("a request");
        };
        assert_eq!(
            (call.model.as_str(), stream_id.as_deref()),
            ("m", Some("a"))
        );
        assert!(call.estimate.is_streamed);
        let processed = read(r#"{"type":"response.processed","response_id":"resp_1"}"#);
        assert!(matches!(processed, Ok(SocketMessage::Processed)));
        for (message, param) in [
            (r#"{"model":"m"}"#, Some("type")),
            (r#"{"type":null,"model":"m"}"#, Some("type")),
            (r#"{"type":1,"model":"m"}"#, Some("type")),
            (r#"{"type":"response.steer","model":"m"}"#, Some("type")),
            (r#"{"type":"response.create","input":"x"}"#, Some("model")),
            (
                r#"{"type":"response.create","model":"m","background":true}"#,
                Some("background"),
            ),
            (
                r#"{"type":"response.create","model":"m","stream_id":1}"#,
                Some("stream_id"),
            ),
            (
                r#"{"type":"response.create","type":"x","model":"m"}"#,
                Some("type"),
            ),
            ("[]", None),
            ("", None),
        ] {
            let error = read(message).err().expect(message).error;
            assert_eq!(
                (error.status.as_u16(), error.param.as_deref()),
                (400, param),
                "{message}"
            );
        }
    }

    #[test]
    fn a_refusal_names_the_lane() {
        let refused = read(r#"{"type":"response.steer","stream_id":"a"}"#);
        assert_eq!(
            refused.err().and_then(|it| it.stream_id).as_deref(),
            Some("a")
        );
    }
}
