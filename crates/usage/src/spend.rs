//! Spend: what has been consumed this month, in money.

use base::ids::{OrganizationId, ProjectId};
use base::{NanoDollars, UnixTime};
use store::{Database, Result};

use crate::cost::{CostQuery, costs};

/// The longest month, in days.
const LONGEST_MONTH: i64 = 31;

/// What an organization, or one of its projects, has spent in the calendar month (UTC) that `now` lies in.
///
/// # Errors
/// What the database said.
pub async fn month_to_date(
    database: &Database,
    organization_id: &OrganizationId,
    project_id: Option<&ProjectId>,
    now: UnixTime,
) -> Result<NanoDollars> {
    // The whole month, not its part until now: whole days are sums that are there already.
    let (start, end) = now.month();
    let query = CostQuery {
        organization_id: organization_id.clone(),
        start,
        end,
        limit: LONGEST_MONTH,
        group_by: Vec::new(),
        project_ids: project_id.map(ToString::to_string).into_iter().collect(),
        api_key_ids: Vec::new(),
        line_items: Vec::new(),
    };
    let days = costs(database, &query).await?.buckets;
    let mut spent = NanoDollars::default();
    for day in days.iter().flat_map(|day| &day.results) {
        spent += day.amount;
    }
    Ok(spent)
}
