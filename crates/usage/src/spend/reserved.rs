//! The tables of reservations: one row for each, and their sums by project.

use std::collections::BTreeMap;

use base::NanoDollars;
use base::ids::{OrganizationId, ProjectId};
use store::{Connection, Result, Row, Transaction, sql};

use super::state::SpendAccount;
use super::{Month, ReservationKey, SpendRequest, limits, refusal};

/// The sum that is reserved for a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReservedTotal {
    pub(crate) organization_id: OrganizationId,
    pub(crate) project_id: ProjectId,
    pub(crate) amount: NanoDollars,
    /// The number of changes so far.
    pub(crate) changes: i64,
}

/// The spent and the reserved sum of an organization and of one of its projects.
pub(super) struct LimitAccounts([SpendAccount; 2]);

impl ReservedTotal {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            organization_id: row.id("organization_id")?,
            project_id: row.id("project_id")?,
            amount: NanoDollars(row.get("amount")?),
            changes: row.get("changes")?,
        })
    }
}

impl LimitAccounts {
    pub(super) async fn read(
        connection: &mut Connection,
        month: Month,
        organization: &OrganizationId,
        project: &ProjectId,
    ) -> Result<Self> {
        // One statement, so that an amount that is settled meanwhile is seen either as reserved or as spent.
        let select = sql!(
            "SELECT \
             (SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM spend_months \
              WHERE month = $1 AND organization_id = $2) AS spent, \
             (SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM spend_months \
              WHERE month = $1 AND organization_id = $2 AND project_id = $3) AS spent_of_project, \
             (SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM spend_reserved \
              WHERE organization_id = $2) AS reserved, \
             (SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM spend_reserved \
              WHERE organization_id = $2 AND project_id = $3) AS reserved_of_project",
            month.start,
            organization,
            project
        );
        let read = |row: &Row<'_>| {
            let account = |spent, reserved| -> Result<SpendAccount> {
                Ok(SpendAccount {
                    spent: NanoDollars(row.get(spent)?),
                    reserved: NanoDollars(row.get(reserved)?),
                })
            };
            Ok(Self([
                account("spent", "reserved")?,
                account("spent_of_project", "reserved_of_project")?,
            ]))
        };
        connection.fetch_one(select, read).await
    }

    pub(super) fn check(self, request: &SpendRequest<'_>, month: Month) -> base::Result<()> {
        for (account, (limit, who)) in self.0.into_iter().zip(limits(request)) {
            if let Some(limit) = limit.filter(|limit| !account.admits(*limit, request.max_cost)) {
                return Err(refusal(who, account, limit, request, month));
            }
        }
        Ok(())
    }
}

/// Locks the reservations of an organization until the transaction ends.
pub(super) async fn lock(
    transaction: &mut Transaction,
    organization: &OrganizationId,
) -> Result<()> {
    let upsert = sql!(
        "INSERT INTO spend_reserved (organization_id, project_id, amount, changes) VALUES ($1, '', 0, 0) \
         ON CONFLICT (organization_id, project_id) DO UPDATE SET amount = spend_reserved.amount",
        organization
    );
    transaction.execute(upsert).await.map(drop)
}

/// Adds an amount to the reserved sum of a project.
pub(super) async fn add(
    transaction: &mut Transaction,
    organization: &OrganizationId,
    project: &ProjectId,
    amount: NanoDollars,
) -> Result<ReservedTotal> {
    let upsert = sql!(
        "INSERT INTO spend_reserved (organization_id, project_id, amount, changes) VALUES ($1, $2, $3, 1) \
         ON CONFLICT (organization_id, project_id) \
         DO UPDATE SET amount = spend_reserved.amount + excluded.amount, changes = spend_reserved.changes + 1 \
         RETURNING organization_id, project_id, amount, changes",
        organization,
        project,
        amount
    );
    transaction.fetch_one(upsert, ReservedTotal::read).await
}

/// Deletes the reservations that are still there. Returns the reserved sums of their projects afterwards.
pub(crate) async fn release(
    transaction: &mut Transaction,
    reservations: &[ReservationKey],
) -> Result<Vec<ReservedTotal>> {
    // Always in the same order, so that two transactions never deadlock.
    let mut sorted: Vec<&ReservationKey> = reservations.iter().collect();
    sorted.sort();
    let mut freed: BTreeMap<(OrganizationId, ProjectId), NanoDollars> = BTreeMap::new();
    for ReservationKey {
        organization_id,
        id,
    } in sorted
    {
        let delete = sql!(
            "DELETE FROM spend_reservations WHERE organization_id = $1 AND id = $2 RETURNING project_id, amount",
            organization_id,
            id
        );
        let read = |row: &Row<'_>| Ok((row.id("project_id")?, row.get::<i64>("amount")?));
        if let Some((project, amount)) = transaction.fetch_optional(delete, read).await? {
            *freed.entry((organization_id.clone(), project)).or_default() += NanoDollars(amount);
        }
    }
    let mut reserved = Vec::with_capacity(freed.len());
    for ((organization, project), amount) in freed {
        let less = NanoDollars::default() - amount;
        reserved.push(add(transaction, &organization, &project, less).await?);
    }
    Ok(reserved)
}

/// Loads the sums that are reserved for all projects.
pub(super) async fn load(connection: &mut Connection) -> Result<Vec<ReservedTotal>> {
    let select = sql!(
        "SELECT organization_id, project_id, amount, changes FROM spend_reserved WHERE changes > 0"
    );
    connection.fetch_all(select, ReservedTotal::read).await
}
