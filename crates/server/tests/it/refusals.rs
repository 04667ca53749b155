//! Requests that the gateway refused, as the report counts them.

use base::time::SECONDS_PER_DAY;
use serde_json::{Value, json};
use testkit::{Client, NOW, Server};

const DAY_START_SECONDS: i64 = NOW.0 - NOW.0 % SECONDS_PER_DAY;

/// Returns the refusals as days with codes and numbers.
async fn refused(client: &Client, query: &str) -> Vec<Value> {
    let start = DAY_START_SECONDS - SECONDS_PER_DAY;
    let path = format!("/organization/usage/refusals?start_time={start}{query}");
    let report = client.get(&path).await.ok();
    let days = report["data"].as_array().expect("days").iter();
    days.flat_map(|day| {
        let results = day["results"].as_array().expect("results").iter();
        results.map(|one| json!([day["start_time"], one["code"], one["num_requests"]]))
    })
    .collect()
}

/// Waits until the report has these refusals.
async fn until(client: &Client, query: &str, expected: &[Value]) {
    poll::until("the refusals are counted", async || {
        refused(client, query).await == expected
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_requests_are_counted_by_day_project_and_code() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), server.default_project_id().to_string());
    let other = admin
        .post("/organization/projects", json!({"name": "Other"}))
        .await
        .ok();
    let other = other["id"].as_str().expect("an id").to_owned();
    let mut keys = Vec::new();
    for project in [&project, &other] {
        let path = format!("/organization/projects/{project}/service_accounts");
        let account = admin.post(&path, json!({"name": "a"})).await.ok();
        let key = account["api_key"]["value"].as_str().expect("a key");
        keys.push(server.with_key(key));
    }
    let path = format!("/organization/projects/{project}/api_keys");
    let narrow =
        json!({"name": "Narrow", "user_id": server.owner_id(), "scopes": ["api.model.read"]});
    let narrow = admin.post(&path, narrow).await.ok();
    let narrow = server.with_key(narrow["value"].as_str().expect("a key"));
    let unknown = json!({"model": "unknown", "messages": []});
    for (client, times, status) in [(&keys[0], 3, 404), (&keys[1], 1, 404), (&narrow, 2, 403)] {
        for _ in 0..times {
            let answer = client.post("/chat/completions", unknown.clone()).await;
            assert_eq!(answer.status, status, "{}", answer.json);
        }
    }
    // Without a valid key, the project is not known.
    let guess = server.with_key("sk-proj-guess");
    let refused_guess = guess.post("/chat/completions", unknown.clone()).await;
    assert_eq!(refused_guess.status, 401);
    let missing = |requests: i64| json!([DAY_START_SECONDS, "model_not_found", requests]);
    let forbidden = json!([DAY_START_SECONDS, "insufficient_permissions", 2]);
    until(&admin, "", &[forbidden.clone(), missing(4)]).await;
    until(
        &admin,
        &format!("&project_id={project}"),
        &[forbidden.clone(), missing(3)],
    )
    .await;
    until(&admin, &format!("&project_id={other}"), &[missing(1)]).await;
    assert_eq!(refused(&server.stranger(), "").await, Vec::<Value>::new());
    // The next day counts anew, and a restart forgets nothing.
    server.clock.advance(SECONDS_PER_DAY);
    let another = keys[0].post("/chat/completions", unknown).await;
    assert_eq!(another.status, 404);
    let server = server.restart().await;
    let tomorrow = json!([DAY_START_SECONDS + SECONDS_PER_DAY, "model_not_found", 1]);
    let admin = server.admin();
    assert_eq!(
        refused(&admin, "").await,
        [forbidden.clone(), missing(4), tomorrow]
    );
    let end = format!("&end_time={}", DAY_START_SECONDS + 1);
    assert_eq!(refused(&admin, &end).await, [forbidden, missing(4)]);
}

/// Returns the sums of the period by project and code.
async fn refused_by_project(client: &Client, query: &str) -> Value {
    let path = format!(
        "/organization/usage/refusals?start_time={DAY_START_SECONDS}&by_project=true{query}"
    );
    client.get(&path).await.ok()["data"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_requests_are_added_up_by_project_the_largest_sums_first() {
    let server = Server::start().await;
    let admin = server.admin();
    let mut projects = Vec::new();
    for (name, requests) in [("Few", 1), ("Many", 3)] {
        let project = json!({"name": name});
        let project = admin.post("/organization/projects", project).await.ok();
        let project = project["id"].as_str().expect("an id").to_owned();
        let path = format!("/organization/projects/{project}/service_accounts");
        let account = admin.post(&path, json!({"name": "a"})).await.ok();
        let key = account["api_key"]["value"].as_str().expect("a key");
        let client = server.with_key(key);
        for _ in 0..requests {
            let unknown = json!({"model": "unknown", "messages": []});
            let answer = client.post("/chat/completions", unknown).await;
            assert_eq!(answer.status, 404, "{}", answer.json);
        }
        projects.push(
            json!({"project_id": project, "code": "model_not_found", "num_requests": requests}),
        );
    }
    let period = |results: &[Value]| {
        let end = DAY_START_SECONDS + SECONDS_PER_DAY;
        json!([{"start_time": DAY_START_SECONDS, "end_time": end, "results": results}])
    };
    let expected = period(&[projects[1].clone(), projects[0].clone()]);
    poll::until("the refusals are counted", async || {
        refused_by_project(&admin, "").await == expected
    })
    .await;
    let few = projects[0]["project_id"].as_str().expect("an id");
    let of_one = refused_by_project(&admin, &format!("&project_id={few}")).await;
    assert_eq!(of_one, period(&projects[..1]));
    let stranger = server.stranger();
    assert_eq!(refused_by_project(&stranger, "").await, json!([]));
}

#[tokio::test]
async fn period_of_refusals_is_bounded() {
    let server = Server::start().await;
    let now = NOW.0;
    for (query, param) in [
        ("start_time=-1".to_owned(), "start_time"),
        (format!("start_time={}", now * 1000), "start_time"),
        (format!("start_time={now}&end_time={now}"), "end_time"),
        (format!("start_time=0&end_time={now}"), "end_time"),
    ] {
        let path = format!("/organization/usage/refusals?{query}");
        let refused = server.admin().get(&path).await;
        assert_eq!(refused.refused(400).1, Some(param), "{query}");
    }
    // Without an end, the first 366 days are told.
    let report = server
        .admin()
        .get("/organization/usage/refusals?start_time=0")
        .await
        .ok();
    assert_eq!(report["end_time"], json!(366 * SECONDS_PER_DAY));
}
