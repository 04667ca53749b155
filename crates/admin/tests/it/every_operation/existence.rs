//! Operations reveal nothing without the permission: existing and unknown ids give the same response.

use admin::operation::{Effect, Operation};
use admin::operations;
use base::Permission;
use serde_json::{Value, json};
use testkit::examples::Ids;
use testkit::{Client, Server};

use super::call;

/// Issues an admin key of a reader with a role that has all permissions but `lacked`, except those of readers.
async fn without(server: &Server, lacked: Permission) -> Client {
    let email = format!("{}@acme.example", lacked.as_str());
    let user = server.join(&email, "owner").await;
    let client = server.owner_key(&email).await;
    let admin = server.admin();
    let all = Permission::ALL.iter().filter(|one| **one != lacked);
    let names: Vec<_> = all.map(|one| one.as_str()).collect();
    let role = json!({"role_name": email, "permissions": names});
    let role = admin.post("/organization/roles", role).await.ok();
    let path = format!("/organization/users/{user}");
    let roles = format!("{path}/roles");
    admin
        .post(&roles, json!({"role_id": role["id"]}))
        .await
        .ok();
    admin.post(&path, json!({"role": "reader"})).await.ok();
    client
}

/// Returns all variants of the path in which some ids do not exist.
fn missing_paths(operation: &Operation, ids: &Ids, missing: &str) -> Vec<String> {
    let names: Vec<_> = operation.path_parameters().collect();
    let variants = 1..(1_u32 << names.len());
    let path = |variant: u32| {
        let start = operation.path.to_owned();
        names.iter().enumerate().fold(start, |path, (place, name)| {
            let is_missing = variant & (1 << place) != 0;
            let id = if is_missing {
                missing
            } else {
                ids.id(operation, name)
            };
            path.replace(&format!("{{{name}}}"), id)
        })
    };
    variants.map(path).collect()
}

fn refusal(answer: &testkit::Answer) -> (u16, Value) {
    (answer.status.as_u16(), answer.json.clone())
}

#[tokio::test]
async fn existence_is_not_revealed_without_the_permission() {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    let readers = base::permission::OrganizationRole::Reader.permissions();
    let needs = Permission::ALL
        .iter()
        .filter(|one| !readers.contains(**one));
    for lacked in needs {
        let with_path = |operation: &Operation| {
            operation.needs == Some(*lacked) && operation.path_parameters().next().is_some()
        };
        let affected: Vec<_> = operations().into_iter().filter(with_path).collect();
        if affected.is_empty() {
            continue;
        }
        let client = without(&server, *lacked).await;
        for operation in affected {
            let there = call(&client, &operation, &ids.path(&operation)).await;
            let command = operation.command;
            let code = Some("insufficient_permissions");
            assert_eq!(there.refused(403).0, code, "{command}");
            for missing in ["proj_01K000000000000000000000000", "nope", "%00", "a%2Fb"] {
                for path in missing_paths(&operation, &ids, missing) {
                    let answer = call(&client, &operation, &path).await;
                    assert_eq!(refusal(&answer), refusal(&there), "{command}: {path}");
                }
            }
        }
    }
}

/// A project role allows operations in its project; other projects seem not to exist.
#[tokio::test]
async fn existence_of_other_projects_is_not_revealed_to_a_projects_owner() {
    let server = Server::start().await;
    let (ids, admin) = (Ids::make(&server).await, server.admin());
    let project = &ids.at("/organization/projects/{project_id}").id;
    let grace = server.join("grace@acme.example", "owner").await;
    let client = server.owner_key("grace@acme.example").await;
    let users = format!("/organization/projects/{project}/users");
    let owner = json!({"user_id": grace, "role": "owner"});
    admin.post(&users, owner).await.ok();
    let path = format!("/organization/users/{grace}");
    admin.post(&path, json!({"role": "reader"})).await.ok();
    let other = admin
        .post("/organization/projects", json!({"name": "Other"}))
        .await;
    let other = other.ok()["id"].as_str().expect("an id").to_owned();
    let archived = admin
        .post("/organization/projects", json!({"name": "Old"}))
        .await;
    let archived = archived.ok()["id"].as_str().expect("an id").to_owned();
    let archive = format!("/organization/projects/{archived}/archive");
    admin.post(&archive, json!({})).await.ok();
    let keys = |project: &str| format!("/organization/projects/{project}/api_keys");
    client.get(&keys(project)).await.ok();
    let nowhere = client.get(&keys("proj_01K000000000000000000000000")).await;
    assert_eq!(nowhere.refused(403).0, Some("insufficient_permissions"));
    for project in [&other, &archived] {
        let answer = client.get(&keys(project)).await;
        assert_eq!(refusal(&answer), refusal(&nowhere));
    }
    // In the own project, a missing key is reported as such.
    let missing = format!("{}/key_01K000000000000000000000000", keys(project));
    assert_eq!(client.get(&missing).await.refused(404).0, Some("not_found"));
}

#[test]
fn every_operation_in_a_project_is_checked_for_existence_leaks() {
    let in_projects = operations().into_iter();
    let in_projects = in_projects.filter(|operation| operation.path.contains("/projects/{"));
    for operation in in_projects {
        let mut names = operation.path_parameters();
        assert_eq!(names.next(), Some("project_id"), "{}", operation.command);
        assert_ne!(operation.effect, Effect::Open, "{}", operation.command);
    }
}
