//! Outgoing email. An email is queued in the transaction of the change that causes it, and is sent after the commit by the
//! task that [`start_mailer`] starts.

mod mailer;
mod smtp;

use base::email::Email;
use base::ids::{MailId, OrganizationId};
use base::secret::Pepper;
use base::{Entropy, Result, UnixTime};
use store::{Statement, Transaction, Value};
use zeroize::Zeroizing;

use crate::Services;
use crate::operation::Write;
use crate::{args, tenant_sql};

pub use mailer::{QueuedMail, queued, start_mailer};
pub use smtp::{DeliveryOutcome, Smtp};

/// An email to be queued.
pub struct Mail<'a> {
    /// Id of the resource that the email is about.
    pub about: &'a str,
    /// E-mail address of the recipient.
    pub recipient: &'a Email,
    /// Subject.
    pub subject: String,
    /// Text. May contain a credential, so it is encrypted while queued and deleted once sent.
    pub body: Zeroizing<String>,
    /// Time at which the email is discarded unless it has been sent.
    pub expires_at: UnixTime,
}

const INSERT: &str = "\
    INSERT INTO mails (organization_id, id, about, recipient, subject, body, created_at, expires_at, attempts, \
        next_attempt_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $7)";

impl Mail<'_> {
    /// Returns the parameters of [`INSERT`] after the first.
    fn values(self, id: &MailId, now: UnixTime, pepper: &Pepper, entropy: &Entropy) -> Vec<Value> {
        let sealed = pepper.seal(entropy, &id.to_string(), &self.body);
        args![
            id,
            self.about,
            self.recipient.as_str(),
            self.subject,
            sealed,
            now,
            self.expires_at
        ]
    }
}

/// Queues an email, which is sent after the transaction commits.
///
/// # Errors
/// The database's.
pub async fn queue(cx: &mut Write, mail: Mail<'_>) -> Result<()> {
    let values = mail.values(&cx.new_id(), cx.now(), cx.pepper(), cx.entropy());
    let insert = tenant_sql!(cx, INSERT, values);
    cx.execute(insert).await?;
    Ok(())
}

/// Queues an email like [`queue`], in a transaction of a background task.
///
/// # Errors
/// The database's.
pub(crate) async fn queue_in_transaction(
    transaction: &mut Transaction,
    services: &Services,
    organization: &OrganizationId,
    mail: Mail<'_>,
) -> store::Result<()> {
    let mut insert = vec![Value::from(organization)];
    let (id, now) = (services.ids.next(), services.clock.now());
    insert.extend(mail.values(&id, now, &services.pepper, &services.entropy));
    transaction.execute(Statement::new(INSERT, insert)).await?;
    Ok(())
}

/// Removes queued emails about a resource.
///
/// # Errors
/// The database's.
pub async fn withdraw(cx: &mut Write, about: &str) -> Result<()> {
    let delete = tenant_sql!(
        cx,
        "DELETE FROM mails WHERE organization_id = $1 AND about = $2 AND body IS NOT NULL",
        args![about],
    );
    cx.execute(delete).await?;
    Ok(())
}
