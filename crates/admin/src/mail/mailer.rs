//! Sends the mails that wait: retried with growing pauses, by one node at a time, until they are sent or of no use.

use std::time::Duration;

use base::Clock;
use base::ids::MailId;
use base::secret::Pepper;
use store::{Row, Store, sql};
use tasks::{Health, Task, TaskHandle};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::smtp::{Fate, PATIENCE, Smtp};

/// How often is looked for mails.
const EVERY: Duration = Duration::from_secs(1);
/// How many are sent between two looks.
const BATCH: i64 = 20;
/// For how long a mail is this node's, by the database's clock: longer than handing it over takes. If the node dies
/// meanwhile, another look finds the mail again after that.
const LEASE: i64 = PATIENCE.as_secs() as i64 + 10;
/// The longest pause between two attempts, in seconds.
const LONGEST_PAUSE: i64 = 3600;

/// A mail that waits to be sent, opened.
pub struct Waiting {
    /// Its id.
    pub id: MailId,
    /// To whom.
    pub recipient: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub body: Zeroizing<String>,
}

/// Sends mails until it is stopped.
pub struct MailerTask(TaskHandle);

struct Mailer {
    store: Store,
    pepper: Pepper,
    clock: Clock,
    smtp: Option<Smtp>,
    stop: CancellationToken,
}

const MAILS: &str =
    "SELECT id, recipient, subject, body, attempts FROM mails WHERE body IS NOT NULL";

/// A mail as the table has it.
struct Found {
    id: MailId,
    recipient: String,
    subject: String,
    sealed: Vec<u8>,
    attempts: i64,
}

impl Found {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            recipient: row.get("recipient")?,
            subject: row.get("subject")?,
            sealed: row.get("body")?,
            attempts: row.get("attempts")?,
        })
    }

    fn open(self, pepper: &Pepper) -> Option<Waiting> {
        let body = pepper.unseal(&self.id.to_string(), &self.sealed)?;
        Some(Waiting {
            id: self.id,
            recipient: self.recipient,
            subject: self.subject,
            body,
        })
    }
}

/// Every mail that waits, oldest first.
///
/// # Errors
/// The database's.
pub async fn waiting(store: &Store, pepper: &Pepper) -> store::Result<Vec<Waiting>> {
    let mut connection = store.read().await?;
    let mut statement = sql!(MAILS);
    statement.push(" ORDER BY id");
    let found = connection.fetch_all(statement, Found::read).await?;
    Ok(found
        .into_iter()
        .filter_map(|mail| mail.open(pepper))
        .collect())
}

impl MailerTask {
    /// Starts it, on the runtime that this is called in. Without an SMTP server it says of each mail that it is not
    /// sent, and keeps it.
    #[must_use]
    pub fn start(store: Store, pepper: Pepper, clock: Clock, smtp: Option<Smtp>) -> Self {
        Self(tasks::start("mailer", |stop| Mailer {
            store,
            pepper,
            clock,
            smtp,
            stop,
        }))
    }

    /// Ends it after the mail that is under way.
    pub async fn stop(self) {
        self.0.stop().await;
    }

    /// Returns the health of the mailer.
    #[must_use]
    pub fn health(&self) -> &Health {
        self.0.health()
    }
}

impl Task for Mailer {
    async fn run(&mut self) {
        while !self.stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = self.stop.cancelled() => return,
            }
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "mails could not be looked for");
            }
        }
    }
}

impl Mailer {
    /// Sends what is due; breaks off when it is asked to stop.
    async fn round(&self) -> store::Result<()> {
        for mail in self.due().await? {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            match &self.smtp {
                Some(smtp) => self.attempt(smtp, mail).await?,
                None => self.keep(&mail).await?,
            }
        }
        Ok(())
    }

    /// The mails whose time has come and that no node has claimed; those whose time is over are given up.
    async fn due(&self) -> store::Result<Vec<Found>> {
        let now = self.clock.now();
        let mut connection = self.store.read().await?;
        let database_now = connection.now().await?;
        let mut due = sql!(MAILS);
        due.push(" AND next_attempt_at <= ").bind(now);
        due.push(" AND (claimed_until IS NULL OR claimed_until <= ");
        due.bind(database_now).push(")");
        let mut over = due.clone();
        over.push(" AND expires_at <= ").bind(now);
        due.push(" AND expires_at > ").bind(now);
        // Without a server, each mail is looked at once: then it has a reason.
        if self.smtp.is_none() {
            due.push(" AND reason IS NULL");
        }
        for statement in [&mut over, &mut due] {
            statement
                .push(" ORDER BY next_attempt_at LIMIT ")
                .bind(BATCH);
        }
        let over = connection.fetch_all(over, Found::read).await?;
        let due = connection.fetch_all(due, Found::read).await?;
        drop(connection);
        for mail in over {
            if self.claim(&mail).await? {
                let fate = Fate::Never("there is no use in sending it any more".to_owned());
                self.record(&mail.id, mail.attempts + 1, &fate).await?;
            }
        }
        Ok(due)
    }

    async fn keep(&self, mail: &Found) -> store::Result<()> {
        let (id, recipient, subject) = (&mail.id, &mail.recipient, &mail.subject);
        tracing::warn!(%id, recipient, subject, "mail not sent: no SMTP server is configured");
        let mut transaction = self.store.begin_untracked().await?;
        let update = sql!(
            "UPDATE mails SET reason = 'no SMTP server is configured' WHERE id = $1",
            id
        );
        transaction.execute(update).await?;
        transaction.commit().await
    }

    async fn attempt(&self, smtp: &Smtp, mail: Found) -> store::Result<()> {
        if !self.claim(&mail).await? {
            return Ok(());
        }
        let (id, attempts) = (mail.id.clone(), mail.attempts + 1);
        let fate = match mail.open(&self.pepper) {
            Some(mail) => smtp.hand_over(&mail, self.clock.now()).await,
            None => Fate::Never("it was written with another secret file".to_owned()),
        };
        self.record(&id, attempts, &fate).await
    }

    /// Makes the mail this node's for a while; false when another node was faster.
    async fn claim(&self, mail: &Found) -> store::Result<bool> {
        let mut transaction = self.store.begin_untracked().await?;
        let now = transaction.now().await?;
        // As many attempts as were seen: whoever was faster has added one.
        let claim = sql!(
            "UPDATE mails SET attempts = attempts + 1, claimed_until = $3 \
             WHERE id = $1 AND attempts = $2 AND body IS NOT NULL AND (claimed_until IS NULL OR claimed_until <= $4)",
            &mail.id,
            mail.attempts,
            now.plus(LEASE),
            now
        );
        let claimed = transaction.execute(claim).await? == 1;
        transaction.commit().await?;
        Ok(claimed)
    }

    /// Writes down what became of a mail. What failed is left alone if another node has claimed the mail since.
    async fn record(&self, id: &MailId, attempts: i64, fate: &Fate) -> store::Result<()> {
        let now = self.clock.now();
        let update = match fate {
            Fate::Sent => {
                tracing::info!(%id, attempts, "mail sent");
                sql!(
                    "UPDATE mails SET body = NULL, reason = NULL, claimed_until = NULL, sent_at = $2 WHERE id = $1",
                    id,
                    now
                )
            }
            Fate::Later(reason) => {
                let pause = pause(attempts);
                tracing::warn!(%id, attempts, reason, pause, "mail not sent yet");
                sql!(
                    "UPDATE mails SET reason = $3, next_attempt_at = $4, claimed_until = NULL \
                     WHERE id = $1 AND attempts = $2",
                    id,
                    attempts,
                    reason.as_str(),
                    now.plus(pause)
                )
            }
            Fate::Never(reason) => {
                tracing::error!(%id, attempts, reason, "mail not sent, and given up");
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

/// Seconds until the next attempt: doubled with each that failed.
fn pause(attempts: i64) -> i64 {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(12);
    (1 << doublings).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour() {
        let pauses = [1, 2, 3, 12, 13, 1000].map(pause);
        assert_eq!(pauses, [1, 2, 4, 2048, 3600, 3600]);
    }
}
