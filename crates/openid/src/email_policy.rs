//! The policy for mail addresses of a provider.

use base::email::Email;

/// Policy for mail addresses of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmailPolicy {
    /// True if addresses stand for their users although the provider does not say that they were verified.
    pub trust_email: bool,
    /// Domains whose addresses the provider vouches for. Subdomains are not included.
    pub domains: Vec<String>,
}

impl EmailPolicy {
    /// True if the address is in one of the domains.
    #[must_use]
    pub fn has_domain_of(&self, email: &Email) -> bool {
        let Some((_, domain)) = email.as_str().rsplit_once('@') else {
            return false;
        };
        let mut domains = self.domains.iter();
        domains.any(|known| known.eq_ignore_ascii_case(domain))
    }
}
