//! Usage events taken in through `POST /v1/organization/usage/events`; an answer means that they are durable.

use std::ops::Range;
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use serde_json::Value;

use super::bench::Bench;
use super::events::Population;
use super::figures::{median, milliseconds, percentile, table, whole};
use super::http::Client;
use super::server::{ADMIN_KEY, Server};
use crate::step::say;

/// How many send at the same time.
pub const CONNECTIONS: usize = 4;
/// How many events one request brings.
const BATCHES: [usize; 2] = [1_000, 10_000];
/// How often the same is sent to a server that is too busy.
const MOST_REPEATED: u64 = 20;

/// What came of one round.
struct Sample {
    /// Events in a second.
    rate: f64,
    /// The server's CPU time for each event, in microseconds.
    cpu: f64,
    sent: Sent,
}

/// Measures each size of batch in turn, round after round, into one growing ledger.
pub fn measure(bench: &Bench) -> Result<String> {
    let server = Server::start(bench, "ingest", None, None)?;
    let share = bench.events / 10;
    let total = share * BATCHES.len() * usize::try_from(bench.rounds)?;
    let population = Population::settle(&server, total)?;
    let mut samples: [Vec<Sample>; BATCHES.len()] = Default::default();
    let mut next = 0;
    for round in 1..=bench.rounds {
        say(&format!("ingest: round {round} of {}", bench.rounds));
        for (samples, batch) in samples.iter_mut().zip(BATCHES) {
            samples.push(round_of(&server, &population, next..next + share, batch)?);
            next += share;
        }
    }
    let row = |(samples, batch): (&Vec<Sample>, usize)| {
        let of = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure));
        let latency = |percent| {
            let all = samples
                .iter()
                .flat_map(|sample| sample.sent.latencies.iter().copied());
            milliseconds(percentile(all, percent))
        };
        vec![
            whole(batch as f64),
            whole(of(|sample| sample.rate)),
            format!("{:.1}", of(|sample| sample.cpu)),
            latency(50.0),
            latency(99.0),
            samples
                .iter()
                .map(|sample| sample.sent.repeated)
                .sum::<u64>()
                .to_string(),
        ]
    };
    let rows: Vec<_> = samples.iter().zip(BATCHES).map(row).collect();
    let head = [
        "events in a request",
        "events/s",
        "CPU µs/event",
        "request p50 ms",
        "p99 ms",
        "answers 503",
    ];
    Ok(format!(
        "### Ingest\n\n{CONNECTIONS} connections, NDJSON, {} events a round, every answer durable; both share the \
         machine's cores.\n\n{}",
        whole(share as f64),
        table(&head, &rows)
    ))
}

fn round_of(
    server: &Server,
    population: &Population,
    numbers: Range<usize>,
    batch: usize,
) -> Result<Sample> {
    let count = numbers.len() as f64;
    let bodies = bodies(population, numbers, batch);
    let cpu = server.process.cpu()?;
    let begun = Instant::now();
    let sent = send(&server.address, &bodies)?;
    let elapsed = begun.elapsed().as_secs_f64();
    Ok(Sample {
        rate: count / elapsed,
        cpu: (server.process.cpu()? - cpu) as f64 / count,
        sent,
    })
}

/// Writes events in large batches; how many seconds that took.
pub fn fill(server: &Server, population: &Population) -> Result<f64> {
    /// So many are made up at once, and not while the time runs.
    const AT_ONCE: usize = 200_000;
    let mut seconds = 0.0;
    for first in (0..population.total).step_by(AT_ONCE) {
        let last = population.total.min(first + AT_ONCE);
        let bodies = bodies(population, first..last, 10_000);
        let begun = Instant::now();
        send(&server.address, &bodies)?;
        seconds += begun.elapsed().as_secs_f64();
        say(&format!("{last} of {} events", population.total));
    }
    Ok(seconds)
}

/// The bodies of requests with at most `batch` events each, and how many each has.
fn bodies(population: &Population, numbers: Range<usize>, batch: usize) -> Vec<(String, usize)> {
    let starts = numbers.clone().step_by(batch);
    let body = |start: usize| {
        let part = start..numbers.end.min(start + batch);
        (population.lines(part.clone()), part.len())
    };
    starts.map(body).collect()
}

/// What sending came to.
#[derive(Default)]
struct Sent {
    /// What each request took until its events were durable, in microseconds.
    latencies: Vec<f64>,
    /// How often the server said 503, and was sent the same again.
    repeated: u64,
}

/// Sends them all, each connection the next one that is left.
fn send(address: &str, bodies: &[(String, usize)]) -> Result<Sent> {
    thread::scope(|scope| {
        let start = |offset| {
            let mine = bodies.iter().skip(offset).step_by(CONNECTIONS);
            scope.spawn(move || deliver(address, mine))
        };
        let senders: Vec<_> = (0..CONNECTIONS).map(start).collect();
        let mut all = Sent::default();
        for sender in senders {
            let sent = sender.join().map_err(|_| anyhow!("a sender panicked"))??;
            all.latencies.extend(sent.latencies);
            all.repeated += sent.repeated;
        }
        Ok(all)
    })
}

/// Sends these over one connection. A server that is too busy says so; what it has written nevertheless it knows again.
fn deliver<'a>(address: &str, bodies: impl Iterator<Item = &'a (String, usize)>) -> Result<Sent> {
    const PATH: &str = "/v1/organization/usage/events";
    let mut client = Client::connect(address, ADMIN_KEY)?;
    let mut sent = Sent::default();
    for (body, count) in bodies {
        let begun = Instant::now();
        let mut tries = 0;
        let answer = loop {
            let (status, answer) = client.send(PATH, "application/x-ndjson", body.as_bytes())?;
            match status {
                200 => break answer,
                503 if tries < MOST_REPEATED => tries += 1,
                _ => bail!("{status}: {}", String::from_utf8_lossy(&answer)),
            }
        };
        sent.latencies.push(begun.elapsed().as_secs_f64() * 1e6);
        sent.repeated += tries;
        let answer: Value = serde_json::from_slice(&answer)?;
        let number = |name: &str| answer[name].as_u64().unwrap_or(0);
        let (new, known) = (number("accepted"), number("duplicates"));
        if new + known != *count as u64 || (known > 0 && tries == 0) {
            bail!("of {count} new events were taken in: {answer}");
        }
    }
    Ok(sent)
}
