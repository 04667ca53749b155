//! Pages of lists that grow: with keyset pagination a page costs the same however many rows there are, and wherever it
//! lies.

use anyhow::Result;
use serde_json::Value;

use super::bench::Bench;
use super::figures::{hundredths, median, milliseconds, percentile, table, whole};
use super::goal::{Goal, Section};
use super::http::Client;
use super::server::{Server, text};
use crate::step::{instant, say};

/// Number of rows of the shortest list; each further list has ten times as many.
const MIN_ROWS: u64 = 1_000;
/// Number of items of a page.
const PAGE_LEN: u64 = 20;
/// Number of times that each page is read, one after the other.
const READ_COUNT: usize = 500;
/// Number of times that a page is read before that: the database folds the log of the growth in meanwhile.
const WARM_UP_COUNT: usize = 100;
/// Ratio that the median of the longest list may have to that of the shortest: the price of a B-tree that is a few
/// levels higher.
const MAX_GROWTH_RATIO: f64 = 1.5;

/// A list, and which of its pages.
const PAGES: [(&str, &str, bool); 4] = [
    ("projects, first page", "/v1/organization/projects", false),
    (
        "projects, a page in the middle",
        "/v1/organization/projects",
        true,
    ),
    (
        "audit log, first page",
        "/v1/organization/audit_logs",
        false,
    ),
    (
        "audit log, a page in the middle",
        "/v1/organization/audit_logs",
        true,
    ),
];

/// Lets the lists grow tenfold again and again, and reads their pages at each size.
pub fn measure(bench: &Bench) -> Result<Section> {
    let server = Server::start(bench, "lists", None, "")?;
    let mut admin = server.admin()?;
    let mut sizes = Vec::new();
    let mut times: [Vec<Vec<f64>>; PAGES.len()] = Default::default();
    let (mut rows, mut size) = (0, MIN_ROWS);
    let mut middle = Middle::default();
    while size <= bench.rows {
        say(&format!("lists: {} rows", whole(size as f64)));
        while rows < size {
            let project = server.project(&mut admin, "One of many")?;
            rows += 1;
            if rows == size / 2 {
                middle = Middle::at(&mut admin, project)?;
            }
        }
        for (times, page) in times.iter_mut().zip(PAGES) {
            times.push(read(&server, &mut admin, &middle.path(page))?);
            rows += (WARM_UP_COUNT + READ_COUNT) as u64;
        }
        sizes.push(size);
        size *= 10;
    }
    Ok(described(&sizes, &times))
}

/// Cursors in the middle of the lists.
#[derive(Default)]
struct Middle {
    project: String,
    entry: String,
}

impl Middle {
    /// Returns the cursors of the project that was made last, and of its entry in the audit log.
    fn at(admin: &mut Client, project: String) -> Result<Self> {
        let newest = admin.get("/v1/organization/audit_logs?limit=1")?;
        let newest: Value = serde_json::from_slice(&newest)?;
        Ok(Self {
            project,
            entry: text(&newest, "/data/0/id")?,
        })
    }

    fn path(&self, (_, path, is_middle): (&str, &str, bool)) -> String {
        let after = match (is_middle, path.ends_with("projects")) {
            (false, _) => String::new(),
            (true, true) => format!("&after={}", self.project),
            (true, false) => format!("&after={}", self.entry),
        };
        format!("{path}?limit={PAGE_LEN}{after}")
    }
}

/// Returns the time of each reading in microseconds. A write precedes each, so that no answer comes from a cache.
fn read(server: &Server, admin: &mut Client, path: &str) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(READ_COUNT);
    for reading in 0..WARM_UP_COUNT + READ_COUNT {
        server.project(admin, "Another one")?;
        let started = instant();
        admin.get(path)?;
        if reading >= WARM_UP_COUNT {
            times.push(started.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(times)
}

fn described(sizes: &[u64], times: &[Vec<Vec<f64>>; PAGES.len()]) -> Section {
    let mut rows = Vec::new();
    let mut goals = Vec::new();
    for ((name, ..), times) in PAGES.iter().zip(times) {
        let medians: Vec<f64> = times
            .iter()
            .map(|times| median(times.iter().copied()))
            .collect();
        for ((size, times), median) in sizes.iter().zip(times).zip(&medians) {
            rows.push(vec![
                (*name).to_owned(),
                whole(*size as f64),
                milliseconds(*median),
                milliseconds(percentile(times.iter().copied(), 99.0)),
            ]);
        }
        let growth = medians
            .last()
            .zip(medians.first())
            .map(|(last, first)| last / first);
        let what = format!("{name}: p50 of the longest ÷ shortest list");
        goals.push(Goal::at_most(
            what,
            MAX_GROWTH_RATIO,
            growth.unwrap_or(f64::NAN),
            hundredths,
        ));
    }
    let table = table(&["page of 20", "rows", "p50 ms", "p99 ms"], &rows);
    let text = format!(
        "### Lists that grow\n\nOne connection, {READ_COUNT} readings of each page at each size. Before each a project \
         is created, so that none is answered from memory; at 1,000 rows there are 3,400 in the end.\n\n{table}"
    );
    Section {
        text,
        goals,
        ..Section::default()
    }
}
