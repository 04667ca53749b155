//! A provider: its documents, and the steps of a sign-in with it.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy};

use crate::authorization::{self, AuthorizationRequest, BegunSignIn};
use crate::cache::DocumentCache;
use crate::callback::Callback;
use crate::claims::Claims;
use crate::encoding::with_query;
use crate::http_client::HttpClient;
use crate::id_token::IdTokenChecks;
use crate::identity::ProviderIdentity;
use crate::jwk::KeySet;
use crate::jws::UnverifiedToken;
use crate::logout::{self, LogoutNotice};
use crate::metadata::Metadata;
use crate::pending::PendingSignIn;
use crate::replay::ReplayGuard;
use crate::settings::{Issuer, ProviderSettings};
use crate::token_request::{self, Tokens};
use crate::{OpenIdError, Reason, Result};

/// Age at which the documents of a provider are read again.
const MAX_DOCUMENT_AGE: Duration = Duration::from_secs(3600);
/// Minimum time between two reads of the keys because of a signature by an unknown key.
const KEY_REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// Provider with its documents in memory. Creation needs no connection: the documents are read when they are needed.
pub struct Provider {
    settings: ProviderSettings,
    issuer: Issuer,
    http: Arc<HttpClient>,
    clock: Clock,
    entropy: Entropy,
    metadata: DocumentCache<Metadata>,
    keys: DocumentCache<KeySet>,
    logout_tokens: ReplayGuard,
}

/// State of the documents of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderCheck {
    /// Fault of the discovery document.
    pub discovery: Result<()>,
    /// Number of usable keys, or their fault; `None` if the discovery document does not say where the keys are.
    pub keys: Option<Result<usize>>,
}

impl Provider {
    /// Creates a provider.
    ///
    /// # Errors
    /// The issuer is not an address with `https`, nor on this machine.
    pub fn new(
        settings: ProviderSettings,
        http: Arc<HttpClient>,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self> {
        Ok(Self {
            issuer: Issuer::parse(&settings.issuer)?,
            settings,
            http,
            clock,
            entropy,
            metadata: DocumentCache::new(),
            keys: DocumentCache::new(),
            logout_tokens: ReplayGuard::default(),
        })
    }

    /// Returns the settings.
    #[must_use]
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Reads the documents of the provider anew, and tells which of them are usable. Sign-ins go on with those in memory.
    pub async fn check(&self) -> ProviderCheck {
        let metadata = match self.read_metadata().await {
            Ok(metadata) => metadata,
            Err(error) => {
                return ProviderCheck {
                    discovery: Err(error),
                    keys: None,
                };
            }
        };
        let keys = self.read_keys(&metadata).await;
        let usable = keys.and_then(|keys| match keys.len() {
            0 => Err(OpenIdError::new(
                Reason::Malformed,
                "no key of the provider can be used: RSA, P-256 and Ed25519 are supported",
            )),
            count => Ok(count),
        });
        ProviderCheck {
            discovery: Ok(()),
            keys: Some(usable),
        }
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// The provider's discovery document cannot be read.
    pub async fn begin(&self, request: AuthorizationRequest) -> Result<BegunSignIn> {
        let metadata = self.metadata().await?;
        let now = self.clock.now();
        let pending = PendingSignIn::start(&self.settings.id, &request, now, &self.entropy);
        let hint = request.login_hint.as_deref();
        Ok(BegunSignIn {
            address: authorization::address(&self.settings, &metadata, &pending, hint),
            pending,
        })
    }

    /// Finishes a sign-in: redeems the code and checks the ID token. Returns the confirmed identity.
    ///
    /// # Errors
    /// The callback does not belong to the sign-in, the provider refuses or fails, or a token is not right.
    pub async fn finish(
        &self,
        pending: &PendingSignIn,
        callback: &Callback,
    ) -> Result<ProviderIdentity> {
        if pending.provider != self.settings.id {
            return Err(Reason::State.into());
        }
        pending.check_age(self.clock.now())?;
        let metadata = self.metadata().await?;
        let has_issuer = metadata.has_issuer_in_callback;
        let code = callback.code(pending, &self.issuer.text, has_issuer)?;
        let tokens = token_request::redeem(&self.http, &self.settings, &metadata, pending, code);
        let tokens = tokens.await?;
        let mut claims = self.id_token_claims(&metadata, pending, &tokens).await?;
        self.complete(&metadata, &tokens, &mut claims).await?;
        let identity = ProviderIdentity::new(&self.issuer.text, &self.settings, &claims)?;
        if pending
            .step_up
            .as_ref()
            .is_some_and(|subject| *subject != identity.subject)
        {
            return Err(Reason::OtherUser.into());
        }
        Ok(identity)
    }

    /// Checks a logout token. Returns the sessions that end; each token counts once on this node.
    ///
    /// # Errors
    /// The token is not right, or the provider's keys cannot be read.
    pub async fn check_logout(&self, token: &str) -> Result<LogoutNotice> {
        let metadata = self.metadata().await?;
        let token = UnverifiedToken::parse(token)?;
        let claims = self.verified_claims(&metadata, &token).await?;
        // An ID token is not accepted in the place of a logout token, so the type is checked only where there is one.
        let media_type = token.media_type.as_deref().unwrap_or("logout+jwt");
        let names = ["logout+jwt", "application/logout+jwt", "JWT"];
        if !names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(media_type))
        {
            return Err(OpenIdError::new(
                Reason::Malformed,
                "the token is no logout token",
            ));
        }
        let (issuer, client_id) = (&self.issuer.text, &self.settings.client_id);
        let now = self.clock.now();
        logout::check(&claims, issuer, client_id, now, &self.logout_tokens)
    }

    /// Returns the address at which the provider ends its own session and sends the browser to `return_to`; `None` if
    /// the provider has no such address or cannot be reached.
    pub async fn end_session_address(&self, return_to: &str) -> Option<String> {
        let metadata = self.metadata().await.ok()?;
        let address = metadata.end_session_endpoint.as_deref()?;
        let client = ("client_id", self.settings.client_id.as_str());
        let pairs = [client, ("post_logout_redirect_uri", return_to)];
        Some(with_query(address, &pairs))
    }

    async fn id_token_claims(
        &self,
        metadata: &Metadata,
        pending: &PendingSignIn,
        tokens: &Tokens,
    ) -> Result<Claims> {
        let token = UnverifiedToken::parse(&tokens.id_token)?;
        let claims = self.verified_claims(metadata, &token).await?;
        let checks = IdTokenChecks {
            issuer: &self.issuer.text,
            client_id: &self.settings.client_id,
            nonce: &pending.nonce,
            algorithm: token.algorithm,
            access_token: tokens.access_token.as_ref().map(|token| token.as_str()),
            started: pending.started,
            now: self.clock.now(),
            is_step_up: pending.is_step_up(),
        };
        checks.check(&claims)?;
        Ok(claims)
    }

    /// Adds claims of the user information, if the ID token lacks one that is needed.
    async fn complete(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        claims: &mut Claims,
    ) -> Result<()> {
        let ProviderSettings {
            subject_claim,
            groups_claim,
            ..
        } = &self.settings;
        let mut needed = ["email", subject_claim]
            .into_iter()
            .chain(groups_claim.as_deref());
        let (Some(address), Some(token)) = (&metadata.user_info_endpoint, &tokens.access_token)
        else {
            return Ok(());
        };
        if needed.all(|name| claims.has(name)) {
            return Ok(());
        }
        let response = self.http.get(address, Some(token)).await?;
        let found = Claims::parse(&response.ok("user information")?)?;
        if found.text("sub") != claims.text("sub") {
            let detail = "the user information belongs to another user";
            return Err(OpenIdError::new(Reason::Subject, detail));
        }
        claims.complete(found);
        Ok(())
    }

    /// Returns the claims of a token whose signature a key of the provider has made. The keys are read again, at most once a
    /// minute, if none did.
    async fn verified_claims(
        &self,
        metadata: &Metadata,
        token: &UnverifiedToken<'_>,
    ) -> Result<Claims> {
        let keys = self.keys(metadata).await?;
        if !keys.verifies(token) {
            let reading = self.read_keys(metadata);
            let newer = self.keys.newer_than(&keys, KEY_REFRESH_INTERVAL, reading);
            if !newer.await?.is_some_and(|keys| keys.verifies(token)) {
                let detail = format!("key id {:?}", token.key_id.as_deref().map(base::shown));
                return Err(OpenIdError::new(Reason::Signature, detail));
            }
        }
        Claims::parse(&token.payload)
    }

    async fn metadata(&self) -> Result<Arc<Metadata>> {
        let reading = self.read_metadata();
        self.metadata.get(MAX_DOCUMENT_AGE, reading).await
    }

    async fn read_metadata(&self) -> Result<Metadata> {
        let response = self.http.get(&self.issuer.discovery()?, None).await?;
        Metadata::parse(&response.ok("discovery document")?, &self.issuer)
    }

    async fn keys(&self, metadata: &Metadata) -> Result<Arc<KeySet>> {
        let reading = self.read_keys(metadata);
        self.keys.get(MAX_DOCUMENT_AGE, reading).await
    }

    async fn read_keys(&self, metadata: &Metadata) -> Result<KeySet> {
        let response = self.http.get(&metadata.jwks, None).await?;
        KeySet::parse(&response.ok("keys")?)
    }
}
