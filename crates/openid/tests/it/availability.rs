//! Providers that are down, slow, broken or not the configured ones.

use std::time::Duration;

use base::Clock;
use openid::{OpenIdError, Reason};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::fake_provider::{Behaviour, FakeProvider};
use crate::relying_party::{NOW, Pair, callback_of, provider, request, settings};

/// Maximum time from the start of a connection to the end of the response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Minimum time between two attempts after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

#[tokio::test]
async fn provider_that_is_down_is_unavailable_and_works_once_it_is_up() {
    let clock = Clock::fake(NOW);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let issuer = format!("http://{address}");
    let provider = provider(settings(&issuer), &clock);
    let error = provider.begin(request()).await.err().expect("down");
    assert_eq!(error.reason(), Reason::ProviderUnavailable);
    assert!(
        error.detail().is_some_and(|it| it.contains("127.0.0.1")),
        "{error}"
    );

    let listener = TcpListener::bind(address).await.expect("the same port");
    let fake = FakeProvider::start_on(listener, issuer, clock);
    // Within five seconds nobody asks again.
    assert!(provider.begin(request()).await.is_err());
    assert_eq!(fake.count("discovery"), 0);
    poll::advance(RETRY_INTERVAL).await;
    let begun = provider.begin(request()).await;
    let begun = begun.unwrap_or_else(|error| panic!("{error}"));
    let callback = callback_of(&fake.authorize(&begun.address));
    provider
        .finish(&begun.pending, &callback)
        .await
        .expect("a sign-in");
}

/// Signs in at a provider that gives no answer on a path, and lets the time of the request pass.
async fn timed_out(path: &'static str, behaviour: Behaviour) -> OpenIdError {
    let pair = Pair::start().await;
    // Without an address in the token, the user information is needed too.
    pair.fake
        .edit_claims(|claims| claims["email"] = Value::Null);
    pair.fake.state().behaviours.insert(path, behaviour);
    let (signed_in, ()) = tokio::join!(pair.sign_in(), async {
        poll::until("the request", async || pair.fake.count(path) == 1).await;
        poll::advance(RESPONSE_TIMEOUT).await;
    });
    signed_in.expect_err("no answer")
}

#[tokio::test]
async fn slow_provider_is_given_up_after_ten_seconds() {
    for path in ["discovery", "keys", "token", "me"] {
        for behaviour in [Behaviour::Hang, Behaviour::HangInBody] {
            let error = timed_out(path, behaviour).await;
            assert_eq!(error.reason(), Reason::ProviderTimeout, "{path}");
        }
    }
}

#[tokio::test]
async fn provider_that_fails_is_unavailable() {
    for path in ["discovery", "keys", "token", "me"] {
        let pair = Pair::start().await;
        pair.fake
            .edit_claims(|claims| claims["email"] = Value::Null);
        let failing = Behaviour::Answer(503, "<html>later</html>".to_owned());
        pair.fake.state().behaviours.insert(path, failing);
        assert_eq!(pair.refusal().await, Reason::ProviderUnavailable, "{path}");
    }
}

#[tokio::test]
async fn responses_that_are_too_long_or_no_json_are_malformed() {
    for path in ["discovery", "keys", "token", "me"] {
        for body in ["x".repeat(600_000), "<html>".to_owned(), "[]".to_owned()] {
            let pair = Pair::start().await;
            pair.fake
                .edit_claims(|claims| claims["email"] = Value::Null);
            let answer = Behaviour::Answer(200, body);
            pair.fake.state().behaviours.insert(path, answer);
            assert_eq!(pair.refusal().await, Reason::Malformed, "{path}");
        }
    }
}

#[tokio::test]
async fn redirects_of_documents_are_not_followed() {
    let pair = Pair::start().await;
    let redirect = Behaviour::Answer(302, String::new());
    pair.fake.state().behaviours.insert("discovery", redirect);
    assert_eq!(pair.refusal().await, Reason::ProviderRefused);
}

#[tokio::test]
async fn discovery_document_of_another_issuer_is_refused() {
    let pair = Pair::start().await;
    let similar = format!("{}/", pair.fake.issuer);
    for issuer in ["https://another.example", similar.as_str(), ""] {
        pair.fake.state().metadata = json!({ "issuer": issuer });
        assert_eq!(pair.refusal().await, Reason::Issuer, "{issuer}");
        poll::advance(RETRY_INTERVAL).await;
    }
}

#[tokio::test]
async fn addresses_without_tls_on_other_machines_are_refused() {
    for name in [
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
    ] {
        for address in ["http://another.example/x", "javascript:alert(1)", "/x", ""] {
            let pair = Pair::start().await;
            pair.fake.state().metadata = json!({ name: address });
            assert_eq!(
                pair.refusal().await,
                Reason::InsecureAddress,
                "{name} {address}"
            );
        }
    }
}

#[tokio::test]
async fn incomplete_discovery_document_is_malformed() {
    for name in [
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
    ] {
        let pair = Pair::start().await;
        pair.fake.state().metadata = json!({ name: null });
        assert_eq!(pair.refusal().await, Reason::Malformed, "{name}");
    }
}

#[tokio::test]
async fn known_documents_are_used_while_the_provider_cannot_refresh_them() {
    let pair = Pair::start().await;
    pair.sign_in().await.expect("a sign-in");
    for path in ["discovery", "keys"] {
        let failing = Behaviour::Answer(500, String::new());
        pair.fake.state().behaviours.insert(path, failing);
    }
    poll::advance(Duration::from_secs(7_200)).await;
    pair.sign_in().await.expect("a sign-in with old documents");
    assert_eq!(pair.fake.count("discovery"), 2);
}

#[tokio::test]
async fn check_reads_the_documents_anew_and_tells_what_is_wrong() {
    let pair = Pair::start().await;
    let check = pair.provider.check().await;
    assert_eq!(check.discovery, Ok(()));
    assert_eq!(check.keys, Some(Ok(1)));
    let failing = || Behaviour::Answer(500, String::new());
    pair.fake.state().behaviours.insert("keys", failing());
    let check = pair.provider.check().await;
    let keys = check.keys.expect("an outcome").expect_err("no keys");
    assert_eq!(keys.reason(), Reason::ProviderUnavailable);
    let none = Behaviour::Answer(200, json!({"keys": []}).to_string());
    pair.fake.state().behaviours.insert("keys", none);
    let check = pair.provider.check().await;
    let keys = check.keys.expect("an outcome").expect_err("no key");
    assert_eq!(keys.reason(), Reason::Malformed);
    pair.fake.state().behaviours.insert("discovery", failing());
    let check = pair.provider.check().await;
    let discovery = check.discovery.expect_err("no document");
    assert_eq!(discovery.reason(), Reason::ProviderUnavailable);
    assert_eq!(check.keys, None);
}
