//! `orgplane usage export`: exports the ledger; the rows can be imported again.

use std::fs::{self, File};
use std::io::{ErrorKind, Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base::UnixTime;
use base::ids::OrganizationId;
use cli::Progress;
use files::Format;
use files::column::ledger_columns;
use files::write::{TableWriter, ledger_row};
use usage::LedgerReader;

use super::FormatName;
use super::import::whose;
use crate::commands::deployment::open;
use crate::commands::timestamp::timestamp;
use crate::config::{Config, Overrides};

#[derive(clap::Args)]
pub(crate) struct Export {
    /// Organization whose usage is exported [default: all].
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// Start: 2026-11-22, 2026-11-22T08:30:00Z or seconds since 1970 [default: the first row].
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    from: Option<UnixTime>,
    /// End, exclusive [default: the last row].
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    to: Option<UnixTime>,
    /// File format [default: by the extension of the file, or ndjson].
    #[arg(long)]
    format: Option<FormatName>,
    /// Output file; - for stdout.
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
}

pub(super) async fn run(export: Export) -> anyhow::Result<()> {
    let config = Config::load(&export.overrides)?;
    let store = open(&config).await?;
    let organization = match &export.organization {
        Some(id) => Some(whose(&store, Some(id)).await?),
        None => None,
    };
    let (start, end) = (
        export.from.unwrap_or(UnixTime(i64::MIN)),
        export.to.unwrap_or(UnixTime(i64::MAX)),
    );
    if start >= end {
        bail!("--to must be after --from");
    }
    let named = export.format.map(Format::from);
    let format = named.or_else(|| Format::of(&export.output));
    let table = TableWriter::new(format.unwrap_or(Format::Ndjson), ledger_columns().collect())?;
    let mut output = Output::create(&export.output)?;
    let written = write(&store, organization, (start, end), table, &mut output).await;
    match written {
        Ok(()) => output.finish(),
        Err(error) if is_gone(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn write(
    store: &store::Store,
    organization: Option<OrganizationId>,
    (start, end): (UnixTime, UnixTime),
    mut table: TableWriter,
    output: &mut Output,
) -> anyhow::Result<()> {
    let progress = Progress::new("rows");
    let mut read = store.usage().read().await?;
    let mut entries = LedgerReader::of(&mut read, organization, start, end).await?;
    let mut count = 0;
    loop {
        let page = entries.next(&mut read).await?;
        if page.is_empty() {
            break;
        }
        for entry in &page {
            table.push(ledger_row(entry));
            if table.is_full() {
                output.write(&table.take()?)?;
            }
        }
        count += u64::try_from(page.len()).unwrap_or(0);
        progress.update(count, None);
    }
    output.write(&table.finish()?)
}

/// Output of an export.
enum Output {
    Stdout,
    /// A temporary file that is renamed when complete.
    New {
        file: File,
        part: PathBuf,
        whole: PathBuf,
    },
    /// An existing device or pipe.
    Other(File),
}

impl Output {
    fn create(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        let failed = || path.display().to_string();
        if fs::metadata(path).is_ok_and(|about| !about.is_file()) {
            let file = File::options().write(true).open(path);
            return Ok(Self::Other(file.with_context(failed)?));
        }
        let mut name = path.file_name().with_context(failed)?.to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        Ok(Self::New {
            file: File::create(&part).with_context(failed)?,
            part,
            whole: path.to_owned(),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(match self {
            Self::Stdout => stdout().write_all(bytes),
            Self::New { file, .. } | Self::Other(file) => file.write_all(bytes),
        }?)
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Stdout => Ok(stdout().flush()?),
            Self::Other(_) => Ok(()),
            Self::New { file, part, whole } => {
                file.sync_all()?;
                fs::rename(part, whole).map_err(Into::into)
            }
        }
    }
}

/// True if the reader of stdout has closed it.
fn is_gone(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
