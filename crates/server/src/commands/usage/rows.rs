//! Reader thread of an import: parses and validates rows while others are written.

use std::collections::HashSet;
use std::sync::Arc;

use base::ids::OrganizationId;
use base::{Clock, UnixTime};
use files::{FileError, Position, Row, Rows};
use tokio::sync::mpsc;
use usage::reported::{Refused, no_such_project};
use usage::{Bounds, Keep, PriceBook, UsageEvent};

/// Number of rows per transaction: large, since a commit costs more than a row, but small enough that a server on the
/// same file does not wait long.
const BATCH_LEN: usize = 2_000;
/// Capacity of the queue of batches.
const QUEUE_CAPACITY: usize = 2;

/// Rules for admitting rows: organization, projects, retention and prices.
pub(super) struct Admission {
    pub(super) organization: OrganizationId,
    pub(super) projects: HashSet<String>,
    pub(super) clock: Clock,
    pub(super) keep: Keep,
    pub(super) prices: PriceBook,
}

/// Batch of parsed rows.
pub(super) struct Batch {
    pub(super) events: Vec<UsageEvent>,
    /// Number of rows.
    pub(super) rows: u64,
    /// True for the last batch.
    pub(super) is_last: bool,
    /// Rejected rows with their numbers.
    pub(super) refused: Vec<(u64, Refused)>,
    /// Position in the file after the batch.
    pub(super) position: Position,
}

/// Starts the reader thread, which ends with the file or when the receiver is dropped.
pub(super) fn read(
    mut rows: Box<dyn Rows>,
    admission: Arc<Admission>,
) -> std::io::Result<mpsc::Receiver<Result<Batch, FileError>>> {
    let (sender, receiver) = mpsc::channel(QUEUE_CAPACITY);
    // A thread, not a task: a blocked read of stdin must not keep the process alive.
    let reader = std::thread::Builder::new().name("reader".to_owned());
    reader.spawn(move || {
        loop {
            let (batch, outcome) = admission.next_batch(rows.as_mut());
            let is_taken = sender.blocking_send(Ok(batch)).is_ok();
            match outcome {
                Ok(1..) if is_taken => {}
                Ok(_) => return,
                Err(error) => {
                    // The receiver is gone if the import was cancelled.
                    let _ = sender.blocking_send(Err(error));
                    return;
                }
            }
        }
    })?;
    Ok(receiver)
}

impl Admission {
    /// Reads the next batch. Rows before a read error are returned with the error.
    fn next_batch(&self, rows: &mut dyn Rows) -> (Batch, Result<usize, FileError>) {
        let (mut events, mut refused) = (Vec::with_capacity(BATCH_LEN), Vec::new());
        let now = self.clock.now();
        let outcome = rows.read(BATCH_LEN, &mut |row| {
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

    fn check(&self, row: Row<'_>, now: UnixTime) -> Result<UsageEvent, Refused> {
        let reported = row.event?;
        let project = reported.project_id()?;
        if !self.projects.contains(project) {
            return Err(reported.refused(no_such_project(project)));
        }
        let bounds = Bounds {
            prices: &self.prices,
            keep: self.keep,
            is_import: true,
        };
        reported.check(&self.organization, now, bounds)
    }
}
