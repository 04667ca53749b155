//! `cargo xtask load`: measures what `docs/benchmarks.md` shows, and can write it there.

mod admin;
mod bench;
mod builds;
mod compare;
mod dice;
mod document;
mod events;
mod figures;
mod gateway;
mod goal;
mod history;
mod http;
mod ingest;
mod lists;
mod machine;
mod models;
mod nginx;
mod portkey;
mod process;
mod sending;
mod server;
mod soak;
mod wrk;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::environment::root;
use crate::step::say;
use bench::Bench;
use goal::Goal;

/// What to measure, and for how long.
#[derive(Args)]
pub struct Options {
    /// What to measure; all of it but the soak when nothing is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// How long each single measurement takes.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// How often each is repeated; medians are reported.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    rounds: u64,
    /// How many usage events the reports are read from; for several ledgers, one after the other: `10M,100M`.
    #[arg(long, value_name = "N", default_value = "200k,2M", value_delimiter = ',', value_parser = count)]
    events: Vec<u64>,
    /// The larger ledgers have as many events more of each second, key and model of the smallest, instead of more of these:
    /// then answers are as large.
    #[arg(long)]
    alike: bool,
    /// How many rows the longest list has; each of the others has a tenth of the next, down to 1,000.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    rows: u64,
    /// How many minutes the gateway's memory is watched.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    minutes: u64,
    /// The profile that the binary is built with: `release`, as users compile it, or `dist`, as packages have it.
    #[arg(long, value_name = "NAME", default_value = "release", value_parser = ["release", "dist"])]
    profile: String,
    /// Also how long clean builds take, in minutes rather than seconds.
    #[arg(long)]
    build: bool,
    /// With --build: the profile that packages are built with, too.
    #[arg(long, requires = "build")]
    dist: bool,
    /// The document whose generated block is replaced: docs/benchmarks.md. Nothing is written without it.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// With fewer events, a year of them says nothing.
const LEAST_EVENTS: u64 = 100_000;
/// With more of them, the sums of tokens and of costs may not fit.
const MOST_EVENTS: u64 = 1_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Requests through the gateway, beside the bare upstream, nginx as a plain proxy and another gateway.
    Gateway,
    /// The Administration API.
    Admin,
    /// The gateway's memory: with 500 streams open, and over ten minutes.
    Soak,
    /// Pages of lists that grow.
    Lists,
    /// Usage events taken in.
    Ingest,
    /// A year of usage taken in, and reports of usage and costs, beside ClickHouse.
    #[value(alias = "usage")]
    History,
}

/// What one part came to.
struct Section {
    text: String,
    goals: Vec<Goal>,
}

impl Part {
    /// Those that are measured in one run and shown in one block.
    const BLOCK: &[Self] = &[
        Self::Gateway,
        Self::Admin,
        Self::Lists,
        Self::Ingest,
        Self::History,
    ];

    fn measure(self, bench: &Bench) -> Result<Section> {
        match self {
            Self::Gateway => gateway::measure(bench),
            Self::Admin => admin::measure(bench),
            Self::Soak => soak::measure(bench),
            Self::Lists => lists::measure(bench),
            Self::Ingest => ingest::measure(bench),
            Self::History => history::measure(bench),
        }
    }
}

/// A number of events such as `200k` or `10M`.
fn count(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.strip_suffix(['k', 'M']) {
        Some(digits) if text.ends_with('k') => (digits, 1_000),
        Some(digits) => (digits, 1_000_000),
        None => (text, 1),
    };
    let number = digits.parse::<u64>().ok();
    let count = number.and_then(|number| number.checked_mul(factor));
    let fits = |count: &u64| (LEAST_EVENTS..=MOST_EVENTS).contains(count);
    count
        .filter(fits)
        .ok_or_else(|| "100k to 1000M events are needed".to_owned())
}

/// Measures, prints the tables, and writes them where that was asked for.
pub fn run(options: &Options) -> Result<()> {
    let parts = match options.parts.as_slice() {
        [] => Part::BLOCK,
        named => named,
    };
    if options.write.is_some() && parts != Part::BLOCK {
        bail!(
            "--write is for all parts at once: figures of different runs do not belong in one block"
        );
    }
    let root = root()?;
    if let Some(file) = &options.write {
        document::check(file)?;
    }
    let bench = Bench::prepare(&root, options)?;
    let mut sections = vec![machine::describe(&bench)?];
    let mut goals = Vec::new();
    for part in parts {
        let section = part.measure(&bench)?;
        sections.push(section.text);
        goals.extend(section.goals);
    }
    if options.build {
        sections.push(builds::measure(&bench, options.dist)?);
    }
    sections.push(goal::describe(&goals));
    let text = sections.join("\n");
    std::io::stdout().write_all(text.as_bytes())?;
    if let Some(file) = &options.write {
        document::write(file, &text)?;
        say(&format!("written to {}", file.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_events_are_read() {
        assert_eq!(count("100000"), Ok(100_000));
        assert_eq!(count("200k"), Ok(200_000));
        assert_eq!(count("100M"), Ok(100_000_000));
        for text in [
            "",
            "k",
            "99k",
            "1001M",
            "1G",
            "-1M",
            "1.5M",
            "99999999999999999M",
        ] {
            assert!(count(text).is_err(), "{text}");
        }
    }
}
