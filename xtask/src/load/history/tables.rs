//! Tables of the figures of a year of usage.

use super::super::events::USUAL;
use super::super::figures::{hundredths, median, milliseconds, percentile, table, whole};
use super::super::goal::{Goal, Section};
use super::super::models::MODELS;
use super::super::sending::{CONNECTION_COUNT, REQUESTS_PER_REPEAT};
use super::clickhouse::Peer;
use super::questions::{Answers, REPETITION_COUNT, WARM_UP_COUNT};
use super::{BATCH_LEN, DAY_COUNT, Ledger};

/// Goal of the number of events that are taken in within a second.
const MIN_RATE: f64 = 50_000.0;
/// Ratio that a question about the largest ledger may take to one about the smallest.
const MAX_GROWTH_RATIO: f64 = 1.2;
/// Note about ledgers whose answers are as large.
const ALIKE: &str = " Where the smallest ledger has one event, a larger one has as many more of the same second, key and model, so \
                     answers are as large.";

/// Returns all tables, and the goals.
pub fn describe(ledgers: &[Ledger]) -> Section {
    let grown = match ledgers {
        [first, .., last] => growth(first, last),
        _ => (String::new(), Vec::new()),
    };
    let alike = match ledgers {
        [.., last] if last.alike > 1 => ALIKE,
        _ => "",
    };
    let text = format!(
        "### A year of usage\n\n{} projects, {} users, {} keys, {} models, {DAY_COUNT} days up to the last \
         midnight, evenly spread.{alike} Taken in over {CONNECTION_COUNT} connections in requests of {}, every answer durable, one \
         request of {REQUESTS_PER_REPEAT} sent again later; the generator shares the machine's cores.\n\n{}\n{}\nEach question \
         {REPETITION_COUNT} times after {WARM_UP_COUNT} that do not count, before each of them one more event; `first` is the very \
         first after a start.\n\n{}\n{}",
        USUAL.projects,
        USUAL.users(),
        whole(USUAL.keys() as f64),
        MODELS.len(),
        whole(BATCH_LEN as f64),
        taken_in(ledgers),
        kept(ledgers),
        asked(ledgers),
        grown.0,
    );
    let mut goals: Vec<Goal> = ledgers.iter().flat_map(goals).collect();
    goals.extend(grown.1);
    let compared = ledgers.iter().flat_map(compared).collect();
    Section {
        text,
        goals,
        compared,
    }
}

fn count(ledger: &Ledger) -> String {
    whole(ledger.total as f64)
}

fn taken_in(ledgers: &[Ledger]) -> String {
    let row = |ledger: &Ledger| {
        let (sent, rates) = (&ledger.sent, ledger.sent.rates());
        let tenth = rates.len().div_ceil(10);
        let (start, end) = (&rates[..tenth], &rates[rates.len() - tenth..]);
        vec![
            count(ledger),
            whole(sent.seconds),
            whole(sent.rate()),
            whole(median(rates.iter().copied())),
            whole(percentile(rates.iter().copied(), 10.0)),
            hundredths(median(end.iter().copied()) / median(start.iter().copied())),
            format!("{:.1}", ledger.cpu),
            format!("{:.1}", ledger.database_cpu),
            milliseconds(sent.latency(50.0)),
            milliseconds(sent.latency(99.0)),
            whole(sent.known as f64),
            sent.refused.to_string(),
        ]
    };
    let head = [
        "events",
        "seconds",
        "events/s",
        "median part",
        "slowest tenth",
        "last ÷ first tenth",
        "CPU µs/event",
        "database's",
        "request p50 ms",
        "p99 ms",
        "sent again",
        "answers 503",
    ];
    table(&head, &ledgers.iter().map(row).collect::<Vec<_>>())
}

fn kept(ledgers: &[Ledger]) -> String {
    let row = |ledger: &Ledger| {
        vec![
            count(ledger),
            format!("{:.1}", ledger.bytes),
            format!("{:.1}", ledger.restart),
            whole(ledger.memory.writing),
            whole(ledger.memory.idle),
            whole(ledger.memory.asked),
            of_peer(&ledger.peer, |peer| format!("{:.1}", peer.bytes)),
            of_peer(&ledger.peer, |peer| whole(peer.rate)),
        ]
    };
    let head = [
        "events",
        "bytes/event",
        "stop and start s",
        "most MB while writing",
        "MB after the start",
        "MB after the questions",
        "ClickHouse bytes/event",
        "ClickHouse events/s",
    ];
    table(&head, &ledgers.iter().map(row).collect::<Vec<_>>())
}

/// Shows a figure of ClickHouse, if ClickHouse was measured.
fn of_peer(peer: &Option<Peer>, show: impl Fn(&Peer) -> String) -> String {
    peer.as_ref().map_or_else(|| "–".to_owned(), show)
}

/// Returns the figures that are compared with those of the other database system.
fn compared(ledger: &Ledger) -> impl Iterator<Item = (String, f64)> {
    let questions = ledger.questions.iter().zip(&ledger.answers);
    questions.map(|(question, answers)| {
        let name = format!("{} events: {}: p95", count(ledger), question.name);
        (name, answers.at(95.0))
    })
}

fn asked(ledgers: &[Ledger]) -> String {
    let mut rows = Vec::new();
    for place in 0..ledgers.first().map_or(0, |ledger| ledger.questions.len()) {
        rows.extend(ledgers.iter().map(|ledger| row_of(ledger, place)));
    }
    let head = [
        "question",
        "events",
        "results",
        "answer kB",
        "first ms",
        "p50 ms",
        "p95 ms",
        "p50 µs/result",
        "ClickHouse kB",
        "p50 ms",
        "p95 ms",
        "ClickHouse's p50 ÷ ours",
    ];
    table(&head, &rows)
}

fn row_of(ledger: &Ledger, place: usize) -> Vec<String> {
    let ours = &ledger.answers[place];
    let theirs = |show: &dyn Fn(&Answers) -> String| {
        of_peer(&ledger.peer, |peer| show(&peer.answers[place]))
    };
    vec![
        ledger.questions[place].name.to_owned(),
        count(ledger),
        whole(ours.results as f64),
        whole(ours.bytes as f64 / 1e3),
        milliseconds(ours.first),
        milliseconds(ours.at(50.0)),
        milliseconds(ours.at(95.0)),
        hundredths(ours.at(50.0) / ours.results as f64),
        theirs(&|theirs| whole(theirs.bytes as f64 / 1e3)),
        theirs(&|theirs| milliseconds(theirs.at(50.0))),
        theirs(&|theirs| milliseconds(theirs.at(95.0))),
        theirs(&|theirs| hundredths(theirs.at(50.0) / ours.at(50.0))),
    ]
}

/// Returns the costs of the largest ledger beyond those of the smallest, and the goals about them.
fn growth(first: &Ledger, last: &Ledger) -> (String, Vec<Goal>) {
    let (mut rows, mut goals) = (Vec::new(), Vec::new());
    let answers = first.answers.iter().zip(&last.answers);
    for (question, (few, many)) in last.questions.iter().zip(answers) {
        let ratio = |of: fn(&Answers) -> f64| of(many) / of(few);
        let time = ratio(|answers| answers.at(50.0));
        let results = ratio(|answers| answers.results as f64);
        rows.push(vec![
            question.name.to_owned(),
            hundredths(time),
            hundredths(ratio(|answers| answers.at(95.0))),
            hundredths(results),
            hundredths(time / results),
        ]);
        let what = format!(
            "{}: p50 of the largest ÷ smallest ledger ({} × the results)",
            question.name,
            hundredths(results)
        );
        goals.push(Goal::at_most(what, MAX_GROWTH_RATIO, time, hundredths));
    }
    let head = [
        "largest ÷ smallest ledger",
        "p50",
        "p95",
        "results",
        "p50 per result",
    ];
    (table(&head, &rows), goals)
}

fn goals(ledger: &Ledger) -> Vec<Goal> {
    let events = count(ledger);
    let what = format!("{events} events: taken in, events/s");
    let mut goals = vec![Goal::at_least(what, MIN_RATE, ledger.sent.rate(), whole)];
    for (question, answers) in ledger.questions.iter().zip(&ledger.answers) {
        let what = format!("{events} events: {}: p95 ms", question.name);
        goals.push(Goal::at_most(
            what,
            question.bound,
            answers.at(95.0),
            milliseconds,
        ));
    }
    goals
}
