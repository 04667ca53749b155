//! User information, which completes the ID token.

use openid::Reason;
use serde_json::{Value, json};

use crate::relying_party::Pair;

#[tokio::test]
async fn missing_claims_come_from_the_user_information() {
    let pair = Pair::with(|settings| settings.groups_claim = Some("groups".to_owned())).await;
    pair.fake.edit_claims(|claims| {
        for name in ["email", "email_verified", "name"] {
            claims[name] = Value::Null;
        }
    });
    pair.fake.state().user_info = json!({"sub": "subject-1", "email": "eve@example.com",
        "email_verified": "true", "name": "Eve", "groups": ["a", "b"]});
    let identity = pair.sign_in().await.expect("a sign-in");
    assert_eq!(
        identity.email.as_ref().map(|it| it.as_str()),
        Some("eve@example.com")
    );
    assert_eq!(identity.email_verified, Some(true));
    assert_eq!(identity.name.as_deref(), Some("Eve"));
    assert_eq!(identity.groups, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(pair.fake.count("me"), 1);
}

#[tokio::test]
async fn claims_of_the_signed_token_win() {
    let pair = Pair::with(|settings| settings.groups_claim = Some("groups".to_owned())).await;
    pair.fake.state().user_info = json!({"sub": "subject-1", "email": "eve@example.com",
        "name": "Eve", "groups": "one"});
    let identity = pair.sign_in().await.expect("a sign-in");
    assert_eq!(
        identity.email.as_ref().map(|it| it.as_str()),
        Some("ada@example.com")
    );
    assert_eq!(identity.name.as_deref(), Some("Ada"));
    assert_eq!(identity.groups, Some(vec!["one".to_owned()]));
}

#[tokio::test]
async fn user_information_of_another_user_is_refused() {
    let pair = Pair::start().await;
    pair.fake
        .edit_claims(|claims| claims["email"] = Value::Null);
    for subject in [json!("subject-2"), json!(""), json!(1), Value::Null] {
        pair.fake.state().user_info = json!({"sub": subject, "email": "eve@example.com"});
        assert_eq!(pair.refusal().await, Reason::Subject);
    }
}

#[tokio::test]
async fn absent_groups_are_not_an_empty_list() {
    let pair = Pair::with(|settings| settings.groups_claim = Some("groups".to_owned())).await;
    let groups = async |value: Value| {
        pair.fake
            .edit_claims(move |claims| claims["groups"] = value.clone());
        pair.sign_in().await.expect("a sign-in").groups
    };
    assert_eq!(groups(Value::Null).await, None);
    assert_eq!(groups(json!([])).await, Some(Vec::new()));
    assert_eq!(groups(json!({"a": 1})).await, None);
}

#[tokio::test]
async fn provider_without_user_information_signs_in_without_address() {
    let pair = Pair::start().await;
    pair.fake
        .edit_claims(|claims| claims["email"] = Value::Null);
    pair.fake.state().metadata = json!({"userinfo_endpoint": null});
    assert_eq!(pair.sign_in().await.expect("a sign-in").email, None);
    // Nor is an access token sent that is no bearer token.
    let pair = Pair::start().await;
    pair.fake
        .edit_claims(|claims| claims["email"] = Value::Null);
    pair.fake.state().token_response = json!({"token_type": "mac"});
    assert_eq!(pair.sign_in().await.expect("a sign-in").email, None);
    assert_eq!(pair.fake.count("me"), 0);
}
