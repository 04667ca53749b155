//! Step-up: the same user authenticates anew.

use openid::{AuthorizationRequest, OpenIdError, ProviderIdentity, Reason};
use serde_json::{Value, json};

use crate::fake_provider::pairs;
use crate::relying_party::{NOW, Pair, callback_of, request};

async fn step_up(pair: &Pair, subject: &str) -> Result<ProviderIdentity, OpenIdError> {
    let request = AuthorizationRequest {
        step_up: Some(subject.to_owned()),
        ..request()
    };
    let begun = pair.provider.begin(request).await?;
    assert!(begun.pending.is_step_up());
    let query = pairs(begun.address.split_once('?').expect("a query").1);
    assert_eq!(
        (query["prompt"].as_str(), query["max_age"].as_str()),
        ("login", "0")
    );
    let callback = callback_of(&pair.fake.authorize(&begun.address));
    pair.provider.finish(&begun.pending, &callback).await
}

#[tokio::test]
async fn user_who_authenticated_since_the_start_is_confirmed() {
    let pair = Pair::start().await;
    let identity = step_up(&pair, "subject-1").await.expect("confirmed");
    assert_eq!(identity.authenticated_at, Some(NOW));
}

#[tokio::test]
async fn old_authentication_is_no_step_up() {
    let pair = Pair::start().await;
    for (time, is_accepted) in [
        (json!(NOW.0 - 60), true),
        (json!(NOW.0 - 61), false),
        (json!(NOW.0 - 3_600), false),
        (json!(NOW.0 + 61), false),
        (json!("now"), false),
        (Value::Null, false),
    ] {
        let shown = time.clone();
        pair.fake
            .edit_claims(move |claims| claims["auth_time"] = time.clone());
        match step_up(&pair, "subject-1").await {
            Ok(_) => assert!(is_accepted, "{shown}"),
            Err(error) => {
                assert!(!is_accepted, "{shown}");
                assert_eq!(error.reason(), Reason::Reauthentication);
            }
        }
    }
    // A sign-in does not need it.
    pair.sign_in().await.expect("a sign-in");
}

#[tokio::test]
async fn another_user_is_no_step_up() {
    let pair = Pair::start().await;
    let error = step_up(&pair, "subject-2").await.expect_err("refused");
    assert_eq!(error.reason(), Reason::OtherUser);
}

#[tokio::test]
async fn step_up_compares_the_configured_claim() {
    let pair = Pair::with(|settings| settings.subject_claim = "oid".to_owned()).await;
    pair.fake
        .edit_claims(|claims| claims["oid"] = json!("object-1"));
    step_up(&pair, "object-1").await.expect("confirmed");
    let error = step_up(&pair, "subject-1").await.expect_err("refused");
    assert_eq!(error.reason(), Reason::OtherUser);
}
