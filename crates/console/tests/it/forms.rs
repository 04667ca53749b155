//! Forms: creation, modification, refusal, deletion.

use http::StatusCode;
use serde_json::json;
use testkit::Server;

use crate::visitor::Visitor;

#[tokio::test]
async fn project_is_created_renamed_and_archived_by_forms() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let created = owner
        .post("/console/projects/new", &[("name", "Search")])
        .await;
    let page = owner.follow(created).await.ok();
    page.says("Created. It takes effect within a second.")
        .says("Search");
    let list = owner.get("/console/projects").await.ok();
    list.says("Search");
    assert!(!list.text().contains("Created."), "an outcome is said once");
    let here = page.path;
    let edit = format!("{here}/edit");
    let values = owner.get(&edit).await.ok().attributes("value");
    assert!(values.contains(&"Search".to_owned()));
    let saved = owner.post(&edit, &[("name", "Find")]).await;
    owner.follow(saved).await.ok().says("Saved.").says("Find");
    let unchanged = owner.post(&edit, &[("name", "Find")]).await;
    owner
        .follow(unchanged)
        .await
        .ok()
        .says("Nothing was changed.");
    let archive = format!("{here}/archive");
    owner
        .get(&archive)
        .await
        .ok()
        .says("Every API key of the project is refused within a second.");
    let archived = owner.post(&archive, &[]).await;
    owner.follow(archived).await.ok().says("Done.");
    let page = owner.get(&here).await.ok();
    page.says("This project is archived");
}

#[tokio::test]
async fn refused_value_is_explained_at_its_field_and_kept() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let fields = [("email", "not an address"), ("role", "reader")];
    let page = owner.post("/console/invites/new", &fields).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.says("A field below needs your attention.");
    let (_, field) = page.html.split_once("name=\"email\"").expect("the field");
    let field = field.split_once("</div>").expect("its end").0;
    assert!(
        field.contains("aria-invalid=\"true\"") && field.contains("class=\"error\""),
        "{field}"
    );
    assert!(
        page.attributes("value")
            .contains(&"not an address".to_owned())
    );
    // A refusal that is about no field is said above the form.
    let again = [("email", "rita@acme.example"), ("role", "reader")];
    let page = owner.post("/console/invites/new", &again).await;
    page.says("already exists");
}

#[tokio::test]
async fn rows_are_added_without_losing_what_was_entered() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let project = server.default_project_id().to_string();
    let fields = [
        ("email", "a@b.example"),
        ("role", "reader"),
        ("projects[0].id", project.as_str()),
        ("projects[0].role", "member"),
        ("_rows", "projects:4"),
    ];
    let page = owner.post("/console/invites/new", &fields).await.ok();
    let names = page.attributes("name");
    assert!(names.contains(&"projects[3].id".to_owned()), "{names:?}");
    assert!(page.attributes("value").contains(&"a@b.example".to_owned()));
    assert!(
        page.html.contains(&format!("value=\"{project}\" selected")),
        "{}",
        page.html
    );
}

#[tokio::test]
async fn key_is_shown_once_with_a_sample_and_is_not_stored_by_the_browser() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let keys = format!("/console/projects/{}/api_keys", server.default_project_id());
    // The visitor is the owner unless another person is chosen.
    let own = server.owner_id().to_string();
    let form = owner.get(&format!("{keys}/new")).await.ok();
    assert!(
        form.html.contains(&format!("value=\"{own}\" selected")),
        "{}",
        form.html
    );
    let fields = [
        ("name", "Chat"),
        ("user_id", own.as_str()),
        ("expires_in_seconds", "2592000"),
    ];
    let page = owner.post(&format!("{keys}/new"), &fields).await.ok();
    page.says("Copy the key now")
        .says("https://orgplane.example/v1/chat/completions");
    assert_eq!(page.header("cache-control"), "no-store");
    let (_, secret) = page.html.split_once("id=\"secret\">").expect("the secret");
    let secret = secret.split_once('<').expect("its end").0.to_owned();
    assert!(secret.starts_with("sk-proj-"), "{secret}");
    let me = server.with_key(&secret).get("/organization/me").await;
    assert_ne!(me.status, StatusCode::UNAUTHORIZED);
    let list = owner.get(&keys).await.ok();
    list.says("Chat");
    assert!(!list.html.contains(&secret));
    // The key that takes its place.
    let rotate = list.link("/rotate");
    let page = owner.post(&rotate, &[("overlap_seconds", "0")]).await.ok();
    page.says("Copy the key now");
    let me = server.with_key(&secret).get("/organization/me").await;
    assert_eq!(me.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn deletion_is_confirmed_with_what_dies() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let group = server
        .admin()
        .post("/organization/groups", json!({"name": "Crew"}))
        .await
        .ok();
    let id = group["id"].as_str().expect("an id");
    let users = format!("/organization/groups/{id}/users");
    server
        .admin()
        .post(&users, json!({"user_id": server.reader_id()}))
        .await
        .ok();
    let page = owner
        .get(&format!("/console/groups/{id}/delete"))
        .await
        .ok();
    page.says("Delete Crew")
        .says("People who lose the roles of the group: 1 Rita");
    page.says(&format!(
        "orgplane admin:organization:groups delete \\ --group-id {id}"
    ));
    let deleted = owner
        .post(&format!("/console/groups/{id}/delete"), &[])
        .await;
    owner.follow(deleted).await.ok().says("Deleted.");
    let gone = owner.get(&format!("/console/groups/{id}")).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn setting_is_made_shown_and_removed() {
    let server = Server::start().await;
    let owner = Visitor::owner(&server).await;
    let limit = "/console/spend_limit";
    owner
        .get(limit)
        .await
        .ok()
        .says("the organization can spend without a limit");
    let saved = owner
        .post(
            limit,
            &[
                ("threshold_amount", "12.50"),
                ("currency", "USD"),
                ("interval", "month"),
            ],
        )
        .await;
    let page = owner.follow(saved).await.ok();
    assert!(
        page.attributes("value").contains(&"12.5".to_owned())
            || page.attributes("value").contains(&"12.50".to_owned()),
        "{:?}",
        page.attributes("value")
    );
    let stored = server.admin().get("/organization/spend_limit").await.ok();
    assert_eq!(stored["threshold_amount"], 1250);
    let page = owner.post(limit, &[("threshold_amount", "a lot")]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    let removed = owner.post("/console/spend_limit/delete", &[]).await;
    owner.follow(removed).await.ok().says("without a limit");
}
