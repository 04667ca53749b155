//! The verification of reserved sums: each must equal the sum of its reservations.

use std::collections::BTreeMap;

use store::{Connection, Result, Row, sql};

use super::Verified;

/// The size of the parts into which amounts are split in the database, so that no sum overflows.
const NANO_DOLLARS_PER_PART: i128 = 1_000_000_000;

/// Compares the reserved sum of each project with its reservations.
pub(super) async fn compare(connection: &mut Connection, verified: &mut Verified) -> Result<()> {
    let reservations = sql!(
        "SELECT organization_id, project_id, CAST(SUM(amount / 1000000000) AS BIGINT) AS parts, \
         CAST(SUM(amount % 1000000000) AS BIGINT) AS rest FROM spend_reservations \
         GROUP BY organization_id, project_id"
    );
    let read = |row: &Row<'_>| {
        let (parts, rest): (i64, i64) = (row.get("parts")?, row.get("rest")?);
        Ok((
            key(row)?,
            i128::from(parts) * NANO_DOLLARS_PER_PART + i128::from(rest),
        ))
    };
    let reservations = connection.fetch_all(reservations, read).await?.into_iter();
    let mut projects: BTreeMap<_, _> = reservations.map(|(key, sum)| (key, (sum, 0))).collect();
    let sums = sql!("SELECT organization_id, project_id, amount FROM spend_reserved");
    let read = |row: &Row<'_>| Ok((key(row)?, row.get::<i64>("amount")?));
    for (key, amount) in connection.fetch_all(sums, read).await? {
        projects.entry(key).or_default().1 = i128::from(amount);
    }
    for ((organization, project), (reservations, found)) in projects {
        if reservations != found {
            // The row with an empty project is the lock, which has no amount.
            let name = if project.is_empty() {
                "no project"
            } else {
                &project
            };
            let what = format!(
                "reserved for {name}: the reservations come to {reservations}, but this is {found}"
            );
            verified.differs(&organization, what);
        }
    }
    Ok(())
}

/// Returns the organization and the project of a row.
fn key(row: &Row<'_>) -> Result<(String, String)> {
    Ok((row.get("organization_id")?, row.get("project_id")?))
}
