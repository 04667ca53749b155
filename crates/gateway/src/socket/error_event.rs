//! Errors as events, in the shape in which OpenAI's service reports them over WebSocket.

use base::Error;
use base::ids::{Id, RequestId};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::limits::RateLimitStatus;

/// An error that a client gets as an event.
pub(crate) struct ErrorEvent<'a> {
    pub(crate) error: &'a Error,
    /// The request that has failed; `None` if the error concerns the connection.
    pub(crate) request: Option<&'a RequestId>,
    /// The lane of the response.
    pub(crate) stream_id: Option<&'a str>,
    pub(crate) rate_limit_status: RateLimitStatus,
}

impl<'a> ErrorEvent<'a> {
    /// Returns the event of an error that concerns the connection.
    pub(crate) fn of_connection(error: &'a Error) -> Self {
        Self {
            error,
            request: None,
            stream_id: None,
            rate_limit_status: RateLimitStatus::default(),
        }
    }

    /// Returns the text of the event. The headers that the error has over HTTP are in it twice, since some clients read them
    /// beside the error and others within.
    pub(crate) fn text(&self) -> Bytes {
        let headers = Value::Object(self.headers());
        let mut event = self.error.envelope();
        event["error"]["headers"] = headers.clone();
        event["headers"] = headers;
        event["type"] = json!("error");
        event["status"] = json!(self.error.status.as_u16());
        if let Some(id) = self.request {
            event["request_id"] = json!(id.as_str());
        }
        if let Some(stream_id) = self.stream_id {
            event["stream_id"] = json!(stream_id);
        }
        event.to_string().into()
    }

    fn headers(&self) -> Map<String, Value> {
        let mut headers = HeaderMap::new();
        self.rate_limit_status.write_headers(&mut headers);
        if let Some(seconds) = self.error.retry_after {
            headers.insert(http::header::RETRY_AFTER, seconds.into());
        }
        let pairs = headers.iter().filter_map(|(name, value)| {
            let value = value.to_str().ok()?;
            Some((name.as_str().to_owned(), json!(value)))
        });
        let id = self
            .request
            .map(|id| ("x-request-id".to_owned(), json!(id.as_str())));
        pairs.chain(id).collect()
    }
}
