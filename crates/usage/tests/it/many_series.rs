//! Reports of organizations with more series than a report looks up one by one.

use base::UnixTime;
use base::ids::{Id, ProjectId, UserId};
use base::time::SECONDS_PER_DAY;
use usage::{
    CostDimension, CostQuery, Dimension, Metric, Reports, UsageEvent, UsageKind, UsageQuery, Width,
    costs, usage,
};

use crate::fixture::{Fixture, NANO_DOLLARS_PER_EVENT, START_SECONDS, event, organization};

/// The number of users, each of which has series of its own.
const USERS_COUNT: usize = 3_000;
/// The number of users of the project `few`; the others are in the project `many`.
const FEW_COUNT: usize = 10;

fn of_user(number: usize) -> UsageEvent {
    let project = if number < FEW_COUNT { "few" } else { "many" };
    UsageEvent {
        project_id: ProjectId::from_text(project.to_owned()),
        user_id: Some(UserId::from_text(format!("user_{number}"))),
        ..event(&format!("event_{number}"))
    }
}

fn by_user(filters: Vec<(Dimension, Vec<String>)>) -> UsageQuery {
    UsageQuery {
        organization_id: organization("a"),
        kind: UsageKind::Completions,
        start: UnixTime(START_SECONDS),
        end: UnixTime(START_SECONDS + SECONDS_PER_DAY),
        width: Width::Hour,
        limit: 24,
        group_by: vec![Dimension::UserId],
        filters,
        batch: None,
    }
}

/// Returns the number of results and of their requests.
async fn counts(reports: &Reports, query: &UsageQuery) -> (usize, i64) {
    let report = usage(reports, query).await.expect("a report");
    let results = report.buckets.iter().flat_map(|bucket| &bucket.results);
    let requests = results
        .clone()
        .map(|result| result.quantities.get(Metric::NumModelRequests).unwrap_or(0));
    (results.count(), requests.sum())
}

#[tokio::test]
async fn a_report_of_few_among_many_series_counts_these_only() {
    let fixture = Fixture::new().await;
    let events = (0..USERS_COUNT).map(of_user).collect();
    fixture.recorder.append(events).await.expect("durable");
    let few = by_user(vec![(Dimension::ProjectId, vec!["few".to_owned()])]);
    let nothing = by_user(vec![(Dimension::ProjectId, vec![String::new()])]);
    let all = by_user(Vec::new());
    let reports = Reports::new(fixture.store.usage().clone());
    let sums = |count: usize| (count, i64::try_from(count).expect("a count"));
    for _ in 0..2 {
        assert_eq!(counts(&reports, &few).await, sums(FEW_COUNT));
        assert_eq!(counts(&reports, &nothing).await, (0, 0));
    }
    // New series of both projects, one of which was excluded before.
    let more = [(USERS_COUNT, "few"), (USERS_COUNT + 1, "many")];
    let more = more.map(|(number, project)| UsageEvent {
        project_id: ProjectId::from_text(project.to_owned()),
        ..of_user(number)
    });
    fixture.recorder.append(more.into()).await.expect("durable");
    assert_eq!(counts(&reports, &few).await, sums(FEW_COUNT + 1));
    assert_eq!(counts(&reports, &all).await, sums(USERS_COUNT + 2));
    assert_eq!(counts(&reports, &few).await, sums(FEW_COUNT + 1));
}

#[tokio::test]
async fn costs_of_part_of_a_minute_are_those_of_each_of_many_series() {
    let fixture = Fixture::new().await;
    let events = (0..USERS_COUNT).map(of_user).collect();
    fixture.recorder.append(events).await.expect("durable");
    let query = CostQuery {
        organization_id: organization("a"),
        start: UnixTime(START_SECONDS),
        end: UnixTime(START_SECONDS + 30),
        limit: 1,
        group_by: vec![CostDimension::UserId],
        project_ids: Vec::new(),
        user_ids: Vec::new(),
        api_key_ids: Vec::new(),
        line_items: Vec::new(),
    };
    let reports = Reports::new(fixture.store.usage().clone());
    let report = costs(&reports, &query).await.expect("a report");
    let results = &report.buckets[0].results;
    assert_eq!(results.len(), USERS_COUNT);
    let is_one = |amount: i64| amount == NANO_DOLLARS_PER_EVENT;
    assert!(results.iter().all(|result| is_one(result.amount.0)));
}
