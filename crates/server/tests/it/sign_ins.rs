//! Failed authentication: bounded for each client, counted, logged, and in the audit log of the organization.

use http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::{Api, http};
use crate::installation::Installation;

/// Shows a key; the status of the answer.
async fn show(api: &Api, key: &str, path: &str, forwarded_for: &str) -> StatusCode {
    let mut caller = api.clone();
    key.clone_into(&mut caller.key);
    let request = caller.request(Method::GET, path);
    let request = request.header("x-forwarded-for", forwarded_for);
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let retry_after = response.headers().get("retry-after");
    assert_eq!(
        retry_after.is_some(),
        status == StatusCode::TOO_MANY_REQUESTS
    );
    status
}

/// Guesses keys of both kinds; how many were looked at, and how many may have been.
async fn guess(api: &Api, forwarded_for: impl Fn(usize) -> String) -> (usize, usize) {
    let (began, mut looked_at) = (Instant::now(), 0);
    for number in 0..400 {
        let (key, path) = if number % 2 == 0 {
            ("sk-admin-", "/organization/projects")
        } else {
            ("sk-proj-", "/models")
        };
        let status = show(api, &format!("{key}{number}"), path, &forwarded_for(number)).await;
        match status {
            StatusCode::UNAUTHORIZED => looked_at += 1,
            StatusCode::TOO_MANY_REQUESTS => {}
            other => panic!("{other}"),
        }
    }
    // The bucket, and what was filled up meanwhile.
    let may = 101 + began.elapsed().as_millis().div_ceil(100);
    (looked_at, usize::try_from(may).expect("little"))
}

async fn metric(api: &Api, line: &str) -> u64 {
    let url = format!("{}/metrics", api.base.trim_end_matches("/v1"));
    let text = http().get(url).send().await.expect("an answer");
    let text = text.text().await.expect("text");
    let mut values = text.lines().filter_map(|text| text.strip_prefix(line));
    values
        .next()
        .map_or(0, |value| value.trim().parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s24_guesses_are_turned_away_before_they_are_looked_at() {
    let installation = Installation::new("trusted_proxies = [\"127.0.0.1\"]\n");
    let (server, admin) = installation.first_serve();
    let (guesser, projects) = ("198.51.100.1", "/organization/projects");
    assert_eq!(show(&admin, &admin.key, projects, guesser).await, 200);

    // What the guesser's own header says is not believed.
    let spoofed = |number| format!("203.0.113.{number}, {guesser}");
    let (looked_at, may) = guess(&admin, spoofed).await;
    assert!((100..=may).contains(&looked_at), "{looked_at} of {may}");
    let refused = "orgplane_authentication_failures_total{reason=\"unknown_key\"} ";
    assert_eq!(metric(&admin, refused).await, looked_at as u64);
    let throttled = metric(&admin, "orgplane_authentication_throttled_total ").await;
    assert_eq!(throttled, 400 - looked_at as u64);

    // Who shares the address and has used a good key goes on; elsewhere nothing has changed.
    assert_eq!(show(&admin, &admin.key, projects, guesser).await, 200);
    let elsewhere = "198.51.100.2";
    assert_eq!(show(&admin, "sk-admin-no", projects, elsewhere).await, 401);
    assert_eq!(show(&admin, &admin.key, projects, elsewhere).await, 200);

    let log = server.stop().stderr;
    assert!(log.contains("authentication failed"), "{log}");
    assert!(log.matches("authentication failed").count() <= 4, "{log}");
    assert!(
        !log.contains("sk-admin-no") && !log.contains("sk-proj-1"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s24_without_a_proxy_no_header_makes_a_guesser_another_client() {
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    let (looked_at, may) = guess(&admin, |number| format!("198.51.100.{}", number % 250)).await;
    assert!((100..=may).contains(&looked_at), "{looked_at} of {may}");
    // Tokens of invitations are guessed no faster.
    let mut statuses = Vec::new();
    for number in 0..300 {
        let body = json!({"token": format!("guess-{number}"), "name": "Eve"});
        let sent = admin.try_post("/organization/invites/accept", &body).await;
        statuses.push(sent.expect("an answer").0);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    server.stop();
}

/// Waits until the audit log has this many refused keys; newest first.
async fn refused(admin: &Api, count: usize) -> Vec<Value> {
    poll::value("refused keys are in the audit log", async || {
        let path = "/organization/audit_logs?event_types[]=login.failed";
        let log = admin.get(path).await;
        let entries = log["data"].as_array().expect("entries").clone();
        (entries.len() >= count).then_some(entries)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s24_revoked_keys_that_are_used_are_in_the_audit_log() {
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    let made = admin
        .post("/organization/admin_api_keys", &json!({"name": "Leaked"}))
        .await;
    let (id, leaked) = (made["id"].clone(), made["value"].as_str().expect("a key"));
    let (project, application) = admin.application("Old").await;
    let deleted = admin.request(
        Method::DELETE,
        &format!(
            "/organization/admin_api_keys/{}",
            id.as_str().expect("an id")
        ),
    );
    assert_eq!(deleted.send().await.expect("an answer").status(), 200);
    let archive = format!("/organization/projects/{project}/archive");
    admin.post(&archive, &json!({})).await;

    for _ in 0..30 {
        let status = show(&admin, leaked, "/organization/projects", "").await;
        assert_eq!(status, 401);
    }
    assert_eq!(show(&admin, &application, "/models", "").await, 401);
    // They are written in their order: one for each key.
    let entries = refused(&admin, 2).await;
    assert_eq!(entries.len(), 2, "{entries:?}");
    let event = &entries[1]["login.failed"];
    assert_eq!(event["error_code"], "deleted_key");
    let message = event["error_message"].as_str().expect("text");
    assert!(message.contains("127.0.0.1"), "{message}");
    assert_eq!(entries[1]["actor"]["api_key"]["id"], id);
    let address = &entries[1]["actor"]["api_key"]["ip_address"];
    assert_eq!(address, "127.0.0.1");
    assert_eq!(entries[0]["login.failed"]["error_code"], "deleted_key");
    let refusals = "orgplane_authentication_failures_total{reason=\"deleted_key\"} ";
    assert_eq!(metric(&admin, refusals).await, 31);
    let log = server.stop().stderr;
    assert!(
        log.contains("authentication failed") && log.contains("deleted_key"),
        "{log}"
    );
    assert!(!log.contains(leaked), "{log}");
    let verified = installation.run(&["audit", "verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_event_has_the_address_that_a_trusted_proxy_reports() {
    for (settings, expected) in [
        ("trusted_proxies = [\"127.0.0.1\"]\n", "198.51.100.7"),
        ("", "127.0.0.1"),
    ] {
        let installation = Installation::new(settings);
        let (server, admin) = installation.first_serve();
        let create = admin.request(Method::POST, "/organization/projects");
        let create = create.header("x-forwarded-for", "203.0.113.1, 198.51.100.7");
        let created = create.json(&json!({"name": "Search"})).send().await;
        assert_eq!(created.expect("an answer").status(), 200);
        let log = admin
            .get("/organization/audit_logs?event_types[]=project.created&limit=1")
            .await;
        let actor = &log["data"][0]["actor"];
        assert_eq!(actor["api_key"]["ip_address"], expected, "{log}");
        server.stop();
    }
}
