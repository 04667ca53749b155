//! What has come of an import: how many rows of each kind, and why some were refused.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, bail};
use base::time::Stopwatch;
use files::ReadPosition;
use serde_json::json;
use usage::Appended;
use usage::reported::RefusedEvent;

use super::bookmark::Place;
use crate::commands::plain;

/// How many refused rows are named on stderr.
const NAMED: usize = 20;

/// How many rows of each kind there were.
pub(super) struct Tally {
    /// What an earlier run has taken.
    before: Place,
    accepted: usize,
    duplicates: usize,
    refused: usize,
    since: Stopwatch,
}

impl From<Place> for Tally {
    /// Begins after rows that an earlier run has taken.
    fn from(before: Place) -> Self {
        Self {
            before,
            accepted: 0,
            duplicates: 0,
            refused: 0,
            since: Stopwatch::start(),
        }
    }
}

impl Tally {
    pub(super) fn count(&mut self, appended: Appended, refused: usize) {
        self.accepted += appended.accepted;
        self.duplicates += appended.duplicates;
        self.refused += refused;
    }

    /// How many rows were refused, by an earlier run as well.
    pub(super) fn refused(&self) -> usize {
        self.before.refused + self.refused
    }

    fn rows(&self) -> usize {
        self.accepted + self.duplicates + self.refused
    }

    fn rows_per_second(&self) -> u128 {
        let rows = u128::try_from(self.rows()).unwrap_or(u128::MAX);
        rows * 1_000 / self.since.elapsed().as_millis().max(1)
    }

    /// How far it is.
    pub(super) fn line(&self, position: ReadPosition) -> String {
        let share = position.of.map(|of| {
            let share = u128::from(position.done) * 100 / u128::from(of.max(1));
            format!(", {share} % of the file")
        });
        let (rows, speed) = (self.rows(), self.rows_per_second());
        format!("{rows} rows, {speed} rows/s{}", share.unwrap_or_default())
    }

    /// Says in the end what there was.
    pub(super) fn say(&self) {
        let (rows, speed) = (self.rows(), self.rows_per_second());
        let (new, known, refused) = (self.accepted, self.duplicates, self.refused);
        let seconds = self.since.elapsed().as_secs_f64();
        let before = match self.before {
            Place { rows: 0, .. } => String::new(),
            Place { rows, refused } => {
                format!("; an earlier run took the {rows} rows before them, and refused {refused}")
            }
        };
        tell(&format!(
            "{rows} rows in {seconds:.1} s ({speed} rows/s): {new} new events, {known} known, {refused} refused{before}"
        ));
    }
}

/// Rows that were refused.
pub(super) struct Rejected {
    /// What the numbers count: lines or rows.
    unit: &'static str,
    named: usize,
    all: Option<BufWriter<File>>,
}

impl Rejected {
    /// Names them on stderr, and writes all of them into `file` if there is one, which must not be `input`.
    pub(super) fn create(
        unit: &'static str,
        file: Option<&Path>,
        input: &Path,
    ) -> anyhow::Result<Self> {
        let create = |file: &Path| {
            let same = |file: &Path| file.canonicalize().ok();
            if same(file).is_some_and(|file| same(input) == Some(file)) {
                bail!("--rejected names the file that is imported");
            }
            let created = File::create(file);
            let created = created.with_context(|| format!("cannot write {}", file.display()))?;
            Ok(BufWriter::new(created))
        };
        Ok(Self {
            unit,
            named: 0,
            all: file.map(create).transpose()?,
        })
    }

    pub(super) fn add(&mut self, number: u64, refused: &RefusedEvent) -> anyhow::Result<()> {
        let RefusedEvent { id, error } = refused;
        if let Some(all) = &mut self.all {
            let row = json!({self.unit: number, "id": id, "error": error});
            writeln!(all, "{row}").context("the file of rejected rows")?;
        }
        if self.named <= NAMED {
            let id = id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
            tell(&if self.named < NAMED {
                plain(&format!("{} {number}{id}: {error}", self.unit))
            } else {
                "more were refused; --rejected FILE writes down all of them".to_owned()
            });
            self.named += 1;
        }
        Ok(())
    }

    /// Makes the file whole.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        match &mut self.all {
            Some(all) => all.flush().context("the file of rejected rows"),
            None => Ok(()),
        }
    }
}

/// Writes a line to stderr; a reader that has gone is no error.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
