//! When keys and users were last used.

use base::ids::{Id, KeyId, OrganizationId, UserId};
use base::{Clock, UnixTime};
use store::testing::Scratch;
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

async fn filled(scratch: &Scratch) -> Store {
    let store = Store::open(scratch.url());
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
async fn the_last_use_is_kept_and_never_goes_back() {
    let scratch = Scratch::new();
    let store = filled(&scratch).await;
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
    let scratch = Scratch::new();
    let store = filled(&scratch).await;
    let (last, task) = LastUsed::start(store.clone(), Clock::fake(UnixTime(7)));
    let organization = OrganizationId::from_text("org-a".to_owned());
    last.touch(&organization, &KeyId::from_text("key_a".to_owned()), None);
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(last_used(&store).await.0, Some(7));
    task.stop().await;
}
