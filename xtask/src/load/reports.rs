//! How long reports of usage and costs take, and how much disk the ledger needs.

use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::Value;

use super::bench::Bench;
use super::events::{DAY, DAYS, KEYS, MODELS, PROJECTS, Population};
use super::figures::{milliseconds, percentile, table, whole};
use super::http::Client;
use super::ingest::{self, CONNECTIONS};
use super::server::{Server, results};
use crate::step::say;

/// How often each question is put before it counts.
const WARM_UP: usize = 3;
/// How often each question is put.
const REPETITIONS: usize = 40;

/// Writes the events, then asks.
pub fn measure(bench: &Bench) -> Result<String> {
    let server = Server::start(bench, "usage", None, None)?;
    let population = Population::settle(&server, bench.events)?;
    let seconds = ingest::fill(&server, &population)?;
    let server = server.restart(bench, None)?;
    let bytes = server.usage_bytes()? as f64 / bench.events as f64;
    let mut client = server.admin()?;
    complete(&mut client, &population)?;
    let mut rows = Vec::new();
    for (name, path) in questions(&population) {
        say(&format!("reports: {name}"));
        rows.push(ask(&mut client, &name, &path)?);
    }
    let events = whole(bench.events as f64);
    let head = ["report", "results", "answer kB", "p50 ms", "p95 ms"];
    Ok(format!(
        "### Usage and costs\n\n{events} events over {DAYS} days: {PROJECTS} projects, {models} models, {keys} keys. \
         Written in {seconds:.1} s ({rate} events/s in requests of 10,000 over {CONNECTIONS} connections); the usage \
         database then has {bytes:.0} bytes per event, rows, indexes and sums together. Each report {REPETITIONS} \
         times, one after the other.\n\n{}",
        table(&head, &rows),
        models = MODELS.len(),
        keys = PROJECTS * KEYS,
        rate = whole(bench.events as f64 / seconds),
    ))
}

/// The questions, as (words, path).
fn questions(population: &Population) -> Vec<(String, String)> {
    let (start, end) = (population.start, population.start + DAYS * DAY);
    let project = &population.projects[0];
    let completions = |start: u64, rest: &str| {
        format!("/v1/organization/usage/completions?start_time={start}&end_time={end}&{rest}")
    };
    let costs = format!("/v1/organization/costs?start_time={start}&end_time={end}&limit=31");
    let week = format!("bucket_width=1h&limit=168&project_ids={project}&group_by=model");
    let questions = [
        (
            "31 days by project and model",
            completions(start, "limit=31&group_by=project_id&group_by=model"),
        ),
        ("31 days in total", completions(start, "limit=31")),
        (
            "168 hours of one project by model",
            completions(end - 7 * DAY, &week),
        ),
        (
            "1,440 minutes by model",
            completions(end - DAY, "bucket_width=1m&limit=1440&group_by=model"),
        ),
        (
            "costs of 31 days by line item",
            format!("{costs}&group_by=line_item"),
        ),
    ];
    let owned = |(name, path): (&str, String)| (name.to_owned(), path);
    questions.into_iter().map(owned).collect()
}

/// Every event that was sent is in the report.
fn complete(client: &mut Client, population: &Population) -> Result<()> {
    let (_, path) = &questions(population)[1];
    let report: Value = serde_json::from_slice(&client.get(path)?)?;
    let counted: u64 = results(&report)
        .filter_map(|result| result["num_model_requests"].as_u64())
        .sum();
    if counted != population.total as u64 {
        bail!(
            "{} events were taken in, the report counts {counted}",
            population.total
        );
    }
    Ok(())
}

fn ask(client: &mut Client, name: &str, path: &str) -> Result<Vec<String>> {
    for _ in 0..WARM_UP {
        client.get(path)?;
    }
    let (mut latencies, mut answer) = (Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        let begun = Instant::now();
        answer = client.get(path)?;
        latencies.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    let report: Value = serde_json::from_slice(&answer)?;
    let at = |percent| milliseconds(percentile(latencies.iter().copied(), percent));
    Ok(vec![
        name.to_owned(),
        whole(results(&report).count() as f64),
        whole(answer.len() as f64 / 1e3),
        at(50.0),
        at(95.0),
    ])
}
