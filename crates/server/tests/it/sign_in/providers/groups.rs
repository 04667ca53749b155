//! Groups that follow a provider.

use super::*;

/// Creates a group; returns its id.
async fn group(trial: &Trial, name: &str) -> String {
    let body = json!({"name": name});
    let group = trial
        .server
        .admin()
        .post("/organization/groups", body)
        .await;
    group.ok()["id"].as_str().expect("an id").to_owned()
}

/// Returns the addresses of a group's users.
async fn users(trial: &Trial, group: &str) -> Vec<Value> {
    let path = format!("/organization/groups/{group}/users");
    let list = trial.server.admin().get(&path).await.ok();
    let list = list["data"].as_array().cloned().expect("a list");
    list.iter().map(|user| user["email"].clone()).collect()
}

#[tokio::test]
async fn only_named_groups_follow_the_claim() {
    let trial = Trial::with(|options| {
        options.groups = ["engineers", "operators", "missing"]
            .map(str::to_owned)
            .to_vec();
    });
    let trial = trial.await;
    let engineers = group(&trial, "engineers").await;
    let operators = group(&trial, "operators").await;
    let own = group(&trial, "own").await;
    let body = json!({"user_id": trial.server.owner_id()});
    for group in [&operators, &own] {
        let path = format!("/organization/groups/{group}/users");
        trial.server.admin().post(&path, body.clone()).await.ok();
    }
    let groups = json!({"groups": ["engineers", "admins", "missing"]});
    trial.claims("subject-1", OWNER, groups);
    let mut browser = Browser::new(&trial.server);
    trial.sign_in(&mut browser).await.location();
    assert_eq!(users(&trial, &engineers).await, [json!(OWNER)]);
    assert_eq!(users(&trial, &operators).await, [] as [Value; 0]);
    assert_eq!(users(&trial, &own).await, [json!(OWNER)]);
    let events = [
        count(&trial.server, "x.group.user.added").await,
        count(&trial.server, "x.group.user.removed").await,
    ];
    assert_eq!(events, [3, 1]);
    // A provider that says nothing about groups changes none; one that names none removes.
    trial.claims("subject-1", OWNER, json!({}));
    trial.sign_in(&mut browser).await.location();
    assert_eq!(users(&trial, &engineers).await, [json!(OWNER)]);
    trial.claims("subject-1", OWNER, json!({"groups": []}));
    trial.sign_in(&mut browser).await.location();
    assert_eq!(users(&trial, &engineers).await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_claim_changes_no_group_that_the_configuration_does_not_name() {
    let trial = Trial::start().await;
    let admins = group(&trial, "admins").await;
    trial.claims("subject-1", OWNER, json!({"groups": ["admins"]}));
    trial
        .sign_in(&mut Browser::new(&trial.server))
        .await
        .location();
    assert_eq!(users(&trial, &admins).await, [] as [Value; 0]);
}
