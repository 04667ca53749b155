//! Changes through the forms of the console, and their boundaries.

use serde_json::json;

use super::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_a_form_is_created_changed_and_deleted_through_it() {
    let site = Site::start().await;
    let owner = site.owner().await;
    site.run("changes", &owner, json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_can_do_what_they_may_and_nothing_else() {
    let site = Site::start().await;
    let owner = site.owner().await;
    let people = json!({
        "reader": site.person("nina@acme.example", "reader").await,
        "member": site.member("max@acme.example").await,
        "foreign_project_id": site.foreign_project_id(),
    });
    site.run("boundaries", &owner, people).await;
}
