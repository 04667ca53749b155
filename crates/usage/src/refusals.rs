//! Requests that the gateway refused: counted by day, project and error code, without a write on the request path.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::ids::{OrganizationId, ProjectId};
use base::time::SECONDS_PER_DAY;
use base::{Clock, UnixTime};
use store::{Connection, Database, Result, Row, Statement, sql};
use tasks::{Task, TaskHandle};
use tokio_util::sync::CancellationToken;

/// The interval between two writes.
const WRITE_INTERVAL: Duration = Duration::from_secs(2);
/// The most series that are pending between two writes; refusals of further ones are not counted.
const MAX_PENDING: usize = 20_000;
/// The most series that are written in one transaction, so that other writers get their turn.
const MAX_BATCH: usize = 500;
/// The number of attempts to write at shutdown.
const STOP_ATTEMPTS_COUNT: usize = 5;
const STOP_RETRY_DELAY: Duration = Duration::from_millis(100);
/// The number of days for which counts are kept.
pub(crate) const MAX_REFUSAL_AGE_DAYS: u32 = 400;

/// Counts refusals. Clones share the pending counts.
#[derive(Clone)]
pub struct Refusals {
    pending: Arc<Mutex<PendingRefusals>>,
    clock: Clock,
}

type PendingRefusals = HashMap<RefusalSeries, i64>;

/// The refusals that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct RefusalSeries {
    organization: OrganizationId,
    day: UnixTime,
    project: ProjectId,
    code: &'static str,
}

/// The refused requests of a day with one error code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalCount {
    /// The first second of the day.
    pub day: UnixTime,
    /// The error code.
    pub code: String,
    /// The number of requests.
    pub requests: i64,
}

/// The refused requests of a project with one error code, in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectRefusals {
    /// The project.
    pub project: String,
    /// The error code.
    pub code: String,
    /// The number of requests.
    pub requests: i64,
}

/// The task that writes pending counts, and once more when it is stopped.
struct RefusalWriter {
    refusals: Refusals,
    database: Database,
    stop: CancellationToken,
}

impl Refusals {
    /// Returns a counter whose counts are written by [`Refusals::write_pending`] only.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            pending: Arc::default(),
            clock,
        }
    }

    /// Starts the task that writes counts, on the current runtime. Its stop writes those that are pending.
    #[must_use]
    pub fn start(database: Database, clock: Clock) -> (Self, TaskHandle) {
        let refusals = Self::new(clock);
        let counted = refusals.clone();
        let task = tasks::start("refusals", |stop| RefusalWriter {
            refusals: counted,
            database,
            stop,
        });
        (refusals, task)
    }

    /// Counts a refused request of a project.
    pub fn count(&self, organization: &OrganizationId, project: &ProjectId, code: &'static str) {
        let series = RefusalSeries {
            organization: organization.clone(),
            day: self.clock.now().floor(SECONDS_PER_DAY),
            project: project.clone(),
            code,
        };
        self.add(series, 1);
    }

    fn add(&self, series: RefusalSeries, requests: i64) {
        let mut pending = self.lock();
        if let Some(count) = pending.get_mut(&series) {
            *count += requests;
        } else if pending.len() < MAX_PENDING {
            pending.insert(series, requests);
        }
    }

    fn lock(&self) -> MutexGuard<'_, PendingRefusals> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes pending counts. False if some could not be written and are pending still.
    pub async fn write_pending(&self, database: &Database) -> bool {
        let pending = std::mem::take(&mut *self.lock());
        let mut pending: Vec<_> = pending.into_iter().collect();
        // Every node locks rows in the same order, so that no two deadlock.
        pending.sort_unstable();
        let mut is_written = true;
        for batch in pending.chunks(MAX_BATCH) {
            if let Err(error) = write(database, batch).await {
                tracing::warn!(%error, series = batch.len(), "failed to count refusals; trying again");
                for (series, requests) in batch {
                    self.add(series.clone(), *requests);
                }
                is_written = false;
            }
        }
        is_written
    }
}

impl Task for RefusalWriter {
    async fn run(&mut self) {
        while !self.stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(WRITE_INTERVAL) => {
                    self.refusals.write_pending(&self.database).await;
                }
                () = self.stop.cancelled() => {}
            }
        }
        for attempt in 0..STOP_ATTEMPTS_COUNT {
            if attempt > 0 {
                tokio::time::sleep(STOP_RETRY_DELAY).await;
            }
            if self.refusals.write_pending(&self.database).await {
                return;
            }
        }
        tracing::error!("failed to count refusals before the shutdown");
    }
}

async fn write(database: &Database, batch: &[(RefusalSeries, i64)]) -> Result<()> {
    let mut transaction = database.begin().await?;
    for (series, requests) in batch {
        let add = sql!(
            "INSERT INTO refusals (organization_id, day, project_id, code, requests) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (organization_id, day, project_id, code) DO UPDATE \
             SET requests = refusals.requests + excluded.requests",
            &series.organization,
            series.day,
            &series.project,
            series.code,
            *requests
        );
        transaction.execute(add).await?;
    }
    transaction.commit().await
}

/// Restricts a statement to one project, if there is one.
fn restrict(refusals: &mut Statement, project: Option<&str>) {
    if let Some(project) = project {
        refusals.push(" AND project_id = ").bind(project);
    }
}

/// Returns the refusals of an organization from the day of `start` to that of the second before `end`, by day and code:
/// of one project, or of all.
///
/// # Errors
/// The database failed.
pub async fn refusals(
    connection: &mut Connection,
    organization: &OrganizationId,
    project: Option<&str>,
    start: UnixTime,
    end: UnixTime,
) -> Result<Vec<RefusalCount>> {
    let mut counts = sql!(
        "SELECT day, code, CAST(SUM(requests) AS BIGINT) AS requests FROM refusals \
         WHERE organization_id = $1 AND day >= $2 AND day < $3",
        organization,
        start.floor(SECONDS_PER_DAY),
        end
    );
    restrict(&mut counts, project);
    counts.push(" GROUP BY day, code ORDER BY day, code");
    let read = |row: &Row<'_>| {
        Ok(RefusalCount {
            day: row.time("day")?,
            code: row.get("code")?,
            requests: row.get("requests")?,
        })
    };
    connection.fetch_all(counts, read).await
}

/// Returns the refusals of an organization from the day of `start` to that of the second before `end`, by project and code:
/// the `limit` largest sums.
///
/// # Errors
/// The database failed.
pub async fn refusals_by_project(
    connection: &mut Connection,
    organization: &OrganizationId,
    project: Option<&str>,
    (start, end): (UnixTime, UnixTime),
    limit: i64,
) -> Result<Vec<ProjectRefusals>> {
    let mut sums = sql!(
        "SELECT project_id, code, CAST(SUM(requests) AS BIGINT) AS requests FROM refusals \
         WHERE organization_id = $1 AND day >= $2 AND day < $3",
        organization,
        start.floor(SECONDS_PER_DAY),
        end
    );
    restrict(&mut sums, project);
    sums.push(" GROUP BY project_id, code ORDER BY SUM(requests) DESC, project_id, code LIMIT ");
    sums.bind(limit);
    let read = |row: &Row<'_>| {
        Ok(ProjectRefusals {
            project: row.get("project_id")?,
            code: row.get("code")?,
            requests: row.get("requests")?,
        })
    };
    connection.fetch_all(sums, read).await
}

/// Deletes the counts of days before `oldest`.
pub(crate) fn delete_before(oldest: UnixTime) -> Statement {
    sql!("DELETE FROM refusals WHERE day < $1", oldest)
}
