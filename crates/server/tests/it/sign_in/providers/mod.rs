//! Sign-in with identity providers, through the pages of the server.

#[path = "../../../../../openid/tests/it/fake_provider.rs"]
mod fake_provider;
#[path = "../../../../../openid/tests/it/provider_process.rs"]
pub(crate) mod provider_process;
#[path = "../../../../../openid/tests/it/signer.rs"]
mod signer;
#[path = "../../../../../openid/tests/it/browser.rs"]
mod stranger_browser;

mod accounts;
mod groups;
mod logout;
mod real_providers;
mod refusals;
mod step_up;
mod takeover;

use base::Clock;
use base::ids::{Id, OrganizationId};
use base::permission::OrganizationRole;
use identity::{EmailPolicy, IdentityProviderOptions, ProviderSettings, SignInOptions};
use serde_json::{Value, json};
use testkit::{NOW, Server, ServerOptions};

use super::browser::{Browser, Page};
use super::{COOKIE, OWNER, count, newest};
use fake_provider::{CLIENT_ID, CLIENT_SECRET, FakeProvider};

/// The cookie of a sign-in in progress.
const PROVIDER_COOKIE: &str = "__Host-orgplane-provider";
/// A reader of the organization with an address in the provider's domain.
const READER: &str = "grace@acme.example";

/// Returns options of a provider whose domain is that of the organization.
fn options(id: &str, issuer: &str) -> IdentityProviderOptions {
    IdentityProviderOptions {
        settings: ProviderSettings {
            id: id.to_owned(),
            issuer: issuer.to_owned(),
            client_id: CLIENT_ID.to_owned(),
            client_secret: Some(CLIENT_SECRET.to_owned().into()),
            scopes: ["email", "profile", "groups"].map(str::to_owned).to_vec(),
            subject_claim: "sub".to_owned(),
            groups_claim: Some("groups".to_owned()),
        },
        name: format!("Provider <{id}>"),
        organization: None,
        email_policy: EmailPolicy {
            trust_email: false,
            domains: vec!["acme.example".to_owned()],
        },
        groups: Vec::new(),
        create_as: None,
        authorities: None,
    }
}

/// A server with the provider `fake`, whose user has the address of the owner.
struct Trial {
    server: Server,
    fake: FakeProvider,
}

impl Trial {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Starts a server whose provider has changed options. There are two organizations, so the provider names one.
    async fn with(change: impl FnOnce(&mut IdentityProviderOptions)) -> Self {
        let clock = Clock::fake(NOW);
        let fake = FakeProvider::start(clock.clone()).await;
        let mut provider = options("fake", &fake.issuer);
        change(&mut provider);
        let server = server(clock, vec![provider]).await;
        let trial = Self { server, fake };
        trial.is("subject-1", OWNER, true);
        trial
    }

    /// Sets the user at the provider.
    fn is(&self, subject: &'static str, email: &'static str, is_verified: bool) {
        self.claims(subject, email, json!({ "email_verified": is_verified }));
    }

    /// Sets the user at the provider, with more claims. The provider has no further information about the user.
    fn claims(&self, subject: &'static str, email: &'static str, more: Value) {
        self.fake.state().user_info = json!({ "sub": subject });
        self.fake.edit_claims(move |claims| {
            claims["sub"] = json!(subject);
            claims["email"] = json!(email);
            for (name, value) in more.as_object().expect("an object") {
                claims[name] = value.clone();
            }
        });
    }

    /// Goes from a page that leads to the provider through the provider back to the server.
    async fn travel(&self, browser: &mut Browser, there: &Page) -> Page {
        let callback = self.callback(there);
        browser.get(&callback).await
    }

    /// Returns the path to which the provider sends the browser back.
    #[track_caller]
    fn callback(&self, there: &Page) -> String {
        let parameters = self.fake.authorize(there.location());
        callback("fake", &parameters)
    }

    /// Signs in, and leads to `/inside`.
    async fn sign_in(&self, browser: &mut Browser) -> Page {
        let there = browser.get("/sign-in/provider/fake?target=%2Finside").await;
        self.travel(browser, &there).await
    }

    /// Returns the number of accounts that are linked to users.
    async fn links(&self) -> i64 {
        let mut connection = self.server.store.read().await.expect("a connection");
        let count = store::sql!("SELECT COUNT(*) AS count FROM identities");
        let count = connection.fetch_optional(count, |row| row.get("count"));
        count.await.expect("a row").expect("a row")
    }

    /// Returns the newest sign-in in the audit log.
    async fn newest_sign_in(&self) -> Value {
        newest(&self.server, "login.succeeded").await
    }

    /// Returns the address of the user of the newest sign-in.
    async fn newest_user(&self) -> Value {
        self.newest_sign_in().await["actor"]["session"]["user"]["email"].clone()
    }
}

/// Returns a path of the server with the parameters of a callback.
fn callback(id: &str, parameters: &std::collections::HashMap<String, String>) -> String {
    let escape = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pairs = parameters.iter();
    let pairs: Vec<_> = pairs
        .map(|(name, value)| format!("{name}={}", escape(value)))
        .collect();
    format!("/sign-in/callback/{id}?{}", pairs.join("&"))
}

/// Starts a server whose providers sign in users of the organization under test.
async fn server(clock: Clock, mut providers: Vec<IdentityProviderOptions>) -> Server {
    let server = Server::with(ServerOptions {
        clock,
        ..ServerOptions::default()
    });
    let server = Box::pin(server).await;
    server.join(READER, "reader").await;
    for provider in &mut providers {
        provider.organization = Some(server.organization_id().clone());
    }
    Box::pin(server.restart_with(sign_in_with(providers))).await
}

/// Returns the ways to sign in: passwords and providers.
fn sign_in_with(providers: Vec<IdentityProviderOptions>) -> SignInOptions {
    SignInOptions {
        providers,
        ..SignInOptions::default()
    }
}

#[tokio::test]
async fn a_user_is_found_once_by_a_verified_address_and_then_by_issuer_and_subject() {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    let page = browser.get("/sign-in?target=/inside").await;
    page.says(200, "/sign-in/provider/fake?target=%2Finside");
    page.says(200, "Continue with <bdi>Provider &#60;fake&#62;</bdi>");
    let page = trial.sign_in(&mut browser).await;
    assert_eq!(page.location(), "/inside");
    assert!(browser.is_signed_in().await);
    assert_eq!(browser.cookie(PROVIDER_COOKIE), None);
    assert_eq!(trial.links().await, 1);
    let linked = newest(&trial.server, "x.user.identity.linked").await;
    let data = &linked["x.user.identity.linked"]["data"];
    assert_eq!(data["subject"], "subject-1");
    assert_eq!(data["issuer"], trial.fake.issuer);
    let login = trial.newest_sign_in().await;
    assert_eq!(login["login.succeeded"]["provider"], "fake", "{login}");
    assert_eq!(login["actor"]["session"]["user"]["email"], OWNER);
    // The address at the provider changes, even to that of another user, and the user stays the same.
    trial.is("subject-1", READER, true);
    let mut other = Browser::at(&trial.server, "192.0.2.2");
    assert_eq!(trial.sign_in(&mut other).await.location(), "/inside");
    assert_eq!(trial.newest_user().await, OWNER);
    assert_eq!(trial.links().await, 1);
}

#[tokio::test]
async fn the_state_is_in_a_sealed_cookie_that_works_once() {
    let trial = Trial::start().await;
    let mut browser = Browser::new(&trial.server);
    let there = browser.get("/sign-in/provider/fake").await;
    let [cookie] = &there.set_cookies()[..] else {
        panic!("one cookie: {:?}", there.set_cookies());
    };
    let flags = cookie.split_once(';').map(|(_, flags)| flags);
    let expected = " Path=/; HttpOnly; SameSite=Lax; Max-Age=600; Secure";
    assert_eq!(flags, Some(expected));
    assert_eq!(there.headers["referrer-policy"], "no-referrer");
    let address = there.location().to_owned();
    let query = fake_provider::pairs(address.split_once('?').expect("a query").1);
    for secret in ["state", "nonce"] {
        assert!(!cookie.contains(&query[secret]), "{secret} is sealed");
    }
    let callback = trial.callback(&there);
    let kept = browser.cookie(PROVIDER_COOKIE).cloned().expect("a cookie");
    let page = browser.get(&callback).await;
    let cookies = page.set_cookies();
    let session = cookies.iter().find(|text| text.starts_with(COOKIE));
    assert!(
        session.is_some_and(|text| text.contains("HttpOnly")),
        "{cookies:?}"
    );
    assert_eq!(browser.cookie(PROVIDER_COOKIE), None);
    browser.get(&callback).await.says(403, "(Code: state)");
    // The provider gives its code away once, should the cookie come back.
    browser.set_cookie(PROVIDER_COOKIE, &kept);
    browser.get(&callback).await.says(403, "(Code: replay)");
}

#[tokio::test]
async fn a_provider_that_is_down_leaves_the_other_ways_to_sign_in() {
    let clock = Clock::fake(NOW);
    let server = server(clock, vec![options("down", "http://127.0.0.1:9")]).await;
    let mut browser = Browser::new(&server);
    browser
        .get("/sign-in")
        .await
        .says(200, "/sign-in/provider/down");
    let page = browser.get("/sign-in/provider/down").await;
    page.says(503, "(Code: provider_unavailable)");
    browser.sign_in(&server, OWNER).await;
    assert!(browser.is_signed_in().await);
    browser
        .get("/sign-in/provider/other")
        .await
        .says(404, "does not exist");
    browser
        .get("/sign-in/callback/other")
        .await
        .says(404, "does not exist");
}

#[tokio::test]
async fn a_provider_needs_an_organization_if_there_are_several() {
    let Trial {
        mut server,
        mut fake,
    } = Trial::start().await;
    for (organization, words) in [
        (None, "There are several organizations."),
        (Some("org-unknown"), "There is no organization"),
    ] {
        let mut provider = options("fake", &fake.issuer);
        provider.organization = organization.map(|id| OrganizationId::from_text(id.to_owned()));
        server = server.restart_with(sign_in_with(vec![provider])).await;
        let trial = Trial { server, fake };
        let page = trial.sign_in(&mut Browser::new(&trial.server)).await;
        page.says(503, words);
        (server, fake) = (trial.server, trial.fake);
    }
}
