//! Service tiers of a project: every tier is enabled until set otherwise, and the standard one is the default.

use serde_json::{Value, json};
use testkit::Server;

fn path(server: &Server) -> String {
    let project = server.default_project_id();
    format!("/organization/projects/{project}/service_tier_settings")
}

#[expect(clippy::needless_pass_by_value, reason = "calls give a literal")]
fn tiers(default: &str, enabled: Value) -> Value {
    json!({"object": "project.service_tier_settings", "default": default, "enabled_tiers": enabled})
}

#[tokio::test]
async fn an_update_changes_what_it_names_in_one_step() {
    let server = Server::start().await;
    let (admin, path) = (server.admin(), path(&server));
    let all = json!("all");
    assert_eq!(admin.get(&path).await.ok(), tiers("standard", all.clone()));
    for (body, expected) in [
        (json!({"default": "fast"}), tiers("fast", all.clone())),
        (
            json!({"default": "standard", "enabled_tiers": ["ultrafast", "flex"]}),
            tiers("standard", json!(["ultrafast", "flex"])),
        ),
        (
            json!({"default": "scale"}),
            tiers("scale", json!(["ultrafast", "flex"])),
        ),
        (
            json!({"default": "fast", "enabled_tiers": ["fast"]}),
            tiers("fast", json!(["fast"])),
        ),
        (
            json!({"default": "standard", "enabled_tiers": []}),
            tiers("standard", json!([])),
        ),
        (json!({"enabled_tiers": "all"}), tiers("standard", all)),
    ] {
        // Sent again, a request changes nothing.
        for _ in 0..2 {
            assert_eq!(admin.post(&path, body.clone()).await.ok(), expected);
        }
        assert_eq!(admin.get(&path).await.ok(), expected);
    }
    let log = "/organization/audit_logs?event_types[]=x.service_tier_settings.updated";
    let log = admin.get(log).await.ok();
    assert_eq!(log["data"].as_array().map(Vec::len), Some(6));
    assert_eq!(
        log["data"][0]["x.service_tier_settings.updated"]["changes_requested"],
        json!({"enabled_tiers": "all"})
    );
}

#[tokio::test]
async fn a_bad_update_is_refused_by_name_and_changes_nothing() {
    let server = Server::start().await;
    let (admin, path) = (server.admin(), path(&server));
    for (body, param) in [
        (json!({}), None),
        (json!({"default": null}), None),
        (json!({"default": "flex"}), Some("default")),
        (json!({"enabled_tiers": null}), None),
        (json!({"enabled_tiers": "none"}), Some("enabled_tiers")),
        (
            json!({"enabled_tiers": ["flex", "scale"]}),
            Some("enabled_tiers[1]"),
        ),
        (
            json!({"enabled_tiers": ["flex", "flex"]}),
            Some("enabled_tiers[1]"),
        ),
        (
            json!({"default": "fast", "enabled_tiers": ["flex"]}),
            Some("enabled_tiers"),
        ),
        (json!({"tier": "flex"}), Some("tier")),
    ] {
        let answer = admin.post(&path, body.clone()).await;
        assert_eq!(answer.refused(400).1, param, "{body}");
    }
    assert_eq!(admin.get(&path).await.ok(), tiers("standard", json!("all")));
    admin.post(&path, json!({"enabled_tiers": []})).await.ok();
    let answer = admin.post(&path, json!({"default": "fast"})).await;
    assert_eq!(answer.refused(400).1, Some("default"));
    let body = json!({"default": "fast", "enabled_tiers": "all"});
    admin.post(&path, body).await.ok();
    let answer = admin.post(&path, json!({"enabled_tiers": []})).await;
    assert_eq!(answer.refused(400).1, Some("enabled_tiers"));
}
