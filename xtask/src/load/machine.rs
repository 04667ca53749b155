//! On what and with what was measured.

use std::fs;
use std::process::Command;

use anyhow::Result;

use super::bench::Bench;
use super::history::clickhouse;
use super::{portkey, server, wrk};
use crate::step::output;

/// Returns a table of the machine and the programs.
pub fn describe(bench: &Bench) -> Result<String> {
    let root = &bench.root;
    let date = said(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]));
    let rustc = said(Command::new("rustc").arg("--version").current_dir(root));
    let kernel = said(Command::new("uname").args(["-s", "-r", "-m"]));
    let commit = said(
        Command::new("git")
            .args(["rev-parse", "--short=12", "HEAD"])
            .current_dir(root),
    );
    let rows = [
        ("date", date),
        (
            "orgplane",
            format!(
                "{}, commit {commit}, profile {}",
                server::version(&bench.binary)?,
                bench.profile
            ),
        ),
        ("processor", processor()),
        ("memory", memory()),
        ("kernel", kernel),
        ("cores", cores(bench)),
        ("load before", load()),
        ("rustc", rustc),
        ("nginx", nginx(bench)),
        ("wrk", wrk::version(&bench.wrk)),
        ("Portkey", portkey::version(bench)?),
        ("ClickHouse", clickhouse::version(bench)?),
        ("PostgreSQL", postgres()),
        (
            "rounds",
            format!(
                "{} of {} s for each measurement; medians",
                bench.rounds, bench.seconds
            ),
        ),
    ];
    let lines = rows.map(|(name, value)| format!("| {name} | {value} |\n"));
    Ok(format!("| | |\n| --- | --- |\n{}", lines.concat()))
}

fn said(command: &mut Command) -> String {
    let text = output(command).unwrap_or_default();
    if text.trim().is_empty() {
        return "unknown".to_owned();
    }
    text.trim().to_owned()
}

/// Returns the load of the machine: figures of a machine with other work are worth little, and the table says so.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let averages: Vec<&str> = text.split(' ').take(3).collect();
    let lately = averages
        .first()
        .and_then(|average| average.parse::<f64>().ok());
    let note = match lately {
        Some(average) if average > 1.0 => " (**busy with other work: the figures are too low**)",
        _ => "",
    };
    format!("{}{note}", averages.join(", "))
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let all: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map(|(_, name)| name)
        .collect();
    let name = all.first().copied().unwrap_or("unknown");
    format!("{name}, {} logical cores", all.len())
}

fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kibibytes = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kibibytes.map_or_else(
        || "unknown".to_owned(),
        |kibibytes| format!("{:.1} GiB", kibibytes / 1_048_576.0),
    )
}

fn cores(bench: &Bench) -> String {
    match (bench.cores.measured, bench.cores.others) {
        (Some(measured), Some(others)) => format!(
            "what is measured on core {measured}, load generator and model server on core {others} (usage and costs: \
             no such division)"
        ),
        _ => "one core for everything: figures of a single core do not compare with those of two"
            .to_owned(),
    }
}

/// Returns the version of PostgreSQL, whether it is measured or not.
fn postgres() -> String {
    let programs = crate::postgres::programs().unwrap_or_default();
    let text = said(Command::new(programs.join("postgres")).arg("--version"));
    let version = text.strip_prefix("postgres (PostgreSQL) ");
    version.unwrap_or(&text).to_owned()
}

/// Returns the version of nginx, which nginx prints on standard error.
fn nginx(bench: &Bench) -> String {
    let ended = Command::new(&bench.nginx).arg("-v").output();
    let text = ended.map(|ended| String::from_utf8_lossy(&ended.stderr).into_owned());
    let text = text.unwrap_or_default();
    let version = text.trim().strip_prefix("nginx version: ");
    version.unwrap_or("unknown").to_owned()
}
