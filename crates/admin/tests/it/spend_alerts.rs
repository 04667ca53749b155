//! Spend alerts of the organization and of its projects.

mod alert_notifier;

use serde_json::{Value, json};
use testkit::Server;

/// Returns a valid spend alert.
pub fn spend_alert() -> Value {
    json!({
        "threshold_amount": 1000, "currency": "USD", "interval": "month",
        "notification_channel": {"type": "email", "recipients": ["ada@acme.example"], "subject_prefix": null},
    })
}

fn paths(server: &Server) -> [(String, &'static str); 2] {
    let project = server.default_project_id();
    [
        (
            "/organization/spend_alerts".to_owned(),
            "organization.spend_alert",
        ),
        (
            format!("/organization/projects/{project}/spend_alerts"),
            "project.spend_alert",
        ),
    ]
}

#[tokio::test]
async fn an_alert_is_created_modified_and_deleted() {
    let server = Server::start().await;
    for (path, object) in paths(&server) {
        let created = server.admin().post(&path, spend_alert()).await.ok();
        let mut expected = spend_alert();
        expected["object"] = json!(object);
        expected["id"] = created["id"].clone();
        assert_eq!(created, expected);
        let one = format!("{path}/{}", created["id"].as_str().expect("an id"));
        assert_eq!(server.admin().get(&one).await.ok(), expected);
        let mut body = spend_alert();
        body["threshold_amount"] = json!(0);
        body["notification_channel"]["subject_prefix"] = json!("Spend");
        expected["threshold_amount"] = json!(0);
        expected["notification_channel"]["subject_prefix"] = json!("Spend");
        for _ in 0..2 {
            assert_eq!(server.admin().post(&one, body.clone()).await.ok(), expected);
        }
        assert_eq!(
            server.admin().get(&path).await.ok()["data"],
            json!([expected])
        );
        let deleted =
            json!({"object": format!("{object}.deleted"), "id": created["id"], "deleted": true});
        assert_eq!(server.admin().delete(&one).await.ok(), deleted);
        assert_eq!(
            server.admin().delete(&one).await.refused(404).0,
            Some("not_found")
        );
        let kinds = ["created", "updated", "deleted"]
            .map(|kind| format!("event_types[]=x.spend_alert.{kind}"));
        let id = created["id"].as_str().expect("an id");
        let log = format!(
            "/organization/audit_logs?resource_ids[]={id}&{}",
            kinds.join("&")
        );
        let log = server.admin().get(&log).await.ok();
        assert_eq!(
            log["data"].as_array().map(Vec::len),
            Some(3),
            "a repetition is no change"
        );
    }
}

#[tokio::test]
async fn alerts_of_organization_and_project_are_separate() {
    let server = Server::start().await;
    let [(organization, _), (project, _)] = paths(&server);
    let created = server.admin().post(&organization, spend_alert()).await.ok();
    let id = created["id"].as_str().expect("an id");
    assert_eq!(
        server
            .admin()
            .get(&format!("{project}/{id}"))
            .await
            .refused(404)
            .0,
        Some("not_found")
    );
    assert_eq!(server.admin().get(&project).await.ok()["data"], json!([]));
    assert_eq!(
        server
            .admin()
            .get(&format!("{project}?after={id}"))
            .await
            .refused(400)
            .1,
        Some("after")
    );
}

#[tokio::test]
async fn lists_page_both_ways() {
    let server = Server::start().await;
    let [(path, _), _] = paths(&server);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let created = server.admin().post(&path, spend_alert()).await.ok();
        ids.push(created["id"].as_str().expect("an id").to_owned());
    }
    let [a, b, c] = ids.try_into().expect("three");
    let cases = [
        ("limit=0".to_owned(), vec![], true),
        ("limit=2".to_owned(), vec![&a, &b], true),
        (format!("after={b}"), vec![&c], false),
        (format!("before={c}&limit=1"), vec![&b], true),
        ("order=desc&limit=2".to_owned(), vec![&c, &b], true),
        (format!("order=desc&after={b}"), vec![&a], false),
    ];
    for (query, expected, has_more) in cases {
        let list = server.admin().get(&format!("{path}?{query}")).await.ok();
        let items = list["data"].as_array().expect("a list").iter();
        let ids: Vec<_> = items
            .map(|item| item["id"].as_str().expect("an id"))
            .collect();
        assert_eq!(
            (ids, &list["has_more"]),
            (
                expected.into_iter().map(String::as_str).collect(),
                &json!(has_more)
            ),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_bad_alert_is_refused_by_name() {
    let server = Server::start().await;
    let channel = "/notification_channel";
    let many: Vec<String> = (0..21).map(|n| format!("a{n}@b.example")).collect();
    let cases = [
        ("/threshold_amount", json!(-1), "threshold_amount"),
        ("/threshold_amount", json!(1.5), "threshold_amount"),
        ("/threshold_amount", json!(i64::MAX), "threshold_amount"),
        ("/currency", json!("EUR"), "currency"),
        ("/interval", json!("day"), "interval"),
        (channel, json!(null), "notification_channel"),
        (
            "/notification_channel/type",
            json!("sms"),
            "notification_channel.type",
        ),
        (
            "/notification_channel/recipients",
            json!([]),
            "notification_channel.recipients",
        ),
        (
            "/notification_channel/recipients",
            json!(many),
            "notification_channel.recipients",
        ),
        (
            "/notification_channel/recipients",
            json!(["a@b.example", "ada"]),
            "notification_channel.recipients[1]",
        ),
        (
            "/notification_channel/recipients",
            json!(["a@b.example\r\nBcc: x@y"]),
            "notification_channel.recipients[0]",
        ),
        (
            "/notification_channel/recipients",
            json!(["a@b..example"]),
            "notification_channel.recipients[0]",
        ),
        (
            "/notification_channel/recipients",
            json!(["A@b.example", "a@B.example"]),
            "notification_channel.recipients[1]",
        ),
        (
            "/notification_channel/subject_prefix",
            json!("a\nb"),
            "notification_channel.subject_prefix",
        ),
    ];
    for (pointer, value, param) in cases {
        let mut body = spend_alert();
        *body.pointer_mut(pointer).expect(pointer) = value;
        for (path, _) in paths(&server) {
            let answer = server.admin().post(&path, body.clone()).await;
            assert_eq!(answer.refused(400).1, Some(param), "{body}");
        }
    }
}

#[tokio::test]
async fn the_number_of_alerts_is_bounded() {
    let server = Server::start().await;
    let [(path, _), (project, _)] = paths(&server);
    for _ in 0..100 {
        server.admin().post(&path, spend_alert()).await.ok();
    }
    let answer = server.admin().post(&path, spend_alert()).await;
    assert_eq!(answer.refused(400).0, Some("too_many_spend_alerts"));
    server.admin().post(&project, spend_alert()).await.ok();
}
