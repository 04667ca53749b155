//! Verification that every sum equals the ledger.
//!
//! For each organization and day, the ledger is added up in memory and compared with the sums. All reads are of one
//! snapshot of the database, so servers may continue to write.

mod proof;
mod reserved;
mod series;

use std::collections::BTreeSet;
use std::fmt;

use base::UnixTime;
use jiff::Timestamp;
use store::{Connection, Database, Result, Row, sql};

use crate::ledger::partition;
use proof::Proof;

/// The most differences that are reported.
const MAX_REPORTED: usize = 20;
/// The number of attempts while day tables are dropped.
const MAX_ATTEMPTS_COUNT: usize = 3;

/// The result of a verification.
#[derive(Debug, Default)]
pub struct Verified {
    /// The number of rows of the ledger.
    pub rows: u64,
    /// The number of days of the ledger.
    pub days: usize,
    /// The number of days whose ledger was dropped. Their sums cannot be verified, nor the spend until the end of the
    /// month of the last one.
    pub dropped: usize,
    /// The first differences.
    pub differences: Vec<Difference>,
    /// The number of further differences.
    pub suppressed: u64,
}

/// A difference between a sum and the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The organization.
    pub organization_id: String,
    /// The sum, its value, and the value that the ledger gives.
    pub what: String,
}

/// Displays for people.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.organization_id, self.what)
    }
}

impl Verified {
    /// True if there is no difference.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }

    fn differs(&mut self, organization_id: &str, what: String) {
        if self.differences.len() < MAX_REPORTED {
            self.differences.push(Difference {
                organization_id: organization_id.to_owned(),
                what,
            });
        } else {
            self.suppressed += 1;
        }
    }
}

/// Adds up the ledger and compares each sum with it: every column, series and bucket of every rollup, the spend of
/// every month, the amount of every row with its charges, and the reserved sums with the reservations. `progress` is
/// called with the number of rows that are done.
///
/// # Errors
/// The database failed.
pub async fn verify(database: &Database, mut progress: impl FnMut(u64)) -> Result<Verified> {
    let mut tries = 1;
    loop {
        match prove(database, &mut progress).await {
            // A snapshot of PostgreSQL does not prevent a day table from being dropped; the next snapshot does not have
            // it.
            Err(error) if error.is_missing_table() && tries < MAX_ATTEMPTS_COUNT => tries += 1,
            outcome => return outcome,
        }
    }
}

async fn prove(database: &Database, progress: &mut impl FnMut(u64)) -> Result<Verified> {
    let mut snapshot = database.snapshot().await?;
    let (first, last) = (UnixTime(i64::MIN), UnixTime(i64::MAX));
    let days = partition::days(&mut snapshot, first, last).await?;
    let dropped = partition::dropped(&mut snapshot, first, last).await?;
    let dropped: BTreeSet<UnixTime> = dropped.into_iter().collect();
    // The sums of a day that was dropped and has a table again include more than its rows.
    let days: Vec<UnixTime> = days
        .into_iter()
        .filter(|day| !dropped.contains(day))
        .collect();
    let mut verified = Verified {
        days: days.len(),
        dropped: dropped.len(),
        ..Verified::default()
    };
    for (number, id) in organizations(&mut snapshot).await? {
        let mut proof = Proof::of(
            &mut snapshot,
            (number, &id),
            (&days, &dropped),
            &mut verified,
        )
        .await?;
        proof.run(progress).await?;
    }
    orphans(&mut snapshot, &mut verified).await?;
    reserved::compare(&mut snapshot, &mut verified).await?;
    Ok(verified)
}

/// Returns the numbers and ids of all organizations that have a ledger or sums.
async fn organizations(connection: &mut Connection) -> Result<Vec<(i64, String)>> {
    let all = sql!(
        "SELECT n.number, COALESCE(o.organization_id, '') AS id \
         FROM (SELECT number FROM usage_organizations UNION SELECT organization FROM usage_sums) n \
         LEFT JOIN usage_organizations o ON o.number = n.number ORDER BY n.number"
    );
    let read = |row: &Row<'_>| {
        let (number, id): (i64, String) = (row.get("number")?, row.get("id")?);
        let unknown = || format!("organization {number}, which is unknown");
        Ok((number, if id.is_empty() { unknown() } else { id }))
    };
    connection.fetch_all(all, read).await
}

/// Reports spend of organizations that have no ledger.
async fn orphans(connection: &mut Connection, verified: &mut Verified) -> Result<()> {
    let all = sql!(
        "SELECT organization_id, month, project_id, amount FROM spend_months WHERE amount <> 0 \
         AND organization_id NOT IN (SELECT organization_id FROM usage_organizations) \
         ORDER BY organization_id, month, project_id"
    );
    let read = |row: &Row<'_>| {
        let subject = spend_of(row.time("month")?, &row.get::<String>("project_id")?);
        let id: String = row.get("organization_id")?;
        Ok((id, subject, row.get::<i64>("amount")?))
    };
    for (id, subject, amount) in connection.fetch_all(all, read).await? {
        verified.differs(&id, compared(&subject, (None, Some(amount))));
    }
    Ok(())
}

fn spend_of(month: UnixTime, project: &str) -> String {
    format!("spend of {project} in the month from {}", moment(month.0))
}

/// Formats a time for people: `2026-03-02T01:00:00Z`.
fn moment(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or(seconds.to_string(), |moment| moment.to_string())
}

/// Describes a difference between the ledger and a number derived from it.
fn compared(subject: &str, (ledger, found): (Option<i64>, Option<i64>)) -> String {
    let text = |number: Option<i64>| number.map_or("nothing".to_owned(), |it| it.to_string());
    let (ledger, found) = (text(ledger), text(found));
    format!("{subject}: the ledger comes to {ledger}, but this is {found}")
}
