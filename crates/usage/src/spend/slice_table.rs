//! The table `spend_slices`.

use std::collections::BTreeMap;

use base::{NanoDollars, UnixTime};
use store::{Connection, Result, Row, Transaction, sql};

use super::slice::{SliceKey, SliceTotal};

/// The cost of an event that was reserved of a slice.
#[derive(Clone, Debug)]
pub(crate) struct SliceSettlement {
    /// The index of the event among those of the transaction; the slice shrinks only if the event is new. `None` if the
    /// slice shrinks in any case.
    pub(crate) event: Option<usize>,
    pub(crate) key: SliceKey,
    /// The part of the slice that becomes spend.
    pub(crate) amount: NanoDollars,
}

impl SliceTotal {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            key: SliceKey {
                month: row.time("month")?,
                organization_id: row.id("organization_id")?,
                project_id: row.id("project_id")?,
                epoch: row.get("epoch")?,
            },
            amount: NanoDollars(row.get("amount")?),
            changes: row.get("changes")?,
        })
    }
}

/// Adds an amount to a slice. Returns the slice afterwards.
pub(super) async fn add(
    transaction: &mut Transaction,
    key: &SliceKey,
    amount: NanoDollars,
) -> Result<SliceTotal> {
    let upsert = sql!(
        "INSERT INTO spend_slices (month, organization_id, project_id, epoch, amount, changes, refused) \
         VALUES ($1, $2, $3, $4, $5, 1, 0) \
         ON CONFLICT (month, organization_id, project_id, epoch) \
         DO UPDATE SET amount = spend_slices.amount + excluded.amount, changes = spend_slices.changes + 1 \
         RETURNING month, organization_id, project_id, epoch, amount, changes",
        key.month,
        &key.organization_id,
        &key.project_id,
        key.epoch,
        amount
    );
    transaction.fetch_one(upsert, SliceTotal::read).await
}

/// Takes an amount of a slice, at most all of it. Returns the slice afterwards, `None` if it is gone.
pub(super) async fn take(
    transaction: &mut Transaction,
    key: &SliceKey,
    amount: NanoDollars,
) -> Result<Option<SliceTotal>> {
    let update = sql!(
        "UPDATE spend_slices SET amount = CASE WHEN amount > $1 THEN amount - $1 ELSE 0 END, changes = changes + 1 \
         WHERE month = $2 AND organization_id = $3 AND project_id = $4 AND epoch = $5 \
         RETURNING month, organization_id, project_id, epoch, amount, changes",
        amount,
        key.month,
        &key.organization_id,
        &key.project_id,
        key.epoch
    );
    transaction.fetch_optional(update, SliceTotal::read).await
}

/// Takes the costs of new events of their slices. Returns the slices afterwards; one that is gone stays so.
pub(crate) async fn settle(
    transaction: &mut Transaction,
    settlements: &[SliceSettlement],
    is_new: impl Fn(usize) -> bool,
) -> Result<Vec<SliceTotal>> {
    // Always in the same order, so that two transactions never deadlock.
    let mut amounts: BTreeMap<&SliceKey, NanoDollars> = BTreeMap::new();
    for settlement in settlements {
        if settlement.event.is_none_or(&is_new) {
            *amounts.entry(&settlement.key).or_default() += settlement.amount;
        }
    }
    let mut totals = Vec::with_capacity(amounts.len());
    for (key, amount) in amounts {
        totals.extend(take(transaction, key, amount).await?);
    }
    Ok(totals)
}

/// Records that a session was refused, so that others give back what they do not need.
pub(super) async fn note_refusal(
    transaction: &mut Transaction,
    key: &SliceKey,
    now: UnixTime,
) -> Result<()> {
    let upsert = sql!(
        "INSERT INTO spend_slices (month, organization_id, project_id, epoch, amount, changes, refused) \
         VALUES ($1, $2, $3, $4, 0, 1, $5) \
         ON CONFLICT (month, organization_id, project_id, epoch) DO UPDATE SET refused = excluded.refused",
        key.month,
        &key.organization_id,
        &key.project_id,
        key.epoch,
        now
    );
    transaction.execute(upsert).await.map(drop)
}

/// Returns the organizations in which a session other than this one was refused since a time.
pub(super) async fn refused_since(
    connection: &mut Connection,
    epoch: i64,
    since: UnixTime,
) -> Result<Vec<String>> {
    let select = sql!(
        "SELECT DISTINCT organization_id FROM spend_slices WHERE epoch <> $1 AND refused >= $2",
        epoch,
        since
    );
    let read = |row: &Row<'_>| row.get::<String>("organization_id");
    connection.fetch_all(select, read).await
}

/// Returns the slices of a session.
pub(super) async fn of_epoch(connection: &mut Connection, epoch: i64) -> Result<Vec<SliceTotal>> {
    let select = sql!(
        "SELECT month, organization_id, project_id, epoch, amount, changes FROM spend_slices WHERE epoch = $1",
        epoch
    );
    connection.fetch_all(select, SliceTotal::read).await
}

/// Deletes the slices of a session that is over of months before `before`, once none of its requests waits for a row.
pub(crate) async fn release(
    transaction: &mut Transaction,
    epoch: i64,
    before: UnixTime,
) -> Result<u64> {
    let delete = sql!(
        "DELETE FROM spend_slices WHERE epoch = $1 AND month < $2 \
         AND NOT EXISTS (SELECT 1 FROM under_way WHERE epoch = $1)",
        epoch,
        before
    );
    transaction.execute(delete).await
}
