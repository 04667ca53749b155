//! Reasons of refusals, each with a stable code and a sentence that says what to do.

use std::fmt;

const ASK_OPERATOR: &str =
    "Sign in again; if this goes on, an administrator finds details in the server's log.";
const NOT_LINKED: &str =
    "Accept an invitation, or sign in another way and link this provider on the account page.";

/// Declares the reasons, each with its code, a sentence that says what was wrong, and one that says what to do.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $problem:expr, $advice:expr;)*) => {
        /// Reason why a sign-in, a logout token or a provider was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the stable code for logs, audit events and pages.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// Returns a sentence that says what was wrong.
            #[must_use]
            pub fn problem(self) -> &'static str {
                match self {
                    $(Self::$name => $problem,)*
                }
            }

            /// Returns a sentence that says what to do.
            #[must_use]
            pub fn advice(self) -> &'static str {
                match self {
                    $(Self::$name => $advice,)*
                }
            }
        }
    };
}

reasons! {
    /// The user or the provider's policy declined the sign-in.
    AccessDenied = "access_denied",
        "The identity provider declined the sign-in.",
        "Sign in again and agree, or ask the provider's administrator for access to this application.";
    /// `at_hash` of the ID token does not belong to the access token.
    AccessTokenHash = "access_token_hash",
        "The access token does not belong to the ID token.",
        ASK_OPERATOR;
    /// The signature's algorithm is not allowed.
    Algorithm = "algorithm",
        "The ID token is signed with an algorithm that is not allowed.",
        "An administrator must set the client's ID token algorithm to RS256, PS256, ES256 or EdDSA at the provider.";
    /// The token is meant for another client.
    Audience = "audience",
        "The ID token is meant for another application.",
        "An administrator must compare client_id in the configuration with the provider's client.";
    /// The provider rejected the client's id or secret.
    ClientRefused = "client_refused",
        "The identity provider rejected this application's client id or secret.",
        "An administrator must compare client_id and the client secret with those at the provider; a secret may have expired.";
    /// The address's domain is not one of the provider's domains.
    EmailDomain = "email_domain",
        "The mail address is not in a domain of this identity provider.",
        NOT_LINKED;
    /// The provider sent no usable mail address.
    EmailMissing = "email_missing",
        "The identity provider sent no mail address.",
        "An administrator must add the scope 'email', or let the provider send the claim 'email'.";
    /// The provider does not say that the address belongs to the user.
    EmailNotVerified = "email_not_verified",
        "The identity provider does not say that the mail address was verified.",
        "Verify the address at the provider, or accept an invitation; an administrator may set trust_email for a provider whose addresses cannot be chosen by users.";
    /// The token has expired, or was issued at a time that cannot be right.
    Expiry = "expiry",
        "The token has expired or was issued at another time.",
        "Sign in again; if this goes on, an administrator must compare the clocks of both servers.";
    /// An address of the provider is neither `https` nor on this machine.
    InsecureAddress = "insecure_address",
        "An address of the identity provider does not use https.",
        "An administrator must use addresses that begin with https://.";
    /// The token or the callback names another issuer.
    Issuer = "issuer",
        "The answer comes from another issuer than the configured one.",
        "An administrator must copy the issuer exactly from the provider's discovery document.";
    /// A response or a token has not the form that the specification demands.
    Malformed = "malformed",
        "The identity provider's answer is not what OpenID Connect prescribes.",
        ASK_OPERATOR;
    /// The token belongs to another sign-in.
    Nonce = "nonce",
        "The ID token belongs to another sign-in.",
        "Sign in again in one window.";
    /// The identity is not the one that had to be confirmed.
    OtherUser = "other_user",
        "The identity provider confirmed another user than the one who is signed in.",
        "Confirm as the user who is signed in, or sign out first.";
    /// The provider refused the request for a reason that its configuration must mend.
    ProviderRefused = "provider_refused",
        "The identity provider refused the request of this application.",
        "An administrator must compare the redirect address, the scopes and the grant types of the client at the provider.";
    /// The provider did not respond in time.
    ProviderTimeout = "provider_timeout",
        "The identity provider did not answer in time.",
        "Wait a minute and sign in again, or sign in another way.";
    /// The provider cannot be reached, or failed.
    ProviderUnavailable = "provider_unavailable",
        "The identity provider cannot be reached.",
        "Wait a minute and sign in again, or sign in another way.";
    /// The provider did not ask for credentials again, as a step-up demands.
    Reauthentication = "reauthentication",
        "The identity provider did not ask for credentials again.",
        "Confirm again, and enter the credentials when the provider asks for them.";
    /// The code or token was used before.
    Replay = "replay",
        "The answer of the identity provider was used before.",
        "Sign in again.";
    /// No key of the provider made the signature.
    Signature = "signature",
        "The signature was not made by a key of the identity provider.",
        "Wait a minute and sign in again: the provider may have changed its keys.";
    /// The sign-in took longer than a sign-in may take.
    SignInExpired = "sign_in_expired",
        "The sign-in took longer than ten minutes.",
        "Sign in again.";
    /// The browser did not start this sign-in, or has finished the sign-in already.
    State = "state",
        "This sign-in was not started in this browser, or is finished already.",
        "Sign in again in one window, with cookies allowed.";
    /// The token has no usable subject.
    Subject = "subject",
        "The identity provider did not say who is signing in.",
        "An administrator must check subject_claim in the configuration and the claims of the provider.";
}

impl Reason {
    /// True if the provider, the network or the configuration is at fault, so that an operator must look.
    #[must_use]
    pub fn concerns_operator(self) -> bool {
        !matches!(
            self,
            Self::AccessDenied
                | Self::EmailDomain
                | Self::EmailMissing
                | Self::EmailNotVerified
                | Self::OtherUser
                | Self::Reauthentication
                | Self::Replay
                | Self::SignInExpired
                | Self::State
        )
    }
}

/// Refusal of a sign-in, a logout token or a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIdError {
    reason: Reason,
    detail: Option<String>,
}

/// Maximum length of a detail, in characters.
const MAX_DETAIL_LEN: usize = 300;

impl OpenIdError {
    /// Creates a refusal with a detail for the log. Control characters of the detail are replaced, its length is bounded.
    pub fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        let detail = detail.to_string();
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let detail = detail.chars().take(MAX_DETAIL_LEN).map(printable).collect();
        Self {
            reason,
            detail: Some(detail),
        }
    }

    /// Returns the reason.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns the stable code of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.reason.code()
    }

    /// Returns the detail for the log, which may hold text of the provider.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

impl From<Reason> for OpenIdError {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            detail: None,
        }
    }
}

impl fmt::Display for OpenIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.problem())?;
        match &self.detail {
            None => Ok(()),
            Some(detail) => write!(f, " ({detail})"),
        }
    }
}

impl std::error::Error for OpenIdError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_its_own_code_and_sentences() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            for sentence in [reason.problem(), reason.advice()] {
                let starts = sentence.chars().next().is_some_and(char::is_uppercase);
                assert!(starts && sentence.ends_with('.'), "{sentence}");
            }
            let is_code = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(reason.code().chars().all(is_code), "{}", reason.code());
        }
    }

    #[test]
    fn details_are_bounded_and_of_one_line() {
        let error = OpenIdError::new(Reason::Malformed, format!("a\r\nb{}", "x".repeat(1_000)));
        let detail = error.detail().expect("a detail");
        assert!(detail.starts_with("a  bx") && detail.chars().count() == MAX_DETAIL_LEN);
    }
}
