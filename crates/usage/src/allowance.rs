//! Allowances: bounds on the usage that a project key reports, so that a leaked key cannot exhaust the limits of other
//! projects.

use base::ids::{Id, KeyId, OrganizationId, ProjectId};
use base::time::SECONDS_PER_DAY;
use base::{Error, NanoDollars, UnixTime};
use store::{Result, Row, Statement, Transaction, sql};

use crate::Month;
use crate::spend::SpendTotal;

/// The most events that a project key may report in a UTC day.
pub const MAX_KEY_EVENTS_PER_DAY: i64 = 1_000_000;
/// The most that events reported by a project key in a UTC day may cost.
pub const MAX_KEY_COST_PER_DAY: NanoDollars = NanoDollars(10_000_000_000_000);
/// The divisor of an organization's spend limit that gives the most that keys of a project without a limit may report
/// in a month.
const MAX_ORGANIZATION_FRACTION: i64 = 10;

/// A project key that reports usage, and the spend limits that its reports must respect.
#[derive(Clone, Debug)]
pub struct Allowance {
    /// The organization of the key.
    pub organization_id: OrganizationId,
    /// The project of the key.
    pub project_id: ProjectId,
    /// The key.
    pub api_key_id: KeyId,
    /// The project's spend limit.
    pub project_limit: Option<NanoDollars>,
    /// The organization's spend limit.
    pub organization_limit: Option<NanoDollars>,
}

impl Allowance {
    /// Counts new events, which are written in the same transaction. Returns the refusal if they exceed the allowance.
    /// `spent` is the spend including them.
    pub(crate) async fn take(
        &self,
        transaction: &mut Transaction,
        now: UnixTime,
        (events, amount): (i64, NanoDollars),
        spent: &[SpendTotal],
    ) -> Result<Option<Error>> {
        if events == 0 {
            return Ok(None);
        }
        // Capped just above the bound, so that the sum cannot overflow.
        let amount = amount.min(MAX_KEY_COST_PER_DAY + NanoDollars(1));
        let count = sql!(
            "INSERT INTO usage_reports (day, organization_id, project_id, api_key_id, events, amount) \
             VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (organization_id, project_id, day, api_key_id) DO UPDATE \
             SET events = usage_reports.events + excluded.events, amount = usage_reports.amount + excluded.amount \
             RETURNING events, amount",
            now.floor(SECONDS_PER_DAY),
            &self.organization_id,
            &self.project_id,
            &self.api_key_id,
            events,
            amount
        );
        let read = |row: &Row<'_>| Ok((row.get("events")?, NanoDollars(row.get("amount")?)));
        let is_free = amount == NanoDollars::default();
        let (events, amount): (i64, _) = transaction.fetch_one(count, read).await?;
        if events > MAX_KEY_EVENTS_PER_DAY {
            return Ok(Some(over(&format!(
                "A project key may report {MAX_KEY_EVENTS_PER_DAY} events in a day (UTC)"
            ))));
        }
        if amount > MAX_KEY_COST_PER_DAY {
            return Ok(Some(over(&format!(
                "What a project key reports in a day (UTC) may cost {MAX_KEY_COST_PER_DAY}"
            ))));
        }
        self.check_limits(transaction, now, spent, is_free).await
    }

    /// Returns the refusal if a spend limit is exceeded.
    async fn check_limits(
        &self,
        transaction: &mut Transaction,
        now: UnixTime,
        spent: &[SpendTotal],
        is_free: bool,
    ) -> Result<Option<Error>> {
        let month = Month::of(now);
        if let Some(limit) = self.project_limit {
            let of_project = |total: &&SpendTotal| {
                total.project_id == self.project_id && total.month >= month.start
            };
            let passes = |total: &SpendTotal| total.amount > limit;
            return Ok(spent.iter().filter(of_project).any(passes).then(|| {
                let id = self.project_id.as_str();
                over(&format!(
                    "What a project key reports may not take its project '{id}' beyond its spend limit of {limit}"
                ))
            }));
        }
        let Some(limit) = self.organization_limit else {
            return Ok(None);
        };
        let most = NanoDollars(limit.0 / MAX_ORGANIZATION_FRACTION);
        let of_month = self.reported_since(transaction, month.start).await?;
        Ok((!is_free && of_month > most).then(|| {
            over(&format!(
                "What the keys of a project without a spend limit report in a month (UTC) may cost {most}, a tenth of \
                 its organization's spend limit"
            ))
        }))
    }

    /// Returns the cost of the events that keys of the project have reported since the first second of a day.
    async fn reported_since(
        &self,
        transaction: &mut Transaction,
        start: UnixTime,
    ) -> Result<NanoDollars> {
        let amounts = sql!(
            "SELECT amount FROM usage_reports WHERE organization_id = $1 AND project_id = $2 AND day >= $3",
            &self.organization_id,
            &self.project_id,
            start
        );
        let read = |row: &Row<'_>| Ok(NanoDollars(row.get("amount")?));
        let amounts: Vec<NanoDollars> = transaction.fetch_all(amounts, read).await?;
        Ok(amounts.into_iter().sum())
    }
}

/// Deletes the counts of days before `oldest`.
pub(crate) fn delete_before(oldest: UnixTime) -> Statement {
    sql!("DELETE FROM usage_reports WHERE day < $1", oldest)
}

fn over(bound: &str) -> Error {
    Error::insufficient_quota(format!(
        "{bound}. Nothing of this request was taken; an admin key may report it."
    ))
}
