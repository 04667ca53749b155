//! Figures of spend: today, the month so far, and where the month will end.

use std::collections::HashMap;

use base::time::SECONDS_PER_DAY;
use base::{NanoDollars, UnixTime};
use bytes::Bytes;
use pages::{Zone, number};
use serde_json::Value as Json;

use crate::client::Refusal;
use crate::context::Context;
use crate::report::page::{ReportPage, ReportRow};

const COSTS: &str = "/organization/costs";
/// Number of whole days whose average is taken for the days that are left.
const AVERAGED_DAYS_COUNT: i64 = 7;
/// Shares of a limit from which on a bar is a warning, and a failure.
const MIN_WARNING_PERCENT: i128 = 80;
const MIN_FULL_PERCENT: i128 = 100;

/// Spend of the organization in the current month (UTC), which spend limits are about.
#[derive(Clone, Debug, Default)]
pub(crate) struct MonthSpend {
    pub(crate) today: NanoDollars,
    pub(crate) month: NanoDollars,
    /// Spend at the end of the month if the days that are left cost what the last days did.
    pub(crate) projected: NanoDollars,
}

/// A month in UTC: its first second, the second after its last, and the first second of today.
struct MonthDays {
    start: UnixTime,
    end: UnixTime,
    today: UnixTime,
}

impl MonthDays {
    fn at(now: UnixTime) -> Self {
        let local = Zone::default().at(now);
        let second = |day: jiff::civil::Date| {
            let midnight = day.to_zoned(jiff::tz::TimeZone::UTC);
            UnixTime(midnight.map_or(now.0, |midnight| midnight.timestamp().as_second()))
        };
        let date = local.date();
        let next = date
            .last_of_month()
            .tomorrow()
            .unwrap_or_else(|_| date.last_of_month());
        Self {
            start: second(date.first_of_month()),
            end: second(next),
            today: now.floor(SECONDS_PER_DAY),
        }
    }

    /// Returns the first second of the days whose average is taken.
    fn first_averaged(&self) -> UnixTime {
        self.today.plus(-AVERAGED_DAYS_COUNT * SECONDS_PER_DAY)
    }

    /// Returns the first second that matters for the month.
    fn first(&self) -> UnixTime {
        self.start.min(self.first_averaged())
    }
}

impl MonthSpend {
    /// Reads the spend from the costs.
    ///
    /// # Errors
    /// The refusal of the operation.
    pub(crate) async fn read(context: &Context<'_>) -> Result<Self, Refusal> {
        let days = MonthDays::at(context.now());
        let bytes = costs(context, days.first(), &days, &[]).await?;
        Ok(Self::of(&report(&bytes)?, &days))
    }

    fn of(page: &ReportPage<'_>, days: &MonthDays) -> Self {
        let mut spend = Self::default();
        let mut averaged = NanoDollars::default();
        for bucket in &page.data {
            let start = bucket.start();
            let amount: NanoDollars = bucket.results.iter().map(amount).sum();
            if start >= days.today {
                spend.today += amount;
            } else if start >= days.first_averaged() {
                averaged += amount;
            }
            if start >= days.start {
                spend.month += amount;
            }
        }
        let left = (days.end.0 - days.today.0) / SECONDS_PER_DAY - 1;
        let average = NanoDollars(averaged.0 / AVERAGED_DAYS_COUNT);
        // Today counts as a whole day, of the average or of what was spent already.
        let rest = average.0.saturating_mul(left);
        let today = (average.0 - spend.today.0).max(0);
        spend.projected = NanoDollars(spend.month.0.saturating_add(today).saturating_add(rest));
        spend
    }
}

/// Returns the spend of each project in the current month (UTC), largest first.
///
/// # Errors
/// The refusal of the operation.
pub(crate) async fn project_spend(
    context: &Context<'_>,
) -> Result<Vec<(String, NanoDollars)>, Refusal> {
    let days = MonthDays::at(context.now());
    let bytes = costs(context, days.start, &days, &[("group_by", "project_id")]).await?;
    Ok(by_project(&report(&bytes)?))
}

fn by_project(page: &ReportPage<'_>) -> Vec<(String, NanoDollars)> {
    let mut sums: HashMap<&str, NanoDollars> = HashMap::new();
    for row in page.data.iter().flat_map(|bucket| &bucket.results) {
        let project = row.groups.first().map_or("", |(_, project)| &**project);
        *sums.entry(project).or_default() += amount(row);
    }
    let owned = |(project, spent): (&str, NanoDollars)| (project.to_owned(), spent);
    let mut sums: Vec<_> = sums.into_iter().map(owned).collect();
    sums.sort_by(|a, b| b.1.0.cmp(&a.1.0).then_with(|| a.0.cmp(&b.0)));
    sums
}

fn amount(row: &ReportRow<'_>) -> NanoDollars {
    let amount = row.numbers.iter().find(|(name, _)| name == "amount");
    NanoDollars(amount.map_or(0, |(_, nanos)| *nanos))
}

/// Reads the costs by day from a time to the end of today.
async fn costs(
    context: &Context<'_>,
    start: UnixTime,
    days: &MonthDays,
    more: &[(&str, &str)],
) -> Result<Bytes, Refusal> {
    let start = start.0.to_string();
    let end = days.today.plus(SECONDS_PER_DAY).0.to_string();
    let query = [
        ("start_time", start.as_str()),
        ("end_time", end.as_str()),
        ("limit", "180"),
    ];
    let query: Vec<_> = query.iter().chain(more).copied().collect();
    context.client().bytes(COSTS, &query).await
}

fn report(bytes: &Bytes) -> Result<ReportPage<'_>, Refusal> {
    serde_json::from_slice(bytes).map_err(|_| Refusal::broken())
}

/// A bar of what is spent and set aside, out of a limit.
#[derive(Clone, Debug)]
pub(crate) struct SpendBar {
    pub(crate) spent: String,
    /// Money that requests under way may still cost; empty if none or unknown.
    pub(crate) reserved: String,
    pub(crate) limit: String,
    /// Spent and set aside, in cents, for the bar.
    pub(crate) value: i64,
    pub(crate) max: i64,
    pub(crate) share: String,
    /// Class of the bar's colour.
    pub(crate) class: &'static str,
}

impl SpendBar {
    /// Returns the bar of a limit in cents.
    #[expect(clippy::cast_precision_loss, reason = "percentages have two digits")]
    pub(crate) fn new(spent: NanoDollars, reserved: NanoDollars, limit_cents: i64) -> Self {
        let limit = NanoDollars::from_cents(limit_cents);
        let used = NanoDollars(spent.0.saturating_add(reserved.0));
        let percent = i128::from(used.0) * 100 / i128::from(limit.0.max(1));
        let class = match percent {
            MIN_FULL_PERCENT.. => "failure",
            MIN_WARNING_PERCENT.. => "warning",
            _ => "",
        };
        let cents = |amount: NanoDollars| amount.0 / NanoDollars::from_cents(1).0;
        Self {
            spent: number::money(spent),
            reserved: if reserved.0 == 0 {
                String::new()
            } else {
                number::money(reserved)
            },
            limit: number::money(limit),
            value: cents(used).clamp(0, limit_cents),
            max: limit_cents,
            share: number::share(used.0 as f64, limit.0 as f64),
            class,
        }
    }
}

/// Returns an amount of the API: an object with a value in US dollars; 0 if there is none.
#[expect(
    clippy::cast_possible_truncation,
    reason = "amounts are nano-dollars in 64 bits"
)]
pub(crate) fn dollars(amount: &Json) -> NanoDollars {
    let value = amount["value"].as_f64().unwrap_or_default();
    NanoDollars((value * 1e9).round() as i64)
}

/// Returns the spend limit at a path in cents; `None` if there is none, or the visitor may not read it.
pub(crate) async fn limit_cents(context: &Context<'_>, path: &str) -> Option<i64> {
    let limit: Json = context.get(path, &[]).await.ok()?;
    limit["threshold_amount"].as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-12-10T12:00:00Z.
    const NOW: UnixTime = UnixTime(1_796_904_000);

    fn spend(days: &[(i64, &str, f64)]) -> (MonthSpend, Vec<(String, NanoDollars)>) {
        let month = MonthDays::at(NOW);
        let buckets: Vec<String> = days
            .iter()
            .map(|(day, project, dollars)| {
                let start = month.start.plus((day - 1) * SECONDS_PER_DAY).0;
                format!(r#"{{"start_time":{start},"results":[{{"amount":{{"value":{dollars:?}}},"project_id":"{project}"}}]}}"#)
            })
            .collect();
        let text = format!(r#"{{"data":[{}],"next_page":null}}"#, buckets.join(","));
        let page = serde_json::from_str(&text).expect("a page");
        (MonthSpend::of(&page, &month), by_project(&page))
    }

    #[test]
    fn the_month_ends_where_the_last_days_lead() {
        // A dollar a day, from 1 to 9 December, and half a dollar today so far.
        let mut days: Vec<_> = (1..=9).map(|day| (day, "a", 1.0)).collect();
        days.push((10, "b", 0.5));
        let (spend, projects) = spend(&days);
        assert_eq!((spend.today.0, spend.month.0), (500_000_000, 9_500_000_000));
        assert_eq!(spend.projected.0, 31_000_000_000, "31 days of a dollar");
        assert_eq!(projects.len(), 2);
        assert_eq!(projects[0], ("a".to_owned(), NanoDollars(9_000_000_000)));
    }

    #[test]
    fn days_of_the_month_before_count_for_the_average_only() {
        let (spend, _) = spend(&[(-1, "a", 700.0), (3, "a", 7.0)]);
        assert_eq!(spend.month.0, 7_000_000_000);
        assert_eq!(
            spend.projected.0,
            7_000_000_000 + 22 * 1_000_000_000,
            "today and 21 more days"
        );
    }

    #[test]
    fn a_bar_warns_before_it_is_full() {
        for (spent, reserved, class, value) in [
            (10, 0, "", 1000),
            (50, 30, "warning", 8000),
            (100, 0, "failure", 10_000),
            (300, 0, "failure", 10_000),
        ] {
            let dollars = |dollars: i64| NanoDollars::from_cents(dollars * 100);
            let bar = SpendBar::new(dollars(spent), dollars(reserved), 10_000);
            assert_eq!(
                (bar.class, bar.value, bar.max),
                (class, value, 10_000),
                "{spent}"
            );
        }
    }
}
