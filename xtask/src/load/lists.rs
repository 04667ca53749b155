//! Pages of lists that grow: with keyset pagination a page costs the same however many rows there are, and wherever it
//! lies.

use std::time::Instant;

use anyhow::Result;
use serde_json::Value;

use super::Section;
use super::bench::Bench;
use super::figures::{hundredths, median, milliseconds, percentile, table, whole};
use super::goal::Goal;
use super::http::Client;
use super::server::{Server, text};
use crate::step::say;

/// How many rows the shortest list has; each further one has ten times as many.
const FEWEST: u64 = 1_000;
/// How many items a page has.
const PAGE: u64 = 20;
/// How often each page is read, one after the other.
const READS: usize = 500;
/// How often it is read before that, so that the growth just before is over: the database folds its log in meanwhile.
const UNCOUNTED: usize = 100;
/// How much longer than the shortest list's the median of the longest may take: what a B-tree that is a few levels
/// higher costs, and no more.
const FLAT: f64 = 1.5;

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
    let (mut rows, mut size) = (0, FEWEST);
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
            rows += (UNCOUNTED + READS) as u64;
        }
        sizes.push(size);
        size *= 10;
    }
    Ok(described(&sizes, &times))
}

/// Where the middle of the lists is.
#[derive(Default)]
struct Middle {
    project: String,
    entry: String,
}

impl Middle {
    /// The project that was made just now, and the entry that says so.
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
        format!("{path}?limit={PAGE}{after}")
    }
}

/// How long each reading took, in microseconds. Before each of them something is written, so that no answer is one that
/// was kept.
fn read(server: &Server, admin: &mut Client, path: &str) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(READS);
    for reading in 0..UNCOUNTED + READS {
        server.project(admin, "Another one")?;
        let started = Instant::now();
        admin.get(path)?;
        if reading >= UNCOUNTED {
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
            FLAT,
            growth.unwrap_or(f64::NAN),
            hundredths,
        ));
    }
    let table = table(&["page of 20", "rows", "p50 ms", "p99 ms"], &rows);
    let text = format!(
        "### Lists that grow\n\nOne connection, {READS} readings of each page at each size. Before each a project \
         is created, so that none is answered from memory; at 1,000 rows there are 3,400 in the end.\n\n{table}"
    );
    Section { text, goals }
}
