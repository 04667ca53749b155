//! The end of sessions: reported by the provider, and sign-out at both.

use super::*;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Returns a logout token with changed claims; null removes.
fn token(trial: &Trial, id: &str, change: Value) -> String {
    let mut claims = json!({
        "iss": trial.fake.issuer, "aud": CLIENT_ID, "iat": NOW.0, "exp": NOW.0 + 120, "jti": id,
        "events": {EVENT: {}}, "sub": "subject-1", "sid": "session-1",
    });
    let Value::Object(change) = change else {
        panic!("not an object: {change}");
    };
    for (name, value) in change {
        claims[name] = value;
    }
    let members = claims.as_object_mut().expect("an object");
    members.retain(|_, value| !value.is_null());
    let state = trial.fake.state();
    let signer = state.signers.last().expect("a key");
    let header = json!({"alg": signer.algorithm(), "kid": signer.id, "typ": "logout+jwt"});
    signer.token(&header, &claims)
}

/// Sends a logout token as a provider does, without the headers of a browser.
async fn notify(trial: &Trial, token: &str) -> Page {
    let mut provider = Browser::at(&trial.server, "198.51.100.7");
    provider
        .post_from("/sign-in/logout/fake", &[("logout_token", token)], &[])
        .await
}

#[tokio::test]
async fn a_logout_at_the_provider_ends_the_session_here() {
    for (id, change) in [
        ("1", json!({})),
        ("2", json!({"sub": null})),
        ("3", json!({"sid": null})),
    ] {
        let trial = Trial::start().await;
        let mut browser = Browser::new(&trial.server);
        trial.sign_in(&mut browser).await.location();
        let mut unconcerned = Browser::at(&trial.server, "192.0.2.2");
        unconcerned.sign_in(&trial.server, OWNER).await;
        let page = notify(&trial, &token(&trial, id, change)).await;
        assert_eq!(page.status.as_u16(), 200, "{}", page.text);
        assert!(!browser.is_signed_in().await);
        assert!(
            unconcerned.is_signed_in().await,
            "a session of another sign-in"
        );
        let ended = newest(&trial.server, "x.session.ended").await;
        let reason = &ended["x.session.ended"]["reason"];
        assert_eq!(reason, "ended_at_provider", "{ended}");
    }
}

#[tokio::test]
async fn a_wrong_logout_token_ends_nothing() {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    trial.sign_in(&mut browser).await.location();
    for (id, change) in [
        ("1", json!({"sid": "another", "sub": "another"})),
        ("2", json!({"sid": "another"})),
    ] {
        let page = notify(&trial, &token(&trial, id, change)).await;
        assert_eq!(page.status.as_u16(), 200, "{}", page.text);
    }
    let used = token(&trial, "2", json!({}));
    let mut forged = token(&trial, "3", json!({}));
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    for wrong in [
        "",
        "x",
        &used,
        &forged,
        &token(&trial, "4", json!({"aud": "another"})),
        &token(&trial, "5", json!({"iss": "https://evil.example"})),
        &token(&trial, "6", json!({"nonce": "x"})),
        &token(&trial, "7", json!({"events": {}})),
        &token(
            &trial,
            "8",
            json!({"iat": NOW.0 - 3_600, "exp": NOW.0 - 3_000}),
        ),
    ] {
        let page = notify(&trial, wrong).await;
        assert_eq!(page.status.as_u16(), 400, "{wrong}: {}", page.text);
        let body: Value = serde_json::from_str(&page.text).expect("JSON");
        assert_eq!(body["error"], "invalid_request");
        assert_eq!(page.headers["cache-control"], "no-store");
    }
    assert!(browser.is_signed_in().await);
    let mut provider = Browser::at(&trial.server, "198.51.100.8");
    let page = provider.post_from("/sign-in/logout/other", &[], &[]).await;
    assert_eq!(page.status.as_u16(), 404);
}

#[tokio::test]
async fn sign_out_leads_to_the_end_of_the_session_at_the_provider() {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    trial.sign_in(&mut browser).await.location();
    let page = browser.post("/sign-out", &[]).await;
    page.says(200, "You are still signed in at");
    let address = format!("href=\"{}/end?client_id=", trial.fake.issuer);
    page.says(200, &address);
    page.says(
        200,
        "post_logout_redirect_uri=https%3A%2F%2Forgplane.example%2Fsign-in%2Fsigned-out",
    );
    assert_eq!(browser.cookie(COOKIE), None);
    assert!(!browser.is_signed_in().await);
    let back = browser.get("/sign-in/signed-out").await;
    browser
        .get(back.location())
        .await
        .says(200, "You are signed out.");
    // Other sessions have nothing to end there, and a provider without the address neither.
    browser.sign_in(&trial.server, OWNER).await;
    let page = browser.post("/sign-out", &[]).await;
    assert_eq!(page.location(), "/sign-in?signed_out=");
    let trial = Trial::start().await;
    trial.fake.state().metadata = json!({"end_session_endpoint": null});
    let mut browser = Browser::new(&trial.server);
    trial.sign_in(&mut browser).await.location();
    let page = browser.post("/sign-out", &[]).await;
    assert_eq!(page.location(), "/sign-in?signed_out=");
}
