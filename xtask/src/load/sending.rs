//! Sends made-up events over several connections; an answer means that they are durable. Each connection makes its
//! next request as soon as the last one is answered, and the time that this takes counts.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use serde_json::Value;

use super::events::{Population, Totals};
use super::figures::percentile;
use super::http::Client;
use super::server::ADMIN_KEY;
use crate::step::{instant, say};

/// Number of connections that send at the same time.
pub const CONNECTION_COUNT: usize = 4;
/// Number of requests of which one is sent again later, when twice as many events are in.
pub const REQUESTS_PER_REPEAT: u64 = 100;
/// Path that events are sent to.
pub const PATH: &str = "/v1/organization/usage/events";
/// Maximum number of times that a request is sent to a server that is too busy.
const MAX_REFUSALS: u64 = 20;
/// Minimum number of requests of a part of the run.
const MIN_PART_LEN: usize = 10;

/// Figures of sending.
#[derive(Default)]
pub struct Sent {
    /// Duration of sending.
    pub seconds: f64,
    /// Microseconds of each request until its events were durable.
    pub latencies: Vec<f64>,
    /// Number of answers 429 or 503, after which the request was sent again.
    pub refused: u64,
    /// Number of events that were sent once more, and known.
    pub known: u64,
    /// Sums over the events that were new.
    pub totals: Totals,
    /// Answers to requests of new events: seconds since the start, and number of events.
    answered: Vec<(f64, u64)>,
}

impl Sent {
    /// Events in a second, over all the time.
    pub fn rate(&self) -> f64 {
        self.totals.events as f64 / self.seconds
    }

    /// Events in a second, for each hundredth of the way; of larger parts where there are too few requests for that.
    pub fn rates(&self) -> Vec<f64> {
        let parts = (self.answered.len() / MIN_PART_LEN).clamp(1, 100);
        let size = self.answered.len().div_ceil(parts).max(1);
        let mut since = 0.0;
        let rate = |part: &[(f64, u64)]| {
            let (until, _) = part[part.len() - 1];
            let events: u64 = part.iter().map(|(_, events)| events).sum();
            let elapsed = until - std::mem::replace(&mut since, until);
            events as f64 / elapsed
        };
        self.answered.chunks(size).map(rate).collect()
    }

    /// Returns the microseconds that `percent` of all requests did not exceed.
    pub fn latency(&self, percent: f64) -> f64 {
        percentile(self.latencies.iter().copied(), percent)
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.refused += other.refused;
        self.known += other.known;
        self.totals += other.totals;
        self.answered.extend(other.answered);
    }
}

/// Events to send, and the progress.
struct Sending<'a> {
    addresses: &'a [&'a str],
    population: &'a Population,
    numbers: Range<u64>,
    batch: u64,
    /// The number of the next request.
    next: AtomicU64,
    begun: Instant,
}

/// Sends these events, `batch` in a request, over connections to these servers in turn.
pub fn send(
    addresses: &[&str],
    population: &Population,
    numbers: Range<u64>,
    batch: u64,
) -> Result<Sent> {
    let sending = Sending {
        addresses,
        population,
        numbers,
        batch,
        next: AtomicU64::new(0),
        begun: instant(),
    };
    let mut all = Sent::default();
    thread::scope(|scope| {
        let sending = &sending;
        let address = |connection: usize| sending.addresses[connection % sending.addresses.len()];
        let start = |connection| scope.spawn(move || sending.deliver(address(connection)));
        let senders: Vec<_> = (0..CONNECTION_COUNT).map(start).collect();
        for sender in senders {
            all.add(sender.join().map_err(|_| anyhow!("a sender panicked"))??);
        }
        Ok::<_, anyhow::Error>(())
    })?;
    all.seconds = sending.begun.elapsed().as_secs_f64();
    all.answered.sort_by(|one, other| one.0.total_cmp(&other.0));
    Ok(all)
}

impl Sending<'_> {
    /// Sends over one connection until nothing is left, or one of them fails.
    fn deliver(&self, address: &str) -> Result<Sent> {
        let mut client = Client::connect(address, ADMIN_KEY)?;
        let (mut sent, mut body) = (Sent::default(), Vec::new());
        let requests = self.requests();
        loop {
            let request = self.next.fetch_add(1, Relaxed);
            if request >= requests {
                return Ok(sent);
            }
            let outcome = self.advance(request, &mut client, &mut body, &mut sent);
            if outcome.is_err() {
                self.next.store(requests, Relaxed);
                outcome?;
            }
            if requests >= 10 && (request + 1).is_multiple_of(requests / 10) {
                let share = (request + 1) * 100 / requests;
                let seconds = self.begun.elapsed().as_secs_f64();
                say(&format!("{share} % of the events after {seconds:.0} s"));
            }
        }
    }

    fn requests(&self) -> u64 {
        (self.numbers.end - self.numbers.start).div_ceil(self.batch)
    }

    /// Sends what was not sent before, and sometimes another request once more.
    fn advance(
        &self,
        request: u64,
        client: &mut Client,
        body: &mut Vec<u8>,
        sent: &mut Sent,
    ) -> Result<()> {
        let totals = self.make(request, body);
        let begun = instant();
        let (known, refused) = post(client, body, totals.events)?;
        sent.latencies.push(begun.elapsed().as_secs_f64() * 1e6);
        if known > 0 && refused == 0 {
            bail!("of {} new events {known} were known already", totals.events);
        }
        let after = self.begun.elapsed().as_secs_f64();
        sent.answered.push((after, totals.events));
        sent.refused += refused;
        sent.totals += totals;
        if request % REQUESTS_PER_REPEAT == REQUESTS_PER_REPEAT - 1 {
            let again = self.make(request / 2, body).events;
            let (known, refused) = post(client, body, again)?;
            if known != again {
                bail!("of {again} events that were sent once more only {known} were known");
            }
            sent.refused += refused;
            sent.known += known;
        }
        Ok(())
    }

    /// Replaces the body by that of this request; what its events come to.
    fn make(&self, request: u64, body: &mut Vec<u8>) -> Totals {
        let first = self.numbers.start + request * self.batch;
        let mut totals = Totals::default();
        body.clear();
        for number in first..self.numbers.end.min(first + self.batch) {
            let event = self.population.event(number);
            self.population.write_json(&event, body);
            totals += &event;
        }
        totals
    }
}

/// Sends so many events in one request, again when the server says that it is too busy: what it has written
/// nevertheless it knows again. How many it knew, and how often it was too busy.
pub fn post(client: &mut Client, body: &[u8], count: u64) -> Result<(u64, u64)> {
    let mut refused = 0;
    let answer = loop {
        let (status, answer) = client.send(PATH, "application/x-ndjson", body)?;
        match status {
            200 => break answer,
            429 | 503 if refused < MAX_REFUSALS => refused += 1,
            _ => bail!("{status}: {}", String::from_utf8_lossy(&answer)),
        }
    };
    let answer: Value = serde_json::from_slice(&answer)?;
    let number = |name: &str| answer[name].as_u64().unwrap_or(0);
    let (new, known) = (number("accepted"), number("duplicates"));
    if new + known != count {
        bail!("of {count} events were taken in: {answer}");
    }
    Ok((known, refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_parts_of_the_way() {
        let answered = |count: usize, pace: f64| {
            let at = move |request: usize| ((request + 1) as f64 * pace, 1_000);
            (0..count).map(at).collect()
        };
        let of = |answered| Sent {
            answered,
            ..Sent::default()
        };
        assert_eq!(of(answered(5, 0.5)).rates(), [2_000.0]);
        assert_eq!(of(answered(20, 0.5)).rates(), [2_000.0; 2]);
        assert_eq!(of(answered(5_000, 0.5)).rates(), [2_000.0; 100]);
        let mut slower: Vec<_> = answered(10, 0.5);
        slower.extend((1..=10).map(|request| (5.0 + f64::from(request), 1_000)));
        assert_eq!(of(slower).rates(), [2_000.0, 1_000.0]);
        assert!(Sent::default().rates().is_empty());
    }
}
