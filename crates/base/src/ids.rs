//! Every typed id and its prefix.
//!
//! An id is its prefix and a ULID: 48 bits of milliseconds, then 80 random bits, in Crockford's base 32, upper
//! case. Ids of one kind therefore sort by creation, in every collation, which is what lists page on.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{Clock, Entropy, Error};

/// The longest id that is looked up; anything longer names nothing.
pub const MAX_ID_LENGTH: usize = 128;

/// Makes ids that grow with time, also within one millisecond.
pub struct IdGenerator {
    clock: Clock,
    entropy: Entropy,
    last: Mutex<Ulid>,
}

impl IdGenerator {
    /// A generator that reads `clock` and draws from `entropy`.
    #[must_use]
    pub fn new(clock: Clock, entropy: Entropy) -> Self {
        Self {
            clock,
            entropy,
            last: Mutex::new(Ulid::nil()),
        }
    }

    /// A new id: greater than every id this generator made before. One that follows within the same millisecond is the
    /// next number, as ULIDs may be: ids are names, not secrets, and each drawing of randomness is a system call.
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

/// What every typed id has in common.
pub trait Id: Clone + fmt::Display + Send + Sync + 'static {
    /// What the text of such an id begins with.
    const PREFIX: &'static str;
    /// What it names, for messages: `project`.
    const NOUN: &'static str;
    /// The id with this text, which came from a path, a body or the database; it may name nothing.
    fn from_text(text: String) -> Self;
    /// The id's text.
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
    /// A person in an organization.
    UserId = "user-", "user";
    /// A project of an organization.
    ProjectId = "proj_", "project";
    /// A service account of a project.
    ServiceAccountId = "svc_acct_", "service account";
    /// An invitation into an organization.
    InviteId = "invite-", "invite";
    /// A group of people.
    GroupId = "group_", "group";
    /// A role: a name for permissions.
    RoleId = "role_", "role";
    /// That somebody has a role: the id is made of the role's and theirs.
    RoleAssignmentId = "role_assignment_", "role assignment";
    /// A certificate of an authority that clients' certificates are checked against.
    CertificateId = "cert_", "certificate";
    /// A spend alert.
    SpendAlertId = "alert_", "spend alert";
    /// The rate limit of a project for a model.
    RateLimitId = "rl-", "rate limit";
    /// A key: of an administrator, a user or a service account.
    KeyId = "key_", "API key";
    /// An entry of the audit log.
    AuditLogId = "audit_log-", "audit log entry";
    /// A mail that waits to be sent, or was.
    MailId = "mail_", "mail";
    /// A request, to the gateway or to the Administration API.
    RequestId = "req_", "request";
    /// Money that is set aside for what outlives a request.
    SpendReservationId = "spend_res_", "spend reservation";
}

/// The id in a segment of a path: visible ASCII of a bounded length, or it can name nothing.
///
/// # Errors
/// 404, as for any other id that names nothing.
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
    fn ids_grow_within_one_millisecond() {
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
