//! OpenID Connect: the relying party, which knows no users, sessions or pages.
//!
//! A [`Provider`] starts a sign-in ([`Provider::begin`]), finishes the sign-in when the browser comes back
//! ([`Provider::finish`]), checks back-channel logout tokens ([`Provider::check_logout`]) and names the address at which the
//! provider ends its own session ([`Provider::end_session_address`]). The flow is the authorization code flow with PKCE; the
//! state of a sign-in in progress is a sealed text for a cookie ([`PendingSignIn`]), so any node may finish the sign-in.
//!
//! An identity is the pair of issuer and subject. Mail addresses say who somebody claims to be, and are judged apart, by an
//! [`EmailPolicy`].

mod algorithm;
mod authorization;
mod cache;
mod callback;
mod claims;
mod email_policy;
mod encoding;
mod error;
mod http_client;
mod id_token;
mod identity;
mod jwk;
mod jws;
mod logout;
mod metadata;
mod pending;
mod provider;
mod replay;
mod settings;
mod token_request;

pub use authorization::{AuthorizationRequest, BegunSignIn};
pub use callback::Callback;
pub use email_policy::EmailPolicy;
pub use error::{OpenIdError, Reason};
pub use http_client::{HttpClient, TrustError};
pub use id_token::MAX_CLOCK_SKEW_SECONDS;
pub use identity::ProviderIdentity;
pub use logout::LogoutNotice;
pub use pending::{MAX_PENDING_AGE, PendingSignIn};
pub use provider::{Provider, ProviderCheck};
pub use settings::{ProviderSettings, check_issuer};

/// Result of an operation with a provider.
pub type Result<T> = std::result::Result<T, OpenIdError>;
