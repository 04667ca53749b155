//! The events of a response that come one in a message, read for the usage that they report.

use serde::Deserialize;
use usage::Outcome;

use super::document_reader::{DocumentReader, EventReader};
use crate::dialect::{Dialect, UsageAccumulator};
use crate::document::{JsonPath, StoredIdScanner};
use crate::sse::EventHandler;

/// A reader of events that come one in a message.
pub(crate) struct MessageReader {
    dialect: &'static Dialect,
    accumulator: UsageAccumulator,
    documents: DocumentReader,
    /// Scanner of the ids of stored objects; `None` if the response is not stored.
    stored_ids: Option<Box<StoredIdScanner>>,
    /// True once an event has ended the response by an error.
    has_error_event: bool,
    /// The id of the response, once an event has named it.
    response_id: Option<String>,
}

/// The members of an event that tell responses apart.
#[derive(Deserialize)]
struct EventHead {
    #[serde(rename = "type")]
    event_type: Option<String>,
    response: Option<ResponseHead>,
}

#[derive(Deserialize)]
struct ResponseHead {
    id: Option<String>,
}

impl MessageReader {
    /// Returns a reader of which nothing has come.
    pub(crate) fn new(dialect: &'static Dialect) -> Self {
        Self {
            dialect,
            accumulator: UsageAccumulator::default(),
            documents: DocumentReader::new(JsonPath::Root),
            stored_ids: None,
            has_error_event: false,
            response_id: None,
        }
    }

    /// Finds the ids of stored objects in the events, of which none has come yet.
    pub(crate) fn find_ids(&mut self, scanner: StoredIdScanner) {
        self.stored_ids = Some(Box::new(scanner));
    }

    /// Returns the ids that have been found so far, if they are searched for.
    pub(crate) fn stored_ids(&self) -> Option<&StoredIdScanner> {
        self.stored_ids.as_deref()
    }

    /// Reads an event.
    pub(crate) fn read(&mut self, event: &[u8]) {
        let mut reader = EventReader {
            dialect: self.dialect,
            accumulator: &mut self.accumulator,
            documents: &mut self.documents,
            stored_ids: self.stored_ids.as_deref_mut(),
        };
        reader.data(event);
        reader.end();
        let may_end = self.accumulator.error.is_some() && !self.accumulator.is_done;
        if (may_end || self.response_id.is_none())
            && let Ok(head) = serde_json::from_slice::<EventHead>(event)
        {
            let event_type = head.event_type.unwrap_or_default();
            self.has_error_event |= matches!(event_type.as_str(), "error" | "response.error");
            let id = head.response.and_then(|response| response.id);
            self.response_id = self.response_id.take().or(id);
        }
    }

    /// Returns the id of the response, once an event has named it.
    pub(crate) fn response_id(&self) -> Option<&str> {
        self.response_id.as_deref()
    }

    /// True if the last event of the response has come.
    pub(crate) fn is_complete(&self) -> bool {
        self.accumulator.is_done || self.has_error_event
    }

    /// Returns the outcome and the usage. `outcome` is how the transfer ended; a response that reports an error is a failure.
    pub(crate) fn settle(&mut self, outcome: Outcome) -> (Outcome, UsageAccumulator) {
        let accumulator = std::mem::take(&mut self.accumulator);
        let is_failed = accumulator.error.is_some();
        let outcome = match outcome {
            Outcome::Succeeded | Outcome::ClientGone if is_failed => Outcome::UpstreamFailed,
            outcome => outcome,
        };
        (outcome, accumulator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::RESPONSES;

    fn reader(events: &[&str]) -> MessageReader {
        let mut reader = MessageReader::new(&RESPONSES);
        for event in events {
            assert!(!reader.is_complete(), "{event}");
            reader.read(event.as_bytes());
        }
        reader
    }

    const CREATED: &str =
        r#"{"type":"response.created","response":{"id":"resp_1","status":"in_progress"}}"#;

    #[test]
    fn response_ends_with_its_last_event_or_an_error() {
        let running = reader(&[
            CREATED,
            r#"{"type":"response.output_text.delta","delta":"x"}"#,
        ]);
        assert_eq!(
            (running.is_complete(), running.response_id()),
            (false, Some("resp_1"))
        );
        for (last, outcome) in [
            (
                r#"{"type":"response.completed","response":{"id":"resp_1","status":"completed","usage":{"input_tokens":1,"output_tokens":2}}}"#,
                Outcome::Succeeded,
            ),
            (
                r#"{"type":"response.incomplete","response":{"id":"resp_1","status":"incomplete"}}"#,
                Outcome::Succeeded,
            ),
            (
                r#"{"type":"response.failed","response":{"id":"resp_1","status":"failed","error":{"code":"server_error"}}}"#,
                Outcome::UpstreamFailed,
            ),
            (
                r#"{"type":"error","status":400,"error":{"type":"invalid_request_error","code":"previous_response_not_found"}}"#,
                Outcome::UpstreamFailed,
            ),
            (
                r#"{"type":"error","code":null,"message":"no"}"#,
                Outcome::UpstreamFailed,
            ),
        ] {
            let mut reader = reader(&[CREATED, last]);
            assert!(reader.is_complete(), "{last}");
            assert_eq!(reader.settle(Outcome::Succeeded).0, outcome, "{last}");
        }
    }

    #[test]
    fn malformed_event_ends_nothing() {
        for event in [
            "",
            "x",
            "[]",
            r#"{"type":"response.completed","response":{"#,
            r#"{"type":"error""#,
        ] {
            assert!(!reader(&[event]).is_complete(), "{event}");
        }
    }
}
