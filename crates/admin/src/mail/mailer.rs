//! Delivery of queued emails, with retries and exponential backoff. A lease ensures that one node at a time sends an email.

use std::time::Duration;

use base::Clock;
use base::ids::MailId;
use base::secret::Pepper;
use store::{Row, Store, sql};
use tasks::{Task, TaskHandle};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::smtp::{DELIVERY_TIMEOUT, DeliveryOutcome, Smtp};

/// Interval of the polls for queued emails.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The most emails that are sent between two polls.
const MAX_BATCH_EMAILS: i64 = 20;
/// Duration of a node's lease on an email, by the database's clock. Exceeds [`DELIVERY_TIMEOUT`]; after a crash, the email
/// is sent once the lease has expired.
const LEASE_SECONDS: i64 = DELIVERY_TIMEOUT.as_secs() as i64 + 10;
/// The longest backoff between two attempts.
const MAX_BACKOFF_SECONDS: i64 = 3600;

/// A queued email, decrypted.
pub struct QueuedMail {
    /// Id.
    pub id: MailId,
    /// E-mail address of the recipient.
    pub recipient: String,
    /// Subject.
    pub subject: String,
    /// Text.
    pub body: Zeroizing<String>,
}

struct Mailer {
    store: Store,
    pepper: Pepper,
    clock: Clock,
    smtp: Option<Smtp>,
    stop: CancellationToken,
}

const MAILS: &str =
    "SELECT id, recipient, subject, body, attempts FROM mails WHERE body IS NOT NULL";

/// A row of the table.
struct MailRow {
    id: MailId,
    recipient: String,
    subject: String,
    sealed: Vec<u8>,
    attempts: i64,
}

impl MailRow {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            recipient: row.get("recipient")?,
            subject: row.get("subject")?,
            sealed: row.get("body")?,
            attempts: row.get("attempts")?,
        })
    }

    fn open(self, pepper: &Pepper) -> Option<QueuedMail> {
        let body = pepper.unseal(&self.id.to_string(), &self.sealed)?;
        Some(QueuedMail {
            id: self.id,
            recipient: self.recipient,
            subject: self.subject,
            body,
        })
    }
}

/// Returns all queued emails, oldest first.
///
/// # Errors
/// The database's.
pub async fn queued(store: &Store, pepper: &Pepper) -> store::Result<Vec<QueuedMail>> {
    let mut connection = store.read().await?;
    let mut statement = sql!(MAILS);
    statement.push(" ORDER BY id");
    let found = connection.fetch_all(statement, MailRow::read).await?;
    Ok(found
        .into_iter()
        .filter_map(|mail| mail.open(pepper))
        .collect())
}

/// Starts the task that sends queued emails; it stops after the current one. Without an SMTP server, emails remain queued,
/// and each is logged once.
#[must_use]
pub fn start_mailer(store: Store, pepper: Pepper, clock: Clock, smtp: Option<Smtp>) -> TaskHandle {
    tasks::start("mailer", |stop| Mailer {
        store,
        pepper,
        clock,
        smtp,
        stop,
    })
}

impl Task for Mailer {
    async fn run(&mut self) {
        while !self.stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = self.stop.cancelled() => return,
            }
            if let Err(error) = self.send_due().await {
                tracing::warn!(%error, "mail queue poll failed");
            }
        }
    }
}

impl Mailer {
    /// Sends the emails that are due. Returns early if the task is stopped.
    async fn send_due(&self) -> store::Result<()> {
        for mail in self.due().await? {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            match &self.smtp {
                Some(smtp) => self.attempt(smtp, mail).await?,
                None => self.log_unsent(&mail).await?,
            }
        }
        Ok(())
    }

    /// Returns the emails that are due and not leased, and gives up expired ones.
    async fn due(&self) -> store::Result<Vec<MailRow>> {
        let now = self.clock.now();
        let mut connection = self.store.read().await?;
        let database_now = connection.now().await?;
        let mut due = sql!(MAILS);
        due.push(" AND next_attempt_at <= ").bind(now);
        due.push(" AND (claimed_until IS NULL OR claimed_until <= ");
        due.bind(database_now).push(")");
        let mut expired = due.clone();
        expired.push(" AND expires_at <= ").bind(now);
        due.push(" AND expires_at > ").bind(now);
        // Without an SMTP server, an email is logged once and has a reason from then on.
        if self.smtp.is_none() {
            due.push(" AND reason IS NULL");
        }
        for statement in [&mut expired, &mut due] {
            statement
                .push(" ORDER BY next_attempt_at LIMIT ")
                .bind(MAX_BATCH_EMAILS);
        }
        let expired = connection.fetch_all(expired, MailRow::read).await?;
        let due = connection.fetch_all(due, MailRow::read).await?;
        drop(connection);
        for mail in expired {
            if self.claim(&mail).await? {
                let outcome =
                    DeliveryOutcome::Failed("there is no use in sending it any more".to_owned());
                self.record(&mail.id, mail.attempts + 1, &outcome).await?;
            }
        }
        Ok(due)
    }

    async fn log_unsent(&self, mail: &MailRow) -> store::Result<()> {
        let (id, recipient, subject) = (&mail.id, &mail.recipient, &mail.subject);
        tracing::warn!(%id, recipient, subject, "mail not sent: no SMTP server configured");
        let mut transaction = self.store.begin_untracked().await?;
        let update = sql!(
            "UPDATE mails SET reason = 'no SMTP server is configured' WHERE id = $1",
            id
        );
        transaction.execute(update).await?;
        transaction.commit().await
    }

    async fn attempt(&self, smtp: &Smtp, mail: MailRow) -> store::Result<()> {
        if !self.claim(&mail).await? {
            return Ok(());
        }
        let (id, attempts) = (mail.id.clone(), mail.attempts + 1);
        let outcome = match mail.open(&self.pepper) {
            Some(mail) => smtp.deliver(&mail, self.clock.now()).await,
            None => DeliveryOutcome::Failed("it was written with another secret file".to_owned()),
        };
        self.record(&id, attempts, &outcome).await
    }

    /// Leases an email. Returns false if another node holds or has used the lease.
    async fn claim(&self, mail: &MailRow) -> store::Result<bool> {
        let mut transaction = self.store.begin_untracked().await?;
        let now = transaction.now().await?;
        // Another node that has leased the email since has changed the number of attempts.
        let claim = sql!(
            "UPDATE mails SET attempts = attempts + 1, claimed_until = $3 \
             WHERE id = $1 AND attempts = $2 AND body IS NOT NULL AND (claimed_until IS NULL OR claimed_until <= $4)",
            &mail.id,
            mail.attempts,
            now.plus(LEASE_SECONDS),
            now
        );
        let claimed = transaction.execute(claim).await? == 1;
        transaction.commit().await?;
        Ok(claimed)
    }

    /// Records the outcome of an attempt. A failure is not recorded if another node has leased the email since.
    async fn record(
        &self,
        id: &MailId,
        attempts: i64,
        outcome: &DeliveryOutcome,
    ) -> store::Result<()> {
        let now = self.clock.now();
        let update = match outcome {
            DeliveryOutcome::Sent => {
                tracing::info!(%id, attempts, "mail sent");
                sql!(
                    "UPDATE mails SET body = NULL, reason = NULL, claimed_until = NULL, sent_at = $2 WHERE id = $1",
                    id,
                    now
                )
            }
            DeliveryOutcome::Retry(reason) => {
                let pause = backoff(attempts);
                tracing::warn!(%id, attempts, reason, pause, "mail delivery failed; trying again");
                sql!(
                    "UPDATE mails SET reason = $3, next_attempt_at = $4, claimed_until = NULL \
                     WHERE id = $1 AND attempts = $2",
                    id,
                    attempts,
                    reason.as_str(),
                    now.plus(pause)
                )
            }
            DeliveryOutcome::Failed(reason) => {
                tracing::error!(%id, attempts, reason, "mail delivery abandoned");
                sql!(
                    "UPDATE mails SET body = NULL, reason = $3, claimed_until = NULL WHERE id = $1 AND attempts = $2",
                    id,
                    attempts,
                    reason.as_str()
                )
            }
        };
        let mut transaction = self.store.begin_untracked().await?;
        transaction.execute(update).await?;
        transaction.commit().await
    }
}

/// Returns the seconds until the next attempt, doubled with each failed one.
fn backoff(attempts: i64) -> i64 {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(12);
    (1 << doublings).min(MAX_BACKOFF_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_an_hour() {
        let pauses = [1, 2, 3, 12, 13, 1000].map(backoff);
        assert_eq!(pauses, [1, 2, 4, 2048, 3600, 3600]);
    }
}
