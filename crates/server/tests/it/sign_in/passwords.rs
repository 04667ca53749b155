//! Sign-in with a password, and the user's own password.

use http::StatusCode;
use serde_json::json;
use store::sql;
use testkit::{Server, ServerOptions};

use super::browser::Browser;
use super::{COOKIE, OWNER, PASSWORD, count, newest, set_password};

async fn try_password(browser: &mut Browser, email: &str, password: &str) -> super::browser::Page {
    browser
        .post(
            "/sign-in",
            &[
                ("email", email),
                ("password", password),
                ("target", "/console?a=b"),
            ],
        )
        .await
}

#[tokio::test]
async fn password_signs_in_and_leads_to_the_target() {
    let server = Server::start().await;
    set_password(&server, OWNER).await;
    let mut browser = Browser::new(&server);
    let page = browser.get("/sign-in?target=/console?a=b").await;
    page.says(200, "name=\"password\"");
    assert_eq!(page.hidden("target"), "/console?a=b");
    let page = try_password(&mut browser, "Ada@ACME.example ", PASSWORD).await;
    assert_eq!(page.location(), "/console?a=b");
    assert!(browser.is_signed_in().await);
    let event = newest(&server, "login.succeeded").await;
    assert_eq!(event["login.succeeded"]["method"], "password");
    assert_eq!(event["actor"]["session"]["user"]["email"], OWNER);
    assert_eq!(event["actor"]["session"]["ip_address"], "192.0.2.1");
}

#[tokio::test]
async fn unknown_address_gets_the_same_answer_after_the_same_work_as_a_wrong_password() {
    let server = Server::start().await;
    set_password(&server, OWNER).await;
    let identity = server.identity();
    let mut answers = Vec::new();
    // The reader has no password.
    for email in [OWNER, "rita@acme.example", "nobody@acme.example"] {
        let before = identity.password_checks();
        let mut browser = Browser::new(&server);
        let page = try_password(&mut browser, email, "wrong horse battery").await;
        page.says(422, "The address or the password is wrong.");
        assert!(browser.cookie(COOKIE).is_none());
        assert_eq!(identity.password_checks(), before + 1, "{email}");
        let mut headers = page.headers.clone();
        for changing in ["x-request-id", "openai-processing-ms", "content-length"] {
            headers.remove(changing);
        }
        answers.push((headers, page.text.replace(email, "")));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

/// Returns the number of failures that are in no entry of the audit log yet.
async fn unreported(server: &Server) -> i64 {
    let counts = sql!("SELECT unreported FROM sign_in_failures");
    let mut connection = server.store.read().await.expect("a connection");
    let counts = connection.fetch_all(counts, |row| row.get("unreported"));
    let counts: Vec<i64> = counts.await.expect("counts");
    counts.into_iter().sum()
}

#[tokio::test]
async fn failures_are_in_the_audit_log_once_a_minute_with_their_number() {
    let server = Server::start().await;
    set_password(&server, OWNER).await;
    let fail = async |times: usize| {
        for _ in 0..times {
            let mut browser = Browser::new(&server);
            let page = try_password(&mut browser, OWNER, "wrong horse battery").await;
            assert_eq!(page.status, 422);
        }
    };
    let wait_for = async |expected: usize| {
        poll::until("the entry", async || {
            count(&server, "login.failed").await == expected
        })
        .await;
    };
    fail(1).await;
    wait_for(1).await;
    let event = newest(&server, "login.failed").await;
    assert_eq!(event["login.failed"]["error_code"], "wrong_password");
    assert_eq!(event["actor"]["session"]["user"]["email"], OWNER);
    fail(3).await;
    // The task counts them behind the requests, and at the time of the clock.
    poll::until("the count", async || unreported(&server).await == 3).await;
    server.clock.advance(60);
    fail(1).await;
    wait_for(2).await;
    let message = newest(&server, "login.failed").await["login.failed"]["error_message"].clone();
    assert_eq!(
        message,
        "A wrong password was given, 4 times since the last entry."
    );
}

#[tokio::test]
async fn new_password_ends_other_sessions_and_makes_links_void() {
    let server = Server::start().await;
    let mut here = Browser::new(&server);
    let mut there = Browser::at(&server, "192.0.2.2");
    here.sign_in(&server, OWNER).await;
    there.sign_in(&server, OWNER).await;
    let link = super::browser::link(&server, OWNER).await;
    let page = here
        .post("/account/password", &[("password", PASSWORD)])
        .await;
    assert_eq!(page.location(), "/account/password?done=set");
    here.get("/account/password?done=set")
        .await
        .says(200, "Your other sessions have ended.");
    assert!(here.is_signed_in().await);
    assert!(!there.is_signed_in().await);
    let page = there.post("/sign-in/link", &[("token", &link)]).await;
    assert_eq!(page.status, 422);
    let event = newest(&server, "x.user.password.set").await;
    let payload = &event["x.user.password.set"];
    assert_eq!(payload["id"], json!(server.owner_id()));
    assert_eq!(
        payload["removed"]["sessions"].as_array().map(Vec::len),
        Some(1)
    );
    // Without the password, nothing of it is stored but a hash.
    let dump = format!("{event}");
    assert!(!dump.contains(PASSWORD));
}

#[tokio::test]
async fn weak_passwords_are_refused() {
    let server = Server::start().await;
    let mut browser = Browser::new(&server);
    browser.sign_in(&server, OWNER).await;
    for (weak, words) in [
        ("", "Enter a password."),
        ("elevenchars", "Use at least 12 characters."),
        ("password1234", "attackers try first"),
        ("ada@acme.example", "attackers try first"),
        (&"x y".repeat(100), "Use at most 256 characters."),
    ] {
        let page = browser
            .post("/account/password", &[("password", weak)])
            .await;
        page.says(422, words);
        // The page shows the address anyway.
        let may_show = weak.is_empty() || weak == OWNER;
        assert!(may_show || !page.text.contains(weak), "never echoed");
    }
    assert_eq!(count(&server, "x.user.password.set").await, 0);
}

#[tokio::test]
async fn removed_password_signs_in_no_more() {
    let server = Server::start().await;
    set_password(&server, OWNER).await;
    let mut browser = Browser::new(&server);
    browser.sign_in(&server, OWNER).await;
    let page = browser
        .post("/account/password", &[("remove", "true")])
        .await;
    assert_eq!(page.location(), "/account/password?done=removed");
    assert_eq!(count(&server, "x.user.password.removed").await, 1);
    let mut other = Browser::at(&server, "192.0.2.2");
    let page = try_password(&mut other, OWNER, PASSWORD).await;
    assert_eq!(page.status, 422);
}

#[tokio::test]
async fn dangerous_page_needs_another_proof_after_ten_minutes_which_gives_a_new_token() {
    let server = Server::start().await;
    set_password(&server, OWNER).await;
    let mut browser = Browser::new(&server);
    browser.sign_in(&server, OWNER).await;
    server.clock.advance(599);
    assert_eq!(browser.get("/account/password").await.status, 200);
    server.clock.advance(1);
    let again = "/sign-in/again?target=%2Faccount%2Fpassword";
    assert_eq!(browser.get("/account/password").await.location(), again);
    let page = browser
        .post(
            "/account/password",
            &[("password", "another horse battery")],
        )
        .await;
    assert_eq!(page.location(), again);
    let page = browser.get(again).await;
    page.says(200, "Confirm that it is you");
    let old = browser.cookie(COOKIE).expect("a session").clone();
    let proof = [
        ("password", "wrong horse battery"),
        ("target", "/account/password"),
    ];
    browser
        .post("/sign-in/again", &proof)
        .await
        .says(422, "The password is wrong.");
    assert_eq!(browser.cookie(COOKIE), Some(&old));
    let proof = [("password", PASSWORD), ("target", "/account/password")];
    let page = browser.post("/sign-in/again", &proof).await;
    assert_eq!(page.location(), "/account/password");
    assert_ne!(browser.cookie(COOKIE), Some(&old));
    assert_eq!(browser.get("/account/password").await.status, 200);
    let mut thief = Browser::at(&server, "192.0.2.2");
    thief.set_cookie(COOKIE, &old);
    assert!(!thief.is_signed_in().await, "the old token is dead");
    // Without a session, there is nothing to confirm.
    let mut stranger = Browser::at(&server, "192.0.2.3");
    let page = stranger.post("/sign-in/again", &proof).await;
    assert_eq!(page.location(), "/sign-in?target=%2Faccount%2Fpassword");
}

#[tokio::test]
async fn without_passwords_there_is_no_page_that_takes_one() {
    let mut options = ServerOptions::default();
    options.sign_in.has_passwords = false;
    let server = Server::with(options).await;
    let mut browser = Browser::new(&server);
    let page = browser.get("/sign-in").await;
    assert!(!page.text.contains("name=\"password\""), "{}", page.text);
    let page = try_password(&mut browser, OWNER, PASSWORD).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    browser.sign_in(&server, OWNER).await;
    assert_eq!(browser.get("/account/password").await.status, 404);
    let page = browser
        .post("/account/password", &[("password", PASSWORD)])
        .await;
    assert_eq!(page.status, 404);
    for path in ["/console/me", "/account"] {
        let page = browser.get(path).await;
        page.says(200, OWNER);
        assert!(!page.text.contains("/account/password"), "{}", page.text);
    }
}

#[tokio::test]
async fn address_of_several_organizations_chooses_among_those_with_the_password() {
    let server = Server::start().await;
    set_password(&server, OWNER).await;
    // The same person in the other organization, with the same password.
    let token = server.stranger_invite(OWNER).await;
    let mut browser = Browser::at(&server, "192.0.2.9");
    let accepted = [("token", token.as_str()), ("name", "Ada")];
    let page = browser.post("/invites/accept", &accepted).await;
    assert_eq!(page.location(), "/account/password?welcome");
    let page = browser
        .post("/account/password", &[("password", PASSWORD)])
        .await;
    assert_eq!(page.location(), "/account/password?done=set");

    let mut browser = Browser::new(&server);
    let before = server.identity().password_checks();
    let page = try_password(&mut browser, OWNER, PASSWORD).await;
    let checks = server.identity().password_checks() - before;
    assert_eq!(checks, 1, "as for an address of one organization");
    page.says(200, "Choose an organization");
    assert!(page.text.contains("Acme") && page.text.contains("Other"));
    assert!(browser.cookie(COOKIE).is_none());
    let (ticket, organization) = (page.hidden("ticket"), server.organization_id().to_string());
    let choice = [
        ("ticket", ticket.as_str()),
        ("organization", organization.as_str()),
        ("target", "/console"),
    ];
    let forged = [("ticket", "AAAA"), ("organization", organization.as_str())];
    let page = browser.post("/sign-in/choose", &forged).await;
    page.says(400, "The choice came too late");
    let elsewhere = [("ticket", ticket.as_str()), ("organization", "org-x")];
    assert_eq!(
        browser.post("/sign-in/choose", &elsewhere).await.status,
        404
    );
    let page = browser.post("/sign-in/choose", &choice).await;
    assert_eq!(page.location(), "/console");
    assert!(browser.is_signed_in().await);
    server.clock.advance(300);
    let mut late = Browser::at(&server, "192.0.2.10");
    assert_eq!(late.post("/sign-in/choose", &choice).await.status, 400);
}
