//! The relying party of the tests.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use base::{Clock, Entropy, UnixTime};
use egress::Proxies;
use openid::{
    AuthorizationRequest, BegunSignIn, Callback, HttpClient, OpenIdError, Provider,
    ProviderIdentity, ProviderSettings, Reason,
};

pub use crate::fake_provider::{CLIENT_ID, CLIENT_SECRET, REDIRECT_URI};

use crate::fake_provider::FakeProvider;

/// Time of the fake clock.
pub const NOW: UnixTime = UnixTime(1_800_000_000);

/// Returns a client that uses no proxy.
pub fn http_client() -> Arc<HttpClient> {
    static CLIENT: OnceLock<Arc<HttpClient>> = OnceLock::new();
    let create = || {
        let client = HttpClient::new(None, Proxies::new(|_| None));
        Arc::new(client.expect("the system's authorities"))
    };
    Arc::clone(CLIENT.get_or_init(create))
}

/// Returns the settings of a client at a provider.
pub fn settings(issuer: &str) -> ProviderSettings {
    ProviderSettings {
        id: "fake".to_owned(),
        issuer: issuer.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Some(CLIENT_SECRET.to_owned().into()),
        scopes: vec!["email".to_owned(), "profile".to_owned()],
        subject_claim: "sub".to_owned(),
        groups_claim: None,
    }
}

/// Returns a request to sign in.
pub fn request() -> AuthorizationRequest {
    AuthorizationRequest {
        redirect_uri: REDIRECT_URI.to_owned(),
        context: "/console".to_owned(),
        step_up: None,
        login_hint: None,
    }
}

/// A provider and a relying party that share a clock.
pub struct Pair {
    pub fake: FakeProvider,
    pub provider: Provider,
    pub clock: Clock,
}

impl Pair {
    /// Starts a provider and creates its relying party.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Starts a provider and creates its relying party with changed settings.
    pub async fn with(change: impl FnOnce(&mut ProviderSettings)) -> Self {
        let clock = Clock::fake(NOW);
        let fake = FakeProvider::start(clock.clone()).await;
        let mut settings = settings(&fake.issuer);
        change(&mut settings);
        Self {
            provider: provider(settings, &clock),
            fake,
            clock,
        }
    }

    /// Begins a sign-in.
    pub async fn begin(&self) -> BegunSignIn {
        let begun = self.provider.begin(request()).await;
        begun.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Signs in, with nothing wrong but what the fake provider was told.
    pub async fn sign_in(&self) -> Result<ProviderIdentity, OpenIdError> {
        let begun = self.provider.begin(request()).await?;
        let callback = self.fake.authorize(&begun.address);
        self.provider
            .finish(&begun.pending, &callback_of(&callback))
            .await
    }

    /// Returns the reason for which a sign-in is refused.
    pub async fn refusal(&self) -> Reason {
        let error = self.sign_in().await.expect_err("the sign-in is refused");
        error.reason()
    }
}

/// Creates a relying party.
pub fn provider(settings: ProviderSettings, clock: &Clock) -> Provider {
    let entropy = Entropy::operating_system();
    let provider = Provider::new(settings, http_client(), clock.clone(), entropy);
    provider.unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the callback with these parameters.
pub fn callback_of(parameters: &HashMap<String, String>) -> Callback {
    let escape = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pairs = parameters.iter();
    let pairs: Vec<_> = pairs
        .map(|(name, value)| format!("{name}={}", escape(value)))
        .collect();
    Callback::parse(&pairs.join("&")).unwrap_or_else(|error| panic!("{error}"))
}
