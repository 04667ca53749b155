//! The caller, and what belongs to the caller.

use serde_json::{Value, json};
use testkit::{Client, NOW, Server, ServerOptions};
use usage::PriceBook;

const ME: &str = "/organization/me";
const KEYS: &str = "/organization/me/api_keys";

/// Creates a project and returns its id.
async fn project(server: &Server, name: &str) -> String {
    let created = server
        .admin()
        .post("/organization/projects", json!({"name": name}))
        .await
        .ok();
    created["id"].as_str().expect("an id").to_owned()
}

/// Gives the reader of the server a predefined role in the project.
async fn admit(server: &Server, project: &str, role: &str) {
    let path = format!("/projects/{project}/users/{}/roles", server.reader_id());
    let role = json!({"role_id": format!("role-api-project-{role}")});
    server.admin().post(&path, role).await.ok();
}

async fn create_key(client: &Client, project: &str, name: &str) -> Value {
    let body = json!({"name": name, "project_id": project});
    client.post(KEYS, body).await.ok()
}

fn names(list: &Value) -> Vec<&str> {
    let items = list.as_array().expect("a list").iter();
    items
        .map(|item| item["name"].as_str().expect("a name"))
        .collect()
}

#[tokio::test]
async fn caller_is_told_with_permissions_groups_and_projects() {
    let server = Server::start().await;
    let (admin, reader) = (server.admin(), server.reader());
    let (member_of, through) = (
        project(&server, "Mine").await,
        project(&server, "Ours").await,
    );
    project(&server, "Theirs").await;
    admit(&server, &member_of, "member").await;
    let group = admin
        .post("/organization/groups", json!({"name": "Crew"}))
        .await
        .ok();
    let group = group["id"].as_str().expect("an id");
    let users = format!("/organization/groups/{group}/users");
    let user = json!({"user_id": server.reader_id()});
    admin.post(&users, user).await.ok();
    let viewer = json!({"group_id": group, "role": "role-api-project-viewer"});
    let groups = format!("/organization/projects/{through}/groups");
    admin.post(&groups, viewer).await.ok();
    let me = reader.get(ME).await.ok();
    assert_eq!(me["user"]["email"], "rita@acme.example");
    assert_eq!(me["user"]["role"], "reader");
    assert_eq!(
        me["organization"],
        json!({"id": server.organization_id(), "name": "Acme"})
    );
    assert_eq!(me["groups"], json!([{"id": group, "name": "Crew"}]));
    assert_eq!(names(&me["projects"]), ["Mine", "Ours"]);
    assert_eq!(me["has_more_projects"], false);
    let has = |permissions: &Value, name: &str| {
        let permissions = permissions.as_array().expect("names");
        permissions.contains(&json!(name))
    };
    let [mine, ours] = [0, 1].map(|index| &me["projects"][index]["permissions"]);
    let request = "api.model.request";
    assert!(!has(&me["permissions"], request), "{me}");
    assert!(has(mine, request) && !has(ours, request), "{me}");
    for everywhere in me["permissions"].as_array().expect("names") {
        let name = everywhere.as_str().expect("a name");
        assert!(has(mine, name) && has(ours, name), "{name}");
    }
    // Another organization has its own answer.
    let stranger = server.stranger().get(ME).await.ok();
    assert_eq!(stranger["organization"]["name"], "Other");
    // An archived project has no members.
    let archive = format!("/organization/projects/{member_of}/archive");
    admin.post(&archive, json!({})).await.ok();
    assert_eq!(names(&reader.get(ME).await.ok()["projects"]), ["Ours"]);
}

#[tokio::test]
async fn member_creates_and_deletes_own_keys_and_sees_only_these() {
    let server = Server::start().await;
    let (admin, reader) = (server.admin(), server.reader());
    let (mine, theirs) = (
        project(&server, "Mine").await,
        project(&server, "Theirs").await,
    );
    admit(&server, &mine, "member").await;
    let created = create_key(&reader, &mine, "Laptop").await;
    assert_eq!(created["project"], json!({"id": mine, "name": "Mine"}));
    assert_eq!(created["owner"]["user"]["id"], json!(server.reader_id()));
    assert_eq!(created["owner_project_access"], "active");
    assert_eq!(created["scopes"], json!([]));
    let secret = created["value"].as_str().expect("a secret");
    assert!(secret.starts_with("sk-proj-"));
    let listed = reader.get(KEYS).await.ok();
    assert_eq!(names(&listed["data"]), ["Laptop"]);
    assert_eq!(listed["data"][0].get("value"), None);
    let of_project = format!("/organization/projects/{mine}/api_keys");
    assert_eq!(
        names(&admin.get(&of_project).await.ok()["data"]),
        ["Laptop"]
    );
    // The owner of the organization has other keys.
    create_key(&admin, &mine, "Owner's").await;
    assert_eq!(names(&admin.get(KEYS).await.ok()["data"]), ["Owner's"]);
    let owners = admin.get(KEYS).await.ok()["data"][0]["id"].clone();
    let path = format!("{KEYS}/{}", owners.as_str().expect("an id"));
    assert_eq!(reader.delete(&path).await.refused(404).0, Some("not_found"));
    // A project without a role of the caller is as one that does not exist.
    let absent = json!({"name": "k", "project_id": "proj_01K000000000000000000000000"});
    let nowhere = reader.post(KEYS, absent).await;
    assert_eq!(nowhere.refused(400).1, Some("project_id"));
    let refused = reader
        .post(KEYS, json!({"name": "k", "project_id": theirs}))
        .await;
    assert_eq!(refused.refused(400).1, Some("project_id"));
    let message = |answer: &testkit::Answer, id: &str| {
        let message = answer.json["error"]["message"].as_str().expect("text");
        message.replace(id, "ID")
    };
    assert_eq!(
        message(&refused, &theirs),
        message(&nowhere, "proj_01K000000000000000000000000")
    );
    let path = format!("{KEYS}/{}", created["id"].as_str().expect("an id"));
    reader.delete(&path).await.ok();
    assert_eq!(reader.get(KEYS).await.ok()["data"], json!([]));
    let log = admin
        .get("/organization/audit_logs?event_types[]=api_key.deleted")
        .await
        .ok();
    let event = &log["data"][0];
    assert_eq!(event["api_key.deleted"]["id"], created["id"]);
    assert_eq!(event["project"], json!({"id": mine, "name": "Mine"}));
}

#[tokio::test]
async fn own_key_cannot_have_more_permissions_than_its_owner() {
    let server = Server::start().await;
    let mine = project(&server, "Mine").await;
    admit(&server, &mine, "viewer").await;
    let created = create_key(&server.reader(), &mine, "Viewer's").await;
    let key = server.with_key(created["value"].as_str().expect("a secret"));
    let request = json!({"model": "gpt-5", "messages": []});
    let answer = key.post("/chat/completions", request).await;
    assert_eq!(answer.status, 403, "{}", answer.json);
}

#[tokio::test]
async fn project_key_of_a_user_reads_what_belongs_to_the_user_in_its_project() {
    let server = Server::start().await;
    let (mine, other) = (
        project(&server, "Mine").await,
        project(&server, "Other").await,
    );
    for project in [&mine, &other] {
        admit(&server, project, "member").await;
    }
    let created = create_key(&server.reader(), &mine, "Laptop").await;
    create_key(&server.reader(), &other, "Elsewhere").await;
    let key = server.with_key(created["value"].as_str().expect("a secret"));
    let me = key.get(ME).await.ok();
    assert_eq!(names(&me["projects"]), ["Mine"]);
    assert_eq!(names(&key.get(KEYS).await.ok()["data"]), ["Laptop"]);
    // A leaked key makes no further keys and deletes none.
    let body = json!({"name": "k", "project_id": mine});
    let refused = key.post(KEYS, body).await;
    assert_eq!(refused.refused(403).0, Some("admin_key_required"));
    let path = format!("{KEYS}/{}", created["id"].as_str().expect("an id"));
    let refused = key.delete(&path).await;
    assert_eq!(refused.refused(403).0, Some("admin_key_required"));
    // A restricted key needs the scope.
    let body = json!({"name": "Narrow", "project_id": mine, "scopes": ["api.model.request"]});
    let narrow = server.reader().post(KEYS, body).await.ok();
    assert_eq!(narrow["scopes"], json!(["api.model.request"]));
    let narrow = server.with_key(narrow["value"].as_str().expect("a secret"));
    let refused = narrow.get(KEYS).await;
    assert_eq!(refused.refused(403).0, Some("insufficient_permissions"));
    // A service account is nobody.
    let path = format!("/organization/projects/{mine}/service_accounts");
    let account = server.admin().post(&path, json!({"name": "a"})).await.ok();
    let account = server.with_key(account["api_key"]["value"].as_str().expect("a secret"));
    let refused = account.get(ME).await;
    assert_eq!(refused.refused(403).0, Some("admin_key_required"));
}

/// Reports an event of the user in the project, with this many input tokens.
async fn consume(server: &Server, project: &str, user: &str, tokens: i64) {
    let event = json!({
        "id": format!("{project}{user}"), "timestamp": NOW.0 - 60, "type": "completions", "project_id": project,
        "user_id": user, "model": "gpt-5", "input_tokens": tokens, "output_tokens": 0,
    });
    let path = "/organization/usage/events";
    let answer = server.admin().post(path, event).await.ok();
    assert_eq!(answer["accepted"], 1, "{answer}");
}

#[tokio::test]
async fn own_reports_have_only_the_usage_of_the_caller() {
    let prices =
        "[[price]]\nmodel = 'gpt-5'\neffective = '2025-01-01'\ninput = '1000000'\noutput = '0'\n";
    let server = Server::with(ServerOptions {
        prices: PriceBook::parse(prices).expect("prices"),
        ..ServerOptions::default()
    })
    .await;
    let (mine, other) = (
        project(&server, "Mine").await,
        project(&server, "Other").await,
    );
    admit(&server, &mine, "member").await;
    let reader_id = server.reader_id().to_string();
    consume(&server, &mine, &reader_id, 10).await;
    consume(&server, &other, &reader_id, 5).await;
    consume(&server, &mine, &server.owner_id().to_string(), 100).await;
    server.flush().await;
    let reader = server.reader();
    let start = NOW.0 - 86_400;
    let sum = async |client: &Client, query: &str| -> i64 {
        let path = format!("{ME}/usage/completions?start_time={start}{query}");
        let page = client.get(&path).await.ok();
        let buckets = page["data"].as_array().expect("buckets").iter();
        let results = buckets.flat_map(|bucket| bucket["results"].as_array().expect("results"));
        results
            .map(|result| result["input_tokens"].as_i64().expect("a number"))
            .sum()
    };
    assert_eq!(sum(&reader, "").await, 15);
    assert_eq!(sum(&reader, &format!("&project_ids={mine}")).await, 10);
    assert_eq!(sum(&server.admin(), "").await, 100);
    assert_eq!(sum(&server.stranger(), "").await, 0);
    let path = format!(
        "{ME}/usage/completions?start_time={start}&user_ids={}",
        server.owner_id()
    );
    let refused = reader.get(&path).await;
    let refusal = refused.refused(400);
    assert_eq!(refusal, (Some("unknown_parameter"), Some("user_ids")));
    let costs = async |client: &Client| -> Vec<Value> {
        let path = format!("{ME}/costs?start_time={start}&group_by=user_id");
        let page = client.get(&path).await.ok();
        let buckets = page["data"].as_array().expect("buckets").iter();
        let results = buckets.flat_map(|bucket| bucket["results"].as_array().expect("results"));
        results
            .map(|result| json!([result["user_id"], result["amount"]["value"]]))
            .collect()
    };
    assert_eq!(costs(&reader).await, [json!([reader_id, 15.0])]);
    // A key of a project reports only usage of the project.
    let created = create_key(&reader, &mine, "Laptop").await;
    let key = server.with_key(created["value"].as_str().expect("a secret"));
    assert_eq!(sum(&key, "").await, 10);
    assert_eq!(costs(&key).await, [json!([reader_id, 10.0])]);
    let path = format!("{ME}/costs?start_time={start}&project_ids={other}");
    assert_eq!(key.get(&path).await.refused(400).1, Some("project_ids"));
    let path = format!("{ME}/usage/images?start_time={start}&project_ids={other}");
    assert_eq!(key.get(&path).await.refused(400).1, Some("project_ids"));
}

#[tokio::test]
async fn sessions_of_the_caller_are_listed_and_ended_by_the_caller_only() {
    const SESSIONS: &str = "/organization/me/sessions";
    let server = Server::start().await;
    let (admin, reader) = (server.admin(), server.reader());
    server.sign_in(server.owner_id()).await;
    server.sign_in(server.reader_id()).await;
    let own = reader.get(SESSIONS).await.ok();
    let [session] = &own["data"].as_array().expect("a list")[..] else {
        panic!("one session: {own}");
    };
    assert_eq!(session["method"], "link");
    assert_eq!(session["is_current"], false);
    let theirs = admin.get(SESSIONS).await.ok();
    let theirs = theirs["data"][0]["id"].as_str().expect("an id");
    let path = |id: &str| format!("{SESSIONS}/{id}");
    let refused = reader.delete(&path(theirs)).await;
    assert_eq!(refused.status, 404, "{}", refused.json);
    let id = session["id"].as_str().expect("an id");
    let ended = reader.delete(&path(id)).await.ok();
    assert_eq!(ended["deleted"], true);
    let own = reader.get(SESSIONS).await.ok();
    assert_eq!(own["data"], json!([]));
    let theirs = admin.get(SESSIONS).await.ok();
    assert_eq!(theirs["data"].as_array().map(Vec::len), Some(1));

    // A key in a program tells nothing of browsers.
    let project = project(&server, "Mine").await;
    let key = create_key(&admin, &project, "Program").await;
    let program = server.with_key(key["value"].as_str().expect("a key"));
    let refused = program.get(SESSIONS).await;
    assert_eq!(refused.status, 403, "{}", refused.json);
    assert_eq!(program.delete(&path(id)).await.status, 403);
}
