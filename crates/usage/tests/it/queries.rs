//! Answers, compared with what a plain model in memory says, for random events and random questions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::ids::OrganizationId;
use base::time::DAY;
use base::{NanoDollars, UnixTime};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use usage::{
    Buckets, CostDimension, CostQuery, Dimension, Kind, LineItem, Metric, PriceBook, Quantities,
    UsageEvent, UsageQuery, Width, costs, usage,
};

use crate::fixture::{Fixture, START, event, organization};
use crate::random::{KINDS, moment, some_event};

/// A bucket, and the values of the dimensions grouped by.
type Key = (i64, Vec<Option<String>>);

fn question() -> impl Strategy<Value = UsageQuery> {
    let width = select(&[Width::Minute, Width::Hour, Width::Day][..]);
    let kind = select(KINDS).prop_flat_map(|kind| {
        let most = kind.dimensions().len();
        (Just(kind), subsequence(kind.dimensions(), 0..=most))
    });
    let filters = (
        prop::option::of(subsequence(vec!["proj_a", "proj_b"], 1..=2)),
        prop::option::of(subsequence(vec!["m", "pictures", ""], 1..=3)),
        prop::option::of(any::<bool>()),
    );
    (moment(), moment(), width, kind, filters, 1..5i64).prop_map(
        |(start, end, width, (kind, group_by), (projects, models, batch), pages)| {
            let owned = |values: Vec<&str>| values.into_iter().map(str::to_owned).collect();
            let projects = projects.map(|values| (Dimension::ProjectId, owned(values)));
            let models = models.map(|values| (Dimension::Model, owned(values)));
            UsageQuery {
                organization_id: organization(""),
                kind,
                start: UnixTime(start),
                end: UnixTime(end),
                width,
                limit: (end - start).max(0) / width.seconds() / pages + 1,
                group_by,
                filters: projects.into_iter().chain(models).collect(),
                batch,
            }
        },
    )
}

/// What the events of `query` sum up to.
fn expected(events: &[UsageEvent], query: &UsageQuery) -> BTreeMap<Key, Quantities> {
    let counts = |event: &&UsageEvent| {
        let passes = |(dimension, values): &(Dimension, Vec<String>)| {
            let value = event.dimension(*dimension);
            value.is_some_and(|value| values.iter().any(|wanted| wanted == value))
        };
        event.kind == query.kind
            && (query.start..query.end).contains(&event.timestamp)
            && query.filters.iter().all(passes)
            && query.batch.is_none_or(|batch| batch == event.batch)
    };
    let mut sums: BTreeMap<Key, Quantities> = BTreeMap::new();
    for event in events.iter().filter(counts) {
        let bucket = event.timestamp.0 / query.width.seconds() * query.width.seconds();
        let values = query
            .group_by
            .iter()
            .map(|by| event.dimension(*by).map(str::to_owned));
        sums.entry((bucket, values.collect()))
            .or_default()
            .add(&event.quantities);
    }
    sums.retain(|_, sum| Metric::ALL.iter().any(|metric| sum.or_zero(*metric) > 0));
    sums
}

/// Every page of an answer, each of which must begin where the one before has ended.
async fn pages<T>(
    start: UnixTime,
    end: UnixTime,
    width: Width,
    mut ask: impl AsyncFnMut(UnixTime) -> Buckets<T>,
) -> Vec<(i64, T)> {
    let mut all = Vec::new();
    let mut from = start;
    let mut expected = start.floor(width.seconds());
    loop {
        let page = ask(from).await;
        for bucket in page.buckets {
            assert_eq!(bucket.start, expected, "no bucket is left out");
            expected = bucket.end;
            assert_eq!(bucket.end.0 - bucket.start.0, width.seconds());
            all.extend(
                bucket
                    .results
                    .into_iter()
                    .map(|result| (bucket.start.0, result)),
            );
        }
        match page.next {
            Some(next) => assert_eq!(next, expected),
            None => break,
        }
        from = expected;
    }
    assert!(start >= end || (expected >= end && expected.0 < end.0 + width.seconds()));
    all
}

async fn answered(fixture: &Fixture, query: &UsageQuery) -> Vec<(Key, Quantities)> {
    let ask = async |from| {
        let query = UsageQuery {
            start: from,
            ..query.clone()
        };
        usage(&fixture.reports, &query).await.expect("an answer")
    };
    let results = pages(query.start, query.end, query.width, ask)
        .await
        .into_iter();
    results
        .map(|(bucket, result)| {
            let dimensions: Vec<_> = result.dimensions.iter().map(|(by, _)| *by).collect();
            assert_eq!(dimensions, query.group_by);
            let values = result
                .dimensions
                .into_iter()
                .map(|(_, value)| value)
                .collect();
            ((bucket, values), result.quantities)
        })
        .collect()
}

fn cost_question() -> impl Strategy<Value = CostQuery> {
    use CostDimension as D;
    let items = [
        "m, input_tokens",
        "m, web_search_calls",
        "unheard of, output_tokens",
    ];
    (
        moment(),
        moment(),
        1..4i64,
        subsequence(
            vec![D::ProjectId, D::UserId, D::ApiKeyId, D::LineItem],
            0..=4,
        ),
        subsequence(vec!["proj_a", "proj_b"], 0..=2),
        subsequence(vec!["key_a"], 0..=1),
        subsequence(items.to_vec(), 0..=3),
    )
        .prop_map(|(start, end, limit, group_by, projects, keys, items)| {
            let owned = |values: Vec<&str>| values.into_iter().map(str::to_owned).collect();
            CostQuery {
                organization_id: organization(""),
                start: UnixTime(start),
                end: UnixTime(end),
                limit,
                group_by,
                project_ids: owned(projects),
                api_key_ids: owned(keys),
                line_items: owned(items),
            }
        })
}

fn expected_costs(
    prices: &PriceBook,
    events: &[UsageEvent],
    query: &CostQuery,
) -> BTreeMap<Key, (i64, NanoDollars)> {
    let wanted = |wanted: &[String], value: Option<&str>| {
        wanted.is_empty() || value.is_some_and(|value| wanted.iter().any(|one| one == value))
    };
    let mut sums: BTreeMap<Key, (i64, NanoDollars)> = BTreeMap::new();
    for event in events {
        if !(query.start..query.end).contains(&event.timestamp)
            || !wanted(&query.project_ids, event.dimension(Dimension::ProjectId))
            || !wanted(&query.api_key_ids, event.dimension(Dimension::ApiKeyId))
        {
            continue;
        }
        for line in prices.charges(event).lines {
            let item = LineItem::of(event, line.name).to_string();
            if !wanted(&query.line_items, Some(&item)) {
                continue;
            }
            let value = |by: &CostDimension| match by {
                CostDimension::ProjectId => {
                    event.dimension(Dimension::ProjectId).map(str::to_owned)
                }
                CostDimension::UserId => event.dimension(Dimension::UserId).map(str::to_owned),
                CostDimension::ApiKeyId => event.dimension(Dimension::ApiKeyId).map(str::to_owned),
                CostDimension::LineItem => Some(item.clone()),
            };
            let values = query.group_by.iter().map(value).collect();
            let sum = sums
                .entry((event.timestamp.floor(DAY).0, values))
                .or_default();
            sum.0 += line.quantity;
            sum.1 += line.amount;
        }
    }
    sums
}

async fn answered_costs(
    fixture: &Fixture,
    query: &CostQuery,
) -> Vec<(Key, (Option<i64>, NanoDollars))> {
    let ask = async |from| {
        let query = CostQuery {
            start: from,
            ..query.clone()
        };
        costs(&fixture.reports, &query).await.expect("an answer")
    };
    let results = pages(query.start, query.end, Width::Day, ask)
        .await
        .into_iter();
    results
        .map(|(bucket, result)| {
            let by_item = query.group_by.contains(&CostDimension::LineItem);
            assert_eq!(result.quantity.is_some(), by_item);
            let tokens = result
                .line_item
                .as_ref()
                .is_some_and(|item| item.ends_with("tokens"));
            assert_eq!(result.unit.as_deref() == Some("tokens"), tokens);
            let value = |by: &CostDimension| match by {
                CostDimension::ProjectId => result.project_id.clone(),
                CostDimension::UserId => result.user_id.clone(),
                CostDimension::ApiKeyId => result.api_key_id.clone(),
                CostDimension::LineItem => result.line_item.clone(),
            };
            let values = query.group_by.iter().map(value).collect();
            ((bucket, values), (result.quantity, result.amount))
        })
        .collect()
}

#[test]
fn answers_are_what_the_events_sum_up_to() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let fixture = runtime.block_on(Fixture::new());
    let made = AtomicUsize::new(0);
    let random = (
        prop::collection::vec(some_event(), 0..60),
        prop::collection::vec(question(), 8),
        prop::collection::vec(cost_question(), 4),
        1..20usize,
    );
    let mut runner = TestRunner::new(Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    });
    let checked = runner.run(&random, |(mut events, questions, cost_questions, batch)| {
        // Every case has an organization of its own, among the others'.
        let own = organization(&made.fetch_add(1, Ordering::Relaxed).to_string());
        for (number, event) in events.iter_mut().enumerate() {
            event.id = number.to_string();
            event.organization_id = own.clone();
        }
        runtime.block_on(check(
            &fixture,
            &own,
            &events,
            questions,
            cost_questions,
            batch,
        ));
        Ok(())
    });
    checked.expect("answers like the model's");
}

async fn check(
    fixture: &Fixture,
    own: &OrganizationId,
    events: &[UsageEvent],
    questions: Vec<UsageQuery>,
    cost_questions: Vec<CostQuery>,
    batch: usize,
) {
    for batch in events.chunks(batch) {
        let appended = fixture.recorder.append(batch.to_vec()).await;
        assert_eq!(appended.expect("written").accepted, batch.len());
    }
    for mut query in questions {
        query.organization_id = own.clone();
        let expected: Vec<_> = expected(events, &query).into_iter().collect();
        assert_eq!(answered(fixture, &query).await, expected, "{query:?}");
    }
    for mut query in cost_questions {
        query.organization_id = own.clone();
        let by_item = query.group_by.contains(&CostDimension::LineItem);
        let expected = expected_costs(&fixture.prices, events, &query).into_iter();
        let expected: Vec<_> = expected
            .map(|(key, (quantity, amount))| (key, (by_item.then_some(quantity), amount)))
            .collect();
        assert_eq!(answered_costs(fixture, &query).await, expected, "{query:?}");
    }
}

#[tokio::test]
async fn a_page_has_a_bound_and_says_where_to_go_on() {
    let fixture = Fixture::new().await;
    let query = UsageQuery {
        organization_id: organization("a"),
        kind: Kind::Completions,
        start: UnixTime(START + 90),
        end: UnixTime(i64::MAX),
        width: Width::Minute,
        limit: 3,
        group_by: Vec::new(),
        filters: Vec::new(),
        batch: None,
    };
    fixture
        .recorder
        .append(vec![event("1")])
        .await
        .expect("written");
    let page = usage(&fixture.reports, &query).await.expect("an answer");
    let starts: Vec<_> = page
        .buckets
        .iter()
        .map(|bucket| bucket.start.0 - START)
        .collect();
    assert_eq!(starts, [60, 120, 180], "aligned, and empty ones included");
    assert_eq!(page.next, Some(UnixTime(START + 240)));
    assert!(page.buckets.iter().all(|bucket| bucket.results.is_empty()));
}
