//! Batches of a long list of events: each is durable before the next is sent.

use std::vec::IntoIter;

use anyhow::Result;
use serde_json::Value as Json;

use crate::api::{ApiCommand, Credential};
use crate::client::Client;
use crate::progress::Progress;
use crate::refused::accepted;
use crate::request::Request;

/// The largest number of events in one request.
const MAX_BATCH_LEN: usize = 1_000;

/// Divides `request` if its body is a list of events that is too long for one request.
pub fn batches(command: &ApiCommand, request: &Request) -> Option<Vec<Request>> {
    let events = request.body.as_ref().and_then(Json::as_array)?;
    if command.operation.credential != Credential::AdminOrProjectKey
        || events.len() <= MAX_BATCH_LEN
    {
        return None;
    }
    let batch = |events: &[Json]| Request {
        body: Some(Json::Array(events.to_vec())),
        ..request.clone()
    };
    Some(events.chunks(MAX_BATCH_LEN).map(batch).collect())
}

/// An iterator that sends a batch for each response that is taken.
pub struct SentBatches<'client> {
    client: &'client Client,
    batches: IntoIter<Request>,
    total_events: u64,
    sent_events: u64,
    progress: Progress,
}

impl<'client> SentBatches<'client> {
    /// Creates the iterator; nothing is sent yet.
    pub fn new(client: &'client Client, batches: Vec<Request>) -> Self {
        Self {
            client,
            total_events: batches.iter().map(event_count).sum(),
            batches: batches.into_iter(),
            sent_events: 0,
            progress: Progress::new("events sent"),
        }
    }
}

impl Iterator for SentBatches<'_> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next()?;
        let reply = self.client.send(&batch).and_then(accepted);
        self.sent_events += event_count(&batch);
        self.progress
            .update(self.sent_events, Some(self.total_events));
        Some(reply.map(|reply| String::from_utf8_lossy(&reply.body).into_owned()))
    }
}

fn event_count(batch: &Request) -> u64 {
    let events = batch.body.as_ref().and_then(Json::as_array);
    events.map_or(0, |events| events.len() as u64)
}
