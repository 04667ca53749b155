//! Typed ids and their prefixes.
//!
//! An id is its prefix and a ULID: 48 bits of milliseconds, then 80 random bits, in Crockford's base 32, upper
//! case. Ids of one kind therefore sort by creation in every collation, and lists are paged by them.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{Clock, Entropy, Error};

/// Maximum length of an id in a request, in bytes; no longer id exists.
pub const MAX_ID_LENGTH: usize = 128;

/// A generator of ids that increase with time, also within one millisecond.
pub struct IdGenerator {
    clock: Clock,
    entropy: Entropy,
    last: Mutex<Ulid>,
}

impl IdGenerator {
    /// Creates a generator.
    #[must_use]
    pub fn new(clock: Clock, entropy: Entropy) -> Self {
        Self {
            clock,
            entropy,
            last: Mutex::new(Ulid::nil()),
        }
    }

    /// Generates an id that is greater than all previous ones. Ids of the same millisecond are consecutive numbers, which
    /// saves a system call for random bytes; ids are not secrets.
    #[must_use]
    pub fn next<I: Id>(&self) -> I {
        let milliseconds = u64::try_from(self.clock.now_milliseconds()).unwrap_or(0);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = match last.increment() {
            Ok(following) if milliseconds <= last.timestamp_ms() => following,
            _ => self.draw(milliseconds),
        };
        let mut digits = [0; ulid::ULID_LEN];
        let digits = last.array_to_str(&mut digits);
        I::from_text([I::PREFIX, digits].concat())
    }

    fn draw(&self, milliseconds: u64) -> Ulid {
        let mut random = [0; 16];
        random[6..].copy_from_slice(&self.entropy.bytes::<10>());
        Ulid::from_parts(milliseconds, u128::from_be_bytes(random))
    }
}

/// A typed id.
pub trait Id: Clone + fmt::Display + Send + Sync + 'static {
    /// Prefix of such ids.
    const PREFIX: &'static str;
    /// Name of the resource in messages, such as `project`.
    const NOUN: &'static str;
    /// Wraps a text from a path, a body or the database, without checking it.
    fn from_text(text: String) -> Self;
    /// Returns the id's text.
    fn as_str(&self) -> &str;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $noun:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(transparent, inline)]
        pub struct $name(String);

        impl Id for $name {
            const PREFIX: &'static str = $prefix;
            const NOUN: &'static str = $noun;
            fn from_text(text: String) -> Self {
                Self(text)
            }
            fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// An organization.
    OrganizationId = "org-", "organization";
    /// A user of an organization.
    UserId = "user-", "user";
    /// A project of an organization.
    ProjectId = "proj_", "project";
    /// A service account of a project.
    ServiceAccountId = "svc_acct_", "service account";
    /// An invitation into an organization.
    InviteId = "invite-", "invite";
    /// A group of users.
    GroupId = "group_", "group";
    /// A role.
    RoleId = "role_", "role";
    /// An assignment of a role; composed of the ids of the role and its principal.
    RoleAssignmentId = "role_assignment_", "role assignment";
    /// A certificate of an authority that issues client certificates.
    CertificateId = "cert_", "certificate";
    /// A spend alert.
    SpendAlertId = "alert_", "spend alert";
    /// The rate limit of a project for a model.
    RateLimitId = "rl-", "rate limit";
    /// An API key of any kind.
    KeyId = "key_", "API key";
    /// A session of a user who has signed in.
    SessionId = "sess_", "session";
    /// A link that signs a user in once.
    SignInLinkId = "link_", "sign-in link";
    /// An entry of the audit log.
    AuditLogId = "audit_log-", "audit log entry";
    /// A queued or sent email.
    MailId = "mail_", "mail";
    /// A request, to the gateway or to the Administration API.
    RequestId = "req_", "request";
    /// A spend reservation that outlives its request.
    SpendReservationId = "spend_res_", "spend reservation";
}

/// Parses an id in a path segment: visible ASCII of at most [`MAX_ID_LENGTH`].
///
/// # Errors
/// 404, as for an id that does not exist.
pub fn parse_path_id<I: Id>(text: &str) -> Result<I, Error> {
    let plausible = !text.is_empty()
        && text.len() <= MAX_ID_LENGTH
        && text.bytes().all(|b| b.is_ascii_graphic());
    if plausible {
        Ok(I::from_text(text.to_owned()))
    } else {
        Err(Error::not_found(I::NOUN, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UnixTime;

    #[test]
    fn ids_increase_within_one_millisecond() {
        let ids = IdGenerator::new(Clock::fake(UnixTime(1_700_000_000)), Entropy::seeded(1));
        let made: Vec<ProjectId> = (0..1000).map(|_| ids.next()).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(made[0].as_str().starts_with("proj_") && made[0].as_str().len() == 5 + 26);
    }

    #[test]
    fn a_path_id_is_visible_and_bounded() {
        assert!(parse_path_id::<ProjectId>("proj_abc").is_ok());
        for text in ["", "a b", "ü", "\0", &"x".repeat(129)] {
            assert!(parse_path_id::<ProjectId>(text).is_err(), "{text:?}");
        }
    }
}
