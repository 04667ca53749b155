//! Usage events taken in through `POST /v1/organization/usage/events`, in requests of different sizes.

use std::ops::Range;

use anyhow::Result;

use super::bench::Bench;
use super::events::{Population, USUAL};
use super::figures::{median, milliseconds, percentile, table, whole};
use super::goal::{Goal, Section};
use super::sending::{CONNECTION_COUNT, Sent, send};
use super::server::Server;
use crate::step::say;

/// Numbers of events of one request.
const BATCHES: [u64; 2] = [1_000, 10_000];
/// Number of events that each round writes with each size of request.
const SHARE_COUNT: u64 = 100_000;
/// Number of days that the events lie in.
const DAY_COUNT: u64 = 31;

/// Figures of one round.
struct IngestSample {
    /// The server's CPU time for each event, in microseconds.
    cpu: f64,
    sent: Sent,
}

/// Measures each size of batch in turn, round after round, into one growing ledger.
pub fn measure(bench: &Bench) -> Result<Section> {
    let server = Server::start(bench, "ingest", None, "")?;
    let total = SHARE_COUNT * BATCHES.len() as u64 * bench.rounds;
    let population = Population::settle(&server, USUAL, DAY_COUNT, total)?;
    let mut samples: [Vec<IngestSample>; BATCHES.len()] = Default::default();
    let mut next = 0;
    for round in 1..=bench.rounds {
        say(&format!("ingest: round {round} of {}", bench.rounds));
        for (samples, batch) in samples.iter_mut().zip(BATCHES) {
            samples.push(round_of(
                &server,
                &population,
                next..next + SHARE_COUNT,
                batch,
            )?);
            next += SHARE_COUNT;
        }
    }
    let rate = median(samples[1].iter().map(|sample| sample.sent.rate()));
    let goals = vec![Goal::at_least(
        "ingest: events/s in requests of 10,000",
        50_000.0,
        rate,
        whole,
    )];
    let rows: Vec<_> = samples.iter().zip(BATCHES).map(row).collect();
    let head = [
        "events in a request",
        "events/s",
        "CPU µs/event",
        "request p50 ms",
        "p99 ms",
        "answers 503",
    ];
    let text = format!(
        "### Ingest\n\n{CONNECTION_COUNT} connections, NDJSON, {} events a round, every answer durable; both share the \
         machine's cores.\n\n{}",
        whole(SHARE_COUNT as f64),
        table(&head, &rows)
    );
    Ok(Section { text, goals })
}

fn row((samples, batch): (&Vec<IngestSample>, u64)) -> Vec<String> {
    let of = |figure: fn(&IngestSample) -> f64| median(samples.iter().map(figure));
    let latencies = samples.iter().flat_map(|sample| &sample.sent.latencies);
    let latency = |percent| milliseconds(percentile(latencies.clone().copied(), percent));
    let refused: u64 = samples.iter().map(|sample| sample.sent.refused).sum();
    vec![
        whole(batch as f64),
        whole(of(|sample| sample.sent.rate())),
        format!("{:.1}", of(|sample| sample.cpu)),
        latency(50.0),
        latency(99.0),
        refused.to_string(),
    ]
}

fn round_of(
    server: &Server,
    population: &Population,
    numbers: Range<u64>,
    batch: u64,
) -> Result<IngestSample> {
    let before = server.process.cpu()?;
    let sent = send(&server.address, population, numbers, batch)?;
    let cpu = (server.process.cpu()? - before) as f64 / sent.totals.events as f64;
    Ok(IngestSample { cpu, sent })
}
