//! Data retention of the organization and of its projects.

use serde_json::{Value, json};
use store::sql;
use testkit::Server;

const ORGANIZATION: &str = "/organization/data_retention";
const BOTH: [&str; 4] = [
    "zero_data_retention",
    "modified_abuse_monitoring",
    "enhanced_zero_data_retention",
    "enhanced_modified_abuse_monitoring",
];

fn of_project(server: &Server) -> String {
    format!(
        "/organization/projects/{}/data_retention",
        server.default_project_id()
    )
}

#[tokio::test]
async fn an_organization_has_no_retention_until_set() {
    let server = Server::start().await;
    let unset = json!({"object": "organization.data_retention", "type": "none"});
    assert_eq!(server.admin().get(ORGANIZATION).await.ok(), unset);
    for kind in BOTH {
        let expected = json!({"object": "organization.data_retention", "type": kind});
        let body = json!({"retention_type": kind});
        assert_eq!(server.admin().post(ORGANIZATION, body).await.ok(), expected);
        assert_eq!(server.admin().get(ORGANIZATION).await.ok(), expected);
    }
    assert_eq!(server.stranger().get(ORGANIZATION).await.ok(), unset);
    for kind in ["none", "organization_default", "x", ""] {
        let answer = server
            .admin()
            .post(ORGANIZATION, json!({"retention_type": kind}))
            .await;
        assert_eq!(answer.refused(400).1, Some("retention_type"), "{kind}");
    }
}

#[tokio::test]
async fn a_project_follows_its_organization_until_set() {
    let server = Server::start().await;
    let path = of_project(&server);
    let shown = |kind: &str| json!({"object": "project.data_retention", "type": kind});
    let retrieved = async || {
        let mut answer = server.admin().get(&path).await.ok();
        let stored = answer.as_object_mut().and_then(|it| it.remove("stored"));
        assert_eq!(stored, Some(json!({"data": [], "has_more": false})));
        answer
    };
    assert_eq!(retrieved().await, shown("organization_default"));
    for kind in BOTH.into_iter().chain(["none", "organization_default"]) {
        let body = json!({"retention_type": kind});
        for _ in 0..2 {
            assert_eq!(
                server.admin().post(&path, body.clone()).await.ok(),
                shown(kind)
            );
        }
        assert_eq!(retrieved().await, shown(kind));
    }
    let log = "/organization/audit_logs?event_types[]=x.data_retention.updated";
    let log = server.admin().get(log).await.ok();
    assert_eq!(
        log["data"].as_array().map(Vec::len),
        Some(6),
        "a repetition is no change"
    );
    assert_eq!(
        log["data"][5]["x.data_retention.updated"],
        json!({"id": server.default_project_id(), "changes_requested": {"retention_type": "zero_data_retention"}})
    );
}

/// Adds an object, created this many seconds after [`START_SECONDS`], to a project.
async fn store_object(
    server: &Server,
    project: &str,
    (upstream, kind, id): (&str, &str, &str),
    (created, due, expires): (i64, Option<i64>, Option<i64>),
) {
    let insert = sql!(
        "INSERT INTO stored_objects (organization_id, project_id, kind, id, upstream, purpose, created_at, due_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, '', $6, $7, $8)",
        server.organization_id(),
        project,
        kind,
        id,
        upstream,
        (START_SECONDS + created) * 1_000,
        due,
        expires
    );
    let mut transaction = server.store.begin_untracked().await.expect("a transaction");
    transaction.execute(insert).await.expect("a row");
    transaction.commit().await.expect("a commit");
}

async fn store_body(server: &Server, project: &str, created: i64) {
    let insert = sql!(
        "INSERT INTO bodies (organization_id, project_id, request_id, side, is_media, created_at, endpoint, model, length, \
         kept, content) VALUES ($1, $2, $3, 'request', $4, $5, '/responses', 'm', 1, 1, $6)",
        server.organization_id(),
        project,
        format!("req_{created}"),
        false,
        START_SECONDS + created,
        vec![1_u8]
    );
    let database = server.store.usage();
    let mut transaction = database.begin().await.expect("a transaction");
    transaction.execute(insert).await.expect("a row");
    transaction.commit().await.expect("a commit");
}

/// Time before that of the server, in seconds since 1970.
const START_SECONDS: i64 = 1_760_000_000;
/// Time after that of the server, in seconds since 1970.
const EXPIRY_SECONDS: i64 = 4_000_000_000;

/// An object: its upstream, kind and id; the times of its creation, of its next poll and of its expiry.
type StoredObject = (
    (&'static str, &'static str, &'static str),
    (i64, Option<i64>, Option<i64>),
);

/// Objects of a project. Its third response has expired, and its second container has ended.
const STORED: &[StoredObject] = &[
    (("b", "file", "file-1"), (30, None, None)),
    (("b", "file", "file-2"), (20, None, None)),
    (
        ("a", "file", "file-3"),
        (40, None, Some(EXPIRY_SECONDS + 9)),
    ),
    (
        ("a", "response", "resp_1"),
        (50, None, Some(EXPIRY_SECONDS + 5)),
    ),
    (
        ("a", "response", "resp_2"),
        (60, None, Some(EXPIRY_SECONDS + 3)),
    ),
    (("a", "response", "resp_3"), (10, None, Some(START_SECONDS))),
    (
        ("a", "upload", "upload_1"),
        (70, Some(EXPIRY_SECONDS + 1), None),
    ),
    (("a", "batch", "batch_1"), (80, Some(EXPIRY_SECONDS), None)),
    (
        ("a", "container", "cntr_1"),
        (90, Some(EXPIRY_SECONDS), None),
    ),
    (("a", "container", "cntr_2"), (5, None, None)),
    (
        ("a", "container", "cntr_3"),
        (95, None, Some(EXPIRY_SECONDS + 7)),
    ),
];

#[tokio::test]
async fn what_is_stored_for_a_project_is_listed_by_upstream_and_kind() {
    let server = Server::start().await;
    let project = server.default_project_id().to_string();
    let body = json!({"name": "Other"});
    let other = server
        .admin()
        .post("/organization/projects", body)
        .await
        .ok();
    let other = other["id"].as_str().expect("an id");
    for (object, times) in STORED.iter().copied() {
        store_object(&server, &project, object, times).await;
    }
    store_object(&server, other, ("a", "file", "file-4"), (1, None, None)).await;
    store_body(&server, &project, 7).await;
    store_body(&server, &project, 8).await;
    store_body(&server, other, 1).await;
    let stored = |upstream: Value, kind: &str, count: i64, oldest: i64, next: Value| {
        json!({"upstream": upstream, "kind": kind, "count": count, "oldest_created_at": START_SECONDS + oldest,
               "next_expires_at": next})
    };
    let answer = server.admin().get(&of_project(&server)).await.ok();
    let expected = json!([
        stored("a".into(), "batch", 1, 80, Value::Null),
        stored("a".into(), "container", 2, 90, (EXPIRY_SECONDS + 7).into()),
        stored("a".into(), "file", 1, 40, (EXPIRY_SECONDS + 9).into()),
        stored("a".into(), "response", 2, 50, (EXPIRY_SECONDS + 3).into()),
        stored("a".into(), "upload", 1, 70, (EXPIRY_SECONDS + 1).into()),
        stored("b".into(), "file", 2, 20, Value::Null),
        // This server stores no bodies any more: they are deleted at once.
        stored(Value::Null, "body", 2, 7, (START_SECONDS + 7).into()),
    ]);
    assert_eq!(
        answer["stored"],
        json!({"data": expected, "has_more": false})
    );
    let path = format!("/organization/projects/{other}/data_retention");
    let answer = server.admin().get(&path).await.ok();
    let kinds = answer["stored"]["data"].as_array().expect("a list");
    let counts: Vec<_> = kinds.iter().map(|it| it["count"].clone()).collect();
    assert_eq!(
        counts,
        [1, 1],
        "objects and bodies of other projects count not"
    );
}
