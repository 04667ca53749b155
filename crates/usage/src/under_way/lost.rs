//! Lost requests: those that a process has left under way. Each becomes a row of the outcome `node_lost`, with the id
//! and the time of its admission.

use std::sync::Arc;

use base::{Clock, UnixTime};
use store::{Database, Error, Result, Row, sql};

use super::table::{StoredRequest, delete, epochs, of_epoch};
use crate::ledger::key::Source;
use crate::ledger::{Append, Ledger};
use crate::spend::SpendTotal;
use crate::{LedgerNode, PriceBook, UsageEvent, set_aside, spend};

/// The most requests that are recorded in one transaction.
const MAX_BATCH: i64 = 500;
const MICROSECONDS_PER_SECOND: i64 = 1_000_000;

/// The requests of a session that are recorded.
#[derive(Default)]
pub(crate) struct LostRequests {
    /// The number of rows that are new.
    pub(crate) rows: usize,
    /// The spend afterwards, of the months and projects that the rows are of.
    pub(crate) spent: Vec<SpendTotal>,
}

/// Records the requests that earlier processes have left under way. Must be called before requests are admitted, and
/// where no other process serves the database. Returns the number of rows.
///
/// # Errors
/// The database failed.
pub async fn record_lost(
    database: &Database,
    prices: Arc<PriceBook>,
    clock: Clock,
) -> Result<usize> {
    let mut ledger = Ledger::new(database.clone(), prices, clock);
    let left = epochs(&mut *database.read().await?).await?;
    let mut rows = 0;
    for epoch in left {
        rows += LostRequests::record(&mut ledger, epoch).await?.rows;
    }
    Ok(rows)
}

/// Returns the sessions that are over for so long that their requests are lost, as far as they have left something.
pub(crate) async fn epochs_over(database: &Database, node: &LedgerNode) -> Result<Vec<i64>> {
    let mut read = database.read().await?;
    let now = read.now().await?;
    let lost_after = i64::try_from(node.lost_after.as_secs()).unwrap_or(i64::MAX);
    let ended_before = now.plus(-lost_after).0;
    let ended_before = ended_before.saturating_mul(MICROSECONDS_PER_SECOND);
    let select = sql!(
        "SELECT DISTINCT epoch FROM (SELECT epoch FROM under_way UNION SELECT epoch FROM spend_slices) l \
         WHERE epoch <> $1 AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.epoch = l.epoch \
         AND (n.ended_at IS NULL OR n.ended_at >= $2)) \
         ORDER BY epoch",
        node.session.epoch(),
        ended_before
    );
    let read_epoch = |row: &Row<'_>| row.get::<i64>("epoch");
    read.fetch_all(select, read_epoch).await
}

/// Releases the slices of a session that is over of months before `before`, once none of its requests waits for a row.
pub(crate) async fn release_slices(
    database: &Database,
    epoch: i64,
    before: UnixTime,
) -> Result<()> {
    let mut transaction = database.begin().await?;
    let slices = spend::release_slices(&mut transaction, epoch, before).await?;
    transaction.commit().await?;
    if slices > 0 {
        tracing::info!(epoch, slices, "spend slices of a lost session released");
    }
    Ok(())
}

impl LostRequests {
    /// Records the requests of a session that is over.
    pub(crate) async fn record(ledger: &mut Ledger, epoch: i64) -> Result<Self> {
        let mut recorded = Self::default();
        loop {
            let left = {
                let mut read = ledger.database().read().await?;
                of_epoch(&mut read, epoch, MAX_BATCH).await?
            };
            if left.is_empty() {
                break;
            }
            recorded.add(ledger, left).await?;
        }
        if recorded.rows > 0 {
            let rows = recorded.rows;
            tracing::warn!(epoch, rows, "requests of a lost process recorded");
        }
        Ok(recorded)
    }

    /// Records some requests: together, or one by one if the database refuses that.
    async fn add(&mut self, ledger: &mut Ledger, left: Vec<StoredRequest>) -> Result<()> {
        match self.try_add(ledger, &left).await {
            Err(error) if error.is_permanent() => {}
            outcome => return outcome,
        }
        for request in left {
            let one = std::slice::from_ref(&request);
            match self.try_add(ledger, one).await {
                Err(error) if error.is_permanent() => {
                    set_aside_or_drop(ledger, &request, &error).await?;
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    async fn try_add(&mut self, ledger: &mut Ledger, left: &[StoredRequest]) -> Result<()> {
        let events: Vec<UsageEvent> = left
            .iter()
            .map(StoredRequest::parse)
            .collect::<Result<_>>()?;
        let events: Vec<&UsageEvent> = events.iter().collect();
        let ended: Vec<String> = left.iter().map(|request| request.id.clone()).collect();
        let append = Append {
            ended: &ended,
            ..Append::from(Source::Lost)
        };
        let written = ledger.append(&events, append).await?;
        self.rows += written.new.iter().filter(|new| **new).count();
        self.spent.extend(written.spent);
        Ok(())
    }
}

impl StoredRequest {
    fn parse(&self) -> Result<UsageEvent> {
        let broken = |_| Error::Column("event".to_owned(), "is no event".to_owned());
        serde_json::from_slice(&self.event).map_err(broken)
    }
}

/// Sets a request aside that the ledger refuses. One that cannot be read is left to the log.
async fn set_aside_or_drop(ledger: &Ledger, request: &StoredRequest, error: &Error) -> Result<()> {
    let (database, id) = (ledger.database(), request.id.as_str());
    match request.parse() {
        Ok(event) => {
            tracing::error!(id, %error, "lost request set aside: refused by the database");
            set_aside::add(database, &event, &error.to_string(), ledger.now()).await?;
        }
        Err(error) => {
            let event = String::from_utf8_lossy(&request.event);
            tracing::error!(id, %error, %event, "lost request cannot be read; not recorded");
        }
    }
    let mut transaction = database.begin().await?;
    delete(&mut transaction, std::slice::from_ref(&request.id)).await?;
    transaction.commit().await
}
