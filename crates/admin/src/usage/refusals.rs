//! `/organization/usage/refusals`: requests that the gateway refused, by day and error code.

use base::time::SECONDS_PER_DAY;
use base::{Error, Permission, Result, UnixTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::window::MAX_TIME_SECONDS;
use crate::literal::literals;
use crate::operation::{Operation, Organization, Read, read};

pub(super) fn operation() -> Operation {
    let operation = read(
        "usage refusals",
        "/organization/usage/refusals",
        Permission::UsageRead,
        "Reports requests that the gateway refused, by day and error code.",
        report,
    );
    operation.extension()
}

literals! {
    RefusalsObject = "organization.usage.refusals";
}

/// Refused requests in a period. Requests without a known key are in none.
#[derive(Serialize, JsonSchema)]
struct RefusalReport {
    object: RefusalsObject,
    start_time: UnixTime,
    end_time: UnixTime,
    /// Days (UTC) on which requests were refused, oldest first; by project, the whole period.
    data: Vec<RefusalDay>,
}

/// A day, or a period, in which requests were refused.
#[derive(Serialize, JsonSchema)]
struct RefusalDay {
    start_time: UnixTime,
    end_time: UnixTime,
    results: Vec<RefusedRequests>,
}

/// Requests that were refused for one reason.
#[derive(Serialize, JsonSchema)]
struct RefusedRequests {
    /// Code of the error, such as `rate_limit_exceeded`, `insufficient_quota` or `insufficient_permissions`.
    code: String,
    /// Number of requests.
    num_requests: i64,
    /// Id of the project, in a report by project.
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<String>,
}

/// Maximum length of the period, in days.
const MAX_DAYS: i64 = 366;
/// Maximum number of sums of a report by project.
const MAX_PROJECT_SUMS: i64 = 100;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListRefusals {
    /// Start of the period, in Unix seconds; its whole day (UTC) counts.
    #[schemars(range(min = 0, max = MAX_TIME_SECONDS))]
    start_time: i64,
    /// End of the period, in Unix seconds; its whole day (UTC) counts. Now if absent; at most 366 days after the start.
    #[schemars(range(min = 1, max = MAX_TIME_SECONDS))]
    end_time: Option<i64>,
    /// Only requests of this project.
    project_id: Option<String>,
    /// True for the sums of the whole period by project and code instead of days: the 100 largest ones, largest first.
    by_project: Option<bool>,
}

async fn report(mut cx: Read, _: Organization, query: ListRefusals) -> Result<RefusalReport> {
    let (start, end) = period(&query, cx.now())?;
    let data = if query.by_project == Some(true) {
        by_project(&mut cx, &query, start, end).await?
    } else {
        by_day(&mut cx, &query, start, end).await?
    };
    Ok(RefusalReport {
        object: RefusalsObject,
        start_time: start,
        end_time: end,
        data,
    })
}

async fn by_day(
    cx: &mut Read,
    query: &ListRefusals,
    start: UnixTime,
    end: UnixTime,
) -> Result<Vec<RefusalDay>> {
    let counts = cx.refusals(query.project_id.as_deref(), start, end).await?;
    let mut days: Vec<RefusalDay> = Vec::new();
    for count in counts {
        if days.last().is_none_or(|day| day.start_time != count.day) {
            days.push(RefusalDay {
                start_time: count.day,
                end_time: count.day.plus(SECONDS_PER_DAY),
                results: Vec::new(),
            });
        }
        let requests = RefusedRequests {
            code: count.code,
            num_requests: count.requests,
            project_id: None,
        };
        if let Some(day) = days.last_mut() {
            day.results.push(requests);
        }
    }
    Ok(days)
}

async fn by_project(
    cx: &mut Read,
    query: &ListRefusals,
    start: UnixTime,
    end: UnixTime,
) -> Result<Vec<RefusalDay>> {
    let project = query.project_id.as_deref();
    let sums = cx.refusals_by_project(project, (start, end), MAX_PROJECT_SUMS);
    let results: Vec<RefusedRequests> = sums
        .await?
        .into_iter()
        .map(|sum| RefusedRequests {
            code: sum.code,
            num_requests: sum.requests,
            project_id: Some(sum.project),
        })
        .collect();
    let period = RefusalDay {
        start_time: start,
        end_time: end,
        results,
    };
    Ok(if period.results.is_empty() {
        Vec::new()
    } else {
        vec![period]
    })
}

/// Returns the whole days of the period.
///
/// # Errors
/// 400 naming the invalid parameter.
fn period(query: &ListRefusals, now: UnixTime) -> Result<(UnixTime, UnixTime)> {
    if !(0..=MAX_TIME_SECONDS).contains(&query.start_time) {
        let message =
            "start_time must be in seconds since 1970, not in milliseconds and not negative.";
        return Err(Error::invalid("start_time", message));
    }
    let start = UnixTime(query.start_time).floor(SECONDS_PER_DAY);
    let last = query.end_time.unwrap_or(now.0 + 1);
    let longest = start.0 + MAX_DAYS * SECONDS_PER_DAY;
    if query.end_time.is_some()
        && !(query.start_time + 1..=longest.min(MAX_TIME_SECONDS)).contains(&last)
    {
        let message = format!(
            "end_time must be after start_time, in seconds since 1970, and at most {MAX_DAYS} days after it."
        );
        return Err(Error::invalid("end_time", message));
    }
    let last = last.clamp(start.0 + 1, longest);
    let end = UnixTime(last - 1)
        .floor(SECONDS_PER_DAY)
        .plus(SECONDS_PER_DAY);
    Ok((start, end))
}
