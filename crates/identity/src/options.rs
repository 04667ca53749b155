//! Options of the sign-in.

use crate::IdentityProviderOptions;

/// Options of the sign-in.
#[derive(Clone, Debug)]
pub struct SignInOptions {
    /// True if users sign in with passwords.
    pub has_passwords: bool,
    /// True if links are mailed on demand.
    pub has_mailed_links: bool,
    /// Identity providers, in the order in which the page shows them.
    pub providers: Vec<IdentityProviderOptions>,
}

impl Default for SignInOptions {
    fn default() -> Self {
        Self {
            has_passwords: true,
            has_mailed_links: false,
            providers: Vec::new(),
        }
    }
}
