//! Back-channel logout, and the address at which the provider ends its session.

use openid::{LogoutNotice, Reason};
use serde_json::{Value, json};

use crate::fake_provider::{FakeProvider, pairs};
use crate::relying_party::{CLIENT_ID, NOW, Pair, provider, settings};
use crate::signer::{Signer, hmac_token};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Returns the claims of a right logout token.
fn claims(fake: &FakeProvider, id: &str) -> Value {
    json!({
        "iss": fake.issuer, "aud": CLIENT_ID, "iat": NOW.0, "exp": NOW.0 + 120, "jti": id,
        "events": {EVENT: {}}, "sub": "subject-1", "sid": "session-1",
    })
}

fn signed(fake: &FakeProvider, claims: &Value) -> String {
    let state = fake.state();
    let signer = &state.signers[0];
    let header = json!({"alg": signer.algorithm(), "kid": signer.id, "typ": "logout+jwt"});
    signer.token(&header, claims)
}

async fn judged(pair: &Pair, claims: &Value) -> Result<LogoutNotice, Reason> {
    let token = signed(&pair.fake, claims);
    let notice = pair.provider.check_logout(&token).await;
    notice.map_err(|error| error.reason())
}

#[tokio::test]
async fn right_logout_token_names_user_and_session() {
    let pair = Pair::start().await;
    let expected = LogoutNotice {
        issuer: pair.fake.issuer.clone(),
        sub: Some("subject-1".to_owned()),
        session_id: Some("session-1".to_owned()),
        issued_at: NOW,
    };
    assert_eq!(
        judged(&pair, &claims(&pair.fake, "1")).await,
        Ok(expected.clone())
    );
    for (id, name) in [("2", "sub"), ("3", "sid"), ("4", "exp")] {
        let mut claims = claims(&pair.fake, id);
        claims[name] = Value::Null;
        let notice = judged(&pair, &claims).await.expect(name);
        assert_eq!(notice.sub.is_none(), name == "sub");
        assert_eq!(notice.session_id.is_none(), name == "sid");
    }
}

#[tokio::test]
async fn logout_token_counts_once() {
    let pair = Pair::start().await;
    let claims = claims(&pair.fake, "1");
    judged(&pair, &claims).await.expect("a notice");
    assert_eq!(judged(&pair, &claims).await, Err(Reason::Replay));
}

#[tokio::test]
async fn wrong_logout_tokens_are_refused_with_their_reasons() {
    let pair = Pair::start().await;
    let both = json!({"sub": null, "sid": null});
    let other_event = json!({"events": {"http://schemas.openid.net/event/other": {}}});
    let changes = [
        (json!({"iss": "https://another.example"}), Reason::Issuer),
        (json!({"aud": "another client"}), Reason::Audience),
        (
            json!({"aud": [CLIENT_ID, "another client"]}),
            Reason::Audience,
        ),
        (json!({"iat": null}), Reason::Expiry),
        (json!({"iat": NOW.0 + 61}), Reason::Expiry),
        (json!({"iat": NOW.0 - 360, "exp": null}), Reason::Expiry),
        (json!({"exp": NOW.0 - 60}), Reason::Expiry),
        (json!({"nonce": "x"}), Reason::Nonce),
        (json!({"events": null}), Reason::Malformed),
        (json!({"events": [EVENT]}), Reason::Malformed),
        (json!({"events": {EVENT: 1}}), Reason::Malformed),
        (other_event, Reason::Malformed),
        (json!({"jti": null}), Reason::Malformed),
        (json!({"jti": ""}), Reason::Malformed),
        (json!({"sub": 1}), Reason::Subject),
        (both, Reason::Subject),
    ];
    for (number, (change, reason)) in changes.into_iter().enumerate() {
        let mut claims = claims(&pair.fake, &number.to_string());
        for (name, value) in change.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        assert_eq!(judged(&pair, &claims).await, Err(reason), "{change}");
    }
}

#[tokio::test]
async fn logout_token_needs_a_signature_of_the_provider() {
    let pair = Pair::start().await;
    let claims = claims(&pair.fake, "1");
    let refused = async |token: &str| {
        let refused = pair.provider.check_logout(token).await;
        refused.expect_err("refused").reason()
    };
    let header = json!({"alg": "ES256", "kid": "first"});
    let other = Signer::p256("first").token(&header, &claims);
    assert_eq!(refused(&other).await, Reason::Signature);
    let symmetric = hmac_token(b"", &json!({"alg": "HS256"}), &claims);
    assert_eq!(refused(&symmetric).await, Reason::Algorithm);
    assert_eq!(refused("x").await, Reason::Malformed);
    judged(&pair, &claims)
        .await
        .expect("the id was not used up");
}

#[tokio::test]
async fn token_of_another_type_is_no_logout_token() {
    let pair = Pair::start().await;
    let claims = claims(&pair.fake, "1");
    let token = {
        let state = pair.fake.state();
        let header = json!({"alg": "ES256", "kid": "first", "typ": "at+jwt"});
        state.signers[0].token(&header, &claims)
    };
    let error = pair
        .provider
        .check_logout(&token)
        .await
        .expect_err("refused");
    assert_eq!(error.reason(), Reason::Malformed);
}

#[tokio::test]
async fn id_token_is_no_logout_token_and_the_other_way_round() {
    let pair = Pair::start().await;
    let now = NOW.0;
    let id_token = json!({"iss": pair.fake.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 60,
        "sub": "subject-1", "jti": "1"});
    assert_eq!(judged(&pair, &id_token).await, Err(Reason::Malformed));
    let logout_token = claims(&pair.fake, "2");
    pair.fake
        .edit_claims(move |claims| *claims = logout_token.clone());
    assert_eq!(pair.refusal().await, Reason::Nonce);
}

#[tokio::test]
async fn address_for_the_end_of_the_providers_session_has_client_and_return() {
    let pair = Pair::start().await;
    let address = pair
        .provider
        .end_session_address("https://orgplane.example/sign-in")
        .await;
    let address = address.expect("an address");
    let (endpoint, query) = address.split_once('?').expect("a query");
    assert_eq!(endpoint, format!("{}/end", pair.fake.issuer));
    let query = pairs(query);
    assert_eq!(query["client_id"], CLIENT_ID);
    assert_eq!(
        query["post_logout_redirect_uri"],
        "https://orgplane.example/sign-in"
    );
}

#[tokio::test]
async fn provider_without_such_an_address_or_connection_has_none() {
    let pair = Pair::start().await;
    pair.fake.state().metadata = json!({"end_session_endpoint": null});
    assert_eq!(
        pair.provider
            .end_session_address("https://o.example/")
            .await,
        None
    );
    let down = provider(settings("http://127.0.0.1:1"), &pair.clock);
    assert_eq!(down.end_session_address("https://o.example/").await, None);
}
