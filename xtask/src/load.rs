//! `cargo xtask load`: measures what `docs/benchmarks.md` shows, and can write it there.

mod admin;
mod bench;
mod builds;
mod compare;
mod document;
mod events;
mod figures;
mod gateway;
mod goal;
mod http;
mod ingest;
mod lists;
mod machine;
mod nginx;
mod portkey;
mod process;
mod reports;
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
    /// How many usage events the reports are read from; a round of ingest writes a tenth of it.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100_000..))]
    events: u64,
    /// How many rows the longest list has; each of the others has a tenth of the next, down to 1,000.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    rows: u64,
    /// How many minutes the gateway's memory is watched.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    minutes: u64,
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
    /// Reports of usage and costs.
    Usage,
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
        Self::Usage,
    ];

    fn measure(self, bench: &Bench) -> Result<Section> {
        match self {
            Self::Gateway => gateway::measure(bench),
            Self::Admin => admin::measure(bench),
            Self::Soak => soak::measure(bench),
            Self::Lists => lists::measure(bench),
            Self::Ingest => ingest::measure(bench),
            Self::Usage => reports::measure(bench),
        }
    }
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
