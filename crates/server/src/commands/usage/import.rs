//! `orgplane usage import`: imports usage events from a file. Each event counts once, so an interrupted import can be
//! repeated.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use admin::organization;
use anyhow::{Context, bail};
use base::Clock;
use base::ids::{Id, OrganizationId};
use base::time::Stopwatch;
use cli::Progress;
use files::{FileError, Format, RowReader};
use store::Store;
use usage::{Appended, Recorder, Spend, UsageEvent, by_days};

use super::FormatName;
use super::bookmark::{Bookmark, FilePosition};
use super::outcome::{Rejected, RowCounts};
use super::rows::{Admission, read};
use crate::commands::deployment::open;
use crate::commands::output::escape_control;
use crate::config::{Config, Overrides};

/// Time given to the recorder at the end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of attempts to append events to a slow database.
const MAX_ATTEMPTS: usize = 10;
/// Divisor of the pause after each batch on SQLite, which leaves the database to a running server: the pause is the
/// duration of the batch divided by this number.
const PAUSE_RATIO: u32 = 8;

#[derive(clap::Args)]
pub(crate) struct Import {
    /// Input file; - for stdin.
    file: PathBuf,
    /// File format [default: by the extension: .ndjson, .jsonl, .csv or .parquet].
    #[arg(long)]
    format: Option<FormatName>,
    /// Organization that the usage belongs to [default: the only one].
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// File for rejected rows: one JSON object per row with its line, id and error.
    #[arg(long, value_name = "FILE")]
    rejected: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

pub(super) async fn run(import: Import) -> anyhow::Result<()> {
    let format = import.format()?;
    // Errors of the file are reported before the database is opened.
    let rows = import.open(format).with_context(|| import.name())?;
    let config = Config::load(&import.overrides)?;
    let store = open(&config).await?;
    let organization = whose(&store, import.organization.as_deref()).await?;
    let rejected = Rejected::create(format.unit(), import.rejected.as_deref(), &import.file)?;
    let bookmark = import.bookmark(&config, &organization);
    let (usage, clock) = (store.usage().clone(), Clock::system());
    let admission = Arc::new(Admission {
        projects: organization::projects(&store, &organization).await?,
        organization,
        clock: clock.clone(),
        keep: config.keep_usage,
        prices: config.prices.clone(),
    });
    let spend = Spend::load(&usage, clock.clone()).await?;
    let shares_a_file = usage.is_local();
    let (recorder, task) = Recorder::start(usage, Arc::new(config.prices), clock, spend)?;
    let mut taking = RunningImport {
        recorder,
        shares_a_file,
        rejected,
        bookmark,
        counts: RowCounts::from(FilePosition::default()),
    };
    let outcome = taking.everything(&import, format, rows, &admission).await;
    task.stop(STOP_TIMEOUT).await;
    taking.counts.say();
    outcome.with_context(|| import.name())?;
    taking.rejected.finish()?;
    match taking.counts.refused() {
        0 => Ok(()),
        1 => bail!("{}: 1 row was refused", import.name()),
        refused => bail!("{}: {refused} rows were refused", import.name()),
    }
}

impl Import {
    fn name(&self) -> String {
        if self.is_stdin() {
            "stdin".to_owned()
        } else {
            self.file.display().to_string()
        }
    }

    fn is_stdin(&self) -> bool {
        self.file == Path::new("-")
    }

    /// Returns the bookmark of the import. None with `--rejected`, which must list rejected rows from the first row
    /// on.
    fn bookmark(&self, config: &Config, organization: &OrganizationId) -> Option<Bookmark> {
        if self.is_stdin() || self.rejected.is_some() {
            return None;
        }
        Bookmark::of(&self.file, config.database_without_password(), organization)
    }

    fn format(&self) -> anyhow::Result<Format> {
        let named = self.format.map(Format::from);
        let unclear = || {
            let name = self.name();
            format!(
                "{name}: what it is cannot be told from its name; say --format ndjson, csv or parquet"
            )
        };
        named
            .or_else(|| Format::of(&self.file))
            .with_context(unclear)
    }

    fn open(&self, format: Format) -> Result<Box<dyn RowReader>, FileError> {
        if self.is_stdin() {
            files::stream(Box::new(std::io::stdin()), format, None)
        } else {
            files::open(&self.file, format)
        }
    }
}

/// Finds the organization by id, or the only one without an id.
pub(super) async fn whose(store: &Store, id: Option<&str>) -> anyhow::Result<OrganizationId> {
    let mut all = organization::all(store).await?;
    let Some(id) = id else {
        return match all.len() {
            1 => Ok(all.remove(0)),
            0 => bail!(
                "the database has no organization yet: orgplane serve or org create makes one"
            ),
            _ => bail!("there are several organizations: say --organization ID"),
        };
    };
    let named = all
        .into_iter()
        .find(|organization| organization.as_str() == id);
    named.with_context(|| format!("no organization with id '{}'", escape_control(id)))
}

/// A running import.
struct RunningImport {
    recorder: Recorder,
    /// True if a server may wait for transactions of this process.
    shares_a_file: bool,
    rejected: Rejected,
    bookmark: Option<Bookmark>,
    counts: RowCounts,
}

impl RunningImport {
    /// Imports the rows after the bookmark, or all rows if the ledger does not confirm it.
    async fn everything(
        &mut self,
        import: &Import,
        format: Format,
        mut rows: Box<dyn RowReader>,
        admission: &Arc<Admission>,
    ) -> anyhow::Result<()> {
        if let Some(place) = self.bookmark.as_ref().and_then(Bookmark::read) {
            rows.skip(place.rows)?;
            self.counts = RowCounts::from(place);
            if self.all(rows, admission, place).await? {
                return Ok(());
            }
            rows = import.open(format)?;
        }
        self.counts = RowCounts::from(FilePosition::default());
        self.all(rows, admission, FilePosition::default()).await?;
        Ok(())
    }

    /// Imports the rows after a position. Returns false if no earlier run has reached this position: its first events
    /// would be known.
    async fn all(
        &mut self,
        rows: Box<dyn RowReader>,
        admission: &Arc<Admission>,
        from: FilePosition,
    ) -> anyhow::Result<bool> {
        let progress = Progress::new("rows");
        let mut batches = read(rows, Arc::clone(admission))?;
        let mut place = from;
        loop {
            let batch = batches.recv().await;
            let batch = batch.context("its reader has failed")??;
            if batch.is_last {
                break;
            }
            let mut appended = Appended::default();
            // A server on the same file can write after the rows of a few days.
            for part in by_days(batch.events) {
                let watch = Stopwatch::start();
                let part = self.append(part).await?;
                appended.accepted += part.accepted;
                appended.duplicates += part.duplicates;
                if self.shares_a_file {
                    tokio::time::sleep(watch.elapsed() / PAUSE_RATIO).await;
                }
            }
            if place == from && from.rows > 0 && (appended.accepted > 0 || appended.duplicates == 0)
            {
                return Ok(false);
            }
            // The bookmark stores the start of this batch, whose events are then known.
            if let Some(bookmark) = &mut self.bookmark {
                bookmark.put(place);
            }
            place.rows += batch.rows;
            place.refused += batch.refused.len();
            self.counts.count(appended, batch.refused.len());
            for (number, refused) in batch.refused {
                progress.suspend(|| self.rejected.add(number, &refused))?;
            }
            progress.show(|| self.counts.line(batch.position));
        }
        if let Some(bookmark) = &self.bookmark {
            bookmark.remove();
        }
        Ok(true)
    }

    /// Appends events, with retries on a slow database.
    async fn append(&self, events: Vec<UsageEvent>) -> anyhow::Result<Appended> {
        let mut late = None;
        for _ in 0..MAX_ATTEMPTS {
            match self.recorder.import(events.clone()).await {
                Ok(appended) => return Ok(appended),
                Err(error) if error.retry_after.is_some() => late = Some(error),
                Err(error) => bail!("{}", error.message),
            }
            // The events are written eventually; a retry finds them known.
            self.recorder.flush().await;
        }
        bail!(
            "{}",
            late.map_or_else(String::new, |error| error.message.into_owned())
        )
    }
}
