//! Mails that the server sends. They are written in the transaction of what they tell of, so that neither is without the
//! other, and sent afterwards by [`MailerTask`].

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

pub use mailer::{MailerTask, Waiting, waiting};
pub use smtp::{Fate, Smtp};

/// A mail that is to be sent.
pub struct Mail<'a> {
    /// The id of what it tells of.
    pub about: &'a str,
    /// To whom.
    pub recipient: &'a Email,
    /// Its subject.
    pub subject: String,
    /// Its text. It may hold a credential: it is encrypted while it waits, and removed once it is sent.
    pub body: Zeroizing<String>,
    /// After this there is no use in sending it.
    pub expires_at: UnixTime,
}

const INSERT: &str = "\
    INSERT INTO mails (organization_id, id, about, recipient, subject, body, created_at, expires_at, attempts, \
        next_attempt_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $7)";

impl Mail<'_> {
    /// The values of [`INSERT`] after the first.
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

/// Adds a mail to those that wait. It goes out once the transaction is committed.
///
/// # Errors
/// The database's.
pub async fn queue(cx: &mut Write, mail: Mail<'_>) -> Result<()> {
    let values = mail.values(&cx.new_id(), cx.now(), cx.pepper(), cx.entropy());
    let insert = tenant_sql!(cx, INSERT, values);
    cx.execute(insert).await?;
    Ok(())
}

/// As [`queue`], where no request is at work.
///
/// # Errors
/// The database's.
pub(crate) async fn queue_quietly(
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

/// Removes the mails about something that have not been sent yet.
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
