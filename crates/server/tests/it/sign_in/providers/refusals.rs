//! Wrong answers of a provider: each ends on a page that names the code and says what to do.

use super::fake_provider::Behaviour;
use super::signer::{Signer, hmac_token, unsigned};
use super::*;

/// Signs in at a provider that answers wrongly; checks the page.
async fn refused(spoil: impl FnOnce(&FakeProvider), status: u16, code: &str, advice: &str) {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    let there = browser.get("/sign-in/provider/fake").await;
    let callback = trial.callback(&there);
    spoil(&trial.fake);
    let page = browser.get(&callback).await;
    page.says(status, &format!("(Code: {code})"));
    page.says(status, advice);
    page.says(status, "Sign-in with Provider &#60;fake&#62; did not work");
    page.says(status, "href=\"/sign-in\"");
    assert!(page.headers.contains_key("content-security-policy"));
    assert_eq!(browser.cookie(COOKIE), None);
    assert_eq!(
        browser.cookie(PROVIDER_COOKIE),
        None,
        "the state is used up"
    );
    assert_eq!(trial.links().await, 0);
    assert_eq!(count(&trial.server, "login.succeeded").await, 0);
    let event = failure(&trial).await;
    assert_eq!(event["login.failed"]["error_code"], code);
    assert_eq!(event["actor"]["session"]["ip_address"], "192.0.2.1");
    assert_eq!(event["actor"]["session"]["user"], Value::Null);
}

/// Returns the first refusal in the audit log.
pub(super) async fn failure(trial: &Trial) -> Value {
    poll::until("the entry", async || {
        count(&trial.server, "login.failed").await == 1
    })
    .await;
    newest(&trial.server, "login.failed").await
}

#[tokio::test]
async fn signature_by_another_key() {
    let spoil = |fake: &FakeProvider| {
        let mut state = fake.state();
        state.signers.push(Signer::p256("unknown"));
        state.unpublished = 1;
    };
    refused(spoil, 403, "signature", "Wait a minute and sign in again").await;
}

#[tokio::test]
async fn nonce_of_another_sign_in() {
    let spoil = |fake: &FakeProvider| fake.edit_claims(|claims| claims["nonce"] = json!("other"));
    refused(spoil, 403, "nonce", "Sign in again").await;
}

#[tokio::test]
async fn audience_of_another_client() {
    let spoil = |fake: &FakeProvider| fake.edit_claims(|claims| claims["aud"] = json!("other"));
    refused(spoil, 403, "audience", "must compare client_id").await;
}

#[tokio::test]
async fn token_of_another_issuer() {
    let spoil = |fake: &FakeProvider| {
        fake.edit_claims(|claims| claims["iss"] = json!("https://evil.example"));
    };
    refused(spoil, 403, "issuer", "must copy the issuer exactly").await;
}

#[tokio::test]
async fn token_without_a_signature() {
    let spoil = |fake: &FakeProvider| {
        fake.state().sign = Box::new(|_, header, claims| {
            let mut header = header.clone();
            header["alg"] = json!("none");
            format!("{}.", unsigned(&header, claims))
        });
    };
    refused(spoil, 403, "algorithm", "RS256, PS256, ES256 or EdDSA").await;
}

#[tokio::test]
async fn token_signed_with_the_clients_secret() {
    let spoil = |fake: &FakeProvider| {
        fake.state().sign = Box::new(|_, header, claims| {
            let mut header = header.clone();
            header["alg"] = json!("HS256");
            hmac_token(CLIENT_SECRET.as_bytes(), &header, claims)
        });
    };
    refused(spoil, 403, "algorithm", "RS256, PS256, ES256 or EdDSA").await;
}

#[tokio::test]
async fn token_that_has_expired() {
    let spoil = |fake: &FakeProvider| {
        fake.edit_claims(|claims| {
            claims["iat"] = json!(NOW.0 - 1_000);
            claims["exp"] = json!(NOW.0 - 100);
        });
    };
    refused(spoil, 403, "expiry", "must compare the clocks").await;
}

#[tokio::test]
async fn client_whose_secret_has_changed() {
    let spoil = |fake: &FakeProvider| {
        let answer = json!({"error": "invalid_client"}).to_string();
        let answer = Behaviour::Answer(401, answer);
        fake.state().behaviours.insert("token", answer);
    };
    refused(spoil, 403, "client_refused", "a secret may have expired").await;
}

#[tokio::test]
async fn provider_that_fails() {
    let spoil = |fake: &FakeProvider| {
        let answer = Behaviour::Answer(500, "down".to_owned());
        fake.state().behaviours.insert("token", answer);
    };
    refused(spoil, 503, "provider_unavailable", "in another way").await;
}

#[tokio::test]
async fn provider_that_does_not_respond() {
    for behaviour in [Behaviour::Hang, Behaviour::HangInBody] {
        let trial = Trial::start().await;
        let mut browser = Browser::new(&trial.server);
        let there = browser.get("/sign-in/provider/fake").await;
        let callback = trial.callback(&there);
        trial.fake.state().behaviours.insert("token", behaviour);
        let waiting = async {
            poll::until("the request", async || trial.fake.count("token") == 1).await;
            poll::advance(std::time::Duration::from_secs(10)).await;
        };
        let (page, ()) = tokio::join!(browser.get(&callback), waiting);
        page.says(503, "(Code: provider_timeout)");
        page.says(503, "in another way");
    }
}

#[tokio::test]
async fn sign_in_that_took_too_long() {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    let there = browser.get("/sign-in/provider/fake").await;
    let callback = trial.callback(&there);
    trial.server.clock.advance(600);
    let page = browser.get(&callback).await;
    page.says(403, "(Code: sign_in_expired)");
}

#[tokio::test]
async fn user_who_declines() {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    let there = browser.get("/sign-in/provider/fake").await;
    let mut parameters = trial.fake.authorize(there.location());
    parameters.remove("code");
    let hostile = "<script>alert(1)</script>".to_owned();
    parameters.insert("error".to_owned(), "access_denied".to_owned());
    parameters.insert("error_description".to_owned(), hostile);
    let page = browser.get(&callback("fake", &parameters)).await;
    page.says(403, "(Code: access_denied)");
    assert!(!page.text.contains("alert(1)"), "{}", page.text);
}

#[tokio::test]
async fn new_keys_of_the_provider_work_at_once() {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    assert_eq!(trial.sign_in(&mut browser).await.location(), "/inside");
    trial.fake.state().signers.push(Signer::ed25519("second"));
    // The keys are read again at most once a minute.
    let page = trial
        .sign_in(&mut Browser::at(&trial.server, "192.0.2.3"))
        .await;
    page.says(403, "(Code: signature)");
    assert_eq!(trial.fake.count("keys"), 1);
    poll::advance(std::time::Duration::from_secs(60)).await;
    let mut other = Browser::at(&trial.server, "192.0.2.2");
    assert_eq!(trial.sign_in(&mut other).await.location(), "/inside");
    assert_eq!(trial.fake.count("keys"), 2);
}

#[tokio::test]
async fn guesses_at_the_callback_are_throttled() {
    let trial = Trial::start().await;
    let mut browser = Browser::at(&trial.server, "203.0.113.9");
    let mut statuses = std::collections::BTreeSet::new();
    for guess in 0..200 {
        let path = format!("/sign-in/callback/fake?code=x&state={guess}");
        statuses.insert(browser.get(&path).await.status.as_u16());
    }
    assert_eq!(statuses, [403, 429].into());
}
