//! A long list of events, which is sent in parts: what one part has is durable before the next is sent.

use admin::operation::Effect;
use anyhow::Result;
use serde_json::Value as Json;

use crate::client::Client;
use crate::command::Command;
use crate::progress::Progress;
use crate::refused::accepted;
use crate::request::Request;

/// How many events one request has.
const PART: usize = 1_000;

/// The requests that `request` is divided into, if it is a list that is longer than one of them carries.
pub fn of(command: &Command, request: &Request) -> Option<Vec<Request>> {
    let events = request.body.as_ref().and_then(Json::as_array)?;
    if command.effect != Effect::Ingest || events.len() <= PART {
        return None;
    }
    let part = |events: &[Json]| Request {
        body: Some(Json::Array(events.to_vec())),
        ..request.clone()
    };
    Some(events.chunks(PART).map(part).collect())
}

/// The answers, each of which comes when it is asked for.
pub struct Sent<'client> {
    client: &'client Client,
    parts: std::vec::IntoIter<Request>,
    events: u64,
    sent: u64,
    progress: Progress,
}

impl<'client> Sent<'client> {
    /// Nothing is sent before the first answer is asked for.
    pub fn new(client: &'client Client, parts: Vec<Request>) -> Self {
        Self {
            client,
            events: parts.iter().map(events).sum(),
            parts: parts.into_iter(),
            sent: 0,
            progress: Progress::of("events sent"),
        }
    }
}

fn events(part: &Request) -> u64 {
    let events = part.body.as_ref().and_then(Json::as_array);
    events.map_or(0, |events| events.len() as u64)
}

impl Iterator for Sent<'_> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let part = self.parts.next()?;
        let answer = self.client.send(&part).and_then(accepted);
        self.sent += events(&part);
        self.progress.at(self.sent, Some(self.events));
        Some(answer.map(|reply| String::from_utf8_lossy(&reply.body).into_owned()))
    }
}
