//! Sign-ins at providers of others: the certified `oidc-provider`, and Django OAuth Toolkit.

use base::{Clock, Entropy};
use openid::{
    AuthorizationRequest, Callback, OpenIdError, Provider, ProviderIdentity, ProviderSettings,
    Reason,
};

use crate::browser::Browser;
use crate::provider_process::ProviderProcess;
use crate::relying_party::http_client;

/// Address that the providers send the browser back to; nothing listens there.
const REDIRECT_URI: &str = "http://127.0.0.1:9/sign-in/callback/real";

/// Scopes of the certified provider; the other one has no groups.
const SCOPES: [&str; 3] = ["email", "profile", "groups"];

/// A user's name and password at a provider.
type Credentials<'a> = &'a [(&'a str, &'a str)];

const ADA: Credentials<'static> = &[("login", "ada"), ("password", "x")];
const GRACE: Credentials<'static> = &[("username", "grace"), ("password", "a password of Django")];

fn provider(issuer: &str, client: &str, secret: Option<&str>, scopes: &[&str]) -> Provider {
    let settings = ProviderSettings {
        id: "real".to_owned(),
        issuer: issuer.to_owned(),
        client_id: client.to_owned(),
        client_secret: secret.map(|secret| secret.to_owned().into()),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        subject_claim: "sub".to_owned(),
        groups_claim: Some("groups".to_owned()),
    };
    let entropy = Entropy::operating_system();
    let provider = Provider::new(settings, http_client(), Clock::system(), entropy);
    provider.unwrap_or_else(|error| panic!("{error}"))
}

/// Signs in with a browser.
async fn sign_in(
    provider: &Provider,
    browser: &mut Browser,
    credentials: Credentials<'_>,
    step_up: Option<&str>,
) -> Result<ProviderIdentity, OpenIdError> {
    let request = AuthorizationRequest {
        redirect_uri: REDIRECT_URI.to_owned(),
        context: "/".to_owned(),
        step_up: step_up.map(str::to_owned),
        login_hint: None,
    };
    let begun = provider.begin(request).await?;
    let query = browser
        .reach(&begun.address, REDIRECT_URI, credentials)
        .await;
    let callback = Callback::parse(&query)?;
    let identity = provider.finish(&begun.pending, &callback).await?;
    // The provider gives a code away once.
    let again = provider.finish(&begun.pending, &callback).await;
    assert_eq!(again.expect_err("used").reason(), Reason::Replay);
    Ok(identity)
}

#[tokio::test]
async fn certified_provider_signs_in_with_every_algorithm_and_client_authentication() {
    let process = ProviderProcess::start("ORGPLANE_TEST_OIDC", &["--redirect", REDIRECT_URI]).await;
    for (client, has_secret) in [
        ("rs256", true),
        ("ps256", true),
        ("es256", false),
        ("eddsa", false),
    ] {
        let secret = format!("secret of {client}: +/%&=");
        let secret = has_secret.then_some(secret.as_str());
        let provider = provider(&process.issuer, client, secret, &SCOPES);
        let identity = sign_in(&provider, &mut Browser::open(), ADA, None).await;
        let identity = identity.unwrap_or_else(|error| panic!("{client}: {error}"));
        assert_eq!(identity.issuer, process.issuer);
        assert_eq!(identity.subject, "ada");
        assert_eq!(
            identity.email.as_ref().map(|it| it.as_str()),
            Some("ada@example.com")
        );
        assert_eq!(identity.email_verified, Some(true));
        assert_eq!(identity.name.as_deref(), Some("Ada of the Provider"));
        let groups = ["engineers", "operators"].map(str::to_owned);
        assert_eq!(identity.groups.as_deref(), Some(&groups[..]));
    }
}

#[tokio::test]
async fn certified_provider_asks_again_for_a_step_up() {
    let arguments = ["--redirect", REDIRECT_URI, "--claims-in-id-token"];
    let process = ProviderProcess::start("ORGPLANE_TEST_OIDC", &arguments).await;
    let provider = provider(&process.issuer, "es256", None, &SCOPES);
    let mut browser = Browser::open();
    let first = sign_in(&provider, &mut browser, ADA, None)
        .await
        .expect("a sign-in");
    // The browser is signed in at the provider, which needs no password for a second sign-in.
    let second = sign_in(&provider, &mut browser, &[], None)
        .await
        .expect("a sign-in");
    assert_eq!(first.subject, second.subject);
    let confirmed = sign_in(&provider, &mut browser, ADA, Some("ada"))
        .await
        .expect("a step-up");
    assert!(confirmed.authenticated_at.is_some());
    let eve: Credentials<'_> = &[("login", "eve"), ("password", "x")];
    let error = sign_in(&provider, &mut browser, eve, Some("ada"))
        .await
        .expect_err("another user");
    assert_eq!(error.reason(), Reason::OtherUser);
}

#[tokio::test]
async fn certified_provider_refuses_a_wrong_secret() {
    let process = ProviderProcess::start("ORGPLANE_TEST_OIDC", &["--redirect", REDIRECT_URI]).await;
    let provider = provider(&process.issuer, "rs256", Some("another secret"), &SCOPES);
    let error = sign_in(&provider, &mut Browser::open(), ADA, None)
        .await
        .expect_err("refused");
    assert_eq!(error.reason(), Reason::ClientRefused, "{error}");
}

#[tokio::test]
async fn second_provider_signs_in_and_asks_again_for_a_step_up() {
    let process =
        ProviderProcess::start("ORGPLANE_TEST_OIDC_DJANGO", &["--redirect", REDIRECT_URI]).await;
    let provider = provider(
        &process.issuer,
        "orgplane",
        Some("a secret of Django"),
        &SCOPES[..2],
    );
    let mut browser = Browser::open();
    let identity = sign_in(&provider, &mut browser, GRACE, None).await;
    let identity = identity.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(identity.issuer, process.issuer);
    assert_eq!(identity.subject, "django-1");
    assert_eq!(
        identity.email.as_ref().map(|it| it.as_str()),
        Some("grace@example.com")
    );
    assert_eq!(identity.groups, None);
    let confirmed = sign_in(&provider, &mut browser, GRACE, Some("django-1")).await;
    confirmed.unwrap_or_else(|error| panic!("{error}"));
}
