//! Several nodes on one database: a key becomes valid or invalid on all of them at once.

use std::time::Duration;

use testkit::Organization;
use tokio::time::Instant;

use crate::upstream::{COMPLETION, Reply};
use crate::world::{World, chat, read};

const MODEL: &str = r#"{"model":"real"}"#;
/// The number of keys that are created.
const KEY_COUNT: usize = 100;

/// Another node on the database of a world, which creates and deletes keys of a service account.
struct Issuer<'a> {
    organization: Organization,
    world: &'a World,
    account: String,
}

impl<'a> Issuer<'a> {
    async fn of(world: &'a World) -> Self {
        let organization = world.elsewhere().await;
        let key = organization.create_service_account(&world.project).await;
        Self {
            organization,
            world,
            account: key.owner_id,
        }
    }

    /// Creates a key of the service account, and returns its secret.
    async fn issue(&self) -> String {
        let (project, account) = (&self.world.project, &self.account);
        let key = self
            .organization
            .create_service_account_key(project, account);
        key.await.secret
    }

    /// Deletes the service account with its keys.
    async fn delete(&self) {
        let (project, account) = (&self.world.project, &self.account);
        let path = format!("/projects/{project}/service_accounts/{account}");
        self.organization.delete(&path).await;
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
        let key = issuer.issue().await;
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
    let key = issuer.issue().await;
    let started = Instant::now();
    while status(&world, &key).await != 200 {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "it is never good"
        );
    }
    issuer.delete().await;
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
        let key = issuer.issue().await;
        assert_eq!(status(&world, &key).await, 200, "fresh key {number}");
    }
    for client in guesses {
        let statuses = client.await.expect("a client");
        assert!(statuses.iter().all(|status| *status == 401), "{statuses:?}");
    }
}
