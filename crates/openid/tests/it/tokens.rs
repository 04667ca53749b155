//! ID tokens and the token request: what is right is accepted, and every wrong answer is refused with its reason.

use openid::Reason;
use serde_json::{Value, json};

use crate::fake_provider::{ACCESS_TOKEN, Behaviour};
use crate::relying_party::{CLIENT_ID, CLIENT_SECRET, NOW, Pair};
use crate::signer::{Signer, base64url, hmac_token, unsigned};

#[tokio::test]
async fn right_answer_gives_the_identity() {
    let pair = Pair::start().await;
    let identity = pair.sign_in().await.expect("a sign-in");
    assert_eq!(identity.issuer, pair.fake.issuer);
    assert_eq!(
        (identity.subject.as_str(), identity.sub.as_str()),
        ("subject-1", "subject-1")
    );
    assert_eq!(identity.session_id.as_deref(), Some("session-1"));
    assert_eq!(
        identity.email.as_ref().map(|it| it.as_str()),
        Some("ada@example.com")
    );
    assert_eq!(identity.email_verified, Some(true));
    assert_eq!(identity.name.as_deref(), Some("Ada"));
    assert_eq!(identity.authenticated_at, Some(NOW));
    assert_eq!(identity.groups, None);
    // The ID token has all that is needed.
    assert_eq!(pair.fake.count("me"), 0);
    assert_eq!(
        (pair.fake.count("discovery"), pair.fake.count("keys")),
        (1, 1)
    );
}

#[tokio::test]
async fn documents_are_read_once_for_many_sign_ins() {
    let pair = Pair::start().await;
    for _ in 0..3 {
        pair.sign_in().await.expect("a sign-in");
    }
    assert_eq!(
        (pair.fake.count("discovery"), pair.fake.count("keys")),
        (1, 1)
    );
    assert_eq!(pair.fake.count("token"), 3);
}

#[tokio::test]
async fn client_authenticates_as_the_provider_wants() {
    for method in ["client_secret_post", "client_secret_basic"] {
        let pair = Pair::start().await;
        pair.fake.state().metadata = json!({"token_endpoint_auth_methods_supported": [method]});
        pair.sign_in().await.expect(method);
    }
    let pair = Pair::start().await;
    pair.fake.state().metadata = json!({"token_endpoint_auth_methods_supported": null});
    pair.sign_in().await.expect("a header is the default");
    let pair = Pair::with(|settings| settings.client_secret = None).await;
    pair.fake.state().metadata = json!({"token_endpoint_auth_methods_supported": ["none"]});
    pair.sign_in().await.expect("a public client");
}

#[tokio::test]
async fn wrong_client_secret_is_client_refused() {
    let wrong = "another secret".to_owned();
    let pair = Pair::with(|settings| settings.client_secret = Some(wrong.into())).await;
    assert_eq!(pair.refusal().await, Reason::ClientRefused);
}

#[tokio::test]
async fn signature_of_another_key_is_refused() {
    let pair = Pair::start().await;
    let other = Signer::p256("first");
    pair.fake.state().sign = Box::new(move |_, header, claims| other.token(header, claims));
    assert_eq!(pair.refusal().await, Reason::Signature);
}

#[tokio::test]
async fn changed_claims_under_an_old_signature_are_refused() {
    let pair = Pair::start().await;
    pair.fake.state().sign = Box::new(|signer, header, claims| {
        let token = signer.token(header, claims);
        let signature = token.rsplit_once('.').expect("a token").1;
        let mut claims = claims.clone();
        claims["sub"] = json!("somebody else");
        format!("{}.{signature}", unsigned(header, &claims))
    });
    assert_eq!(pair.refusal().await, Reason::Signature);
}

#[tokio::test]
async fn token_without_a_signature_is_refused() {
    let pair = Pair::start().await;
    for algorithm in ["none", "None", "NONE", ""] {
        pair.fake.state().sign = Box::new(move |_, header, claims| {
            let mut header = header.clone();
            header["alg"] = json!(algorithm);
            format!("{}.", unsigned(&header, claims))
        });
        assert_eq!(pair.refusal().await, Reason::Algorithm, "{algorithm}");
    }
}

#[tokio::test]
async fn symmetric_signature_is_refused() {
    let pair = Pair::start().await;
    let key = pair.fake.state().signers[0].public().to_string();
    for secret in [
        CLIENT_SECRET.as_bytes().to_vec(),
        key.into_bytes(),
        Vec::new(),
    ] {
        pair.fake.state().sign = Box::new(move |_, header, claims| {
            let mut header = header.clone();
            header["alg"] = json!("HS256");
            hmac_token(&secret, &header, claims)
        });
        assert_eq!(pair.refusal().await, Reason::Algorithm);
    }
}

#[tokio::test]
async fn key_of_another_algorithm_verifies_nothing() {
    let pair = Pair::start().await;
    for algorithm in ["RS256", "PS256", "EdDSA"] {
        pair.fake.state().sign = Box::new(move |signer, header, claims| {
            let mut header = header.clone();
            header["alg"] = json!(algorithm);
            signer.token(&header, claims)
        });
        assert_eq!(pair.refusal().await, Reason::Signature, "{algorithm}");
    }
}

#[tokio::test]
async fn token_of_another_sign_in_is_refused_by_its_nonce() {
    for nonce in [json!("another nonce"), json!(""), json!(1), Value::Null] {
        let pair = Pair::start().await;
        pair.fake
            .edit_claims(move |claims| claims["nonce"] = nonce.clone());
        assert_eq!(pair.refusal().await, Reason::Nonce);
    }
}

#[tokio::test]
async fn token_for_another_client_is_refused_by_its_audience() {
    for (audience, party) in [
        (json!("another client"), Value::Null),
        (json!(["another client"]), Value::Null),
        (json!([]), Value::Null),
        (json!({}), Value::Null),
        (Value::Null, Value::Null),
        // For two clients, and issued to the other one, or to an unknown one.
        (
            json!([CLIENT_ID, "another client"]),
            json!("another client"),
        ),
        (json!([CLIENT_ID, "another client"]), Value::Null),
        (json!(CLIENT_ID), json!("another client")),
        (json!(CLIENT_ID), json!(1)),
    ] {
        let pair = Pair::start().await;
        pair.fake.edit_claims(move |claims| {
            claims["aud"] = audience.clone();
            claims["azp"] = party.clone();
        });
        assert_eq!(pair.refusal().await, Reason::Audience);
    }
}

#[tokio::test]
async fn token_for_two_clients_that_was_issued_to_this_one_is_accepted() {
    let pair = Pair::start().await;
    pair.fake.edit_claims(|claims| {
        claims["aud"] = json!(["another client", CLIENT_ID]);
        claims["azp"] = json!(CLIENT_ID);
    });
    pair.sign_in().await.expect("a sign-in");
}

#[tokio::test]
async fn token_of_another_issuer_is_refused() {
    let pair = Pair::start().await;
    let similar = format!("{}/", pair.fake.issuer);
    for issuer in [
        json!("https://another.example"),
        json!(similar),
        Value::Null,
    ] {
        pair.fake
            .edit_claims(move |claims| claims["iss"] = issuer.clone());
        assert_eq!(pair.refusal().await, Reason::Issuer);
    }
}

#[tokio::test]
async fn token_is_valid_between_its_times_give_or_take_a_minute() {
    let pair = Pair::start().await;
    let now = NOW.0;
    for (name, wrong, right) in [
        ("exp", now - 60, now - 59),
        ("iat", now + 61, now + 60),
        ("iat", now - 61, now - 60),
        ("nbf", now + 61, now + 60),
    ] {
        pair.fake
            .edit_claims(move |claims| claims[name] = json!(wrong));
        assert_eq!(pair.refusal().await, Reason::Expiry, "{name} {wrong}");
        pair.fake
            .edit_claims(move |claims| claims[name] = json!(right));
        pair.sign_in().await.expect(name);
    }
    for name in ["exp", "iat"] {
        for value in [Value::Null, json!("soon")] {
            pair.fake
                .edit_claims(move |claims| claims[name] = value.clone());
            assert_eq!(pair.refusal().await, Reason::Expiry, "{name}");
        }
    }
}

#[tokio::test]
async fn hash_of_the_access_token_must_be_right_if_there_is_one() {
    let pair = Pair::start().await;
    let digest = ring::digest::digest(&ring::digest::SHA256, ACCESS_TOKEN.as_bytes());
    let right = base64url(&digest.as_ref()[..16]);
    let whole = base64url(digest.as_ref());
    pair.fake
        .edit_claims(move |claims| claims["at_hash"] = json!(right));
    pair.sign_in().await.expect("a sign-in");
    for wrong in [json!(whole), json!("AAAA"), json!(""), json!(1)] {
        pair.fake
            .edit_claims(move |claims| claims["at_hash"] = wrong.clone());
        assert_eq!(pair.refusal().await, Reason::AccessTokenHash);
    }
}

#[tokio::test]
async fn token_without_a_usable_subject_is_refused() {
    let pair = Pair::start().await;
    for subject in [
        Value::Null,
        json!(""),
        json!(7),
        json!("x".repeat(256)),
        json!("a\nb"),
    ] {
        pair.fake
            .edit_claims(move |claims| claims["sub"] = subject.clone());
        assert_eq!(pair.refusal().await, Reason::Subject);
    }
}

#[tokio::test]
async fn subject_may_be_another_claim() {
    let pair = Pair::with(|settings| settings.subject_claim = "oid".to_owned()).await;
    pair.fake
        .edit_claims(|claims| claims["oid"] = json!("object-1"));
    let identity = pair.sign_in().await.expect("a sign-in");
    assert_eq!(
        (identity.subject.as_str(), identity.sub.as_str()),
        ("object-1", "subject-1")
    );
    pair.fake.edit_claims(|_| {});
    assert_eq!(pair.refusal().await, Reason::Subject);
}

#[tokio::test]
async fn malformed_tokens_are_refused() {
    let pair = Pair::start().await;
    for token in [
        String::new(),
        "a".to_owned(),
        "a.b".to_owned(),
        "a.b.c".to_owned(),
        "a.b.c.d.e".to_owned(),
        format!("{}.{}.", base64url(b"{}"), base64url(b"{}")),
        format!("{}.{}.", base64url(b"[]"), base64url(b"{}")),
        format!("{0}.{0}.{0}", "x".repeat(60_000)),
    ] {
        pair.fake.state().token_response = json!({ "id_token": token });
        assert_eq!(pair.refusal().await, Reason::Malformed, "{token:.20}");
    }
    pair.fake.state().token_response = json!({"id_token": null});
    assert_eq!(pair.refusal().await, Reason::Malformed);
}

#[tokio::test]
async fn critical_extensions_of_a_token_are_refused() {
    let pair = Pair::start().await;
    pair.fake.state().edit = Box::new(|header, _| header["crit"] = json!(["b64"]));
    assert_eq!(pair.refusal().await, Reason::Malformed);
}

#[tokio::test]
async fn errors_of_the_token_request_have_their_reasons() {
    let pair = Pair::start().await;
    for (status, body, reason) in [
        (400, r#"{"error": "invalid_grant"}"#, Reason::Replay),
        (
            401,
            r#"{"error": "invalid_client", "error_description": "x"}"#,
            Reason::ClientRefused,
        ),
        (
            400,
            r#"{"error": "unauthorized_client"}"#,
            Reason::ClientRefused,
        ),
        (
            400,
            r#"{"error": "invalid_request"}"#,
            Reason::ProviderRefused,
        ),
        (403, "no", Reason::ProviderRefused),
        (302, "", Reason::ProviderRefused),
        (429, "{}", Reason::ProviderUnavailable),
        (500, "{}", Reason::ProviderUnavailable),
        (200, "<html>", Reason::Malformed),
    ] {
        let answer = Behaviour::Answer(status, body.to_owned());
        pair.fake.state().behaviours.insert("token", answer);
        assert_eq!(pair.refusal().await, reason, "{status} {body}");
    }
}
