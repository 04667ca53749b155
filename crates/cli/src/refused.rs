//! A response that is no success, and its message to the user.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::Reply;

/// A request that the server refused.
#[derive(Debug)]
pub struct Refused {
    /// The method and the address of the request.
    requested: String,
    /// The status, as a number.
    pub status: u16,
    reason: &'static str,
    request_id: Option<String>,
    /// The error object as the server sent it, without its envelope.
    pub error: Option<Box<RawValue>>,
    /// The parsed error object.
    details: ErrorDetails,
}

#[derive(Deserialize)]
struct ErrorEnvelope {
    error: Box<RawValue>,
}

/// The parsed fields of an error object.
#[derive(Debug, Default, Deserialize)]
struct ErrorDetails {
    message: Option<String>,
    param: Option<String>,
}

/// Returns the reply if it is a success.
///
/// # Errors
/// Any other reply is a [`Refused`].
pub fn accepted(reply: Reply) -> anyhow::Result<Reply> {
    if reply.status.is_success() {
        return Ok(reply);
    }
    let envelope: Option<ErrorEnvelope> = serde_json::from_slice(&reply.body).ok();
    let error = envelope.map(|envelope| envelope.error);
    let details = error
        .as_ref()
        .and_then(|error| serde_json::from_str(error.get()).ok());
    let id = reply
        .headers
        .get("x-request-id")
        .and_then(|id| id.to_str().ok());
    let (method, url) = &reply.requested;
    let refused = Refused {
        requested: format!("{method} \"{url}\""),
        status: reply.status.as_u16(),
        reason: reply.status.canonical_reason().unwrap_or_default(),
        request_id: id.map(str::to_owned),
        error,
        details: details.unwrap_or_default(),
    };
    Err(refused.into())
}

impl Refused {
    /// Returns the field that the server objects to.
    pub fn param(&self) -> Option<&str> {
        self.details.param.as_deref()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {} {}",
            self.requested, self.status, self.reason
        )?;
        if let Some(message) = &self.details.message {
            write!(formatter, "\n{message}")?;
        }
        if let Some(id) = &self.request_id {
            write!(formatter, "\nRequest id: {id}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}
