//! Usage events of a month in any order, beside the same events in the order of their time.

use anyhow::Result;

use super::bench::Bench;
use super::events::{Population, USUAL};
use super::figures::{hundredths, table, whole};
use super::goal::{Goal, Section};
use super::history::{prices_of, questions};
use super::sending::{CONNECTION_COUNT, send};
use super::server::Server;
use crate::step::say;

/// Number of days that the events lie in.
const DAY_COUNT: u64 = 31;
/// Number of events of one request.
const BATCH_LEN: u64 = 10_000;
/// Goal of the speed of events in any order, as a share of that of ordered ones.
const MIN_RATIO: f64 = 0.4;

/// Figures of one ledger.
struct Filled {
    /// Events in a second.
    rate: f64,
    /// The server's CPU time for each event, in microseconds.
    cpu: f64,
    /// The CPU time of the database system for each event, in microseconds.
    database_cpu: f64,
    /// The bytes on the disk for each event.
    bytes: f64,
}

/// Fills a ledger of each size in both orders.
pub fn measure(bench: &Bench) -> Result<Section> {
    let (mut rows, mut goals) = (Vec::new(), Vec::new());
    for total in &bench.events {
        let ordered = fill(bench, *total, false)?;
        let any = fill(bench, *total, true)?;
        let ratio = any.rate / ordered.rate;
        let count = whole(*total as f64);
        let of = |order: &str, filled: &Filled, ratio: String| {
            vec![
                format!("{count}, {order}"),
                whole(filled.rate),
                ratio,
                format!("{:.1}", filled.cpu),
                format!("{:.1}", filled.database_cpu),
                format!("{:.1}", filled.bytes),
            ]
        };
        rows.push(of("ordered", &ordered, "1.00".to_owned()));
        rows.push(of("in any order", &any, hundredths(ratio)));
        let what = format!("{count} events in any order: events/s × ordered ones");
        goals.push(Goal::at_least(what, MIN_RATIO, ratio, hundredths));
    }
    let head = [
        "events",
        "events/s",
        "× ordered",
        "CPU µs/event",
        "database's",
        "bytes/event",
    ];
    let text = format!(
        "### Events in any order\n\n{DAY_COUNT} days up to the last midnight, {CONNECTION_COUNT} connections, requests of {}, every \
         answer durable: {}. In any order, each request has events of all days. The sums of all reports are compared with \
         what was sent.\n\n{}",
        whole(BATCH_LEN as f64),
        bench.engine.describe(),
        table(&head, &rows)
    );
    Ok(Section {
        text,
        goals,
        ..Section::default()
    })
}

fn fill(bench: &Bench, total: u64, is_any: bool) -> Result<Filled> {
    let order = if is_any { "any order" } else { "order" };
    say(&format!("{} events in {order}", whole(total as f64)));
    let server = Server::start(bench, "disorder", None, &prices_of(DAY_COUNT)?)?;
    let mut population = Population::settle(&server, USUAL, DAY_COUNT, total)?;
    if is_any {
        population = population.in_any_order();
    }
    let (cpu, database) = (server.process.cpu()?, bench.engine.cpu()?);
    let sent = send(&[&server.address], &population, 0..total, BATCH_LEN)?;
    let cpu = (server.process.cpu()? - cpu) as f64 / total as f64;
    let database_cpu = (bench.engine.cpu()? - database) as f64 / total as f64;
    questions::check(&mut server.admin()?, &population, &sent.totals)?;
    let server = server.restart(bench, None)?;
    let bytes = server.bytes(bench)? as f64 / total as f64;
    server.remove(bench)?;
    Ok(Filled {
        rate: sent.rate(),
        cpu,
        database_cpu,
        bytes,
    })
}
