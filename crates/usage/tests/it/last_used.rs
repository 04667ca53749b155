//! The last uses of keys and users.

use std::time::Duration;

use base::ids::{Id, KeyId, OrganizationId, UserId};
use base::{Clock, UnixTime};
use store::testing::TestDatabase;
use store::{Store, sql};
use tokio::runtime::Handle;
use usage::LastUsed;

async fn last_used(store: &Store) -> (Option<i64>, Option<i64>) {
    let mut connection = store.read().await.expect("a connection");
    let mut of = async |statement| {
        let found = connection.fetch_one(statement, |row| row.get::<Option<i64>>("last_used_at"));
        found.await.expect("a row")
    };
    let key = of(sql!("SELECT last_used_at FROM api_keys WHERE id = 'key_a'")).await;
    let user = of(sql!("SELECT last_used_at FROM users WHERE id = 'user-a'")).await;
    (key, user)
}

async fn filled(database: &TestDatabase) -> Store {
    let store = Store::open(database.url());
    let store = store.await.expect("a database");
    let mut transaction = store.begin().await.expect("a transaction");
    for statement in [
        sql!(
            "INSERT INTO organizations (id, name, created_at, revision, audit_hash) VALUES ('org-a', 'A', 0, 0, $1)",
            vec![0u8; 32]
        ),
        sql!(
            "INSERT INTO users (organization_id, id, name, email, email_key, role, added_at) \
             VALUES ('org-a', 'user-a', 'U', 'u@a', 'u@a', 'owner', 0)"
        ),
        sql!(
            "INSERT INTO api_keys (organization_id, id, kind, user_id, name, redacted_value, hash, scopes, created_at) \
             VALUES ('org-a', 'key_a', 'user', 'user-a', 'K', '', $1, '[]', 0)",
            vec![1u8; 32]
        ),
    ] {
        transaction.execute(statement).await.expect("a row");
    }
    transaction.commit().await.expect("a commit");
    store
}

#[tokio::test]
async fn the_last_use_is_stored_and_never_decreases() {
    let database = TestDatabase::new();
    let store = filled(&database).await;
    let mut follower = store.revision().follow();
    let before = follower.seen();
    let organization = OrganizationId::from_text("org-a".to_owned());
    let key = KeyId::from_text("key_a".to_owned());
    let user = UserId::from_text("user-a".to_owned());

    let clock = Clock::fake(UnixTime(1_000));
    let (last, task) = LastUsed::start(store.clone(), clock.clone());
    last.touch(&organization, &key, None);
    clock.advance(5);
    last.touch(&organization, &key, None);
    let other = OrganizationId::from_text("org-b".to_owned());
    last.touch(&other, &KeyId::from_text("key_b".to_owned()), Some(&user));
    task.stop().await;
    assert_eq!(
        last_used(&store).await,
        (Some(1_005), None),
        "another's user is not ours"
    );

    let (last, task) = LastUsed::start(store.clone(), Clock::fake(UnixTime(500)));
    last.touch(&organization, &key, Some(&user));
    task.stop().await;
    assert_eq!(last_used(&store).await, (Some(1_005), Some(500)));
    assert_eq!(
        follower.seen(),
        before,
        "no picture of the data has become old"
    );
}

/// Advances the clock of the runtime, which is paused, past the interval of the task that was started last.
async fn pass_write_interval() {
    // The interval begins when the task runs for the first time, and timers have a resolution of a millisecond.
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_millis(1_001)).await;
}

/// Waits until a use of a key is stored. The paused clock of the runtime stands still meanwhile, since a blocking thread
/// polls.
async fn until_used(store: &Store, key: &'static str) {
    let (store, runtime) = (store.clone(), Handle::current());
    let used = async move || {
        let used = sql!("SELECT last_used_at FROM api_keys WHERE id = $1", key);
        let mut connection = store.read().await.expect("a connection");
        let used = connection.fetch_one(used, |row| row.get::<Option<i64>>("last_used_at"));
        used.await.expect("a row").is_some()
    };
    let poll = move || poll::until_blocking("the use is written", || runtime.block_on(used()));
    tokio::task::spawn_blocking(poll).await.expect("stored");
}

#[tokio::test]
async fn a_use_is_written_within_a_second() {
    let database = TestDatabase::new();
    let store = filled(&database).await;
    tokio::time::pause();
    let (last, task) = LastUsed::start(store.clone(), Clock::fake(UnixTime(7)));
    let organization = OrganizationId::from_text("org-a".to_owned());
    last.touch(&organization, &KeyId::from_text("key_a".to_owned()), None);
    pass_write_interval().await;
    until_used(&store, "key_a").await;
    tokio::time::resume();
    task.stop().await;
}

/// The most keys that are written in one transaction.
const BATCH_KEYS_COUNT: usize = 500;
/// The number of keys and users of a round in which two nodes write at once.
const PAIRS_COUNT: usize = 200;
const ROUNDS_COUNT: i64 = 10;

const USERS_BEHIND: &str =
    "SELECT COUNT(*) AS count FROM users WHERE id <> 'user-a' AND COALESCE(last_used_at, 0) < $1";
const KEYS_BEHIND: &str =
    "SELECT COUNT(*) AS count FROM api_keys WHERE id <> 'key_a' AND COALESCE(last_used_at, 0) < $1";

fn key(number: usize) -> KeyId {
    KeyId::from_text(format!("key_{number:04}"))
}

/// Returns the owner of a key. Owners are ordered the other way round than keys.
fn owner(number: usize) -> UserId {
    UserId::from_text(format!("user-{:04}", number % PAIRS_COUNT))
}

/// Adds keys `0..PAIRS_COUNT` and `PAIRS_COUNT..2 * PAIRS_COUNT`; each user has one of either range.
async fn add_owners(store: &Store) {
    let mut transaction = store.begin().await.expect("a transaction");
    for number in 0..PAIRS_COUNT {
        let user = owner(number);
        let insert = sql!(
            "INSERT INTO users (organization_id, id, name, email, email_key, role, added_at) \
             VALUES ('org-a', $1, 'U', $1, $1, 'owner', 0)",
            &user
        );
        transaction.execute(insert).await.expect("a user");
    }
    for number in 0..2 * PAIRS_COUNT {
        let mut hash = vec![2u8; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        let insert = sql!(
            "INSERT INTO api_keys (organization_id, id, kind, user_id, name, redacted_value, hash, scopes, created_at) \
             VALUES ('org-a', $1, 'user', $2, 'K', '', $3, '[]', 0)",
            &key(number),
            &owner(number),
            hash
        );
        transaction.execute(insert).await.expect("a key");
    }
    transaction.commit().await.expect("a commit");
}

/// Counts the rows whose last use is before `at`.
async fn behind(store: &Store, count: &'static str, at: i64) -> i64 {
    let mut read = store.read().await.expect("a connection");
    let count = read.fetch_one(sql!(count, at), |row| row.get("count"));
    count.await.expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_write_at_once_lose_no_use() {
    let database = TestDatabase::new();
    let here = filled(&database).await;
    let there = Store::open(database.url()).await.expect("a database");
    add_owners(&here).await;
    let organization = OrganizationId::from_text("org-a".to_owned());
    for round in 1..=ROUNDS_COUNT {
        let clock = Clock::fake(UnixTime(round));
        let (one, one_task) = LastUsed::start(here.clone(), clock.clone());
        let (other, other_task) = LastUsed::start(there.clone(), clock);
        for number in 0..PAIRS_COUNT {
            one.touch(&organization, &key(number), Some(&owner(number)));
            // The keys are in the reverse order of their owners.
            let user = owner(PAIRS_COUNT - 1 - number);
            other.touch(&organization, &key(PAIRS_COUNT + number), Some(&user));
        }
        tokio::join!(one_task.stop(), other_task.stop());
        for count in [USERS_BEHIND, KEYS_BEHIND] {
            assert_eq!(behind(&here, count, round).await, 0, "{count} {round}");
        }
    }
}

#[tokio::test]
async fn a_use_that_could_not_be_written_is_retried() {
    let database = TestDatabase::new();
    let store = filled(&database).await;
    let execute = async |statement| {
        let mut transaction = store.begin_untracked().await.expect("a transaction");
        transaction.execute(statement).await.expect("executed");
        transaction.commit().await.expect("a commit");
    };
    let last_key = sql!(
        "INSERT INTO api_keys (organization_id, id, kind, user_id, name, redacted_value, hash, scopes, created_at) \
         VALUES ('org-a', 'key_z', 'user', 'user-a', 'K', '', $1, '[]', 0)",
        vec![2u8; 32]
    );
    execute(last_key).await;
    execute(sql!("ALTER TABLE users RENAME TO away")).await;
    tokio::time::pause();
    let (last, task) = LastUsed::start(store.clone(), Clock::fake(UnixTime(7)));
    let organization = OrganizationId::from_text("org-a".to_owned());
    let touch = |id: String, user| last.touch(&organization, &KeyId::from_text(id), user);
    let user = UserId::from_text("user-a".to_owned());
    touch("key_a".to_owned(), Some(&user));
    // The last key is in a batch of its own, which is written after that of the first one has failed.
    (0..BATCH_KEYS_COUNT).for_each(|number| touch(format!("key_b{number}"), None));
    touch("key_z".to_owned(), None);
    pass_write_interval().await;
    until_used(&store, "key_z").await;
    tokio::time::resume();
    execute(sql!("ALTER TABLE away RENAME TO users")).await;
    poll::until("the use is written", async || {
        last_used(&store).await == (Some(7), Some(7))
    })
    .await;
    task.stop().await;
}
