//! Rotation of a provider's keys.

use std::time::Duration;

use openid::Reason;

use crate::relying_party::Pair;
use crate::signer::Signer;

/// Minimum time between two reads of the keys because of an unknown key.
const KEY_REFRESH_INTERVAL: Duration = Duration::from_secs(60);

#[tokio::test]
async fn sign_in_works_after_the_keys_were_rotated() {
    let pair = Pair::start().await;
    pair.sign_in().await.expect("a sign-in");
    pair.fake.state().signers = vec![Signer::p256("second")];
    poll::advance(KEY_REFRESH_INTERVAL).await;
    pair.sign_in().await.expect("a sign-in with the new key");
    assert_eq!(pair.fake.count("keys"), 2);
}

#[tokio::test]
async fn rotation_to_another_algorithm_works() {
    let pair = Pair::start().await;
    pair.sign_in().await.expect("a sign-in");
    pair.fake.state().signers.push(Signer::ed25519("second"));
    poll::advance(KEY_REFRESH_INTERVAL).await;
    pair.sign_in().await.expect("a sign-in with EdDSA");
}

#[tokio::test]
async fn rotation_under_the_same_key_id_works() {
    let pair = Pair::start().await;
    pair.sign_in().await.expect("a sign-in");
    pair.fake.state().signers = vec![Signer::p256("first")];
    poll::advance(KEY_REFRESH_INTERVAL).await;
    pair.sign_in().await.expect("a sign-in with the new key");
}

#[tokio::test]
async fn unknown_keys_cause_one_read_a_minute() {
    let pair = Pair::start().await;
    pair.sign_in().await.expect("a sign-in");
    pair.fake.state().signers.push(Signer::p256("unpublished"));
    pair.fake.state().unpublished = 1;
    for _ in 0..3 {
        assert_eq!(pair.refusal().await, Reason::Signature);
    }
    assert_eq!(pair.fake.count("keys"), 1);
    poll::advance(KEY_REFRESH_INTERVAL).await;
    for _ in 0..3 {
        assert_eq!(pair.refusal().await, Reason::Signature);
    }
    assert_eq!(pair.fake.count("keys"), 2);
    poll::advance(KEY_REFRESH_INTERVAL).await;
    pair.fake.state().unpublished = 0;
    pair.sign_in().await.expect("the key is published now");
}

#[tokio::test]
async fn key_that_is_gone_for_an_hour_is_not_trusted_any_more() {
    let pair = Pair::start().await;
    pair.sign_in().await.expect("a sign-in");
    pair.fake.state().unpublished = 1;
    pair.sign_in().await.expect("the key is known");
    poll::advance(Duration::from_secs(3600)).await;
    assert_eq!(pair.refusal().await, Reason::Signature);
}

#[tokio::test]
async fn token_without_a_key_id_is_verified_with_all_keys() {
    let pair = Pair::start().await;
    {
        let mut state = pair.fake.state();
        state.signers.insert(0, Signer::p256("other"));
        state.signers.insert(0, Signer::ed25519("third"));
        state.edit = Box::new(|header, _| {
            header.as_object_mut().expect("an object").remove("kid");
        });
    }
    pair.sign_in().await.expect("a sign-in");
}

#[tokio::test]
async fn key_id_selects_the_key() {
    let pair = Pair::start().await;
    pair.fake.state().signers.insert(0, Signer::p256("other"));
    pair.fake.state().edit = Box::new(|header, _| header["kid"] = "other".into());
    assert_eq!(pair.refusal().await, Reason::Signature);
}
