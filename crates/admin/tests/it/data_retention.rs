//! Data retention of the organization and of its projects.

use serde_json::json;
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
    assert_eq!(
        server.admin().get(&path).await.ok(),
        shown("organization_default")
    );
    for kind in BOTH.into_iter().chain(["none", "organization_default"]) {
        let body = json!({"retention_type": kind});
        for _ in 0..2 {
            assert_eq!(
                server.admin().post(&path, body.clone()).await.ok(),
                shown(kind)
            );
        }
        assert_eq!(server.admin().get(&path).await.ok(), shown(kind));
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
