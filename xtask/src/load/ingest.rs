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

/// Goal of the number of events that are taken in within a second.
const MIN_RATE: f64 = 50_000.0;

/// Figures of the rounds of each size of request.
type Samples = [Vec<IngestSample>; BATCHES.len()];

/// Figures of one round.
struct IngestSample {
    /// The servers' CPU time for each event, in microseconds.
    cpu: f64,
    /// The CPU time of the database system for each event, in microseconds.
    database_cpu: f64,
    sent: Sent,
}

/// Measures each size of batch in turn, round after round, into one growing ledger. On PostgreSQL the same number of
/// events is written again by two servers at once.
pub fn measure(bench: &Bench) -> Result<Section> {
    let server = Server::start(bench, "ingest", None, "")?;
    let writers = if bench.engine.is_sqlite() { 1 } else { 2 };
    let total = SHARE_COUNT * BATCHES.len() as u64 * bench.rounds * writers;
    let population = Population::settle(&server, USUAL, DAY_COUNT, total)?;
    let (one, end) = rounds(bench, &[&server], &population, 0)?;
    let rate = |samples: &Samples| median(samples[1].iter().map(|sample| sample.sent.rate()));
    let mut goals = vec![Goal::at_least(
        "ingest: events/s in requests of 10,000",
        MIN_RATE,
        rate(&one),
        whole,
    )];
    let mut rows: Vec<_> = one.iter().zip(BATCHES).map(|of| row("", of)).collect();
    if writers > 1 {
        let other = server.join(bench, None)?;
        let (two, _) = rounds(bench, &[&server, &other], &population, end)?;
        let what = "ingest by two servers: events/s in requests of 10,000";
        goals.push(Goal::at_least(what, MIN_RATE, rate(&two), whole));
        let of_two = two.iter().zip(BATCHES);
        rows.extend(of_two.map(|of| row(", two servers", of)));
        other.process.stop()?;
    }
    let head = [
        "events in a request",
        "events/s",
        "CPU µs/event",
        "database's",
        "request p50 ms",
        "p99 ms",
        "answers 503",
    ];
    let text = format!(
        "### Ingest\n\n{CONNECTION_COUNT} connections, NDJSON, {} events a round, every answer durable: {}. All share the \
         machine's cores.\n\n{}",
        whole(SHARE_COUNT as f64),
        bench.engine.describe(),
        table(&head, &rows)
    );
    server.remove(bench)?;
    Ok(Section {
        text,
        goals,
        ..Section::default()
    })
}

/// Measures all rounds with these servers from the event `next` on. Returns also the number of the next event.
fn rounds(
    bench: &Bench,
    servers: &[&Server],
    population: &Population,
    mut next: u64,
) -> Result<(Samples, u64)> {
    let mut samples = Samples::default();
    for round in 1..=bench.rounds {
        say(&format!("ingest: round {round} of {}", bench.rounds));
        for (samples, batch) in samples.iter_mut().zip(BATCHES) {
            let numbers = next..next + SHARE_COUNT;
            samples.push(round_of(bench, servers, population, numbers, batch)?);
            next += SHARE_COUNT;
        }
    }
    Ok((samples, next))
}

fn row(suffix: &str, (samples, batch): (&Vec<IngestSample>, u64)) -> Vec<String> {
    let of = |figure: fn(&IngestSample) -> f64| median(samples.iter().map(figure));
    let latencies = samples.iter().flat_map(|sample| &sample.sent.latencies);
    let latency = |percent| milliseconds(percentile(latencies.clone().copied(), percent));
    let refused: u64 = samples.iter().map(|sample| sample.sent.refused).sum();
    vec![
        whole(batch as f64) + suffix,
        whole(of(|sample| sample.sent.rate())),
        format!("{:.1}", of(|sample| sample.cpu)),
        format!("{:.1}", of(|sample| sample.database_cpu)),
        latency(50.0),
        latency(99.0),
        refused.to_string(),
    ]
}

fn round_of(
    bench: &Bench,
    servers: &[&Server],
    population: &Population,
    numbers: Range<u64>,
    batch: u64,
) -> Result<IngestSample> {
    let addresses: Vec<&str> = servers.iter().map(|server| &*server.address).collect();
    let of_servers = || -> Result<u64> { servers.iter().map(|server| server.process.cpu()).sum() };
    let (cpu, database) = (of_servers()?, bench.engine.cpu()?);
    let sent = send(&addresses, population, numbers, batch)?;
    let events = sent.totals.events as f64;
    Ok(IngestSample {
        cpu: (of_servers()? - cpu) as f64 / events,
        database_cpu: (bench.engine.cpu()? - database) as f64 / events,
        sent,
    })
}
