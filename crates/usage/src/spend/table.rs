//! The sums of bills by month and project, as the database has them.

use base::ids::{OrganizationId, ProjectId};
use base::{NanoDollars, UnixTime};
use store::{Connection, Result, Row, Statement, Transaction, sql};

/// What a project has spent in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Total {
    /// The month's first second.
    pub(crate) month: UnixTime,
    pub(crate) organization_id: OrganizationId,
    pub(crate) project_id: ProjectId,
    pub(crate) amount: NanoDollars,
    /// Grows with every change.
    pub(crate) changes: i64,
}

impl Total {
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

/// Adds amounts, which must be in the order of the key; what the sums are then. They stop at the ends of the range.
pub(crate) async fn add(
    transaction: &mut Transaction,
    amounts: impl Iterator<Item = ((UnixTime, OrganizationId, ProjectId), NanoDollars)>,
) -> Result<Vec<Total>> {
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
        .write_rows(&head, rows.collect(), &tail, Total::read)
        .await
}

/// Makes the sums of this month and later ones nothing, to be added up anew. Their rows stay, so that `changes` never falls back.
pub(crate) fn clear(since: UnixTime) -> Statement {
    let mut clear = sql!("UPDATE spend_months SET amount = 0, changes = changes + 1");
    push_since(&mut clear, since);
    clear
}

/// Every sum of this month and later ones.
pub(super) async fn load(connection: &mut Connection, since: UnixTime) -> Result<Vec<Total>> {
    let mut select =
        sql!("SELECT month, organization_id, project_id, amount, changes FROM spend_months");
    push_since(&mut select, since);
    connection.fetch_all(select, Total::read).await
}

/// Returns a number that grows with every change to a sum that [`load`] gives, or to what is reserved.
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
