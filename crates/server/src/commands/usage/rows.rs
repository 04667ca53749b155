//! The rows of a file that is imported, read and checked on a thread of their own while others are written.

use std::collections::HashSet;
use std::sync::Arc;

use base::ids::OrganizationId;
use base::{Clock, UnixTime};
use files::{FileError, ReadPosition, Row, RowReader};
use tokio::sync::mpsc;
use usage::reported::{RefusedEvent, no_such_project};
use usage::{EventBounds, PriceBook, RetentionPeriods, UsageEvent};

/// How many rows share a transaction: many, since a commit costs more than a row, but not so many that a server on the
/// same file waits long for its turn.
const BATCH: usize = 2_000;
/// How many batches may wait to be written.
const WAITING: usize = 2;

/// Whose usage a file has, and what it may name.
pub(super) struct Admission {
    pub(super) organization: OrganizationId,
    pub(super) projects: HashSet<String>,
    pub(super) clock: Clock,
    pub(super) keep: RetentionPeriods,
    pub(super) prices: PriceBook,
}

/// Rows that were read together.
pub(super) struct Batch {
    pub(super) events: Vec<UsageEvent>,
    /// How many rows they are.
    pub(super) rows: u64,
    /// Whether there are no more.
    pub(super) is_last: bool,
    /// Those that are no events of the organization, each with its number.
    pub(super) refused: Vec<(u64, RefusedEvent)>,
    /// How far the file has been read with them.
    pub(super) position: ReadPosition,
}

/// Reads a file until its end, or until nobody takes what it gives.
pub(super) fn read(
    mut rows: Box<dyn RowReader>,
    admission: Arc<Admission>,
) -> std::io::Result<mpsc::Receiver<Result<Batch, FileError>>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    // A thread and no task: one that waits for stdin must not keep the program from ending.
    let reader = std::thread::Builder::new().name("reader".to_owned());
    reader.spawn(move || {
        loop {
            let (batch, outcome) = admission.next_batch(rows.as_mut());
            let is_taken = sender.blocking_send(Ok(batch)).is_ok();
            match outcome {
                Ok(1..) if is_taken => {}
                Ok(_) => return,
                Err(error) => {
                    // Nobody is left to hear of it when the import was given up.
                    let _ = sender.blocking_send(Err(error));
                    return;
                }
            }
        }
    })?;
    Ok(receiver)
}

impl Admission {
    /// The next rows, also when the file cannot be read any further after them; and how many they are.
    fn next_batch(&self, rows: &mut dyn RowReader) -> (Batch, Result<usize, FileError>) {
        let (mut events, mut refused) = (Vec::with_capacity(BATCH), Vec::new());
        let now = self.clock.now();
        let outcome = rows.read(BATCH, &mut |row| {
            let number = row.number;
            match self.check(row, now) {
                Ok(event) => events.push(event),
                Err(reason) => refused.push((number, reason)),
            }
        });
        let position = rows.position();
        let batch = Batch {
            rows: u64::try_from(events.len() + refused.len()).unwrap_or(u64::MAX),
            is_last: matches!(outcome, Ok(0)),
            events,
            refused,
            position,
        };
        (batch, outcome)
    }

    fn check(&self, row: Row<'_>, now: UnixTime) -> Result<UsageEvent, RefusedEvent> {
        let reported = row.event?;
        let project = reported.project_id()?;
        if !self.projects.contains(project) {
            return Err(reported.refused(no_such_project(project)));
        }
        let bounds = EventBounds {
            prices: &self.prices,
            keep: self.keep,
            is_import: true,
        };
        reported.check(&self.organization, now, bounds)
    }
}
