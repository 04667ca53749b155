//! Bounds of reported usage: of an event, of a request and of a project key.

use serde_json::{Value, json};
use testkit::{Client, NOW, Server, ServerOptions};
use usage::PriceBook;

use crate::events::{EVENTS, event, total, with};

/// Issues a key of a service account that owns the default project.
async fn reporter(server: &Server) -> Client {
    let accounts = format!(
        "/organization/projects/{}/service_accounts",
        server.default_project_id()
    );
    let admin = server.admin();
    let account = admin.post(&accounts, json!({"name": "Other gateway"}));
    let account = account.await.ok();
    let id = account["id"].as_str().expect("an id");
    let account_path = format!("{accounts}/{id}");
    let role = admin.post(&account_path, json!({"role": "owner"}));
    role.await.ok();
    server.with_key(account["api_key"]["value"].as_str().expect("a secret"))
}

#[tokio::test]
async fn a_member_of_a_project_may_not_report_usage() {
    let server = Server::start().await;
    let accounts = format!(
        "/organization/projects/{}/service_accounts",
        server.default_project_id()
    );
    let admin = server.admin();
    let account = admin.post(&accounts, json!({"name": "Member"})).await.ok();
    let member = server.with_key(account["api_key"]["value"].as_str().expect("a secret"));
    let refused = member.post(EVENTS, event(&server, "evt_1")).await;
    assert_eq!(refused.refused(403).0, Some("insufficient_permissions"));
    assert_eq!(total(&server).await, (0, 0));
}

/// Returns the reason for which the only event of a request is rejected.
async fn reason(client: &Client, event: Value) -> String {
    let answer = client.post(EVENTS, json!([event])).await.ok();
    assert_eq!(answer["accepted"], 0, "{answer}");
    let rejected = &answer["rejected"][0];
    assert_eq!(rejected["index"], 0, "{answer}");
    rejected["error"].as_str().expect("a reason").to_owned()
}

#[tokio::test]
async fn event_ids_of_the_gateway_are_rejected_by_index() {
    let server = Server::start().await;
    for id in ["req_1", "batch_1", "vs_1/20000", "req_"] {
        let reason = reason(&server.admin(), event(&server, id)).await;
        assert!(reason.contains("must not begin with"), "{reason}");
    }
    for id in ["my-req_1", "REQ", "evt_1"] {
        let answer = server.admin().post(EVENTS, event(&server, id)).await.ok();
        assert_eq!(answer["accepted"], 1, "{id}");
    }
}

#[tokio::test]
async fn impossible_events_are_rejected_by_index() {
    let prices = "[[price]]\nmodel = 'gpt-5'\neffective = '2025-01-01'\ninput = '1'\noutput = '10'\n\
                  service_tier = { priority = '4' }\nbatch = '0.5'";
    let server = Server::with(ServerOptions {
        prices: PriceBook::parse(prices).expect("prices"),
        ..ServerOptions::default()
    })
    .await;
    let admin = server.admin();
    let tokens = |amount: i64| with(event(&server, "evt"), "output_tokens", json!(amount));
    for amount in [100_000_000_001, 1 << 50, 1 << 53, i64::MAX] {
        let reason = reason(&admin, tokens(amount)).await;
        assert!(
            reason.contains("output_tokens must be at most 100000000000"),
            "{reason}"
        );
    }
    // 25,000 million tokens of the most expensive tier cost a million dollars, the maximum of an event.
    let reason = reason(&admin, tokens(25_000_000_001)).await;
    assert!(reason.contains("$1000000.00"), "{reason}");
    let answer = admin.post(EVENTS, tokens(24_000_000_000)).await.ok();
    assert_eq!(answer["accepted"], 1);
    // Any number of such events leaves metering intact.
    let many = (0..10_000).map(|n| with(tokens(24_000_000_000), "id", json!(format!("evt_{n}"))));
    let many: Vec<Value> = many.collect();
    for _ in 0..2 {
        assert_eq!(
            admin.post(EVENTS, json!(many)).await.ok()["rejected"],
            json!([])
        );
        let next = with(event(&server, "next"), "timestamp", json!(NOW.0 - 60));
        admin.post(EVENTS, next).await.ok();
    }
    assert_eq!(total(&server).await.0, 10_002);
}

#[tokio::test]
async fn reported_events_are_bounded_in_age_and_in_days() {
    let server = Server::start().await;
    let admin = server.admin();
    let ago = |days: i64| {
        let at = json!(NOW.0 - days * 86_400);
        with(event(&server, &format!("evt_{days}")), "timestamp", at)
    };
    let reason = reason(&admin, ago(401)).await;
    assert!(reason.contains("at most 400 days ago"), "{reason}");
    let all: Vec<Value> = (-1..=400).map(ago).collect();
    let answer = admin.post(EVENTS, json!(all)).await.ok();
    assert_eq!(answer["accepted"], 400, "{answer}");
    let rejected = answer["rejected"].as_array().expect("a list");
    let which = rejected.iter().map(|refused| refused["index"].as_i64());
    assert_eq!(which.collect::<Vec<_>>(), [Some(400), Some(401)]);
    let error = rejected[0]["error"].as_str().expect("a reason");
    assert!(error.contains("at most 400 days"), "{error}");
}

#[tokio::test]
async fn usage_reported_with_a_project_key_blocks_no_other_project() {
    let prices = "[[price]]\nmodel = 'gpt-5'\neffective = '2025-01-01'\noutput = '10'";
    let server = Server::with(ServerOptions {
        prices: PriceBook::parse(prices).expect("prices"),
        ..ServerOptions::default()
    })
    .await;
    let (admin, reporter) = (server.admin(), reporter(&server).await);
    // Builds an event that costs this many cents.
    let cents =
        |id: &str, cents: i64| with(event(&server, id), "output_tokens", json!(cents * 1_000));
    let accepts = async |event: Value| {
        let answer = reporter.post(EVENTS, event).await.ok();
        assert_eq!(answer["accepted"], 1, "{answer}");
    };
    let refuses = async |event: Value, why: &str| {
        let answer = reporter.post(EVENTS, event).await;
        let refused = answer.refused(429);
        assert_eq!(refused.0, Some("insufficient_quota"));
        let message = answer.json["error"]["message"].as_str().expect("a message");
        assert!(message.contains(why), "{message}");
    };
    // Without a spend limit, the bound is that of a key in a day.
    refuses(cents("much", 1_000_001), "in a day").await;
    // A tenth of the organization's limit if the project has none.
    let limit =
        |cents: i64| json!({"threshold_amount": cents, "currency": "USD", "interval": "month"});
    admin
        .post("/organization/spend_limit", limit(1_000))
        .await
        .ok();
    accepts(cents("1", 60)).await;
    accepts(cents("2", 40)).await;
    refuses(cents("3", 1), "a tenth").await;
    // A duplicate costs nothing.
    let known = reporter.post(EVENTS, cents("1", 60)).await.ok();
    assert_eq!(known["duplicates"], 1);
    // The project's own limit if it has one.
    let own = format!(
        "/organization/projects/{}/spend_limit",
        server.default_project_id()
    );
    admin.post(&own, limit(300)).await.ok();
    accepts(cents("4", 200)).await;
    refuses(cents("5", 1), "spend limit").await;
    // An admin key is not bounded.
    let answer = admin.post(EVENTS, cents("6", 1)).await.ok();
    assert_eq!(answer["accepted"], 1);
    assert_eq!(total(&server).await.0, 4);
}
