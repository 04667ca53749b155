//! An organization with many series: users with a key each, who each use one model.

use anyhow::Result;

use super::bench::Bench;
use super::events::{Population, Sizes};
use super::figures::{milliseconds, percentile, table, whole};
use super::goal::{Goal, Section};
use super::history::{
    prices_of,
    questions::{self, Question},
};
use super::sending::{CONNECTION_COUNT, Sent, send};
use super::server::Server;
use crate::step::{instant, say};

/// Number of projects.
const PROJECT_COUNT: usize = 50;
/// Number of days that the events lie in.
const DAY_COUNT: u64 = 31;
/// Number of events of one request.
const BATCH_LEN: u64 = 10_000;
/// Number of times that a report is read after the first one.
const READ_COUNT: usize = 20;
/// Goal of the time of the first report after a start, in microseconds.
const MAX_FIRST: f64 = 1e6;

/// Figures of one report.
struct Asked {
    name: &'static str,
    results: usize,
    /// Microseconds of the first report after a start.
    first: f64,
    /// Microseconds of the next ones.
    next: Vec<f64>,
    /// The server's resident memory after all of them, in MB.
    memory: f64,
}

/// Takes in two events of each series, and reads each report after a start.
pub fn measure(bench: &Bench) -> Result<Section> {
    let count = bench.series;
    say(&format!("{} series", whole(count as f64)));
    let server = Server::start(bench, "series", None, &prices_of(DAY_COUNT)?)?;
    let sizes = Sizes {
        projects: PROJECT_COUNT,
        users_per_project: count as usize / PROJECT_COUNT,
        keys_per_user: 1,
    };
    let series = sizes.keys() as u64;
    let population = Population::settle(&server, sizes, DAY_COUNT, 2 * series)?.in_turn();
    let deliver = |numbers| send(&[&server.address], &population, numbers, BATCH_LEN);
    let new = deliver(0..series)?;
    let of_new = server.process.peak_memory()?;
    let known = deliver(series..2 * series)?;
    let mut totals = new.totals;
    totals += known.totals;
    let writing = [(&new, of_new), (&known, server.process.peak_memory()?)];
    let (mut server, mut asked) = (server, Vec::new());
    for question in questions::all(&population) {
        server = server.restart(bench, None)?;
        asked.push(ask(&server, &question)?);
    }
    questions::check(&mut server.admin()?, &population, &totals)?;
    server.remove(bench)?;
    let goals = asked.iter().map(|asked| {
        let what = format!(
            "{} series: {}: first report after a start, ms",
            whole(series as f64),
            asked.name
        );
        Goal::at_most(what, MAX_FIRST, asked.first, milliseconds)
    });
    Ok(Section {
        text: described(bench, series, &writing, &asked),
        goals: goals.collect(),
        ..Section::default()
    })
}

fn ask(server: &Server, question: &Question) -> Result<Asked> {
    let mut client = server.admin()?;
    let first = questions::first(&mut client, question)?;
    let mut next = Vec::with_capacity(READ_COUNT);
    for _ in 0..READ_COUNT {
        let begun = instant();
        client.get(&question.path)?;
        next.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(Asked {
        name: question.name,
        results: first.results,
        first: first.first,
        next,
        memory: server.process.memory()?,
    })
}

fn described(bench: &Bench, series: u64, writing: &[(&Sent, f64); 2], asked: &[Asked]) -> String {
    let names = ["first event of each series", "second event of each series"];
    let rows = names.iter().zip(writing).map(|(name, (sent, memory))| {
        vec![
            (*name).to_owned(),
            whole(sent.rate()),
            milliseconds(sent.latency(50.0)),
            milliseconds(sent.latency(99.0)),
            sent.refused.to_string(),
            whole(*memory),
        ]
    });
    let head = [
        "",
        "events/s",
        "request p50 ms",
        "p99 ms",
        "answers 503",
        "most MB so far",
    ];
    let taken_in = table(&head, &rows.collect::<Vec<_>>());
    let rows = asked.iter().map(|asked| {
        let at = |percent| milliseconds(percentile(asked.next.iter().copied(), percent));
        vec![
            asked.name.to_owned(),
            whole(asked.results as f64),
            milliseconds(asked.first),
            at(50.0),
            at(95.0),
            whole(asked.memory),
        ]
    });
    let head = [
        "question",
        "results",
        "first ms",
        "p50 ms",
        "p95 ms",
        "MB afterwards",
    ];
    let reports = table(&head, &rows.collect::<Vec<_>>());
    format!(
        "### Many series\n\n{} users in {PROJECT_COUNT} projects, each with a key and a model of its own: as many series of usage, \
         and up to three times as many of costs. {DAY_COUNT} days, {CONNECTION_COUNT} connections, requests of {}, every answer durable: \
         {}.\n\n{taken_in}\nEach question first after a start of its own, then {READ_COUNT} times.\n\n{reports}",
        whole(series as f64),
        whole(BATCH_LEN as f64),
        bench.engine.describe(),
    )
}
