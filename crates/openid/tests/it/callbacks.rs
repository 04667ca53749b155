//! The callback and the state of a sign-in in progress.

use base::Entropy;
use base::secret::Pepper;
use openid::{AuthorizationRequest, Callback, MAX_PENDING_AGE, PendingSignIn, Reason};

use crate::fake_provider::pairs;
use crate::relying_party::{NOW, Pair, callback_of, provider, request, settings};

#[tokio::test]
async fn sign_in_is_finished_from_the_sealed_cookie_by_another_node() {
    let pair = Pair::start().await;
    let entropy = Entropy::operating_system();
    let pepper = Pepper::generate(&entropy);
    let begun = pair.begin().await;
    let cookie = begun.pending.seal(&pepper, &entropy).expect("a cookie");
    assert!(cookie.len() < 1_000 && cookie.bytes().all(|byte| byte.is_ascii_graphic()));
    let callback = callback_of(&pair.fake.authorize(&begun.address));
    let other = provider(settings(&pair.fake.issuer), &pair.clock);
    let pending = PendingSignIn::open(&pepper, "fake", &cookie, NOW).expect("the state");
    assert_eq!(pending.context(), "/console");
    let identity = other.finish(&pending, &callback).await.expect("a sign-in");
    assert_eq!(identity.subject, "subject-1");
}

#[tokio::test]
async fn cookie_of_another_provider_or_installation_is_refused() {
    let pair = Pair::start().await;
    let entropy = Entropy::operating_system();
    let pepper = Pepper::generate(&entropy);
    let cookie = pair
        .begin()
        .await
        .pending
        .seal(&pepper, &entropy)
        .expect("a cookie");
    let reason = |pepper: &Pepper, provider: &str, cookie: &str| {
        let opened = PendingSignIn::open(pepper, provider, cookie, NOW);
        opened.err().map(|error| error.reason())
    };
    assert_eq!(reason(&pepper, "fake", &cookie), None);
    assert_eq!(reason(&pepper, "other", &cookie), Some(Reason::State));
    let other = Pepper::generate(&entropy);
    assert_eq!(reason(&other, "fake", &cookie), Some(Reason::State));
    for cookie in ["", "x", "ä", &cookie[1..], &"x".repeat(5_000)] {
        assert_eq!(
            reason(&pepper, "fake", cookie),
            Some(Reason::State),
            "{cookie:.9}"
        );
    }
}

#[tokio::test]
async fn state_that_no_cookie_can_hold_is_refused_when_it_is_sealed() {
    let pair = Pair::start().await;
    let entropy = Entropy::operating_system();
    let long = AuthorizationRequest {
        context: "x".repeat(4_000),
        ..request()
    };
    let begun = pair.provider.begin(long).await.expect("a sign-in");
    let sealed = begun.pending.seal(&Pepper::generate(&entropy), &entropy);
    assert_eq!(sealed.expect_err("too long").reason(), Reason::State);
}

#[tokio::test]
async fn sign_in_ends_after_ten_minutes() {
    let pair = Pair::start().await;
    let entropy = Entropy::operating_system();
    let pepper = Pepper::generate(&entropy);
    let begun = pair.begin().await;
    let cookie = begun.pending.seal(&pepper, &entropy).expect("a cookie");
    let callback = callback_of(&pair.fake.authorize(&begun.address));
    pair.clock.advance(MAX_PENDING_AGE);
    let opened = PendingSignIn::open(&pepper, "fake", &cookie, pair.clock.now());
    let error = opened.err().expect("too late");
    assert_eq!(error.reason(), Reason::SignInExpired);
    let finished = pair.provider.finish(&begun.pending, &callback).await;
    assert_eq!(
        finished.expect_err("too late").reason(),
        Reason::SignInExpired
    );
    assert_eq!(pair.fake.count("token"), 0);
}

#[tokio::test]
async fn slow_user_signs_in_just_before_the_end() {
    let pair = Pair::start().await;
    let begun = pair.begin().await;
    let callback = callback_of(&pair.fake.authorize(&begun.address));
    pair.clock.advance(MAX_PENDING_AGE - 1);
    pair.provider
        .finish(&begun.pending, &callback)
        .await
        .expect("a sign-in");
}

#[tokio::test]
async fn callback_with_another_state_is_refused_before_the_code_is_redeemed() {
    let pair = Pair::start().await;
    let begun = pair.begin().await;
    let right = pair.fake.authorize(&begun.address);
    let another = pair.fake.authorize(&pair.begin().await.address)["state"].clone();
    for state in [Some(another.as_str()), Some(""), None] {
        let mut wrong = right.clone();
        wrong.remove("state");
        wrong.extend(state.map(|state| ("state".to_owned(), state.to_owned())));
        let finished = pair
            .provider
            .finish(&begun.pending, &callback_of(&wrong))
            .await;
        assert_eq!(finished.expect_err("refused").reason(), Reason::State);
    }
    assert_eq!(pair.fake.count("token"), 0);
    let finished = pair
        .provider
        .finish(&begun.pending, &callback_of(&right))
        .await;
    finished.expect("the right state");
}

#[tokio::test]
async fn callback_of_another_issuer_is_refused_before_the_code_is_redeemed() {
    let pair = Pair::start().await;
    let begun = pair.begin().await;
    let right = pair.fake.authorize(&begun.address);
    for issuer in [Some("https://another.example"), Some(""), None] {
        let mut wrong = right.clone();
        wrong.remove("iss");
        wrong.extend(issuer.map(|issuer| ("iss".to_owned(), issuer.to_owned())));
        let finished = pair
            .provider
            .finish(&begun.pending, &callback_of(&wrong))
            .await;
        assert_eq!(finished.expect_err("refused").reason(), Reason::Issuer);
    }
    assert_eq!(pair.fake.count("token"), 0);
}

#[tokio::test]
async fn callback_without_issuer_is_accepted_from_a_provider_that_sends_none() {
    let pair = Pair::start().await;
    let absent = serde_json::json!({"authorization_response_iss_parameter_supported": null});
    pair.fake.state().metadata = absent;
    let begun = pair.begin().await;
    let mut callback = pair.fake.authorize(&begun.address);
    callback.remove("iss");
    let finished = pair
        .provider
        .finish(&begun.pending, &callback_of(&callback))
        .await;
    finished.expect("a sign-in");
}

#[tokio::test]
async fn code_is_redeemed_once() {
    let pair = Pair::start().await;
    let begun = pair.begin().await;
    let callback = callback_of(&pair.fake.authorize(&begun.address));
    pair.provider
        .finish(&begun.pending, &callback)
        .await
        .expect("a sign-in");
    let again = pair.provider.finish(&begun.pending, &callback).await;
    assert_eq!(again.expect_err("used").reason(), Reason::Replay);
}

#[tokio::test]
async fn code_of_another_sign_in_is_refused_by_its_verifier() {
    let pair = Pair::start().await;
    let (one, other) = (pair.begin().await, pair.begin().await);
    let mut callback = pair.fake.authorize(&one.address);
    callback.extend(
        pair.fake
            .authorize(&other.address)
            .into_iter()
            .filter(|(name, _)| name == "code"),
    );
    let finished = pair
        .provider
        .finish(&one.pending, &callback_of(&callback))
        .await;
    assert_eq!(finished.expect_err("refused").reason(), Reason::Replay);
}

#[tokio::test]
async fn sign_in_at_another_provider_is_refused() {
    let pair = Pair::start().await;
    let begun = pair.begin().await;
    let callback = callback_of(&pair.fake.authorize(&begun.address));
    let mut changed = settings(&pair.fake.issuer);
    changed.id = "other".to_owned();
    let other = provider(changed, &pair.clock);
    let finished = other.finish(&begun.pending, &callback).await;
    assert_eq!(finished.expect_err("refused").reason(), Reason::State);
}

#[tokio::test]
async fn errors_of_the_callback_have_their_reasons() {
    let pair = Pair::start().await;
    let begun = pair.begin().await;
    let mut callback = pair.fake.authorize(&begun.address);
    callback.remove("code");
    for (error, reason) in [
        ("access_denied", Reason::AccessDenied),
        ("login_required", Reason::Reauthentication),
        ("interaction_required", Reason::Reauthentication),
        ("server_error", Reason::ProviderUnavailable),
        ("temporarily_unavailable", Reason::ProviderUnavailable),
        ("invalid_scope", Reason::ProviderRefused),
        ("<script>", Reason::ProviderRefused),
    ] {
        callback.insert("error".to_owned(), error.to_owned());
        callback.insert("error_description".to_owned(), "because\r\nof".to_owned());
        let finished = pair
            .provider
            .finish(&begun.pending, &callback_of(&callback))
            .await;
        let refused = finished.expect_err("refused");
        assert_eq!(refused.reason(), reason, "{error}");
        let expected = format!("{error}: because  of");
        assert_eq!(refused.detail(), Some(expected.as_str()));
    }
    callback.remove("error");
    let finished = pair
        .provider
        .finish(&begun.pending, &callback_of(&callback))
        .await;
    assert_eq!(finished.expect_err("no code").reason(), Reason::Malformed);
    assert_eq!(pair.fake.count("token"), 0);
}

#[test]
fn callbacks_that_say_two_things_are_refused() {
    for query in ["code=a&code=b", "state=a&state=a", "iss=&iss=", "code=%ff"] {
        let error = Callback::parse(query).err().expect(query);
        assert_eq!(error.reason(), Reason::Malformed, "{query}");
    }
    let long = format!("code={}", "x".repeat(20_000));
    assert!(Callback::parse(&long).is_err());
    assert!(Callback::parse("session_state=x&session_state=y&code=a&state=b&").is_ok());
}

#[tokio::test]
async fn address_of_the_provider_keeps_its_query() {
    let pair = Pair::start().await;
    let issuer = pair.fake.issuer.clone();
    let endpoint = format!("{issuer}/authorize?tenant=a%20b");
    pair.fake.state().metadata = serde_json::json!({ "authorization_endpoint": endpoint });
    let begun = pair
        .provider
        .begin(AuthorizationRequest {
            login_hint: Some("ada+x@example.com".to_owned()),
            ..request()
        })
        .await
        .expect("a sign-in");
    let query = begun.address.strip_prefix(&format!("{issuer}/authorize?"));
    let all = pairs(query.expect("the endpoint"));
    assert_eq!(all["tenant"], "a b");
    assert_eq!(all["login_hint"], "ada+x@example.com");
    assert_eq!(all["scope"], "openid email profile");
    assert!(!all.contains_key("prompt") && !all.contains_key("max_age"));
}

#[tokio::test]
async fn every_sign_in_has_its_own_secrets() {
    let pair = Pair::start().await;
    let [one, other] = [pair.begin().await, pair.begin().await].map(|begun| {
        let query = begun.address.split_once('?').expect("a query").1;
        pairs(query)
    });
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(one[name], other[name], "{name}");
    }
}
