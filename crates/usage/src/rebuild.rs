//! Makes the rollups anew from the ledger.

use base::UnixTime;
use base::ids::{OrganizationId, ProjectId};
use store::{Database, Error, Result, Row, Statement, sql};

use crate::columns::{push_metrics, read_metrics};
use crate::rollup::{
    Addend, COST_WIDTHS, Line, Rollups, USAGE_WIDTHS, cost_table, read_lines, usage_table,
};
use crate::{Metric, Quantities, spend};

/// How many rows of the ledger are in memory at once.
const PAGE: i64 = 5_000;

/// A row of the ledger, without what no sum needs.
struct Entry {
    organization_id: OrganizationId,
    project_id: ProjectId,
    id: String,
    timestamp: UnixTime,
    series_id: i64,
    quantities: Quantities,
    lines: Vec<Line>,
}

/// Recomputes every rollup from the ledger, in one transaction that keeps other writers of the ledger waiting.
/// `progress` is told now and then how many rows of the ledger are done.
///
/// # Errors
/// What the database said; then nothing has changed.
pub async fn rebuild(database: &Database, mut progress: impl FnMut(u64)) -> Result<(), Error> {
    let mut transaction = database.begin().await?;
    transaction.keep_others_from("usage_events").await?;
    let usage = USAGE_WIDTHS.iter().map(|width| usage_table(*width));
    let costs = COST_WIDTHS.iter().map(|width| cost_table(*width));
    for table in usage.chain(costs) {
        let mut delete = sql!("DELETE FROM ");
        delete.push(table);
        transaction.execute(delete).await?;
    }
    transaction.execute(spend::clear()).await?;
    let mut last = (String::new(), String::new());
    let mut done = 0;
    loop {
        let page = transaction.fetch_all(select(&last), Entry::read).await?;
        let Some(end) = page.last() else { break };
        last = (end.organization_id.to_string(), end.id.clone());
        let mut rollups = Rollups::default();
        for entry in &page {
            rollups.add(&Addend {
                organization_id: &entry.organization_id,
                project_id: &entry.project_id,
                time: entry.timestamp,
                series: entry.series_id,
                quantities: &entry.quantities,
                lines: &entry.lines,
            });
        }
        rollups.write(&mut transaction).await?;
        done += page.len() as u64;
        progress(done);
    }
    transaction.commit().await
}

/// The rows after the one of this organization with this id.
fn select((organization_id, id): &(String, String)) -> Statement {
    let mut select =
        sql!("SELECT e.organization_id, s.project_id, e.id, timestamp, series_id, charges");
    push_metrics(&mut select, Metric::ALL);
    select.push(
        " FROM usage_events e JOIN usage_series s ON s.id = e.series_id WHERE (e.organization_id, e.id) > (",
    );
    select.bind(organization_id.as_str()).push(", ");
    select
        .bind(id.as_str())
        .push(") ORDER BY e.organization_id, e.id LIMIT ");
    select.bind(PAGE);
    select
}

impl Entry {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            organization_id: row.id("organization_id")?,
            project_id: row.id("project_id")?,
            id: row.get("id")?,
            timestamp: row.time("timestamp")?,
            series_id: row.get("series_id")?,
            quantities: read_metrics(row, Metric::ALL)?,
            lines: read_lines(row)?,
        })
    }
}
