//! Ingestion of usage events: each event counts once, and invalid ones are rejected one by one.

use axum::body::Body;
use http::{Request, header};
use serde_json::{Value, json};
use testkit::{Answer, Client, NOW, Server};

pub(crate) const EVENTS: &str = "/organization/usage/events";

pub(crate) fn event(server: &Server, id: &str) -> Value {
    json!({
        "id": id, "timestamp": NOW.0 - 60, "type": "completions", "project_id": server.default_project_id(),
        "user_id": null, "api_key_id": "key_1", "model": "gpt-5", "batch": false, "service_tier": "default",
        "input_tokens": 1200, "input_cached_tokens": 1000, "output_tokens": 350,
        "input_audio_tokens": 0, "output_audio_tokens": 0, "num_model_requests": 1,
    })
}

pub(crate) fn with(mut event: Value, field: &str, value: Value) -> Value {
    event[field] = value;
    event
}

async fn lines(client: &Client, text: String) -> Answer {
    let request = Request::post(format!("/v1{EVENTS}"));
    let request = request
        .header(header::CONTENT_TYPE, "application/x-ndjson")
        .body(Body::from(text));
    client.send(request.expect("a request")).await
}

/// Returns the requests and input tokens of the last day.
pub(crate) async fn total(server: &Server) -> (i64, i64) {
    let path = format!(
        "/organization/usage/completions?start_time={}",
        NOW.0 - 86_400
    );
    let page = server.admin().get(&path).await.ok();
    let results = page["data"]
        .as_array()
        .expect("buckets")
        .iter()
        .flat_map(|bucket| bucket["results"].as_array().expect("results"));
    results.fold((0, 0), |(requests, tokens), result| {
        let number = |field: &str| result[field].as_i64().expect("a number");
        (
            requests + number("num_model_requests"),
            tokens + number("input_tokens"),
        )
    })
}

#[tokio::test]
async fn a_repeated_event_counts_once() {
    let server = Server::start().await;
    let answer = server
        .admin()
        .post(EVENTS, event(&server, "evt_1"))
        .await
        .ok();
    assert_eq!(
        answer,
        json!({"object": "organization.usage.events", "accepted": 1, "duplicates": 0, "rejected": []})
    );
    let batch = json!([
        event(&server, "evt_1"),
        event(&server, "evt_2"),
        event(&server, "evt_2")
    ]);
    let answer = server.admin().post(EVENTS, batch).await.ok();
    assert_eq!(
        (&answer["accepted"], &answer["duplicates"]),
        (&json!(1), &json!(2))
    );
    let text = format!(
        "{}\n\n{}\n",
        event(&server, "evt_3"),
        event(&server, "evt_1")
    );
    let answer = lines(&server.admin(), text).await.ok();
    assert_eq!(
        (&answer["accepted"], &answer["duplicates"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(total(&server).await, (3, 3600));
}

#[tokio::test]
async fn the_same_id_in_another_organization_is_another_event() {
    let server = Server::start().await;
    server
        .admin()
        .post(EVENTS, event(&server, "evt_1"))
        .await
        .ok();
    let theirs = with(
        event(&server, "evt_1"),
        "project_id",
        json!(server.stranger_project_id()),
    );
    let answer = server.stranger().post(EVENTS, theirs).await.ok();
    assert_eq!(answer["accepted"], 1);
    assert_eq!(total(&server).await, (1, 1200));
}

#[tokio::test]
async fn invalid_events_are_rejected_by_index_and_the_others_are_accepted() {
    let server = Server::start().await;
    let base = |id: &str| event(&server, id);
    let foreign = json!(server.stranger_project_id());
    let bad = [
        (with(base("a"), "input_tokens", json!(-1)), "input_tokens"),
        (with(base("A"), "input_tokens", json!(i64::MAX)), "2^53"),
        (with(base("b"), "input_tokens", json!("1")), "invalid type"),
        (
            with(base("c"), "type", json!("nope")),
            "type must be one of completions",
        ),
        (with(base("d"), "surprise", json!(1)), "surprise"),
        (with(base("e"), "project_id", foreign), "project_id"),
        (
            with(base("f"), "timestamp", json!(NOW.0 * 1000)),
            "timestamp",
        ),
        (
            with(base("g"), "images", json!(1)),
            "completions has no images",
        ),
        (
            with(base("h"), "size", json!("256x256")),
            "completions has no size",
        ),
        (
            with(base("i"), "input_cached_tokens", json!(5000)),
            "input_tokens must include",
        ),
        (with(base("j"), "model", json!("")), "model"),
        (
            with(base("k"), "output_tokens", Value::Null),
            "output_tokens is required",
        ),
        (with(base(""), "id", json!("")), "id"),
        (json!(1), "invalid type"),
    ];
    let mut batch: Vec<Value> = bad.iter().map(|(event, _)| event.clone()).collect();
    batch.push(base("good"));
    let answer = server.admin().post(EVENTS, json!(batch)).await.ok();
    assert_eq!(
        (&answer["accepted"], &answer["duplicates"]),
        (&json!(1), &json!(0))
    );
    let rejected = answer["rejected"].as_array().expect("a list");
    assert_eq!(rejected.len(), bad.len());
    for (index, (refusal, (event, reason))) in rejected.iter().zip(&bad).enumerate() {
        assert_eq!(refusal["index"], index);
        let error = refusal["error"].as_str().expect("a reason");
        assert!(error.contains(reason), "{error} should contain {reason}");
        let id = event["id"].as_str().filter(|id| !id.is_empty());
        assert_eq!(refusal["id"].as_str(), id);
    }
}

#[tokio::test]
async fn a_project_key_reports_for_its_own_project() {
    let server = Server::start().await;
    let accounts = format!(
        "/organization/projects/{}/service_accounts",
        server.default_project_id()
    );
    let account = server
        .admin()
        .post(&accounts, json!({"name": "Other gateway"}))
        .await
        .ok();
    let id = account["id"].as_str().expect("an id");
    server
        .admin()
        .post(&format!("{accounts}/{id}"), json!({"role": "owner"}))
        .await
        .ok();
    let client = server.with_key(account["api_key"]["value"].as_str().expect("a secret"));
    assert_eq!(
        client.post(EVENTS, event(&server, "evt_1")).await.ok()["accepted"],
        1
    );
    let other = server
        .admin()
        .post("/organization/projects", json!({"name": "b"}))
        .await
        .ok();
    let theirs = with(event(&server, "evt_2"), "project_id", other["id"].clone());
    let answer = client.post(EVENTS, theirs).await.ok();
    assert!(
        answer["rejected"][0]["error"]
            .as_str()
            .is_some_and(|error| error.contains("own project")),
        "{answer}"
    );
    let keys = format!(
        "{accounts}/{}/api_keys",
        account["id"].as_str().expect("an id")
    );
    let narrow = server
        .admin()
        .post(&keys, json!({"scopes": ["api.model.request"]}))
        .await
        .ok();
    let narrow = server.with_key(narrow["value"].as_str().expect("a secret"));
    assert_eq!(
        narrow
            .post(EVENTS, event(&server, "evt_3"))
            .await
            .refused(403)
            .0,
        Some("insufficient_permissions")
    );
}

#[tokio::test]
async fn a_malformed_body_is_refused_as_a_whole() {
    let server = Server::start().await;
    for body in ["", "{", "[1,", "[{}]x"] {
        let answer = server
            .admin()
            .call(http::Method::POST, EVENTS, Some(body.to_owned()))
            .await;
        assert_eq!(answer.refused(400).0, Some("invalid_json"), "{body}");
    }
    let request = Request::post(format!("/v1{EVENTS}"))
        .header(header::CONTENT_TYPE, "text/csv")
        .body(Body::from("a,b"));
    assert_eq!(
        server
            .admin()
            .send(request.expect("a request"))
            .await
            .refused(400)
            .1,
        Some("content-type")
    );
    let many: Vec<Value> = (0..10_001).map(|_| json!(1)).collect();
    assert_eq!(
        server
            .admin()
            .post(EVENTS, json!(many))
            .await
            .refused(400)
            .0,
        Some("too_many_events")
    );
    assert_eq!(
        server.admin().post(EVENTS, json!([])).await.ok()["accepted"],
        0
    );
}
