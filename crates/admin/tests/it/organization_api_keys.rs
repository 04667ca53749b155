//! Keys of all projects.

use serde_json::{Value, json};
use testkit::{NOW, Server};

const KEYS: &str = "/organization/api_keys";

/// Returns the names of the listed keys.
async fn names(server: &Server, query: &str) -> Vec<String> {
    let page = server.admin().get(&format!("{KEYS}?{query}")).await.ok();
    let keys = page["data"].as_array().expect("keys").iter();
    keys.map(|key| key["name"].as_str().expect("a name").to_owned())
        .collect()
}

async fn create(server: &Server, project: &str, name: &str, lifetime: Option<i64>) -> Value {
    let path = format!("/organization/projects/{project}/api_keys");
    let key = json!({"name": name, "user_id": server.owner_id(), "expires_in_seconds": lifetime});
    server.admin().post(&path, key).await.ok()
}

#[tokio::test]
async fn keys_of_all_projects_are_listed_with_project_owner_and_scopes() {
    let server = Server::start().await;
    let admin = server.admin();
    let first = server.default_project_id().to_string();
    let second = admin
        .post("/organization/projects", json!({"name": "Second"}))
        .await
        .ok();
    let second = second["id"].as_str().expect("an id");
    create(&server, &first, "One", None).await;
    let path = format!("/organization/projects/{second}/service_accounts");
    let account = admin.post(&path, json!({"name": "ranker"})).await.ok();
    let page = admin.get(KEYS).await.ok();
    let [one, two] = [0, 1].map(|index| &page["data"][index]);
    assert_eq!(one["project"]["id"], json!(first));
    assert_eq!(one["owner"]["user"]["role"], "owner");
    assert_eq!(two["project"], json!({"id": second, "name": "Second"}));
    assert_eq!(two["owner"]["service_account"]["id"], account["id"]);
    assert_eq!(two["scopes"], json!([]));
    // Each key is as in the list of its project.
    for (key, project) in [(one, first.as_str()), (two, second)] {
        let path = format!("/organization/projects/{project}/api_keys");
        let mut key = key.as_object().expect("a key").clone();
        key.retain(|field, _| field != "project" && field != "scopes");
        assert_eq!(admin.get(&path).await.ok()["data"], json!([key]));
    }
    // Neither admin keys nor those of others.
    assert_eq!(page["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(server.stranger().get(KEYS).await.ok()["data"], json!([]));
    let refused = server.reader().get(KEYS).await;
    assert_eq!(refused.refused(403).0, Some("insufficient_permissions"));
}

#[tokio::test]
async fn access_of_an_owner_is_that_in_the_project_of_the_key() {
    let server = Server::start().await;
    let admin = server.admin();
    let project = server.default_project_id().to_string();
    let users = format!("/organization/projects/{project}/users");
    let member = json!({"user_id": server.reader_id(), "role": "member"});
    admin.post(&users, member).await.ok();
    let path = format!("/organization/projects/{project}/api_keys");
    let key = json!({"name": "Rita's", "user_id": server.reader_id()});
    admin.post(&path, key).await.ok();
    let access = async || admin.get(KEYS).await.ok()["data"][0]["owner_project_access"].clone();
    assert_eq!(access().await, "active");
    let other = admin
        .post("/organization/projects", json!({"name": "Other"}))
        .await
        .ok();
    let elsewhere = other["id"].as_str().expect("an id");
    let elsewhere = format!("/organization/projects/{elsewhere}/users");
    let member = json!({"user_id": server.reader_id(), "role": "member"});
    admin.post(&elsewhere, member).await.ok();
    let user = format!("{users}/{}", server.reader_id());
    admin.delete(&user).await.ok();
    let keys = admin.get(KEYS).await.ok();
    if keys["data"] != json!([]) {
        assert_eq!(access().await, "inactive");
    }
}

#[tokio::test]
async fn keys_are_filtered_by_expiry_use_owner_project_and_name() {
    let server = Server::start().await;
    let admin = server.admin();
    let project = server.default_project_id().to_string();
    let other = admin
        .post("/organization/projects", json!({"name": "Other"}))
        .await
        .ok();
    let other = other["id"].as_str().expect("an id").to_owned();
    create(&server, &project, "Soon", Some(3_600)).await;
    create(&server, &project, "Late", Some(86_400)).await;
    let used = create(&server, &other, "Forever 50%", None).await;
    let path = format!("/organization/projects/{other}/service_accounts");
    let account = admin.post(&path, json!({"name": "ranker"})).await.ok();
    let account = account["id"].as_str().expect("an id");
    let all = ["Soon", "Late", "Forever 50%", "Secret Key"];
    assert_eq!(names(&server, "").await, all);
    let soon = format!("expires_before={}", NOW.0 + 7_200);
    assert_eq!(names(&server, &soon).await, ["Soon"]);
    let latest = format!("expires_before={}", NOW.0 + 100_000);
    assert_eq!(names(&server, &latest).await, ["Soon", "Late"]);
    assert_eq!(
        names(&server, &format!("owner_id={account}")).await,
        ["Secret Key"]
    );
    let owner = format!("owner_id={}", server.owner_id());
    assert_eq!(names(&server, &owner).await, all[..3]);
    let of_other = format!("project_id={other}");
    assert_eq!(names(&server, &of_other).await, all[2..]);
    assert_eq!(
        names(&server, &format!("{of_other}&{owner}")).await,
        all[2..3]
    );
    for (search, expected) in [
        ("FOREVER", &all[2..3]),
        ("50%25", &all[2..3]),
        ("et", &all[3..]),
        ("%25", &all[2..3]),
        ("_", &[]),
    ] {
        let found = names(&server, &format!("search={search}")).await;
        assert_eq!(found, expected, "{search}");
    }
    // A key that was never used counts from its creation.
    server.clock.advance(1_000);
    let key = server.with_key(used["value"].as_str().expect("a secret"));
    key.get("/models").await.ok();
    poll::until("the use is written", async || {
        let unused = names(&server, &format!("unused_since={}", NOW.0 + 500)).await;
        unused == ["Soon", "Late", "Secret Key"]
    })
    .await;
    assert_eq!(
        names(&server, &format!("unused_since={}", NOW.0)).await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn page_with_a_filter_goes_on_after_its_last_key() {
    let server = Server::start().await;
    let project = server.default_project_id().to_string();
    for number in 0..6 {
        let name = if number % 2 == 0 { "even" } else { "odd" };
        create(&server, &project, &format!("{name} {number}"), None).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{KEYS}?search=even&limit=2{cursor}");
        let page = server.admin().get(&path).await.ok();
        let keys = page["data"].as_array().expect("keys");
        seen.extend(keys.iter().map(|key| key["name"].clone()));
        if page["has_more"] == false {
            break;
        }
        cursor = format!("&after={}", page["last_id"].as_str().expect("a cursor"));
    }
    assert_eq!(seen, ["even 0", "even 2", "even 4"]);
}
