//! Reservations, as the database has them: a row for each, and their sums by project.

use std::collections::BTreeMap;

use base::NanoDollars;
use base::ids::{OrganizationId, ProjectId};
use store::{Connection, Result, Row, Transaction, sql};

use super::state::Account;
use super::{Ask, Month, Release, limits, refusal};

/// The sum that is reserved for a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reserved {
    pub(crate) organization_id: OrganizationId,
    pub(crate) project_id: ProjectId,
    pub(crate) amount: NanoDollars,
    /// Grows with every change.
    pub(crate) changes: i64,
}

/// The sums that are spent and reserved, of an organization and of one of its projects.
pub(super) struct Sums([Account; 2]);

impl Reserved {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            organization_id: row.id("organization_id")?,
            project_id: row.id("project_id")?,
            amount: NanoDollars(row.get("amount")?),
            changes: row.get("changes")?,
        })
    }
}

impl Sums {
    pub(super) async fn read(
        connection: &mut Connection,
        month: Month,
        organization: &OrganizationId,
        project: &ProjectId,
    ) -> Result<Self> {
        // One statement, so that what is settled meanwhile is seen either as reserved or as spent.
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
            let account = |spent, held| -> Result<Account> {
                Ok(Account {
                    spent: NanoDollars(row.get(spent)?),
                    held: NanoDollars(row.get(held)?),
                    refused: None,
                })
            };
            Ok(Self([
                account("spent", "reserved")?,
                account("spent_of_project", "reserved_of_project")?,
            ]))
        };
        connection.fetch_one(select, read).await
    }

    pub(super) fn check(self, ask: &Ask<'_>, month: Month) -> base::Result<()> {
        for (account, (limit, who)) in self.0.into_iter().zip(limits(ask)) {
            if let Some(limit) = limit.filter(|limit| !account.admits(*limit, ask.most)) {
                return Err(refusal(who, account, limit, ask, month));
            }
        }
        Ok(())
    }
}

/// Keeps other reservations of the organization waiting until the transaction has ended.
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

/// Adds to what is reserved for a project.
pub(super) async fn add(
    transaction: &mut Transaction,
    organization: &OrganizationId,
    project: &ProjectId,
    amount: NanoDollars,
) -> Result<Reserved> {
    let upsert = sql!(
        "INSERT INTO spend_reserved (organization_id, project_id, amount, changes) VALUES ($1, $2, $3, 1) \
         ON CONFLICT (organization_id, project_id) \
         DO UPDATE SET amount = spend_reserved.amount + excluded.amount, changes = spend_reserved.changes + 1 \
         RETURNING organization_id, project_id, amount, changes",
        organization,
        project,
        amount
    );
    transaction.fetch_one(upsert, Reserved::read).await
}

/// Releases these reservations, those of them that are still there; what is reserved for their projects then.
pub(crate) async fn release(
    transaction: &mut Transaction,
    reservations: &[Release],
) -> Result<Vec<Reserved>> {
    // In one order everywhere, so that two transactions do not wait for each other.
    let mut sorted: Vec<&Release> = reservations.iter().collect();
    sorted.sort();
    let mut freed: BTreeMap<(OrganizationId, ProjectId), NanoDollars> = BTreeMap::new();
    for Release {
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
pub(super) async fn load(connection: &mut Connection) -> Result<Vec<Reserved>> {
    let select = sql!(
        "SELECT organization_id, project_id, amount, changes FROM spend_reserved WHERE changes > 0"
    );
    connection.fetch_all(select, Reserved::read).await
}
