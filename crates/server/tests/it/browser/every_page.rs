//! Every page of the console, as different people.

use serde_json::json;

use super::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_of_an_owner_is_accessible_and_shows_hostile_names_as_text() {
    let site = Site::start().await;
    site.name_hostilely().await;
    let owner = site.owner().await;
    let expected = json!({
        "hostile": true,
        "expected": ["/console", "/console/costs", "/console/audit_logs", "/console/spend", "/console/projects/{id}"],
    });
    site.run("every_page", &owner, expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_of_a_reader_is_accessible_and_leads_nowhere_forbidden() {
    let site = Site::start().await;
    let reader = site.person("nina@acme.example", "reader").await;
    let expected = json!({
        "expected": ["/console", "/console/projects"],
        "absent": ["/console/costs", "/console/audit_logs", "/console/spend", "/console/admin_api_keys"],
    });
    site.run("every_page", &reader, expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_of_a_project_member_is_accessible_and_has_own_keys_and_usage() {
    let site = Site::start().await;
    let member = site.member("max@acme.example").await;
    let expected = json!({
        "expected": ["/console", "/console/me", "/console/me/api_keys", "/console/me/usage"],
        "absent": ["/console/costs", "/console/audit_logs", "/console/usage/completions", "/console/spend"],
    });
    site.run("every_page", &member, expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_another_organization_find_nothing_at_any_address_of_the_first() {
    let site = Site::start().await;
    site.member("max@acme.example").await;
    let owner = site.owner().await;
    let people = json!({
        "owner": site.stranger().await,
        "reader": site.strange_reader().await,
    });
    let names = json!([
        "Acme",
        "Search and answers",
        "ada@",
        "max@",
        "rita@",
        "acme.example"
    ]);
    let report = site.run(
        "stranger",
        &owner,
        json!({"others": people, "names": names}),
    );
    let report = report.await;
    let tried = report.iter().find_map(|line| line["tried"].as_u64());
    assert!(tried.is_some_and(|tried| tried > 100), "{tried:?}");
}
