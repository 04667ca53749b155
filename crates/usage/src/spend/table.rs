//! The table `spend_months`: the sums of charges by month and project.

use base::ids::{OrganizationId, ProjectId};
use base::{NanoDollars, UnixTime};
use store::{Connection, Result, Row, Statement, Transaction, sql};

/// The spend of a project in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpendTotal {
    /// The first second of the month.
    pub(crate) month: UnixTime,
    pub(crate) organization_id: OrganizationId,
    pub(crate) project_id: ProjectId,
    pub(crate) amount: NanoDollars,
    /// The number of changes so far.
    pub(crate) changes: i64,
}

impl SpendTotal {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            month: row.time("month")?,
            organization_id: row.id("organization_id")?,
            project_id: row.id("project_id")?,
            amount: NanoDollars(row.get("amount")?),
            changes: row.get("changes")?,
        })
    }
}

/// Adds amounts, which must be ordered by their keys. Returns the sums afterwards. Sums saturate.
pub(crate) async fn add(
    transaction: &mut Transaction,
    amounts: impl Iterator<Item = ((UnixTime, OrganizationId, ProjectId), NanoDollars)>,
) -> Result<Vec<SpendTotal>> {
    let rows = amounts.map(|((month, organization, project), amount)| {
        vec![
            month.into(),
            (&organization).into(),
            (&project).into(),
            amount.into(),
            1.into(),
        ]
    });
    let head = sql!(
        "INSERT INTO spend_months (month, organization_id, project_id, amount, changes) VALUES "
    );
    let tail = sql!(
        " ON CONFLICT (month, organization_id, project_id) DO UPDATE \
         SET amount = CASE \
             WHEN excluded.amount > 0 AND spend_months.amount > 9223372036854775807 - excluded.amount \
             THEN 9223372036854775807 \
             WHEN excluded.amount < 0 AND spend_months.amount < -9223372036854775807 - excluded.amount \
             THEN -9223372036854775807 \
             ELSE spend_months.amount + excluded.amount END, \
         changes = spend_months.changes + 1 \
         RETURNING month, organization_id, project_id, amount, changes"
    );
    transaction
        .write_rows(&head, rows.collect(), &tail, SpendTotal::read)
        .await
}

/// Sets the sums of `since` and later months to 0, so that they can be added up again. The rows stay, so that `changes`
/// never decreases.
pub(crate) fn clear(since: UnixTime) -> Statement {
    let mut clear = sql!("UPDATE spend_months SET amount = 0, changes = changes + 1");
    push_since(&mut clear, since);
    clear
}

/// Returns the sums of `since` and later months.
pub(super) async fn load(connection: &mut Connection, since: UnixTime) -> Result<Vec<SpendTotal>> {
    let mut select =
        sql!("SELECT month, organization_id, project_id, amount, changes FROM spend_months");
    push_since(&mut select, since);
    connection.fetch_all(select, SpendTotal::read).await
}

/// Returns the number of changes so far of the sums that [`load`] returns, and of reservations.
pub(super) async fn changes(connection: &mut Connection, since: UnixTime) -> Result<i64> {
    let mut select = sql!(
        "SELECT CAST(COALESCE(SUM(changes), 0) + (SELECT COALESCE(SUM(changes), 0) FROM spend_reserved) AS BIGINT) \
         AS changes FROM spend_months"
    );
    push_since(&mut select, since);
    connection.fetch_one(select, |row| row.get("changes")).await
}

fn push_since(select: &mut Statement, since: UnixTime) {
    select.push(" WHERE month >= ").bind(since);
}
