//! Options of the console.

/// Facts that the console shows or depends on.
#[derive(Clone, Debug)]
pub struct ConsoleOptions {
    /// Public base URL of the server.
    pub public_url: String,
    /// Seconds after a sign-in within which dangerous changes are allowed.
    pub recent_sign_in_seconds: i64,
    /// True if people sign in with passwords.
    pub has_passwords: bool,
    /// Identity providers of the configuration.
    pub identity_providers: Vec<IdentityProviderFacts>,
    /// True if a mail server is configured, so that mails are sent.
    pub sends_mail: bool,
}

/// An identity provider of the configuration, without its secrets.
#[derive(Clone, Debug)]
pub struct IdentityProviderFacts {
    /// Id in the configuration.
    pub id: String,
    /// Name on the button of the sign-in page.
    pub name: String,
    /// Issuer of its tokens.
    pub issuer: String,
    /// Id of the organization whose users sign in; `None` for the only one.
    pub organization: Option<String>,
    /// Further settings: what is set, and to what.
    pub settings: Vec<(String, String)>,
}

impl Default for ConsoleOptions {
    fn default() -> Self {
        Self {
            public_url: "http://localhost:8080".to_owned(),
            recent_sign_in_seconds: 600,
            has_passwords: true,
            identity_providers: Vec::new(),
            sends_mail: false,
        }
    }
}
