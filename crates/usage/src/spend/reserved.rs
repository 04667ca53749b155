//! The tables of reservations: one row for each, and their sums by project.

use std::collections::BTreeMap;

use base::NanoDollars;
use base::ids::{Id, OrganizationId, ProjectId};
use store::{Connection, Result, Row, Transaction, sql};

use super::slice::SliceAsk;
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

/// The spent and the reserved sum of an organization and of one of its projects, slices included.
pub(super) struct LimitAccounts {
    accounts: [SpendAccount; 2],
    /// The number of sessions that have slices of the organization.
    holders: i64,
}

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
              WHERE organization_id = $2 AND project_id = $3) AS reserved_of_project, \
             (SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM spend_slices \
              WHERE month = $1 AND organization_id = $2) AS slices, \
             (SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM spend_slices \
              WHERE month = $1 AND organization_id = $2 AND project_id = $3) AS slices_of_project, \
             (SELECT CAST(COUNT(DISTINCT epoch) AS BIGINT) FROM spend_slices \
              WHERE month = $1 AND organization_id = $2 AND amount > 0) AS holders",
            month.start,
            organization,
            project
        );
        let read = |row: &Row<'_>| {
            let account = |spent, reserved, slices| -> Result<SpendAccount> {
                let amount = |column| Ok(NanoDollars(row.get(column)?));
                let reserved: Result<_> = amount(reserved);
                Ok(SpendAccount {
                    spent: amount(spent)?,
                    reserved: reserved? + amount(slices)?,
                })
            };
            Ok(Self {
                accounts: [
                    account("spent", "reserved", "slices")?,
                    account(
                        "spent_of_project",
                        "reserved_of_project",
                        "slices_of_project",
                    )?,
                ],
                holders: row.get("holders")?,
            })
        };
        connection.fetch_one(select, read).await
    }

    pub(super) fn check(self, request: &SpendRequest<'_>, month: Month) -> base::Result<()> {
        for (account, (limit, who)) in self.accounts.into_iter().zip(limits(request)) {
            if let Some(limit) = limit.filter(|limit| !account.admits(*limit, request.max_cost)) {
                return Err(refusal(who, account, limit, request, month));
            }
        }
        Ok(())
    }

    /// Returns the amount by which a slice may grow.
    ///
    /// # Errors
    /// 429: a limit leaves less than the need.
    pub(super) fn grant(
        self,
        request: &SpendRequest<'_>,
        ask: SliceAsk,
        month: Month,
    ) -> base::Result<NanoDollars> {
        let mut left = NanoDollars(i64::MAX);
        for (mut account, (limit, who)) in self.accounts.into_iter().zip(limits(request)) {
            let Some(limit) = limit else { continue };
            let left_of_limit = limit - account.spent - account.reserved;
            if account.spent >= limit || left_of_limit < ask.need {
                // The rest of the maximum cost is in the slice already.
                account.reserved = account.reserved - (request.max_cost - ask.need);
                return Err(refusal(who, account, limit, request, month));
            }
            left = left.min(left_of_limit);
        }
        ask.grant(left, self.holders)
            .ok_or_else(base::Error::internal)
    }
}

/// Locks what may be spent of the limits of an organization until the transaction ends.
pub(super) async fn lock_limits(
    transaction: &mut Transaction,
    organization: &OrganizationId,
) -> Result<()> {
    transaction.advisory_lock(lock_id(organization)).await
}

/// Returns the number of the lock of an organization, the same in every process: the FNV-1a hash of its name.
fn lock_id(organization: &OrganizationId) -> i64 {
    let name = ["spend limits of ", organization.as_str()];
    let bytes = name.iter().flat_map(|part| part.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.cast_signed()
}

/// Locks what may be spent, and the reservations of an organization, until the transaction ends. Older versions lock the
/// reservations only.
pub(super) async fn lock(
    transaction: &mut Transaction,
    organization: &OrganizationId,
) -> Result<()> {
    lock_limits(transaction, organization).await?;
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
