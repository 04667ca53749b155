//! The gateway's memory: with 500 streams open at once, and over many minutes under load.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use super::bench::Bench;
use super::compare::Setting;
use super::figures::{hundredths, median, whole};
use super::gateway::body;
use super::goal::{Goal, Section};
use super::server::{MODEL, SLOW_MODEL};
use super::wrk::{Figures, Request};
use crate::step::{instant, say};

/// Number of streams that are open at once.
const STREAM_COUNT: u64 = 500;
/// Seconds for which the streams are held open: less than one of them takes.
const HOLD_SECONDS: u64 = 20;
/// Interval between two looks at the memory.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// Resources of the gateway at one moment.
struct MemorySample {
    /// In MB.
    memory: f64,
    /// Files and sockets.
    files: u64,
}

/// Opens the streams, then sends completions over 32 connections for so many minutes.
pub fn measure(bench: &Bench) -> Result<Section> {
    let setting = Setting::start(bench)?;
    let idle = setting.gateway.process.memory()?;
    say(&format!("{STREAM_COUNT} open streams"));
    let (open, _) = watch(bench, &setting, SLOW_MODEL, STREAM_COUNT, HOLD_SECONDS)?;
    let most = open.iter().map(|one| one.memory).fold(0.0, f64::max);
    let sockets = open.iter().map(|one| one.files).max().unwrap_or(0);
    if sockets < 2 * STREAM_COUNT {
        bail!("{sockets} sockets were open at once: these are not {STREAM_COUNT} streams");
    }
    say(&format!("{} minutes of completions", bench.minutes));
    let (memory, figures) = watch(bench, &setting, MODEL, 32, bench.minutes * 60)?;
    let figures = figures?;
    let third = memory.len() / 3;
    if third == 0 {
        bail!("memory was looked at {} times only", memory.len());
    }
    // The first third is when caches fill up.
    let of = |part: &[MemorySample]| median(part.iter().map(|one| one.memory));
    let (middle, last) = (of(&memory[third..2 * third]), of(&memory[2 * third..]));
    let text = format!(
        "### The gateway's memory\n\nResident, in MB: {} after the start, {} with {STREAM_COUNT} streams open. Over {} minutes of \
         completions, {} requests/s over 32 connections, {} requests in all: {} in the second third of the time, {} in the \
         last.\n",
        whole(idle),
        whole(most),
        bench.minutes,
        whole(figures.rate),
        whole(figures.requests as f64),
        whole(middle),
        whole(last),
    );
    let goals = vec![
        Goal::at_most("gateway: MB with 500 open streams", 100.0, most, whole),
        Goal::at_most(
            "gateway: memory in the last third × second third",
            1.05,
            last / middle,
            hundredths,
        ),
    ];
    Ok(Section {
        text,
        goals,
        ..Section::default()
    })
}

/// Sends requests for so many seconds; the memory that the gateway had meanwhile, and what came of the requests. Streams
/// that are longer than that count as none.
fn watch(
    bench: &Bench,
    setting: &Setting,
    model: &str,
    connections: u64,
    seconds: u64,
) -> Result<(Vec<MemorySample>, Result<Figures>)> {
    let body = body(model, model != MODEL);
    let request = Request {
        endings: &[],
        method: "POST",
        path: "/v1/chat/completions",
        key: &setting.key,
        headers: &[],
        body: &body,
    };
    let address = &setting.gateway.address;
    thread::scope(|scope| {
        let driving = scope.spawn(|| request.drive(bench, address, connections, seconds));
        let until = instant() + Duration::from_secs(seconds);
        let mut memory = Vec::new();
        while instant() < until {
            thread::sleep(SAMPLE_INTERVAL);
            let process = &setting.gateway.process;
            memory.push(MemorySample {
                memory: process.memory()?,
                files: process.open_files()? as u64,
            });
        }
        match driving.join() {
            Ok(figures) => Ok((memory, figures)),
            Err(_) => bail!("the load generator's thread has failed"),
        }
    })
}
