//! Spend limits are enforced exactly while the month's spend is at least the limit.

use base::NanoDollars;
use base::time::SECONDS_PER_DAY;
use serde_json::{Value, json};
use testkit::{NOW, Server, ServerOptions};
use usage::{PriceBook, SpendRequest};

const ORGANIZATION: &str = "/organization/spend_limit";
/// A million tokens cost a dollar, so ten thousand of them a cent.
const PRICES: &str = "\
[[price]]
model = 'm'
effective = '2025-01-01'
input = '1.00'
";
const TOKENS_PER_CENT: i64 = 10_000;

async fn start() -> (Server, String) {
    let prices = PriceBook::parse(PRICES).expect("prices");
    let server = Server::with(ServerOptions {
        prices,
        ..ServerOptions::default()
    })
    .await;
    let path = format!(
        "/organization/projects/{}/spend_limit",
        server.default_project_id()
    );
    (server, path)
}

async fn spend(server: &Server, id: &str, project: &Value, at: i64, tokens: i64) {
    let event = json!({"id": id, "timestamp": at, "type": "completions", "project_id": project, "model": "m",
                       "input_tokens": tokens, "output_tokens": 0});
    let answer = server
        .admin()
        .post("/organization/usage/events", event)
        .await
        .ok();
    assert_eq!(answer["accepted"], 1, "{answer}");
}

fn limit(cents: i64) -> Value {
    json!({"threshold_amount": cents, "currency": "USD", "interval": "month"})
}

fn shown(level: &str, cents: i64) -> Value {
    let mut shown = limit(cents);
    shown["object"] = json!(format!("{level}.spend_limit"));
    shown["enforcement"] = json!({"status": "enforcing"});
    shown
}

#[tokio::test]
async fn a_limit_is_set_replaced_and_removed() {
    let (server, project) = start().await;
    for (path, level) in [
        (ORGANIZATION, "organization"),
        (project.as_str(), "project"),
    ] {
        assert_eq!(
            server.admin().get(path).await.refused(404).0,
            Some("not_found")
        );
        for cents in [1, 1, 500] {
            assert_eq!(
                server.admin().post(path, limit(cents)).await.ok(),
                shown(level, cents)
            );
        }
        assert_eq!(server.admin().get(path).await.ok(), shown(level, 500));
        let deleted = json!({"object": format!("{level}.spend_limit.deleted"), "deleted": true});
        assert_eq!(server.admin().delete(path).await.ok(), deleted);
        assert_eq!(
            server.admin().delete(path).await.refused(404).0,
            Some("not_found")
        );
    }
    let log = "/organization/audit_logs?event_types[]=x.spend_limit.updated&event_types[]=x.spend_limit.deleted";
    let log = server.admin().get(log).await.ok();
    assert_eq!(
        log["data"].as_array().map(Vec::len),
        Some(6),
        "a repetition is no change"
    );
}

#[tokio::test]
async fn a_spend_limit_refuses_requests_exactly_while_it_is_reached() {
    let (server, project) = start().await;
    let own = json!(server.default_project_id());
    let other = server
        .admin()
        .post("/organization/projects", json!({"name": "b"}))
        .await
        .ok();
    server.admin().post(ORGANIZATION, limit(10)).await.ok();
    server.admin().post(&project, limit(10)).await.ok();
    let check = |organization: bool, of_project: bool| {
        let limit = Some(NanoDollars::from_cents(10));
        let reached = [(limit, None), (None, limit)].map(|(of_organization, of_project)| {
            let reserved = server.services().spend.reserve_locally(&SpendRequest {
                organization: (server.organization_id(), of_organization),
                project: (server.default_project_id(), of_project),
                at: server.clock.now(),
                max_cost: NanoDollars::default(),
            });
            reserved.is_err()
        });
        assert_eq!(reached, [organization, of_project]);
    };
    // The last second of December does not count for January.
    let january = NOW.0 - 14 * SECONDS_PER_DAY - 12 * 3600;
    spend(&server, "1", &own, january - 1, 100 * TOKENS_PER_CENT).await;
    check(false, false);
    spend(&server, "2", &own, january, 4 * TOKENS_PER_CENT).await;
    spend(&server, "3", &other["id"], NOW.0, 6 * TOKENS_PER_CENT - 1).await;
    check(false, false);
    spend(&server, "4", &other["id"], NOW.0, 1).await;
    check(true, false);
    spend(&server, "5", &own, NOW.0, 6 * TOKENS_PER_CENT).await;
    check(true, true);
    let raised = server.admin().post(&project, limit(11)).await.ok();
    assert_eq!(raised, shown("project", 11));
    server.admin().post(&project, limit(10)).await.ok();
    server.clock.advance(17 * SECONDS_PER_DAY);
    check(false, false);
}

#[tokio::test]
async fn a_bad_limit_is_refused_by_name() {
    let (server, project) = start().await;
    let cases = [
        (limit(0), "threshold_amount"),
        (
            json!({"currency": "USD", "interval": "month"}),
            "threshold_amount",
        ),
        (
            json!({"threshold_amount": 1, "interval": "month"}),
            "currency",
        ),
        (
            json!({"threshold_amount": 1, "currency": "usd", "interval": "month"}),
            "currency",
        ),
        (
            json!({"threshold_amount": 1, "currency": "USD", "interval": "week"}),
            "interval",
        ),
    ];
    for (body, param) in cases {
        for path in [ORGANIZATION, &project] {
            let answer = server.admin().post(path, body.clone()).await;
            assert_eq!(answer.refused(400).1, Some(param));
        }
    }
}
