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

/// What came of one round.
struct Sample {
    /// Events in a second.
    rate: f64,
    /// The server's CPU time for each event, in microseconds.
    cpu: f64,
    /// What each request took, in microseconds.
    latencies: Vec<f64>,
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
                .flat_map(|sample| sample.latencies.iter().copied());
            milliseconds(percentile(all, percent))
        };
        vec![
            whole(batch as f64),
            whole(of(|sample| sample.rate)),
            format!("{:.1}", of(|sample| sample.cpu)),
            latency(50.0),
            latency(99.0),
        ]
    };
    let rows: Vec<_> = samples.iter().zip(BATCHES).map(row).collect();
    let head = [
        "events in a request",
        "events/s",
        "CPU µs/event",
        "request p50 ms",
        "p99 ms",
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
    let latencies = send(&server.address, &bodies)?;
    let elapsed = begun.elapsed().as_secs_f64();
    Ok(Sample {
        rate: count / elapsed,
        cpu: (server.process.cpu()? - cpu) as f64 / count,
        latencies,
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

/// Sends them all, each connection the next one that is left; what each took, in microseconds.
fn send(address: &str, bodies: &[(String, usize)]) -> Result<Vec<f64>> {
    let sender = |offset: usize| -> Result<Vec<f64>> {
        let mut client = Client::connect(address, ADMIN_KEY)?;
        let mut latencies = Vec::new();
        for (body, count) in bodies.iter().skip(offset).step_by(CONNECTIONS) {
            let begun = Instant::now();
            let path = "/v1/organization/usage/events";
            let answer = client.post(path, "application/x-ndjson", body.as_bytes())?;
            latencies.push(begun.elapsed().as_secs_f64() * 1e6);
            let answer: Value = serde_json::from_slice(&answer)?;
            if answer["accepted"].as_u64() != Some(*count as u64) {
                bail!("of {count} new events were taken in: {answer}");
            }
        }
        Ok(latencies)
    };
    thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|offset| scope.spawn(move || sender(offset)))
            .collect();
        let mut latencies = Vec::new();
        for sender in senders {
            let sent = sender.join().map_err(|_| anyhow!("a sender panicked"))?;
            latencies.extend(sent?);
        }
        Ok(latencies)
    })
}
