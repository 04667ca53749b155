//! Counts of refused requests.

use base::ids::{Id, OrganizationId, ProjectId};
use base::time::SECONDS_PER_DAY;
use base::{Clock, UnixTime};
use store::testing::TestDatabase;
use store::{Store, sql};
use usage::{RefusalCount, Refusals, Retention, RetentionPeriods, refusals};

const LIMITED: &str = "rate_limit_exceeded";
const SPENT: &str = "insufficient_quota";
/// Midnight of the first day, 2025-10-09.
const START_SECONDS: i64 = 1_759_968_000;

fn organization(name: &str) -> OrganizationId {
    OrganizationId::from_text(format!("org-{name}"))
}

fn project(name: &str) -> ProjectId {
    ProjectId::from_text(format!("proj_{name}"))
}

/// Returns the day's number, the code and the requests of each count.
async fn counted(store: &Store, name: &str, of: Option<&str>) -> Vec<(i64, String, i64)> {
    let mut connection = store.usage().read().await.expect("a connection");
    let (start, end) = (UnixTime(0), UnixTime(i64::MAX));
    let counts = refusals(&mut connection, &organization(name), of, start, end).await;
    let counts = counts.expect("counts").into_iter();
    let day = |count: &RefusalCount| (count.day.0 - START_SECONDS) / SECONDS_PER_DAY;
    counts
        .map(|count| (day(&count), count.code, count.requests))
        .collect()
}

#[tokio::test]
async fn counts_of_all_nodes_add_up_by_day_project_and_code() {
    let database = TestDatabase::new();
    let store = Store::open(database.url()).await.expect("a database");
    let clock = Clock::fake(UnixTime(START_SECONDS + SECONDS_PER_DAY - 1));
    let nodes = [(); 2].map(|()| Refusals::start(store.usage().clone(), clock.clone()));
    for (refusals, _) in &nodes {
        refusals.count(&organization("a"), &project("a"), LIMITED);
        refusals.count(&organization("a"), &project("a"), LIMITED);
        refusals.count(&organization("a"), &project("b"), LIMITED);
        refusals.count(&organization("a"), &project("b"), SPENT);
        refusals.count(&organization("b"), &project("c"), SPENT);
    }
    clock.advance(1);
    nodes[0].0.count(&organization("a"), &project("a"), SPENT);
    for (_, task) in nodes {
        task.stop().await;
    }
    let count = |day: i64, code: &str, requests: i64| (day, code.to_owned(), requests);
    assert_eq!(
        counted(&store, "a", None).await,
        [count(0, SPENT, 2), count(0, LIMITED, 6), count(1, SPENT, 1)]
    );
    assert_eq!(
        counted(&store, "a", Some("proj_a")).await,
        [count(0, LIMITED, 4), count(1, SPENT, 1)]
    );
    assert_eq!(counted(&store, "b", None).await, [count(0, SPENT, 2)]);
}

#[tokio::test]
async fn counts_that_cannot_be_written_are_written_later() {
    let database = TestDatabase::new();
    let store = Store::open(database.url()).await.expect("a database");
    let refusals = Refusals::new(Clock::fake(UnixTime(START_SECONDS)));
    refusals.count(&organization("a"), &project("a"), SPENT);
    let mut transaction = store.usage().begin().await.expect("a transaction");
    let rename = sql!("ALTER TABLE refusals RENAME TO away");
    transaction.execute(rename).await.expect("renamed");
    transaction.commit().await.expect("a commit");
    assert!(!refusals.write_pending(store.usage()).await);
    let mut transaction = store.usage().begin().await.expect("a transaction");
    let back = sql!("ALTER TABLE away RENAME TO refusals");
    transaction.execute(back).await.expect("renamed");
    transaction.commit().await.expect("a commit");
    refusals.count(&organization("a"), &project("a"), SPENT);
    assert!(refusals.write_pending(store.usage()).await);
    assert_eq!(counted(&store, "a", None).await, [(0, SPENT.to_owned(), 2)]);
}

/// SQLite only: with paused time, timeouts of PostgreSQL connections would fire.
#[tokio::test]
async fn counts_are_kept_for_400_days() {
    if std::env::var("ORGPLANE_TEST_DATABASE").is_ok_and(|url| url.starts_with("postgres")) {
        return;
    }
    let database = TestDatabase::new();
    let store = Store::open(database.url()).await.expect("a database");
    let clock = Clock::fake(UnixTime(START_SECONDS));
    let refusals = Refusals::new(clock.clone());
    refusals.count(&organization("a"), &project("a"), SPENT);
    clock.advance(SECONDS_PER_DAY);
    refusals.count(&organization("a"), &project("a"), LIMITED);
    assert!(refusals.write_pending(store.usage()).await);
    tokio::time::pause();
    clock.advance(400 * SECONDS_PER_DAY);
    let keep = RetentionPeriods::default();
    let mut retention = Retention::new(store.usage().clone(), keep, clock);
    retention.round().await.expect("a round");
    assert_eq!(
        counted(&store, "a", None).await.len(),
        2,
        "the clock may be wrong"
    );
    tokio::time::advance(std::time::Duration::from_secs(25 * 3_600)).await;
    retention.round().await.expect("a round");
    assert_eq!(
        counted(&store, "a", None).await,
        [(1, LIMITED.to_owned(), 1)]
    );
}
