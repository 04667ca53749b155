//! The last uses of keys and users.

use std::time::Duration;

use base::ids::{Id, KeyId, OrganizationId, UserId};
use base::{Clock, UnixTime};
use store::testing::TestDatabase;
use store::{Store, sql};
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

#[tokio::test]
async fn a_use_is_written_within_a_second_or_so() {
    let database = TestDatabase::new();
    let store = filled(&database).await;
    let (last, task) = LastUsed::start(store.clone(), Clock::fake(UnixTime(7)));
    let organization = OrganizationId::from_text("org-a".to_owned());
    last.touch(&organization, &KeyId::from_text("key_a".to_owned()), None);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(last_used(&store).await.0, Some(7));
    task.stop().await;
}

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
    let (last, task) = LastUsed::start(store.clone(), Clock::fake(UnixTime(7)));
    let organization = OrganizationId::from_text("org-a".to_owned());
    let rename = async |statement| {
        let mut transaction = store.begin_untracked().await.expect("a transaction");
        transaction.execute(statement).await.expect("renamed");
        transaction.commit().await.expect("a commit");
    };
    rename(sql!("ALTER TABLE users RENAME TO away")).await;
    let user = UserId::from_text("user-a".to_owned());
    let key = KeyId::from_text("key_a".to_owned());
    last.touch(&organization, &key, Some(&user));
    // Longer than the interval between two writes.
    poll::pause(Duration::from_millis(2_500)).await;
    rename(sql!("ALTER TABLE away RENAME TO users")).await;
    poll::until("the use is written", async || {
        last_used(&store).await == (Some(7), Some(7))
    })
    .await;
    task.stop().await;
}
