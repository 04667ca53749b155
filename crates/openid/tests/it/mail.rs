//! Mail addresses: which of them stand for the user.

use openid::{EmailPolicy, Reason};
use serde_json::{Value, json};

use crate::relying_party::Pair;

fn policy(trust_email: bool, domains: &[&str]) -> EmailPolicy {
    EmailPolicy {
        trust_email,
        domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
    }
}

/// Signs in with an address, and judges the address.
async fn judged(email: Value, verified: Value, policy: &EmailPolicy) -> Result<String, Reason> {
    let pair = Pair::start().await;
    pair.fake.state().metadata = json!({"userinfo_endpoint": null});
    pair.fake.edit_claims(move |claims| {
        claims["email"] = email.clone();
        claims["email_verified"] = verified.clone();
    });
    let identity = pair.sign_in().await.expect("the identity is right");
    let email = identity.own_email(policy);
    let email = email.map(|email| email.as_str().to_owned());
    email.map_err(|error| error.reason())
}

#[tokio::test]
async fn verified_address_in_a_domain_is_the_users_own() {
    let policy = policy(false, &["other.example", "Example.com"]);
    for verified in [json!(true), json!("true")] {
        let email = judged(json!("Ada@EXAMPLE.com"), verified, &policy).await;
        assert_eq!(email.as_deref(), Ok("Ada@EXAMPLE.com"));
    }
}

#[tokio::test]
async fn address_that_is_not_verified_is_refused() {
    let strict = policy(false, &["example.com"]);
    for verified in [
        json!(false),
        json!("false"),
        json!(1),
        json!("yes"),
        Value::Null,
    ] {
        let email = json!("ada@example.com");
        let judged = judged(email, verified, &strict).await;
        assert_eq!(judged, Err(Reason::EmailNotVerified));
    }
    let trusting = policy(true, &["example.com"]);
    let email = judged(json!("ada@example.com"), Value::Null, &trusting).await;
    assert_eq!(email.as_deref(), Ok("ada@example.com"));
}

#[tokio::test]
async fn address_of_another_domain_is_refused() {
    for domains in [&["example.com"][..], &[]] {
        for email in [
            "ada@another.example",
            "ada@sub.example.com",
            "ada@notexample.com",
            "ada@example.com.another.example",
        ] {
            let judged = judged(json!(email), json!(true), &policy(true, domains)).await;
            assert_eq!(judged, Err(Reason::EmailDomain), "{email}");
        }
    }
    let none = policy(true, &[]);
    let judged = judged(json!("ada@example.com"), json!(true), &none).await;
    assert_eq!(judged, Err(Reason::EmailDomain));
}

#[tokio::test]
async fn address_that_is_none_is_missing() {
    let policy = policy(true, &["example.com"]);
    for email in [
        Value::Null,
        json!(""),
        json!("ada"),
        json!("\"a@b\"@example.com"),
        json!("ada@example.com, eve@example.com"),
        json!(["ada@example.com"]),
        json!("аda@example.com"),
    ] {
        let judged = judged(email, json!(true), &policy).await;
        assert_eq!(judged, Err(Reason::EmailMissing));
    }
}
