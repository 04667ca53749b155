//! The throttle of attempts to sign in with the password of an account. Its counts are in the database, so that all nodes
//! throttle alike. An address that no user has is throttled like one that exists.

use std::sync::Arc;

use base::email::email_key;
use base::{ClientAddress, Result, UnixTime};
use store::{Row, Value, sql};

use super::Account;
use crate::Services;
use crate::operation::{Event, Permit, Write};

/// The number of failures in a row that have no consequence.
const MAX_FREE_FAILURES: u32 = 5;
/// The longest time between two attempts, in seconds.
const MAX_DELAY_SECONDS: i64 = 300;
/// The time after which failures are forgotten, in seconds.
const MEMORY_SECONDS: i64 = 3_600;
/// The least time between two events of an account in the audit log, in seconds.
const REPORT_INTERVAL_SECONDS: i64 = 60;
/// The length of the hash of an address that no user has, in bytes.
const UNKNOWN_HASH_BYTES: usize = 2;
/// Domain separation of hashes; no API key begins like this.
const ACCOUNT_LABEL: &str = "sign-in account ";

/// An attempt that is allowed. It counts as a failure until [`Attempt::succeeded`].
#[derive(Debug)]
pub struct Attempt {
    /// Value of the column `account`.
    account: Vec<u8>,
}

/// The result of [`begin`].
#[derive(Debug)]
pub enum Admission {
    /// The password may be checked.
    Allowed(Attempt),
    /// Too many attempts have failed.
    Throttled {
        /// Seconds until the next attempt is allowed.
        seconds: i64,
    },
}

struct Counts {
    failures: i64,
    last_failed_at: UnixTime,
}

impl Counts {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            failures: row.get("failures")?,
            last_failed_at: row.time("last_failed_at")?,
        })
    }

    /// Returns the number of failures that count at `now`.
    fn remembered(&self, now: UnixTime) -> i64 {
        if self.last_failed_at.plus(MEMORY_SECONDS) <= now {
            return 0;
        }
        self.failures
    }

    /// Returns the number of seconds until the next attempt.
    fn wait(&self, now: UnixTime) -> i64 {
        let remembered = u32::try_from(self.remembered(now)).unwrap_or(u32::MAX);
        let Some(beyond) = remembered.checked_sub(MAX_FREE_FAILURES) else {
            return 0;
        };
        let delay = 1_i64.checked_shl(beyond).unwrap_or(MAX_DELAY_SECONDS);
        let delay = if (1..MAX_DELAY_SECONDS).contains(&delay) {
            delay
        } else {
            MAX_DELAY_SECONDS
        };
        (self.last_failed_at.plus(delay).0 - now.0).clamp(0, delay)
    }
}

/// Locks the row of an account, which is made if it is not there.
const LOCK: &str = "\
    INSERT INTO sign_in_failures (account, failures, last_failed_at, unreported) VALUES ($1, 0, $2, 0) \
    ON CONFLICT (account) DO UPDATE SET failures = sign_in_failures.failures \
    RETURNING failures, last_failed_at";

/// Begins an attempt to sign in with the password of an address; `is_known` is true if a user has the address. The attempt
/// is counted before the password is checked, so that many at once are no way around.
///
/// # Errors
/// The database's.
pub async fn begin(services: &Services, email: &str, is_known: bool) -> Result<Admission> {
    let account = account_hash(services, email, is_known);
    let now = services.clock.now();
    let mut transaction = services.store.begin_untracked().await?;
    let lock = sql!(LOCK, account.clone(), now);
    let counts = transaction.fetch_one(lock, Counts::read).await?;
    let seconds = counts.wait(now);
    if seconds > 0 {
        return Ok(Admission::Throttled { seconds });
    }
    let count = sql!(
        "UPDATE sign_in_failures SET failures = $2, last_failed_at = $3 WHERE account = $1",
        account.clone(),
        counts.remembered(now) + 1,
        now
    );
    transaction.execute(count).await?;
    transaction.commit().await?;
    Ok(Admission::Allowed(Attempt { account }))
}

fn account_hash(services: &Services, email: &str, is_known: bool) -> Vec<u8> {
    let text = format!("{ACCOUNT_LABEL}{}", email_key(email));
    let mut hash = services.pepper.hash(&text).0.to_vec();
    if !is_known {
        hash.truncate(UNKNOWN_HASH_BYTES);
    }
    hash
}

impl Attempt {
    /// Forgets the failures of the account.
    ///
    /// # Errors
    /// The database's.
    pub async fn succeeded(self, services: &Services) -> Result<()> {
        let delete = sql!(
            "DELETE FROM sign_in_failures WHERE account = $1",
            self.account
        );
        let mut transaction = services.store.begin_untracked().await?;
        transaction.execute(delete).await?;
        Ok(transaction.commit().await?)
    }

    /// Writes `login.failed` to the audit logs of the organizations of these users, at most once a minute for an account:
    /// the event has the number of failures since the last one.
    ///
    /// # Errors
    /// The database's.
    pub async fn failed(
        self,
        services: &Arc<Services>,
        accounts: &[Account],
        client: Option<ClientAddress>,
    ) -> Result<()> {
        if accounts.is_empty() {
            return Ok(());
        }
        let Some(count) = self.take_unreported(services).await? else {
            return Ok(());
        };
        let message = match count {
            1 => "A wrong password was given.".to_owned(),
            _ => format!("A wrong password was given, {count} times since the last entry."),
        };
        for account in accounts {
            let permit = Permit::of_sign_in(&account.organization_id);
            let mut cx = Write::begin(Arc::clone(services), permit, client).await?;
            cx.acted_by(&account.user_id, &account.email);
            let event = Event::sign_in_failed("wrong_password", &message);
            cx.done(event, ()).commit().await?;
        }
        Ok(())
    }

    /// Returns the number of failures since the last event if another event is due.
    async fn take_unreported(&self, services: &Services) -> Result<Option<i64>> {
        let now = services.clock.now();
        let mut transaction = services.store.begin_untracked().await?;
        let account = || Value::from(self.account.clone());
        let count = sql!(
            "UPDATE sign_in_failures SET unreported = unreported + 1 WHERE account = $1 \
             RETURNING unreported, reported_at",
            account()
        );
        let read = |row: &Row<'_>| Ok((row.get("unreported")?, row.optional_time("reported_at")?));
        let counted: Option<(i64, Option<UnixTime>)> =
            transaction.fetch_optional(count, read).await?;
        // A success of the same account has forgotten its failures meanwhile.
        let Some((unreported, reported_at)) = counted else {
            return Ok(None);
        };
        let is_due = reported_at.is_none_or(|at| at.plus(REPORT_INTERVAL_SECONDS) <= now);
        if is_due {
            let report = sql!(
                "UPDATE sign_in_failures SET unreported = 0, reported_at = $2 WHERE account = $1",
                account(),
                now
            );
            transaction.execute(report).await?;
        }
        transaction.commit().await?;
        Ok(is_due.then_some(unreported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_with_each_failure_up_to_a_bound_and_failures_are_forgotten() {
        let now = UnixTime(1_000_000);
        let wait = |failures, seconds_ago: i64| {
            let last_failed_at = now.plus(-seconds_ago);
            let counts = Counts {
                failures,
                last_failed_at,
            };
            counts.wait(now)
        };
        for (failures, expected) in [
            (0, 0),
            (4, 0),
            (5, 1),
            (6, 2),
            (10, 32),
            (13, 256),
            (14, 300),
            (67, 300),
            (68, 300),
            (69, 300),
            (70, 300),
            (i64::MAX, 300),
        ] {
            assert_eq!(wait(failures, 0), expected, "{failures}");
        }
        assert_eq!(wait(10, 31), 1);
        assert_eq!(wait(10, 32), 0);
        assert_eq!(wait(i64::MAX, MEMORY_SECONDS), 0);
        assert_eq!(wait(10, -1_000_000), 32, "a clock that was set back");
    }
}
