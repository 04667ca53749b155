//! Proves that every sum is that of the ledger.
//!
//! Organization by organization, and day by day, the ledger is added up anew in memory and compared with what the sums
//! say. All of it happens in one snapshot of the database, so that servers may go on writing meanwhile.

mod names;
mod proof;
mod reserved;

use std::collections::BTreeSet;
use std::fmt;

use base::UnixTime;
use jiff::Timestamp;
use store::{Connection, Database, Result, Row, sql};

use crate::ledger::partition;
use proof::Proof;

/// How many differences are told.
const MOST_TOLD: usize = 20;
/// How often it is tried while days are dropped.
const MOST_TRIES: usize = 3;

/// What was proved.
#[derive(Debug, Default)]
pub struct Verified {
    /// How many rows the ledger has.
    pub rows: u64,
    /// On how many days.
    pub days: usize,
    /// Of how many days the ledger was dropped. Of their sums nothing can be said, nor of the spend until the end of the
    /// month of the last one.
    pub dropped: usize,
    /// The first places where something is not what the ledger says.
    pub differences: Vec<Difference>,
    /// How many more there are.
    pub untold: u64,
}

/// Something is not what the ledger says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose it is.
    pub organization_id: String,
    /// What it is, and what it should be.
    pub what: String,
}

/// For people.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.organization_id, self.what)
    }
}

impl Verified {
    /// Whether everything is what the ledger says.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }

    fn differs(&mut self, organization_id: &str, what: String) {
        if self.differences.len() < MOST_TOLD {
            self.differences.push(Difference {
                organization_id: organization_id.to_owned(),
                what,
            });
        } else {
            self.untold += 1;
        }
    }
}

/// Adds up the ledger and compares each sum with it: every column, series and bucket of every shape of sums, the spend of
/// every month, and the amount of every row with its bill; and what is reserved in sum with the reservations. `progress` is told now and then how many rows are done.
///
/// # Errors
/// What the database said.
pub async fn verify(database: &Database, mut progress: impl FnMut(u64)) -> Result<Verified> {
    let mut tries = 1;
    loop {
        match prove(database, &mut progress).await {
            // A snapshot of PostgreSQL does not keep the table of a day from being dropped; the next one knows of it.
            Err(error) if error.is_missing_table() && tries < MOST_TRIES => tries += 1,
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
    // Of a day that was dropped and has a table again, the sums have more than the table.
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
    strangers(&mut snapshot, &mut verified).await?;
    reserved::compare(&mut snapshot, &mut verified).await?;
    Ok(verified)
}

/// The numbers and ids of all organizations that have a ledger or sums.
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

/// What organizations have spent that have no ledger.
async fn strangers(connection: &mut Connection, verified: &mut Verified) -> Result<()> {
    let all = sql!(
        "SELECT organization_id, month, project_id, amount FROM spend_months WHERE amount <> 0 \
         AND organization_id NOT IN (SELECT organization_id FROM usage_organizations) \
         ORDER BY organization_id, month, project_id"
    );
    let read = |row: &Row<'_>| {
        let place = spend_of(row.time("month")?, &row.get::<String>("project_id")?);
        let id: String = row.get("organization_id")?;
        Ok((id, place, row.get::<i64>("amount")?))
    };
    for (id, place, amount) in connection.fetch_all(all, read).await? {
        verified.differs(&id, compared(&place, (None, Some(amount))));
    }
    Ok(())
}

fn spend_of(month: UnixTime, project: &str) -> String {
    format!("spend of {project} in the month from {}", moment(month.0))
}

/// For people: `2026-03-02T01:00:00Z`.
fn moment(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or(seconds.to_string(), |moment| moment.to_string())
}

/// What is said of a place where the ledger and what is derived from it differ.
fn compared(place: &str, (ledger, found): (Option<i64>, Option<i64>)) -> String {
    let text = |number: Option<i64>| number.map_or("nothing".to_owned(), |it| it.to_string());
    let (ledger, found) = (text(ledger), text(found));
    format!("{place}: the ledger comes to {ledger}, but this is {found}")
}
