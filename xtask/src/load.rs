//! `cargo xtask load`: measures what `docs/benchmarks.md` shows, and can write it there.

mod admin;
mod bench;
mod builds;
mod compare;
mod console;
mod dice;
mod disorder;
mod document;
mod engine;
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
mod series;
mod server;
mod shuffle;
mod soak;
mod wrk;

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::environment::root;
use crate::step::say;
use bench::Bench;
use engine::EngineName;
use goal::Section;
use options::BenchOptions;

/// Goal of the time that a report takes on PostgreSQL, as a ratio to that on SQLite.
const MAX_POSTGRES_RATIO: f64 = 2.0;

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

#[derive(Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
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
    /// Usage events taken in in any order, beside the same events in order.
    Disorder,
    /// An organization with many series: events taken in, and the first reports after a start.
    Series,
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
        Self::Disorder,
        Self::Series,
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
            Self::Disorder => disorder::measure(bench),
            Self::Series => series::measure(bench),
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
    if parts.contains(&Part::Console) && options.bench.database != [EngineName::Sqlite] {
        bail!("the console is measured on SQLite");
    }
    let root = root()?;
    if let Some(file) = &options.write {
        document::check(file)?;
    }
    let mut bench = Bench::prepare(&root, &options.bench)?;
    let mut sections = vec![machine::describe(&bench)?];
    let mut goals = Vec::new();
    let mut of_sqlite: HashMap<Part, Section> = HashMap::new();
    for name in &options.bench.database {
        bench.set_engine(*name)?;
        for part in parts {
            let mut section = part.measure(&bench)?;
            if *name == EngineName::Postgres {
                section = section.on_postgres();
                let sqlite = of_sqlite.get(part);
                let compared = sqlite.map(|sqlite| section.compare(sqlite, MAX_POSTGRES_RATIO));
                goals.extend(compared.unwrap_or_default());
            }
            sections.push(std::mem::take(&mut section.text));
            goals.append(&mut section.goals);
            if *name == EngineName::Sqlite {
                of_sqlite.insert(*part, section);
            }
        }
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
