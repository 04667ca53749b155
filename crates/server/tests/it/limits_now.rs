//! Use of the limits of a project at this moment.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use gateway::UpstreamConfig;
use serde_json::{Value, json};
use testkit::{NOW, Server, ServerOptions};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use usage::PriceBook;

/// A dollar for an input token, two for an output token.
const PRICES: &str = "\
[[price]]
model = 'm'
effective = '2025-01-01'
input = '1000000'
output = '2000000'
";

/// Starts a model server that answers when the gate lets it: with 3 input tokens and 2 output tokens.
async fn model_server(gate: Arc<Semaphore>) -> SocketAddr {
    let answer = move || {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.expect("a gate").forget();
            let answer = json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
            });
            ([("content-type", "application/json")], answer.to_string())
        }
    };
    let router = Router::new().route("/v1/chat/completions", post(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn start(gate: &Arc<Semaphore>) -> Server {
    let address = model_server(Arc::clone(gate)).await;
    let upstream = UpstreamConfig {
        models: vec!["m".to_owned()],
        ..UpstreamConfig::new("u", format!("http://{address}/v1"))
    };
    Server::with(ServerOptions {
        upstreams: vec![upstream],
        prices: PriceBook::parse(PRICES).expect("prices"),
        ..ServerOptions::default()
    })
    .await
}

/// Returns a limit of the model `m`, with what is used of it.
fn limit<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let models = answer["rate_limits"].as_array().expect("models");
    let model = models.iter().find(|model| model["model"] == "m");
    let limits = model.expect("the model")["limits"].as_array();
    let mut limits = limits.expect("limits").iter();
    limits.find(|limit| limit["name"] == name).expect("a limit")
}

/// Sets rate limits of the model `m` and a spend limit of 1,000 dollars in the default project.
async fn set_limits(server: &Server) {
    let path = format!("/organization/projects/{}", server.default_project_id());
    let limits = json!({"max_tokens_per_1_minute": 1_000, "max_requests_per_1_minute": 10});
    let spend = json!({"threshold_amount": 100_000, "currency": "USD", "interval": "month"});
    for (rest, body) in [("rate_limits/rl-m", limits), ("spend_limit", spend)] {
        let path = format!("{path}/{rest}");
        server.admin().post(&path, body).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn use_of_limits_is_told_while_requests_are_under_way_and_after_them() {
    let gate = Arc::new(Semaphore::new(0));
    let server = start(&gate).await;
    let (admin, project) = (server.admin(), server.default_project_id());
    let path = format!("/organization/projects/{project}");
    let now = format!("{path}/limits_now");
    let before = admin.get(&now).await.ok();
    assert_eq!(before["rate_limits"], json!([]));
    assert_eq!(before["rate_limits_counted_by"], "node");
    assert_eq!(before["spend"]["limit"], json!(null));
    set_limits(&server).await;
    let unused = admin.get(&now).await.ok();
    let tokens = limit(&unused, "max_tokens_per_1_minute");
    assert_eq!(
        *tokens,
        json!({"name": "max_tokens_per_1_minute", "limit": 1_000, "used": 0, "reserved": 0, "remaining": 1_000,
               "resets_at": null})
    );
    let account = admin
        .post(&format!("{path}/service_accounts"), json!({"name": "a"}))
        .await
        .ok();
    let client = server.with_key(account["api_key"]["value"].as_str().expect("a key"));
    let ask = tokio::spawn(async move {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 40});
        client.post("/chat/completions", body).await
    });
    let busy = poll::value("the request is under way", async || {
        let answer = admin.get(&now).await.ok();
        let used = limit(&answer, "max_requests_per_1_minute")["used"].clone();
        (used == 1).then_some(answer)
    })
    .await;
    let tokens = limit(&busy, "max_tokens_per_1_minute");
    assert_eq!(tokens["used"], tokens["reserved"]);
    assert!(tokens["reserved"].as_i64() > Some(40), "{tokens}");
    let resets_at = tokens["resets_at"].as_i64().expect("a time");
    assert!((NOW.0 + 1..=NOW.0 + 61).contains(&resets_at), "{resets_at}");
    let spend = &busy["spend"];
    assert_eq!(spend["limit"]["value"], 1_000.0);
    assert_eq!(spend["spent"]["value"], 0.0);
    let reserved = spend["reserved"]["value"].as_f64().expect("an amount");
    assert!(reserved >= 80.0, "{spend}");
    gate.add_permits(1);
    ask.await.expect("an answer").ok();
    server.flush().await;
    let after = admin.get(&now).await.ok();
    let tokens = limit(&after, "max_tokens_per_1_minute");
    assert_eq!(
        (&tokens["used"], &tokens["reserved"], &tokens["remaining"]),
        (&json!(5), &json!(0), &json!(995))
    );
    // 3 dollars for the input, 4 for the output.
    assert_eq!(
        after["spend"]["spent"],
        json!({"value": 7.0, "currency": "usd"})
    );
    assert_eq!(after["spend"]["reserved"]["value"], 0.0);
    let month = [&after["spend"]["start_time"], &after["spend"]["end_time"]];
    assert_eq!(month, [&json!(1_767_225_600), &json!(1_769_904_000)]);
}

#[tokio::test]
async fn another_project_has_its_own_use() {
    let gate = Arc::new(Semaphore::new(1));
    let server = start(&gate).await;
    let admin = server.admin();
    let own = format!("/organization/projects/{}", server.default_project_id());
    let other = admin
        .post("/organization/projects", json!({"name": "Other"}))
        .await
        .ok();
    let other = format!(
        "/organization/projects/{}/limits_now",
        other["id"].as_str().expect("an id")
    );
    let accounts = format!("{own}/service_accounts");
    let account = admin.post(&accounts, json!({"name": "a"})).await.ok();
    let client = server.with_key(account["api_key"]["value"].as_str().expect("a key"));
    let body = json!({"model": "m", "messages": [], "max_tokens": 40});
    client.post("/chat/completions", body).await.ok();
    let now = admin.get(&format!("{own}/limits_now")).await.ok();
    assert_eq!(limit(&now, "max_requests_per_1_minute")["used"], 1);
    assert_eq!(admin.get(&other).await.ok()["rate_limits"], json!([]));
}

#[tokio::test]
async fn spend_is_hidden_from_who_may_not_read_it() {
    let server = Server::start().await;
    let (admin, project) = (server.admin(), server.default_project_id());
    let role = json!({"role_name": "Settings", "permissions": ["api.organization.projects.settings.read"]});
    let role = admin
        .post(&format!("/projects/{project}/roles"), role)
        .await;
    let role = role.ok();
    let roles = format!("/projects/{project}/users/{}/roles", server.reader_id());
    admin
        .post(&roles, json!({"role_id": role["id"]}))
        .await
        .ok();
    let now = format!("/organization/projects/{project}/limits_now");
    let answer = server.reader().get(&now).await.ok();
    assert_eq!(answer["spend"], json!(null));
    assert!(admin.get(&now).await.ok()["spend"].is_object());
}
