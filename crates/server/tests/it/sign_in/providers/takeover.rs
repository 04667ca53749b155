//! Takeover of another account because of a mail address, which is impossible.

use super::refusals::failure;
use super::*;

/// Address of this server that the second provider sends the browser back to.
const SECOND: &str = "https://orgplane.example/sign-in/callback/second";

#[tokio::test]
async fn an_address_that_was_not_verified_signs_nobody_in() {
    let trial = Trial::start().await;
    trial.is("mallory", OWNER, false);
    let mut browser = Browser::new(&trial.server);
    let page = trial.sign_in(&mut browser).await;
    page.says(403, "(Code: email_not_verified)");
    assert!(!browser.is_signed_in().await);
    assert_eq!(trial.links().await, 0);
}

#[tokio::test]
async fn a_verified_address_outside_of_the_domains_signs_nobody_in() {
    let trial = Trial::with(|options| options.email_policy.domains.clear()).await;
    let mut browser = Browser::new(&trial.server);
    let page = trial.sign_in(&mut browser).await;
    page.says(403, "(Code: email_domain)");
    assert!(!browser.is_signed_in().await);
    assert_eq!(trial.links().await, 0);
}

#[tokio::test]
async fn an_address_that_the_provider_has_given_to_somebody_else_signs_nobody_in() {
    let trial = Trial::start().await;
    trial
        .sign_in(&mut Browser::new(&trial.server))
        .await
        .location();
    trial.is("successor", OWNER, true);
    let mut browser = Browser::at(&trial.server, "192.0.2.2");
    let page = trial.sign_in(&mut browser).await;
    page.says(403, "(Code: other_account)");
    assert!(!browser.is_signed_in().await);
    assert_eq!(trial.links().await, 1);
    let event = failure(&trial).await;
    assert_eq!(event["login.failed"]["error_code"], "other_account");
    let message = event["login.failed"]["error_message"].as_str();
    let message = message.expect("a message");
    assert!(
        message.contains("'fake'") && message.contains(OWNER),
        "{message}"
    );
}

#[tokio::test]
async fn a_subject_of_another_issuer_is_another_account() {
    let clock = Clock::fake(NOW);
    let fakes = [
        FakeProvider::start(clock.clone()).await,
        FakeProvider::start(clock.clone()).await,
    ];
    let [first, second] = &fakes;
    let mut foreign = options("second", &second.issuer);
    foreign.email_policy.domains.clear();
    let server = server(clock, vec![options("fake", &first.issuer), foreign]).await;
    let trial = Trial {
        server,
        fake: FakeProvider::start(Clock::fake(NOW)).await,
    };
    first.edit_claims(|claims| claims["email"] = json!(OWNER));
    let mut browser = Browser::new(&trial.server);
    let there = browser.get("/sign-in/provider/fake").await;
    let parameters = first.authorize(there.location());
    browser.get(&callback("fake", &parameters)).await.location();
    // The second provider says the same of its user with the same subject.
    second.edit_claims(|claims| claims["email"] = json!(OWNER));
    let mut browser = Browser::at(&trial.server, "192.0.2.2");
    let there = browser.get("/sign-in/provider/second").await;
    let parameters = second.authorize_for(there.location(), SECOND);
    let page = browser.get(&callback("second", &parameters)).await;
    page.says(403, "(Code: email_domain)");
    assert!(!browser.is_signed_in().await);
    // The answer of one provider is none of the other, whose cookie is sealed for it.
    let there = browser.get("/sign-in/provider/second").await;
    let parameters = second.authorize_for(there.location(), SECOND);
    let page = browser.get(&callback("fake", &parameters)).await;
    page.says(403, "(Code: state)");
}

#[tokio::test]
async fn a_user_of_another_organization_stays_out() {
    let trial = Trial::start().await;
    trial.is("eve", "eve@other.example", true);
    let mut browser = Browser::new(&trial.server);
    trial
        .sign_in(&mut browser)
        .await
        .says(403, "(Code: email_domain)");
    let trial = Trial::with(|options| {
        options.email_policy.domains = vec!["other.example".to_owned()];
    });
    let trial = trial.await;
    trial.is("eve", "eve@other.example", true);
    let mut browser = Browser::new(&trial.server);
    trial
        .sign_in(&mut browser)
        .await
        .says(403, "(Code: unknown_user)");
    assert!(!browser.is_signed_in().await);
}

#[tokio::test]
async fn a_callback_in_the_browser_of_somebody_else_is_refused() {
    let trial = Trial::start().await;
    let mut attacker = Browser::at(&trial.server, "198.51.100.1");
    let there = attacker.get("/sign-in/provider/fake").await;
    let callback = trial.callback(&there);
    let mut victim = Browser::new(&trial.server);
    victim.get(&callback).await.says(403, "(Code: state)");
    // Nor does it help that the victim has a sign-in of its own in progress.
    victim.get("/sign-in/provider/fake").await.location();
    victim.get(&callback).await.says(403, "(Code: state)");
    assert!(!victim.is_signed_in().await);
}

#[tokio::test]
async fn an_account_is_linked_only_in_the_session_that_asked_for_it() {
    let trial = Trial::start().await;
    trial.is("subject-9", "somebody@elsewhere.example", false);
    let mut attacker = Browser::at(&trial.server, "198.51.100.1");
    attacker.sign_in(&trial.server, READER).await;
    let there = attacker
        .post("/account/providers", &[("link", "fake")])
        .await;
    let callback = trial.callback(&there);
    let state = attacker.cookie(PROVIDER_COOKIE).cloned().expect("a cookie");
    let mut victim = Browser::new(&trial.server);
    victim.sign_in(&trial.server, OWNER).await;
    // Even with the attacker's cookie, which other sites cannot set.
    victim.set_cookie(PROVIDER_COOKIE, &state);
    victim.get(&callback).await.says(403, "(Code: state)");
    assert_eq!(trial.links().await, 0);
    // A form of another site links nothing.
    let page = victim.post_from(
        "/account/providers",
        &[("link", "fake")],
        &[("sec-fetch-site", "cross-site")],
    );
    page.await.says(403, "not sent by a page of this server");
}

#[tokio::test]
async fn an_account_of_one_user_cannot_become_that_of_another() {
    let trial = Trial::start().await;
    trial
        .sign_in(&mut Browser::new(&trial.server))
        .await
        .location();
    let mut browser = Browser::at(&trial.server, "192.0.2.2");
    browser.sign_in(&trial.server, READER).await;
    let there = browser
        .post("/account/providers", &[("link", "fake")])
        .await;
    let page = trial.travel(&mut browser, &there).await;
    page.says(400, "is linked to another user");
    assert_eq!(trial.links().await, 1);
}

#[tokio::test]
async fn a_trusted_address_counts_only_in_the_domains() {
    let trial = Trial::with(|options| options.email_policy.trust_email = true).await;
    let unknown = json!({ "email_verified": null });
    trial.claims("subject-1", OWNER, unknown);
    let mut browser = Browser::new(&trial.server);
    assert_eq!(trial.sign_in(&mut browser).await.location(), "/inside");
    trial.is("subject-2", "ada@acme.example.evil.example", true);
    let page = trial
        .sign_in(&mut Browser::at(&trial.server, "192.0.2.2"))
        .await;
    page.says(403, "(Code: email_domain)");
}

#[tokio::test]
async fn a_session_that_was_there_before_the_sign_in_ends_with_it() {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    browser.sign_in(&trial.server, READER).await;
    let fixed = browser.cookie(COOKIE).cloned().expect("a session");
    trial.sign_in(&mut browser).await.location();
    assert_ne!(browser.cookie(COOKIE), Some(&fixed));
    let mut old = Browser::at(&trial.server, "192.0.2.2");
    old.set_cookie(COOKIE, &fixed);
    assert!(!old.is_signed_in().await);
}

#[tokio::test]
async fn a_target_at_another_site_is_not_followed() {
    let trial = Trial::start().await;
    for target in [
        "https://evil.example",
        "%2F%2Fevil.example",
        "%2F%5Cevil.example",
    ] {
        let mut browser = Browser::new(&trial.server);
        let path = format!("/sign-in/provider/fake?target={target}");
        let there = browser.get(&path).await;
        let page = trial.travel(&mut browser, &there).await;
        assert_eq!(page.location(), "/", "{target}");
    }
}

#[tokio::test]
async fn a_password_does_not_help_where_passwords_are_off() {
    let Trial { server, fake } = Trial::start().await;
    let server = server.restart_with(SignInOptions {
        has_passwords: false,
        ..sign_in_with(vec![options("fake", &fake.issuer)])
    });
    let server = server.await;
    let mut browser = Browser::new(&server);
    let page = browser.get("/sign-in").await;
    page.says(200, "/sign-in/provider/fake");
    assert!(!page.text.contains("type=\"password\""), "{}", page.text);
    let form = [("email", OWNER), ("password", "correct horse battery")];
    browser
        .post("/sign-in", &form)
        .await
        .says(404, "does not exist");
}
