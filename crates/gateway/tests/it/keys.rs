//! Keys and their owners: changes take effect at once.

use std::time::Duration;

use base::time::Stopwatch;
use store::{Store, sql};

use crate::upstream::{COMPLETION, Reply};
use crate::world::{OWNER, SERVICE, World, chat};

const MODEL: &str = r#"{"model":"real"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_force_once_its_commit_has_settled() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let status = async |key| world.send(chat(key, MODEL)).await.status.as_u16();
    assert_eq!([status(OWNER).await, status(SERVICE).await], [200, 200]);
    world
        .change(&["UPDATE users SET role = 'reader' WHERE id = 'user-owner'"])
        .await;
    assert_eq!(status(OWNER).await, 403, "demoted");
    world
        .change(&[
            "INSERT INTO project_users (organization_id, project_id, user_id, role, added_at)
                   VALUES ('org-1', 'proj_1', 'user-owner', 'member', 1)",
        ])
        .await;
    assert_eq!(status(OWNER).await, 200, "a member of the project");
    world
        .change(&["DELETE FROM api_keys WHERE id = 'key_service'"])
        .await;
    assert_eq!(status(SERVICE).await, 401, "revoked");
    world
        .change(&["UPDATE projects SET archived_at = 5 WHERE id = 'proj_1'"])
        .await;
    assert_eq!(status(OWNER).await, 401, "archived");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_group_may_do_its_users_may() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let status = async || world.send(chat("sk-proj-reader", MODEL)).await.status;
    assert_eq!(status().await, 403, "a reader of the organization");
    world
        .change(&[
            "INSERT INTO groups (organization_id, id, name, created_at) VALUES ('org-1', 'group_1', 'G', 1)",
            "INSERT INTO group_users (organization_id, group_id, user_id, added_at)
             VALUES ('org-1', 'group_1', 'user-reader', 1)",
            "INSERT INTO project_groups (organization_id, project_id, group_id, role_id, added_at)
             VALUES ('org-1', 'proj_old', 'group_1', 'role-api-project-member', 1)",
        ])
        .await;
    assert_eq!(status().await, 403, "the group works elsewhere");
    world
        .change(&[
            "UPDATE project_groups SET project_id = 'proj_1', role_id = 'role_1'",
            "INSERT INTO roles (organization_id, id, resource_type, project_id, name, name_key, permissions, predefined,
                                created_at, updated_at)
             VALUES ('org-1', 'role_1', 'api.project', 'proj_1', 'a', 'a', '[\"api.model.read\"]', FALSE, 1, 1)",
        ])
        .await;
    assert_eq!(status().await, 403, "its role calls no models");
    world
        .change(&["UPDATE roles SET permissions = '[\"api.model.request\"]' WHERE id = 'role_1'"])
        .await;
    assert_eq!(status().await, 200);
    world.change(&["DELETE FROM group_users"]).await;
    assert_eq!(status().await, 403, "not in the group any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_at_once_all_settle() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    for _ in 0..50 {
        world
            .change(&["UPDATE projects SET name = 'x' WHERE id = 'proj_1'"])
            .await;
    }
    world
        .change(&["DELETE FROM api_keys WHERE id = 'key_service'"])
        .await;
    assert_eq!(world.chat(MODEL).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_revokes_within_a_second() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let other = Store::open(world.url()).await.expect("a store");
    let mut transaction = other.begin().await.expect("a transaction");
    for statement in [
        sql!("DELETE FROM api_keys WHERE id = 'key_service'"),
        sql!("UPDATE organizations SET revision = revision + 1 WHERE id = 'org-1'"),
    ] {
        transaction.execute(statement).await.expect("a change");
    }
    transaction.commit().await.expect("a commit");
    let revoked = Stopwatch::start();
    poll::until("the revoked key is refused", async || {
        world.chat(MODEL).await.status == 401
    })
    .await;
    let elapsed = revoked.elapsed();
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
}
