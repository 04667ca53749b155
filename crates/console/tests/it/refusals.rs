//! Refused requests: what each reason means, and where it can be changed.

use serde_json::json;
use testkit::Server;

use crate::visitor::Visitor;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_requests_are_explained_where_people_look_for_them() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let page = owner.get("/console/usage/refusals").await.ok();
    page.says("Nothing was refused");
    let project = json!({"name": "Crawler"});
    let project = server.admin().post("/organization/projects", project).await;
    let project = project.ok()["id"].as_str().expect("an id").to_owned();
    let own = format!("/console/projects/{project}");
    owner.get(&own).await.ok().says("last 7 days None.");
    let accounts = format!("/organization/projects/{project}/service_accounts");
    let account = server.admin().post(&accounts, json!({"name": "a"})).await;
    let account = account.ok();
    let key = account["api_key"]["value"].as_str().expect("a key");
    let unknown = json!({"model": "unknown", "messages": []});
    let client = server.with_key(key);
    let refused = client.post("/chat/completions", unknown).await;
    assert_eq!(refused.status, 404);
    let explained = format!("/console/usage/refusals?project_id={project}&days=30");
    poll::until("the refusal is counted", async || {
        owner
            .get(&explained)
            .await
            .ok()
            .text()
            .contains("Crawler Model")
    })
    .await;
    for address in [&*explained, "/console/usage/refusals"] {
        let page = owner.get(address).await.ok();
        page.says("Crawler Model unknown or not allowed The gateway does not serve the model");
        page.says("Clients get model_not_found");
        page.link(&format!("{own}/model_permissions"));
    }
    let page = owner.get(&own).await.ok();
    page.says("Model unknown or not allowed 1 Models of the project");
    page.link("/console/usage/refusals?project_id=");
    let elsewhere = format!(
        "/console/usage/refusals?project_id={}",
        server.default_project_id()
    );
    owner.get(&elsewhere).await.ok().says("Nothing was refused");
    owner
        .get("/console")
        .await
        .ok()
        .says("Model unknown or not allowed 1");
}

#[tokio::test]
async fn who_may_not_see_usage_sees_no_refused_requests() {
    let server = Server::start().await;
    let reader = Visitor::sign_in(&server, server.reader_id()).await;
    let page = reader.get("/console/usage/refusals").await;
    assert_eq!(page.status, 403);
    let own = format!("/console/projects/{}", server.default_project_id());
    let page = reader.get(&own).await.ok();
    assert!(!page.text().contains("Refused requests"), "{}", page.text());
}
