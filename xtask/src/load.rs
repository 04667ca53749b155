//! `cargo xtask load`: measures what `docs/benchmarks.md` shows, and can write it there.

mod admin;
mod bench;
mod builds;
mod compare;
mod console;
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
mod options;
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
use goal::Section;
use options::BenchOptions;

/// Options of `cargo xtask load`.
#[derive(Args)]
pub struct LoadOptions {
    /// Parts to measure; all but the soak and the console if none is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    #[command(flatten)]
    bench: BenchOptions,
    /// Measure clean builds, too, in minutes rather than seconds.
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
    /// Pages of the console in a large organization with the largest of the ledgers.
    Console,
    /// Usage events taken in.
    Ingest,
    /// A year of usage taken in, and reports of usage and costs, beside ClickHouse.
    #[value(alias = "usage")]
    History,
}

impl Part {
    /// Parts that are measured in one run and shown in one block.
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
            Self::Console => console::measure(bench),
            Self::Ingest => ingest::measure(bench),
            Self::History => history::measure(bench),
        }
    }
}

/// Measures the parts, prints their tables, and writes them into `--write` if there is one.
pub fn run(options: &LoadOptions) -> Result<()> {
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
    let bench = Bench::prepare(&root, &options.bench)?;
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
