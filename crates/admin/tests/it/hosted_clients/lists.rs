//! Comma-separated lists in a single query parameter.

use serde_json::json;
use testkit::{NOW, Server};
use usage::UsageKind;

use crate::reports::report;
use crate::roles::{each, project};

#[tokio::test]
async fn comma_separated_filters_of_reports_are_split() {
    let server = Server::start().await;
    report(&server, UsageKind::Completions).await;
    let admin = server.admin();
    let usage = format!("/organization/usage/completions?start_time={}", NOW.0);
    let other = project(&server).await;
    let both = format!("{},{other}", server.default_project_id());
    for (path, joined, apart) in [
        (
            &usage,
            "group_by=project_id,model".to_owned(),
            "group_by=project_id&group_by=model".to_owned(),
        ),
        (
            &usage,
            "group_by[]=project_id%2Cmodel".to_owned(),
            "group_by=project_id&group_by=model".to_owned(),
        ),
        (
            &usage,
            "group_by=model&user_ids=user-a,user-b".to_owned(),
            "group_by=model".to_owned(),
        ),
        (
            &usage,
            format!("group_by=model&project_ids={both}"),
            "group_by=model".to_owned(),
        ),
        (
            &usage,
            "group_by=model,&api_key_ids=key_a,,none".to_owned(),
            "group_by=model&api_key_ids=key_a".to_owned(),
        ),
    ] {
        let [joined, apart] = [joined, apart].map(|query| format!("{path}&{query}"));
        let answer = admin.get(&joined).await.ok();
        assert_eq!(answer, admin.get(&apart).await.ok(), "{joined}");
        assert_ne!(answer["data"][0]["results"], json!([]), "{joined}");
    }
    // Names of models and line items may contain commas.
    let none = admin.get(&format!("{usage}&models=a,b")).await.ok();
    assert_eq!(none["data"][0]["results"], json!([]));
    let wrong = admin.get(&format!("{usage}&group_by=model,colour")).await;
    assert_eq!(wrong.refused(400).1, Some("group_by[1]"));
    let nobody = admin
        .get(&format!("{usage}&user_ids=nobody,none"))
        .await
        .ok();
    assert_eq!(nobody["data"][0]["results"], json!([]));
}

#[tokio::test]
async fn comma_separated_filters_of_the_audit_log_and_of_users_are_split() {
    let server = Server::start().await;
    let admin = server.admin();
    let one = project(&server).await;
    server.join("a@acme.example", "reader").await;
    let logs = "/organization/audit_logs";
    let ask = async |query: &str| admin.get(&format!("{logs}?{query}")).await.ok()["data"].clone();
    let both = ask("event_types[]=project.created&event_types[]=invite.accepted").await;
    assert_eq!(both.as_array().map(Vec::len), Some(2));
    assert_eq!(
        ask("event_types=project.created,invite.accepted").await,
        both
    );
    assert_eq!(
        ask(&format!(
            "event_types=project.created&resource_ids=none,{one}"
        ))
        .await[0],
        both[1]
    );
    assert_eq!(
        ask("event_types=invite.accepted&actor_emails=x@x.example,A@acme.example").await[0],
        both[0]
    );
    let wrong = admin
        .get(&format!("{logs}?event_types=project.created,nope"))
        .await;
    assert_eq!(wrong.refused(400).1, Some("event_types[1]"));
    let users = admin
        .get("/organization/users?emails=ada@acme.example,A@acme.example")
        .await
        .ok();
    assert_eq!(
        each(&users, "email"),
        ["ada@acme.example", "a@acme.example"]
    );
}
