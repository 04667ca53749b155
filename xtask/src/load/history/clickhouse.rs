//! ClickHouse, inside a Python process (`chdb`), with the events of the ledger and the questions about them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::super::bench::{Bench, confined};
use super::super::events::Population;
use super::questions::{Answers, Question, REPETITION_COUNT, WARM_UP_COUNT, totals};
use crate::step::{instant, say};

/// As somebody would make it who asks such questions: in the order of days, and within a day of projects. What was merged
/// into something larger goes after seconds, not minutes: the disk need not hold both.
const TABLE: &str = "CREATE TABLE events (id String, project_id LowCardinality(String), user_id LowCardinality(String), \
    api_key_id LowCardinality(String), model LowCardinality(String), timestamp DateTime('UTC'), input_tokens UInt32, \
    input_cached_tokens UInt32, output_tokens UInt32, input_cost UInt64, cached_cost UInt64, output_cost UInt64) \
    ENGINE = MergeTree PARTITION BY toYYYYMM(timestamp) ORDER BY (toDate(timestamp), project_id, timestamp) \
    SETTINGS old_parts_lifetime = 5";
/// Number of events that are written to a file, read from it, and removed, at once.
const PIECE_LEN: u64 = 500_000;

/// Figures of ClickHouse.
pub struct Peer {
    /// Events loaded in a second.
    pub rate: f64,
    /// Bytes of the table on the disk for each event.
    pub bytes: f64,
    /// To each question.
    pub answers: Vec<Answers>,
}

/// Returns the version that is pinned.
pub fn version(bench: &Bench) -> Result<String> {
    let pins = fs::read_to_string(bench.root.join("tests/peers/requirements.txt"))?;
    let pin = |name: &str| pins.lines().find_map(|line| line.strip_prefix(name));
    let (library, core) = pin("chdb==")
        .zip(pin("chdb-core=="))
        .context("tests/peers/requirements.txt pins no ClickHouse")?;
    Ok(format!("{core} (chdb {library})"))
}

/// Loads the events, lets ClickHouse merge its parts, and asks.
pub fn measure(
    bench: &Bench,
    python: &Path,
    population: &Population,
    questions: &[Question],
) -> Result<Peer> {
    let room = bench.room("clickhouse")?;
    let mut session = Session::start(bench, python, &room)?;
    session.run(TABLE)?;
    let mut seconds = 0.0;
    for first in (0..population.total).step_by(PIECE_LEN as usize) {
        let numbers = first..population.total.min(first + PIECE_LEN);
        seconds += session.load(population, numbers, &room.join("piece"))?;
    }
    session.run("OPTIMIZE TABLE events FINAL")?;
    let size =
        "SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND table = 'events'";
    let (size, _) = session.ask(size, 1)?;
    let answers = questions.iter().map(|question| session.answers(question));
    let peer = Peer {
        rate: population.total as f64 / seconds,
        bytes: size[0]["bytes"].as_f64().context("a size")? / population.total as f64,
        answers: answers.collect::<Result<_>>()?,
    };
    drop(session);
    fs::remove_dir_all(room)?;
    Ok(peer)
}

/// A running Python process. Dropping it ends it.
struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn start(bench: &Bench, python: &Path, room: &Path) -> Result<Self> {
        let mut command = confined(python, None);
        command.arg(bench.root.join("tests/peers/clickhouse.py"));
        command.arg(room.join("database"));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.context("its pipes are open")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        self.ask(sql, 1).map(|_| ())
    }

    /// Puts a query `times` times; returns the rows of the answer and the microseconds of each.
    fn ask(&mut self, sql: &str, times: usize) -> Result<(Vec<Value>, Answers)> {
        writeln!(self.input, "{}", json!({ "sql": sql, "times": times }))?;
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("ClickHouse has failed: {sql}");
        }
        let mut reply: Value = serde_json::from_str(&line)?;
        let text = reply["answer"].as_str().context("an answer")?;
        let rows = text.lines().map(serde_json::from_str);
        let rows: Vec<Value> = rows.collect::<Result<_, _>>()?;
        let bytes = text.len();
        let times: Vec<f64> = serde_json::from_value(reply["microseconds"].take())?;
        let answers = Answers {
            first: times[0],
            times,
            results: rows.len(),
            bytes,
            totals: totals(rows.iter()),
        };
        Ok((rows, answers))
    }

    fn answers(&mut self, question: &Question) -> Result<Answers> {
        say(&format!("ClickHouse: {}", question.name));
        let (_, mut answers) = self.ask(&question.sql, WARM_UP_COUNT + REPETITION_COUNT)?;
        answers.times.drain(..WARM_UP_COUNT);
        Ok(answers)
    }

    /// Writes these events to a file and reads them into the table; how many seconds reading took.
    fn load(
        &mut self,
        population: &Population,
        numbers: std::ops::Range<u64>,
        file: &Path,
    ) -> Result<f64> {
        let mut rows = Vec::new();
        for number in numbers {
            population.write_row(&population.event(number), &mut rows);
        }
        fs::write(file, rows)?;
        let begun = instant();
        let path = file.display();
        self.run(&format!(
            "INSERT INTO events FROM INFILE '{path}' FORMAT RowBinary"
        ))?;
        fs::remove_file(file)?;
        Ok(begun.elapsed().as_secs_f64())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
