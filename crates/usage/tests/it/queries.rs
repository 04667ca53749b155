//! Reports compared with a plain model in memory, for random events and random queries.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::ids::{Id, OrganizationId};
use base::time::SECONDS_PER_DAY;
use base::{NanoDollars, UnixTime};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use usage::{
    Buckets, CostDimension, CostQuery, Dimension, LineItem, Metric, PriceBook, Quantities,
    Recorder, UsageEvent, UsageKind, UsageQuery, Width, costs, usage, verify,
};

use crate::fixture::{Fixture, START_SECONDS, event, organization};
use crate::random::{moment, some_event, values};

/// The organizations of the events.
const NAMES: [&str; 2] = ["a", "b"];
/// The number of rounds of appending and querying in a case.
const ROUNDS_COUNT: usize = 8;

/// The start of a bucket, and the values of the dimensions grouped by.
type Key = (i64, Vec<Option<String>>);

/// Generates a filter: some values of a dimension, or the empty one, which no event has; sometimes none.
fn filter(dimension: Dimension) -> impl Strategy<Value = Option<(Dimension, Vec<String>)>> {
    let wanted = [values(dimension), &[""]].concat();
    let wanted = subsequence(wanted.clone(), 1..=wanted.len());
    let wanted = wanted.prop_map(move |wanted| (dimension, owned(wanted)));
    prop::option::weighted(0.15, wanted)
}

fn owned(values: Vec<&str>) -> Vec<String> {
    values.into_iter().map(str::to_owned).collect()
}

fn question() -> impl Strategy<Value = UsageQuery> {
    let width = select(&[Width::Minute, Width::Hour, Width::Day][..]);
    let kind = select(UsageKind::ALL).prop_flat_map(|kind| {
        let most = kind.dimensions().len();
        (Just(kind), subsequence(kind.dimensions(), 0..=most))
    });
    let dimensions = Dimension::ALL.iter().copied();
    let dimensions = dimensions.filter(|dimension| *dimension != Dimension::Batch);
    let filters: Vec<_> = dimensions.map(filter).collect();
    let batch = prop::option::weighted(0.3, any::<bool>());
    let whose = select(&NAMES[..]);
    (
        moment(),
        moment(),
        width,
        kind,
        filters,
        batch,
        1..5i64,
        whose,
    )
        .prop_map(
            |(start, end, width, (kind, group_by), filters, batch, pages, whose)| UsageQuery {
                organization_id: organization(whose),
                kind,
                start: UnixTime(start),
                end: UnixTime(end),
                width,
                limit: (end - start).max(0) / width.seconds() / pages + 1,
                group_by,
                filters: filters.into_iter().flatten().collect(),
                batch,
            },
        )
}

/// Returns the value of a dimension that reports show for an event.
fn shown(event: &UsageEvent, by: Dimension) -> Option<String> {
    match by {
        Dimension::ApiSource => Some(event.api_source.as_str().to_owned()),
        by => event.dimension(by).map(str::to_owned),
    }
}

/// Returns the sums of the events that `query` selects.
fn expected(events: &[UsageEvent], query: &UsageQuery) -> BTreeMap<Key, Quantities> {
    let counts = |event: &&UsageEvent| {
        let passes = |(dimension, values): &(Dimension, Vec<String>)| {
            let value = event.dimension(*dimension);
            value.is_some_and(|value| values.iter().any(|wanted| wanted == value))
        };
        event.kind == query.kind
            && event.organization_id == query.organization_id
            && (query.start..query.end).contains(&event.timestamp)
            && query.filters.iter().all(passes)
            && query.batch.is_none_or(|batch| batch == event.batch)
    };
    let mut sums: BTreeMap<Key, Quantities> = BTreeMap::new();
    for event in events.iter().filter(counts) {
        let bucket = event.timestamp.0 / query.width.seconds() * query.width.seconds();
        let values = query.group_by.iter().map(|by| shown(event, *by));
        sums.entry((bucket, values.collect()))
            .or_default()
            .add(&event.quantities);
    }
    sums.retain(|_, sum| Metric::ALL.iter().any(|metric| sum.or_zero(*metric) > 0));
    sums
}

/// Returns all buckets, page by page. Each page must begin where the one before ended.
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
            vec![
                D::ProjectId,
                D::UserId,
                D::ApiKeyId,
                D::LineItem,
                D::ApiSource,
            ],
            0..=5,
        ),
        subsequence(vec!["proj_a", "proj_b"], 0..=2),
        subsequence(vec!["user-a", "user-b"], 0..=2),
        subsequence(vec!["key_a", "key_b"], 0..=2),
        subsequence(items.to_vec(), 0..=3),
        select(&NAMES[..]),
    )
        .prop_map(
            |(start, end, limit, group_by, projects, users, keys, items, whose)| CostQuery {
                organization_id: organization(whose),
                start: UnixTime(start),
                end: UnixTime(end),
                limit,
                group_by,
                project_ids: owned(projects),
                user_ids: owned(users),
                api_key_ids: owned(keys),
                line_items: owned(items),
            },
        )
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
        if event.organization_id != query.organization_id
            || !(query.start..query.end).contains(&event.timestamp)
            || !wanted(&query.project_ids, event.dimension(Dimension::ProjectId))
            || !wanted(&query.user_ids, event.dimension(Dimension::UserId))
            || !wanted(&query.api_key_ids, event.dimension(Dimension::ApiKeyId))
        {
            continue;
        }
        for line in prices.charges(event).charges {
            let item = LineItem::of(event, line.name).to_string();
            if !wanted(&query.line_items, Some(&item)) {
                continue;
            }
            let value = |by: &CostDimension| match by {
                CostDimension::ProjectId => shown(event, Dimension::ProjectId),
                CostDimension::UserId => shown(event, Dimension::UserId),
                CostDimension::ApiKeyId => shown(event, Dimension::ApiKeyId),
                CostDimension::LineItem => Some(item.clone()),
                CostDimension::ApiSource => shown(event, Dimension::ApiSource),
            };
            let values = query.group_by.iter().map(value).collect();
            let sum = sums
                .entry((event.timestamp.floor(SECONDS_PER_DAY).0, values))
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
                CostDimension::ApiSource => result.api_source.clone(),
            };
            let values = query.group_by.iter().map(value).collect();
            ((bucket, values), (result.quantity, result.amount))
        })
        .collect()
}

/// Events that two nodes append at once, some before each round of queries.
type Case = (Vec<UsageEvent>, Vec<UsageQuery>, Vec<CostQuery>, usize);

#[test]
fn reports_equal_the_sums_of_the_events() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let fixture = runtime.block_on(Fixture::new());
    let (other, _task, _spend) = runtime.block_on(fixture.another());
    let made = AtomicUsize::new(0);
    let random = (
        prop::collection::vec((some_event(), select(&NAMES[..])), 0..120),
        prop::collection::vec(question(), ROUNDS_COUNT),
        prop::collection::vec(cost_question(), ROUNDS_COUNT),
        1..8usize,
    );
    let mut runner = TestRunner::new(Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    });
    let checked = runner.run(
        &random,
        |(events, mut questions, mut cost_questions, batch)| {
            // Each case has organizations of its own in the shared database.
            let case = made.fetch_add(1, Ordering::Relaxed);
            let own = |name: &str| organization(&format!("{name}{case}"));
            let event = |(number, (event, name)): (usize, (UsageEvent, &str))| UsageEvent {
                id: number.to_string(),
                organization_id: own(name),
                ..event
            };
            let events = events.into_iter().enumerate().map(event).collect();
            let own = |id: &mut OrganizationId| {
                *id = organization(&format!("{}{case}", &id.as_str()[4..]));
            };
            questions
                .iter_mut()
                .for_each(|query| own(&mut query.organization_id));
            cost_questions
                .iter_mut()
                .for_each(|query| own(&mut query.organization_id));
            let case = (events, questions, cost_questions, batch);
            runtime.block_on(check(&fixture, &other, case));
            Ok(())
        },
    );
    checked.expect("answers like the model's");
    let verified = runtime.block_on(verify(fixture.store.usage(), |_| {}));
    assert_eq!(verified.expect("proved").differences, []);
}

async fn check(fixture: &Fixture, other: &Recorder, (events, questions, costs, batch): Case) {
    let mut so_far = 0;
    for (round, (query, cost_query)) in questions.iter().zip(&costs).enumerate() {
        let until = events.len() * (round + 1) / ROUNDS_COUNT;
        let (one, two) = events[so_far..until].split_at((until - so_far) / 2);
        tokio::join!(
            append(&fixture.recorder, one, batch),
            append(other, two, batch)
        );
        so_far = until;
        let events = &events[..until];

        let expected: Vec<_> = expected(events, query).into_iter().collect();
        assert_eq!(answered(fixture, query).await, expected, "{query:?}");
        let by_item = cost_query.group_by.contains(&CostDimension::LineItem);
        let expected = expected_costs(&fixture.prices, events, cost_query).into_iter();
        let expected: Vec<_> = expected
            .map(|(key, (quantity, amount))| (key, (by_item.then_some(quantity), amount)))
            .collect();
        let answered = answered_costs(fixture, cost_query).await;
        assert_eq!(answered, expected, "{cost_query:?}");
    }
}

async fn append(recorder: &Recorder, events: &[UsageEvent], batch: usize) {
    for batch in events.chunks(batch) {
        let appended = recorder.append(batch.to_vec()).await;
        assert_eq!(appended.expect("written").accepted, batch.len());
    }
}

#[tokio::test]
async fn a_page_is_bounded_and_has_the_start_of_the_next() {
    let fixture = Fixture::new().await;
    let query = UsageQuery {
        organization_id: organization("a"),
        kind: UsageKind::Completions,
        start: UnixTime(START_SECONDS + 90),
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
        .map(|bucket| bucket.start.0 - START_SECONDS)
        .collect();
    assert_eq!(starts, [60, 120, 180], "aligned, and empty ones included");
    assert_eq!(page.next, Some(UnixTime(START_SECONDS + 240)));
    assert!(page.buckets.iter().all(|bucket| bucket.results.is_empty()));
}
