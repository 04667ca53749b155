//! An answer that is no success, and what it tells the user.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::Reply;

/// A request that the server refused.
#[derive(Debug)]
pub struct Refused {
    /// The method and the address.
    asked: String,
    /// The status, as a number.
    pub status: u16,
    reason: &'static str,
    request_id: Option<String>,
    /// The error object as it was sent, without its envelope.
    pub error: Option<Box<RawValue>>,
    /// What the error object says.
    said: Said,
}

#[derive(Deserialize)]
struct Envelope {
    error: Box<RawValue>,
}

/// What an error object says.
#[derive(Debug, Default, Deserialize)]
struct Said {
    message: Option<String>,
    param: Option<String>,
}

/// The reply, if it is a success; a [`Refused`] otherwise.
pub fn accepted(reply: Reply) -> anyhow::Result<Reply> {
    if reply.status.is_success() {
        return Ok(reply);
    }
    let envelope: Option<Envelope> = serde_json::from_slice(&reply.body).ok();
    let error = envelope.map(|envelope| envelope.error);
    let said = error
        .as_ref()
        .and_then(|error| serde_json::from_str(error.get()).ok());
    let id = reply
        .headers
        .get("x-request-id")
        .and_then(|id| id.to_str().ok());
    let (method, url) = &reply.asked;
    let refused = Refused {
        asked: format!("{method} \"{url}\""),
        status: reply.status.as_u16(),
        reason: reply.status.canonical_reason().unwrap_or_default(),
        request_id: id.map(str::to_owned),
        error,
        said: said.unwrap_or_default(),
    };
    Err(refused.into())
}

impl Refused {
    /// The field that the server objects to, when it names one.
    pub fn param(&self) -> Option<&str> {
        self.said.param.as_deref()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} {}", self.asked, self.status, self.reason)?;
        if let Some(message) = &self.said.message {
            write!(formatter, "\n{message}")?;
        }
        if let Some(id) = &self.request_id {
            write!(formatter, "\nRequest id: {id}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}
