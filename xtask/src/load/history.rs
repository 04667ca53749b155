//! A year of usage: how fast it is taken in, what it needs, how long reports of it take, and what ClickHouse makes of
//! the same questions about the same events. One ledger after the other, each larger than the one before.

pub mod clickhouse;
pub mod questions;
mod tables;

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::bench::Bench;
use super::events::{Population, USUAL, first_day};
use super::figures::whole;
use super::goal::Section;
use super::models::price_book;
use super::sending::{Sent, send};
use super::server::Server;
use crate::clients;
use crate::step::{instant, output, say};
use clickhouse::Peer;
use questions::{Answers, Question};

/// Number of days that the events lie in.
const DAY_COUNT: u64 = 365;
/// Number of events of one request.
const BATCH_LEN: u64 = 10_000;

/// Figures of one ledger.
struct Ledger {
    /// Number of events of the ledger.
    total: u64,
    /// Number of events in a row that are of one second, key and model.
    alike: u64,
    sent: Sent,
    /// The server's CPU time for each event, in microseconds.
    cpu: f64,
    /// The CPU time of the database system for each event, in microseconds.
    database_cpu: f64,
    /// Bytes on the disk for each event.
    bytes: f64,
    /// Seconds of a stop and a start after all events are written.
    restart: f64,
    memory: Memory,
    questions: [Question; 4],
    answers: Vec<Answers>,
    /// ClickHouse, beside SQLite only.
    peer: Option<Peer>,
}

/// The server's resident memory, in MB.
struct Memory {
    /// The most while events were written.
    writing: f64,
    /// After a start.
    idle: f64,
    /// Memory after all questions were answered.
    asked: f64,
}

/// Makes the ledgers and asks.
pub fn measure(bench: &Bench) -> Result<Section> {
    let python = match bench.engine.is_sqlite() {
        true => Some(clients::clickhouse(&bench.root)?),
        false => None,
    };
    let ledger = |total: &u64| fill_and_ask(bench, python.as_deref(), *total);
    let ledgers = bench.events.iter().map(ledger);
    Ok(tables::describe(&ledgers.collect::<Result<Vec<_>>>()?))
}

fn fill_and_ask(bench: &Bench, python: Option<&Path>, total: u64) -> Result<Ledger> {
    say(&format!("history: {} events", whole(total as f64)));
    let server = Server::start(bench, "history", None, &prices_of(DAY_COUNT)?)?;
    let alike = if bench.alike {
        total / bench.events[0]
    } else {
        1
    };
    let population = Population::settle(&server, USUAL, DAY_COUNT, total)?.alike(alike);
    let (before, database) = (server.process.cpu()?, bench.engine.cpu()?);
    let sent = send(&[&server.address], &population, 0..total, BATCH_LEN)?;
    let cpu = (server.process.cpu()? - before) as f64 / total as f64;
    let database_cpu = (bench.engine.cpu()? - database) as f64 / total as f64;
    let writing = server.process.peak_memory()?;
    let begun = instant();
    let server = server.restart(bench, None)?;
    let restart = begun.elapsed().as_secs_f64();
    let idle = server.process.memory()?;
    let bytes = server.bytes(bench)? as f64 / total as f64;
    let questions = questions::all(&population);
    let answers = questions::ask(&server, &population, &questions, &sent.totals)?;
    let asked = server.process.memory()?;
    server.remove(bench)?;
    let peer = match python {
        Some(python) => Some(clickhouse::measure(bench, python, &population, &questions)?),
        None => None,
    };
    let theirs = peer.iter().flat_map(|peer| &peer.answers);
    for ((question, ours), theirs) in questions.iter().zip(&answers).zip(theirs) {
        same(question, ours, theirs)?;
    }
    Ok(Ledger {
        total,
        alike,
        sent,
        cpu,
        database_cpu,
        bytes,
        restart,
        memory: Memory {
            writing,
            idle,
            asked,
        },
        questions,
        answers,
        peer,
    })
}

/// Returns a configuration with the prices of the models since the first of so many days.
pub fn prices_of(days: u64) -> Result<String> {
    let start = format!("@{}", first_day(days));
    let effective = output(Command::new("date").args(["-u", "+%F", "-d", &start]))?;
    Ok(price_book(effective.trim()))
}

/// Fails unless both have answered the same question.
fn same(question: &Question, ours: &Answers, theirs: &Answers) -> Result<()> {
    let of = |answers: &Answers| (answers.results, answers.totals);
    if of(ours) != of(theirs) {
        let (name, ours, theirs) = (question.name, of(ours), of(theirs));
        bail!("{name}: orgplane found {ours:?}, ClickHouse {theirs:?}");
    }
    Ok(())
}
