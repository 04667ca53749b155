//! The audit log: every change is recorded once with its actor, and entries are immutable.

use serde_json::{Value, json};
use store::sql;
use testkit::{NOW, Server};

const LOGS: &str = "/organization/audit_logs";

async fn types(server: &Server, query: &str) -> Vec<String> {
    let list = server
        .admin()
        .get(&format!("{LOGS}?limit=100&{query}"))
        .await
        .ok();
    let items = list["data"].as_array().expect("a list");
    items
        .iter()
        .map(|entry| entry["type"].as_str().expect("a type").to_owned())
        .collect()
}

/// Creates a project and a service account and renames it, a minute apart. Returns the ids.
async fn some_changes(server: &Server) -> (String, String) {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let project = text(
        &server
            .admin()
            .post("/organization/projects", json!({"name": "a"}))
            .await
            .ok()["id"],
    );
    server.clock.advance(60);
    let path = format!("/organization/projects/{project}");
    let account = server
        .admin()
        .post(&format!("{path}/service_accounts"), json!({"name": "App"}))
        .await
        .ok();
    server.clock.advance(60);
    server.admin().post(&path, json!({"name": "b"})).await.ok();
    (project, text(&account["id"]))
}

#[tokio::test]
async fn an_entry_names_actor_event_and_resource() {
    let server = Server::start().await;
    let (project, account) = some_changes(&server).await;
    let list = server.admin().get(LOGS).await.ok();
    let own_key = server
        .admin()
        .get("/organization/admin_api_keys?limit=1")
        .await
        .ok()["data"][0]["id"]
        .clone();
    assert_eq!(
        list["data"][1],
        json!({
            "id": list["data"][1]["id"], "type": "service_account.created", "effective_at": NOW.0 + 60,
            "actor": {"type": "api_key", "api_key": {
                "id": own_key, "type": "user", "user": {"id": server.owner_id(), "email": "ada@acme.example"},
            }},
            "project": {"id": project, "name": "a"},
            "service_account.created": {"id": account, "data": {"role": "member"}},
        })
    );
}

#[tokio::test]
async fn filters_restrict_the_list() {
    let server = Server::start().await;
    let (project, account) = some_changes(&server).await;
    let all = [
        "project.updated",
        "service_account.created",
        "project.created",
    ];
    let own_key = server
        .admin()
        .get("/organization/admin_api_keys?limit=1")
        .await
        .ok()["data"][0]["id"]
        .clone();
    let own_key = own_key.as_str().expect("an id");
    let owner = server.owner_id();
    for (query, expected) in [
        (String::new(), &all[..]),
        (format!("effective_at[gt]={}", NOW.0), &all[..2]),
        (format!("effective_at%5Bgte%5D={}", NOW.0), &all[..]),
        (
            format!(
                "effective_at[lt]={}&effective_at[gt]={}",
                NOW.0 + 120,
                NOW.0
            ),
            &all[1..2],
        ),
        (format!("effective_at[lte]={}", NOW.0), &all[2..]),
        (
            "event_types[]=project.created&event_types[]=project.updated".to_owned(),
            &["project.updated", "project.created"],
        ),
        ("event_types=project.created".to_owned(), &all[2..]),
        ("event_types[]=project.archived".to_owned(), &[]),
        (format!("project_ids[]={project}"), &all[..]),
        (
            format!("project_ids[]={}", server.default_project_id()),
            &[],
        ),
        (format!("resource_ids[]={account}"), &all[1..2]),
        (format!("actor_ids[]={owner}"), &all[..]),
        (
            format!("actor_ids[]={own_key}&resource_ids[]={account}"),
            &all[1..2],
        ),
        ("actor_ids[]=user-x".to_owned(), &[]),
        ("actor_emails[]=ADA@acme.example".to_owned(), &all[..]),
        ("actor_emails[]=bob@acme.example".to_owned(), &[]),
        ("tenant_only=true".to_owned(), &[]),
    ] {
        assert_eq!(types(&server, &query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_bad_filter_is_named() {
    let server = Server::start().await;
    for (query, param) in [
        ("event_types[]=nope", "event_types[0]"),
        (
            "event_types[]=project.created&event_types[]=nope",
            "event_types[1]",
        ),
        (
            "event_types[]=project.created&tenant_only=true",
            "event_types[0]",
        ),
        ("effective_at[gt]=x", "effective_at.gt"),
        ("effective_at[eq]=1", "effective_at.eq"),
        ("tenant_only=perhaps", "tenant_only"),
        ("limit=0", "limit"),
        ("before=nope", "before"),
    ] {
        assert_eq!(
            server
                .admin()
                .get(&format!("{LOGS}?{query}"))
                .await
                .refused(400)
                .1,
            Some(param),
            "{query}"
        );
    }
    assert_eq!(
        types(&server, "event_types[]=tenant.user.added&tenant_only=true").await,
        [""; 0]
    );
}

#[tokio::test]
async fn the_list_can_be_paged_by_both_cursors() {
    let server = Server::start().await;
    for number in 0..5 {
        server
            .admin()
            .post(
                "/organization/projects",
                json!({"name": format!("p{number}")}),
            )
            .await
            .ok();
    }
    let page = async |query: String| {
        let list = server
            .admin()
            .get(&format!("{LOGS}?limit=2&{query}"))
            .await
            .ok();
        let items = list["data"].as_array().expect("a list").clone();
        let names: Vec<String> = items
            .iter()
            .map(|entry| {
                entry["project"]["name"]
                    .as_str()
                    .expect("a name")
                    .to_owned()
            })
            .collect();
        let cursor = |key: &str| list[key].as_str().unwrap_or_default().to_owned();
        (
            names,
            cursor("first_id"),
            cursor("last_id"),
            list["has_more"].as_bool().expect("a boolean"),
        )
    };
    let (names, _, last, more) = page(String::new()).await;
    assert_eq!(
        (names, more),
        (vec!["p4".to_owned(), "p3".to_owned()], true)
    );
    let (names, first, last, more) = page(format!("after={last}")).await;
    assert_eq!(
        (names, more),
        (vec!["p2".to_owned(), "p1".to_owned()], true)
    );
    let (names, _, _, more) = page(format!("after={last}")).await;
    assert_eq!((names, more), (vec!["p0".to_owned()], false));
    let (names, _, _, more) = page(format!("before={first}")).await;
    assert_eq!(
        (names, more),
        (vec!["p4".to_owned(), "p3".to_owned()], false)
    );
    let (names, _, _, more) = page(format!("before={last}")).await;
    assert_eq!(
        (names, more),
        (vec!["p3".to_owned(), "p2".to_owned()], true),
        "the page that ends there"
    );
}

#[tokio::test]
async fn extension_events_are_listed_only_if_named() {
    let server = Server::start().await;
    assert_eq!(types(&server, "").await, [""; 0]);
    assert_eq!(
        types(&server, "event_types[]=x.organization.created").await,
        ["x.organization.created"]
    );
}

#[tokio::test]
async fn the_database_itself_refuses_to_change_an_entry() {
    let server = Server::start().await;
    some_changes(&server).await;
    for text in [
        "UPDATE audit_logs SET type = 'project.archived' WHERE organization_id = $1",
        "DELETE FROM audit_logs WHERE organization_id = $1",
    ] {
        let mut transaction = server.store.begin().await.expect("a transaction");
        let refused = transaction
            .execute(sql!(text, server.organization_id()))
            .await;
        assert!(
            refused.is_err_and(|error| error.to_string().contains("append-only")),
            "{text}"
        );
    }
    assert_eq!(types(&server, "").await.len(), 3);
}

#[tokio::test]
async fn the_newest_entries_are_verified_by_a_request() {
    let server = Server::start().await;
    some_changes(&server).await;
    let path = format!("{LOGS}/verification");
    let whole = server.admin().get(&path).await.ok();
    assert_eq!(
        (&whole["intact"], &whole["first_sequence"], &whole["broken"]),
        (&json!(true), &json!(1), &Value::Null),
        "{whole}"
    );
    assert_eq!(whole["last_sequence"], whole["entries"]);
    let newest = server.admin().get(&format!("{path}?newest=2")).await.ok();
    let entries = whole["entries"].as_i64().expect("a number");
    assert_eq!(newest["first_sequence"], entries - 1);
    assert_eq!(
        (&newest["intact"], &newest["hash"]),
        (&json!(true), &whole["hash"])
    );
    assert_eq!(server.reader().get(&path).await.status, 403);
}

#[tokio::test]
async fn a_verification_names_the_first_entry_that_was_altered() {
    let server = Server::start().await;
    some_changes(&server).await;
    let mut transaction = server.store.begin().await.expect("a transaction");
    let triggers = if server.store.kind() == "sqlite" {
        vec![
            sql!("DROP TRIGGER audit_logs_keep_rows"),
            sql!("DROP TRIGGER audit_logs_keep_values"),
        ]
    } else {
        vec![sql!("DROP TRIGGER audit_logs_keep ON audit_logs")]
    };
    let organization = server.organization_id();
    let change = sql!(
        "UPDATE audit_logs SET payload = '{}' WHERE organization_id = $1 AND sequence = 2",
        organization
    );
    for statement in triggers.into_iter().chain([change]) {
        transaction.execute(statement).await.expect("executed");
    }
    transaction.commit().await.expect("committed");
    let path = format!("{LOGS}/verification");
    let found = server.admin().get(&path).await.ok();
    assert_eq!(
        (&found["intact"], &found["broken"]["sequence"]),
        (&json!(false), &json!(2)),
        "{found}"
    );
    assert!(found["broken"]["id"].is_string(), "{found}");
    let entries = found["entries"].as_i64().expect("a number");
    let later = server
        .admin()
        .get(&format!("{path}?newest={}", entries - 2))
        .await
        .ok();
    assert_eq!(
        later["intact"],
        json!(true),
        "entries after it follow from each other: {later}"
    );
}
