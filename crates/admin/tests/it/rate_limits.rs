//! Rate limits: one for each known model, with the fields that apply to it.

use base::ModelKind;
use serde_json::{Value, json};
use testkit::{Server, ServerOptions};
use usage::{ModelFact, PriceBook};

const PRICES: &str = "\
[[price]]
model = 'chat'
effective = '2025-01-01'
input = '1'
[[price]]
model = 'dall-e-3'
effective = '2025-01-01'
image = '1'
[[price]]
model = 'lab/whisper-1'
effective = '2025-01-01'
second = '1'
";

async fn start() -> (Server, String) {
    start_with(Vec::new()).await
}

async fn start_with(models: Vec<ModelFact>) -> (Server, String) {
    let prices = PriceBook::parse(PRICES).expect("prices");
    let server = Server::with(ServerOptions {
        prices,
        models,
        ..ServerOptions::default()
    })
    .await;
    let path = format!(
        "/organization/projects/{}/rate_limits",
        server.default_project_id()
    );
    (server, path)
}

fn ids(list: &Value) -> Vec<&str> {
    let items = list["data"].as_array().expect("a list").iter();
    items
        .map(|item| item["id"].as_str().expect("an id"))
        .collect()
}

#[tokio::test]
async fn every_known_model_has_a_rate_limit() {
    let (server, path) = start().await;
    let list = server.admin().get(&path).await.ok();
    assert_eq!(ids(&list), ["rl-chat", "rl-dall-e-3", "rl-lab/whisper-1"]);
    assert_eq!(
        list["data"][1],
        json!({
            "object": "project.rate_limit", "id": "rl-dall-e-3", "model": "dall-e-3",
            "max_requests_per_1_minute": 1000, "max_tokens_per_1_minute": 1_000_000,
            "max_images_per_1_minute": 1000, "max_requests_per_1_day": 1_440_000,
        })
    );
    assert_eq!(
        (&list["has_more"], &list["last_id"]),
        (&json!(false), &json!("rl-lab/whisper-1"))
    );
}

#[tokio::test]
async fn rate_limits_are_found_by_a_part_of_the_model() {
    let (server, path) = start().await;
    for (search, expected) in [
        ("AL", &["rl-dall-e-3"][..]),
        ("%20whisper%20", &["rl-lab/whisper-1"]),
        ("a", &["rl-chat", "rl-dall-e-3", "rl-lab/whisper-1"]),
        ("%25", &[]),
    ] {
        let list = server.admin().get(&format!("{path}?search={search}")).await;
        assert_eq!(ids(&list.ok()), expected, "{search}");
    }
    let page = format!("{path}?search=a&limit=1&after=rl-chat");
    let list = server.admin().get(&page).await.ok();
    assert_eq!(ids(&list), ["rl-dall-e-3"]);
}

#[tokio::test]
async fn rate_limits_can_be_paged_in_both_directions() {
    let (server, path) = start().await;
    let cases = [
        ("limit=2", vec!["rl-chat", "rl-dall-e-3"], true),
        ("limit=2&after=rl-dall-e-3", vec!["rl-lab/whisper-1"], false),
        ("limit=1&before=rl-lab/whisper-1", vec!["rl-dall-e-3"], true),
        ("before=rl-chat", vec![], false),
        (
            "after=rl-chat&before=rl-lab/whisper-1",
            vec!["rl-dall-e-3"],
            false,
        ),
    ];
    for (query, expected, has_more) in cases {
        let list = server.admin().get(&format!("{path}?{query}")).await.ok();
        assert_eq!(
            (ids(&list), &list["has_more"]),
            (expected, &json!(has_more)),
            "{query}"
        );
    }
    for param in ["after", "before"] {
        let answer = server.admin().get(&format!("{path}?{param}=rl-none")).await;
        assert_eq!(answer.refused(400).1, Some(param));
    }
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let (server, path) = start().await;
    let one = format!("{path}/rl-lab%2Fwhisper-1");
    let body = json!({"max_requests_per_1_minute": 0, "max_audio_megabytes_per_1_minute": 7});
    let updated = server.admin().post(&one, body.clone()).await.ok();
    assert_eq!(updated["max_requests_per_1_minute"], 0);
    assert_eq!(updated["max_tokens_per_1_minute"], 1_000_000);
    let body_2 = json!({"max_tokens_per_1_minute": 5});
    server.admin().post(&one, body_2).await.ok();
    let list = server.admin().get(&path).await.ok();
    assert_eq!(list["data"][2]["max_audio_megabytes_per_1_minute"], 7);
    assert_eq!(list["data"][2]["max_tokens_per_1_minute"], 5);
    let again = server.admin().post(&one, body.clone()).await.ok();
    assert_eq!(again, list["data"][2], "nothing new: no event");
    let log = server
        .admin()
        .get("/organization/audit_logs?resource_ids[]=rl-lab/whisper-1")
        .await
        .ok();
    assert_eq!(log["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        log["data"][1]["rate_limit.updated"],
        json!({"id": "rl-lab/whisper-1", "changes_requested": body})
    );
    let other = server
        .admin()
        .post("/organization/projects", json!({"name": "b"}))
        .await
        .ok();
    let other = format!(
        "/organization/projects/{}/rate_limits",
        other["id"].as_str().expect("an id")
    );
    let list = server.admin().get(&other).await.ok();
    assert_eq!(
        list["data"][2]["max_tokens_per_1_minute"], 1_000_000,
        "limits are a project's own"
    );
}

#[tokio::test]
async fn limits_that_do_not_apply_are_refused_by_name() {
    let (server, path) = start().await;
    let cases = [
        (
            "rl-chat",
            json!({"max_tokens_per_1_minute": -1}),
            "max_tokens_per_1_minute",
        ),
        (
            "rl-chat",
            json!({"max_tokens_per_1_minute": null}),
            "max_tokens_per_1_minute",
        ),
        (
            "rl-chat",
            json!({"max_tokens_per_1_minute": 9_007_199_254_740_992_i64}),
            "max_tokens_per_1_minute",
        ),
    ];
    for (id, body, param) in cases {
        let answer = server.admin().post(&format!("{path}/{id}"), body).await;
        assert_eq!(answer.refused(400).1, Some(param));
    }
    for id in ["rl-unknown", "chat", "rl-"] {
        let answer = server
            .admin()
            .post(&format!("{path}/{id}"), json!({}))
            .await;
        assert_eq!(answer.refused(404).0, Some("not_found"), "{id}");
    }
}

/// Returns a body with all limits, as sent by programs that treat all models alike.
fn every_limit() -> Value {
    json!({
        "max_requests_per_1_minute": 11, "max_tokens_per_1_minute": 12, "max_images_per_1_minute": 13,
        "max_audio_megabytes_per_1_minute": 14, "max_requests_per_1_day": 15, "batch_1_day_max_input_tokens": 16,
    })
}

#[tokio::test]
async fn every_limit_applies_to_a_model_of_unknown_kind() {
    let (server, path) = start().await;
    for model in ["chat", "dall-e-3", "lab%2Fwhisper-1"] {
        let one = format!("{path}/rl-{model}");
        let mut updated = server.admin().post(&one, every_limit()).await.ok();
        let again = server.admin().post(&one, every_limit()).await.ok();
        assert_eq!(again, updated);
        let list = server.admin().get(&path).await.ok();
        let items = list["data"].as_array().expect("a list");
        assert!(items.contains(&updated), "{list}");
        let fields = updated.as_object_mut().expect("an object");
        fields.retain(|name, _| name.contains("_1_"));
        assert_eq!(updated, every_limit());
    }
}

#[tokio::test]
async fn a_model_of_known_kind_has_only_the_limits_of_its_kind() {
    let facts = [
        ("chat", ModelKind::Image),
        ("dall-e-3", ModelKind::Chat),
        ("lab/whisper-1", ModelKind::Audio),
    ];
    let facts = facts.map(|(name, kind)| ModelFact {
        name: name.to_owned(),
        kind: Some(kind),
        ..ModelFact::default()
    });
    let (server, path) = start_with(facts.to_vec()).await;
    let images = json!({"max_images_per_1_minute": 7});
    let list = server.admin().get(&path).await.ok();
    assert_eq!(list["data"][0]["max_images_per_1_minute"], 1000);
    assert_eq!(
        list["data"][1]["batch_1_day_max_input_tokens"],
        1_000_000_000
    );
    assert_eq!(list["data"][1]["max_images_per_1_minute"], Value::Null);
    let one = |model: &str| format!("{path}/rl-{model}");
    let admin = server.admin();
    let updated = admin.post(&one("chat"), images.clone()).await.ok();
    assert_eq!(updated["max_images_per_1_minute"], 7);
    for (model, kind) in [("dall-e-3", "chat"), ("lab%2Fwhisper-1", "audio")] {
        let answer = admin.post(&one(model), images.clone()).await;
        assert_eq!(answer.refused(400).1, Some("max_images_per_1_minute"));
        let message = answer.json["error"]["message"].as_str().expect("a message");
        assert!(
            message.contains(&format!("whose kind is {kind}")),
            "{message}"
        );
    }
}
