//! The table `usage_sums`, which holds the blocks.

use std::collections::HashSet;

use base::UnixTime;
use base::time::SECONDS_PER_DAY;
use rollup::{Rollup, Rows};
use store::{Connection, Result, Row, Statement, Transaction, sql};

use super::corrupt;

/// A range of blocks that a report reads: those of one rollup, by the first seconds of their periods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockRange {
    pub(crate) rollup: Rollup,
    pub(crate) first_period: i64,
    pub(crate) last_period: i64,
}

/// Selects several ranges of blocks in one statement, so that no row is moved from one to another meanwhile. The column
/// `part` is the index of the range.
pub(crate) fn select_blocks(organization: i64, parts: &[BlockRange]) -> Statement {
    let mut select = sql!("");
    for (index, part) in (0_i64..).zip(parts) {
        select.push(if index == 0 {
            "SELECT CAST("
        } else {
            " UNION ALL SELECT CAST("
        });
        select.bind(index);
        select.push(" AS BIGINT) AS part, data FROM usage_sums WHERE organization = ");
        select
            .bind(organization)
            .push(" AND shape = ")
            .bind(part.rollup.as_str());
        select.push(" AND period >= ").bind(part.first_period);
        select.push(" AND period <= ").bind(part.last_period);
    }
    select
}

/// Deletes the blocks of a rollup whose buckets all start before `oldest`, the first second of a day; those of at most
/// `max_periods` periods, oldest first.
pub(crate) async fn delete_before(
    transaction: &mut Transaction,
    rollup: Rollup,
    oldest: UnixTime,
    max_periods: usize,
) -> Result<()> {
    let periods = sql!(
        "SELECT DISTINCT period FROM usage_sums WHERE shape = $1 AND period < $2 ORDER BY period",
        rollup.as_str(),
        rollup.period(oldest.0)
    );
    let read = |row: &Row<'_>| row.get::<i64>("period");
    let periods = transaction.fetch_all(periods, read).await?;
    let Some(last) = periods.iter().take(max_periods).next_back() else {
        return Ok(());
    };
    let delete = sql!(
        "DELETE FROM usage_sums WHERE shape = $1 AND period <= $2",
        rollup.as_str(),
        *last
    );
    transaction.execute(delete).await.map(|_| ())
}

/// Deletes all sums, so that they can be added up again, but for those of the days in `but`, whose ledger is gone.
pub(crate) async fn clear(transaction: &mut Transaction, but: &HashSet<UnixTime>) -> Result<()> {
    if but.is_empty() {
        let all = sql!("DELETE FROM usage_sums");
        return transaction.execute(all).await.map(|_| ());
    }
    let all = sql!("SELECT id, organization, shape, period, tier FROM usage_sums ORDER BY id");
    let read = |row: &Row<'_>| {
        let place = (
            row.word("shape", Rollup::parse)?,
            row.get("period")?,
            row.get("tier")?,
        );
        Ok((
            row.get::<i64>("id")?,
            row.get::<i64>("organization")?,
            place,
        ))
    };
    for (id, organization, place) in transaction.fetch_all(all, read).await? {
        let mut rows = Rows::default();
        for data in take(transaction, &[id]).await? {
            rows.push_block(&data).map_err(corrupt)?;
        }
        let stays = |bucket| but.contains(&UnixTime(bucket).floor(SECONDS_PER_DAY));
        let stay = rows.merged(|series, bucket| stays(bucket).then_some((series, bucket)));
        if !stay.is_empty() {
            let width = place.0.width().seconds();
            insert(transaction, organization, place, stay.block(width)).await?;
        }
    }
    Ok(())
}

/// Inserts a block.
pub(super) async fn insert(
    transaction: &mut Transaction,
    organization: i64,
    (rollup, period, tier): (Rollup, i64, i64),
    data: Vec<u8>,
) -> Result<()> {
    let insert = sql!(
        "INSERT INTO usage_sums (organization, shape, period, tier, data) VALUES ($1, $2, $3, $4, $5)",
        organization,
        rollup.as_str(),
        period,
        tier,
        data
    );
    transaction.execute(insert).await.map(|_| ())
}

/// Returns the organizations that have at least `least` blocks of new rows, with their numbers of blocks.
pub(super) async fn waiting(
    connection: &mut Connection,
    least: usize,
) -> Result<Vec<(i64, usize)>> {
    // Each count reads the index only as far as the organization has blocks.
    let select = sql!(
        "SELECT number, blocks FROM ( \
            SELECT o.number, (SELECT COUNT(*) FROM usage_sums s \
                WHERE s.organization = o.number AND s.shape = $1 AND s.period = $2) AS blocks \
            FROM usage_organizations o) AS counted \
         WHERE blocks >= $3",
        Rollup::New.as_str(),
        Rollup::New.period(0),
        i64::try_from(least).unwrap_or(i64::MAX)
    );
    let read = |row: &Row<'_>| {
        let blocks = row.get::<i64>("blocks")?;
        Ok((row.get("number")?, usize::try_from(blocks).unwrap_or(0)))
    };
    connection.fetch_all(select, read).await
}

/// Returns at most `limit` blocks of a rollup and period with their ids, oldest first.
pub(super) async fn oldest(
    connection: &mut Connection,
    organization: i64,
    (rollup, period): (Rollup, i64),
    limit: i64,
) -> Result<Vec<(i64, Vec<u8>)>> {
    let select = sql!(
        "SELECT id, data FROM usage_sums WHERE organization = $1 AND shape = $2 AND period = $3 ORDER BY id LIMIT $4",
        organization,
        rollup.as_str(),
        period,
        limit
    );
    connection.fetch_all(select, id_and_data).await
}

/// Returns the ids and tiers of the blocks of a rollup and period.
pub(super) async fn tiers(
    connection: &mut Connection,
    organization: i64,
    (rollup, period): (Rollup, i64),
) -> Result<Vec<(i64, i64)>> {
    let select = sql!(
        "SELECT id, tier FROM usage_sums WHERE organization = $1 AND shape = $2 AND period = $3",
        organization,
        rollup.as_str(),
        period
    );
    let read = |row: &Row<'_>| Ok((row.get("id")?, row.get("tier")?));
    connection.fetch_all(select, read).await
}

/// Deletes blocks and returns their content.
pub(super) async fn take(transaction: &mut Transaction, ids: &[i64]) -> Result<Vec<Vec<u8>>> {
    let mut select = sql!("SELECT id, data FROM usage_sums WHERE id IN ");
    select.bind_list(ids.iter().copied());
    let taken = transaction.fetch_all(select, id_and_data).await?;
    delete(transaction, ids).await?;
    Ok(taken.into_iter().map(|(_, data)| data).collect())
}

/// Deletes blocks.
pub(super) async fn delete(transaction: &mut Transaction, ids: &[i64]) -> Result<()> {
    let mut delete = sql!("DELETE FROM usage_sums WHERE id IN ");
    delete.bind_list(ids.iter().copied());
    transaction.execute(delete).await.map(|_| ())
}

fn id_and_data(row: &Row<'_>) -> Result<(i64, Vec<u8>)> {
    Ok((row.get("id")?, row.get("data")?))
}
