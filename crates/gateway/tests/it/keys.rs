//! Keys and their owners: changes take effect at once.

use std::time::Duration;

use base::ids::{Id, UserId};
use base::time::Stopwatch;
use serde_json::json;

use crate::upstream::{COMPLETION, Reply};
use crate::world::{World, chat};

const MODEL: &str = r#"{"model":"real"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_force_once_its_commit_has_settled() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let owner = world.second_owner_key().await;
    let user = UserId::from_text(owner.owner_id.clone());
    let status = async |key| world.send(chat(key, MODEL)).await.status.as_u16();
    assert_eq!(
        [
            status(&owner.secret).await,
            status(world.owner()).await,
            status(world.service()).await
        ],
        [200, 200, 200]
    );
    world.demote(&owner.owner_id).await;
    assert_eq!(status(&owner.secret).await, 403, "demoted");
    world.join_project(&user).await;
    assert_eq!(status(&owner.secret).await, 200, "a member of the project");
    world.unset(&format!("api_keys/{}", owner.id)).await;
    assert_eq!(status(&owner.secret).await, 401, "revoked");
    world.delete_service().await;
    assert_eq!(status(world.service()).await, 401, "its owner was deleted");
    world.archive().await;
    assert_eq!(status(world.owner()).await, 401, "archived");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_group_may_do_its_users_may() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let (key, organization) = (world.reader_key().await, &world.organization);
    let status = async || world.send(chat(&key.secret, MODEL)).await.status;
    assert_eq!(status().await, 403, "a reader of the organization");
    let group = organization.create_group("G").await;
    organization
        .post(
            &format!("/groups/{group}/users"),
            json!({"user_id": key.owner_id}),
        )
        .await;
    let member = json!({"group_id": group, "role": "role-api-project-member"});
    let elsewhere = format!("/projects/{}/groups", world.other_project);
    organization.post(&elsewhere, member).await;
    assert_eq!(status().await, 403, "the group works elsewhere");
    let roles = format!("/projects/{}/roles", world.project);
    let body = json!({"role_name": "a", "permissions": ["api.model.read"]});
    let role = organization.create_at(&roles, body).await;
    world
        .set("groups", json!({"group_id": group, "role": role}))
        .await;
    assert_eq!(status().await, 403, "its role calls no models");
    let body = json!({"permissions": ["api.model.request"]});
    let path = format!("{roles}/{role}");
    organization.admin.post(&path, body).await.ok();
    assert_eq!(status().await, 200);
    organization
        .delete(&format!("/groups/{group}/users/{}", key.owner_id))
        .await;
    assert_eq!(status().await, 403, "not in the group any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_at_once_all_settle() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let path = format!("/projects/{}", world.project);
    for number in 0..50 {
        let body = json!({"name": format!("Name {number}")});
        world.organization.post(&path, body).await;
    }
    world.delete_service().await;
    assert_eq!(world.chat(MODEL).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_revokes_within_a_second() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let elsewhere = world.elsewhere().await;
    let account = &world.keys.service.owner_id;
    let path = format!("/projects/{}/service_accounts/{account}", world.project);
    elsewhere.delete(&path).await;
    let revoked = Stopwatch::start();
    poll::until("the revoked key is refused", async || {
        world.chat(MODEL).await.status == 401
    })
    .await;
    let elapsed = revoked.elapsed();
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
}
