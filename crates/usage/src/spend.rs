//! Spend: what has been consumed this month, in money.

use base::ids::{OrganizationId, ProjectId};
use base::{NanoDollars, UnixTime};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
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
    let (start, end) = month(now);
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

/// The start of the calendar month in UTC that `now` lies in, and the start of the next one.
fn month(now: UnixTime) -> (UnixTime, UnixTime) {
    let start = |date: Date| {
        let start = date.to_zoned(TimeZone::UTC);
        start.map_or(now, |start| UnixTime(start.timestamp().as_second()))
    };
    let Ok(moment) = Timestamp::from_second(now.0) else {
        return (now, now);
    };
    let first = moment.to_zoned(TimeZone::UTC).date().first_of_month();
    let next = first.checked_add(1.month()).unwrap_or(first);
    (start(first), start(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        // 2024-02-29T12:00:00Z lies between February and March of a leap year.
        let (start, end) = month(UnixTime(1_709_208_000));
        assert_eq!((start.0, end.0), (1_706_745_600, 1_709_251_200));
        assert_eq!(month(start), (start, end));
        assert_eq!(month(end).0, end);
        assert_eq!(month(UnixTime(i64::MAX)).0, UnixTime(i64::MAX));
    }
}
