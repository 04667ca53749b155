//! Several nodes on one database: a key becomes valid or invalid on all of them at once.

use std::time::Duration;

use base::secret::Pepper;
use store::{Store, sql};
use tokio::time::Instant;

use crate::upstream::{COMPLETION, Reply};
use crate::world::{World, chat, read};

const MODEL: &str = r#"{"model":"real"}"#;
/// The number of keys that are created.
const KEY_COUNT: usize = 100;

/// Another node on the database of a world, which creates and deletes keys.
struct Issuer {
    store: Store,
    pepper: Pepper,
}

impl Issuer {
    async fn of(world: &World) -> Self {
        Self {
            store: Store::open(world.url()).await.expect("a store"),
            pepper: world.pepper.clone(),
        }
    }

    /// Creates a key of the service account of `proj_1`, and returns its secret.
    async fn issue(&self, number: usize) -> String {
        let (secret, id) = (
            format!("sk-svcacct-new-{number}"),
            format!("key_new_{number}"),
        );
        let insert = sql!(
            "INSERT INTO api_keys (organization_id, id, kind, project_id, service_account_id, name, redacted_value, \
                 hash, scopes, created_at) \
             VALUES ('org-1', $1, 'service_account', 'proj_1', 'svc_acct_member', 'k', 'sk-...', $2, '[]', 1)",
            id,
            self.pepper.hash(&secret)
        );
        self.commit(insert).await;
        secret
    }

    async fn delete(&self, number: usize) {
        let id = format!("key_new_{number}");
        self.commit(sql!("DELETE FROM api_keys WHERE id = $1", id))
            .await;
    }

    async fn commit(&self, statement: store::Statement) {
        let mut transaction = self.store.begin().await.expect("a transaction");
        transaction.execute(statement).await.expect("a change");
        let advance = sql!("UPDATE organizations SET revision = revision + 1 WHERE id = 'org-1'");
        transaction.execute(advance).await.expect("advanced");
        transaction.commit().await.expect("a commit");
    }
}

async fn status(world: &World, key: &str) -> u16 {
    world.send(chat(key, MODEL)).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn b6_a_key_made_on_one_node_is_good_on_another_at_once() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let issuer = Issuer::of(&world).await;
    let mut refused = Vec::new();
    for number in 0..KEY_COUNT {
        let key = issuer.issue(number).await;
        let status = status(&world, &key).await;
        if status != 200 {
            refused.push((number, status));
        }
    }
    assert_eq!(refused, [], "of {KEY_COUNT} fresh keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn b6_a_key_revoked_on_one_node_stays_refused_on_another() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let issuer = Issuer::of(&world).await;
    let key = issuer.issue(0).await;
    let started = Instant::now();
    while status(&world, &key).await != 200 {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "it is never good"
        );
    }
    issuer.delete(0).await;
    let started = Instant::now();
    while status(&world, &key).await != 401 {
        assert!(started.elapsed() < Duration::from_secs(30), "it stays good");
    }
    for _ in 0..100 {
        assert_eq!(status(&world, &key).await, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b6_guesses_do_not_keep_a_fresh_key_from_being_found() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let issuer = Issuer::of(&world).await;
    let guesses: Vec<_> = (0..8)
        .map(|client| {
            let gateway = world.gateway.clone();
            tokio::spawn(async move {
                let mut statuses = Vec::new();
                for guess in 0..100 {
                    let key = format!("sk-svcacct-guess-{client}-{guess}");
                    statuses.push(read(gateway.handle(chat(&key, MODEL)).await).await.status);
                }
                statuses
            })
        })
        .collect();
    for number in 0..20 {
        let key = issuer.issue(number).await;
        assert_eq!(status(&world, &key).await, 200, "fresh key {number}");
    }
    for client in guesses {
        let statuses = client.await.expect("a client");
        assert!(statuses.iter().all(|status| *status == 401), "{statuses:?}");
    }
}
