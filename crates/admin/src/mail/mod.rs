//! Mails that the server sends. They are written in the transaction of what they tell of, so that neither is without the
//! other, and sent afterwards by [`MailerTask`].

mod mailer;
mod smtp;

use base::email::Email;
use base::ids::MailId;
use base::{Result, UnixTime};
use zeroize::Zeroizing;

use crate::args;
use crate::operation::Write;

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

/// Adds a mail to those that wait. It goes out once the transaction is committed.
///
/// # Errors
/// The database's.
pub async fn queue(cx: &mut Write, mail: Mail<'_>) -> Result<()> {
    let id: MailId = cx.new_id();
    let services = cx.services();
    let sealed = services
        .pepper
        .seal(&services.entropy, &id.to_string(), &mail.body);
    let insert = cx.sql(
        "INSERT INTO mails (organization_id, id, about, recipient, subject, body, created_at, expires_at, attempts, \
             next_attempt_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $7)",
        args![
            &id,
            mail.about,
            mail.recipient.as_str(),
            mail.subject,
            sealed,
            cx.now(),
            mail.expires_at
        ],
    );
    cx.execute(insert).await?;
    Ok(())
}

/// Removes the mails about something that have not been sent yet.
///
/// # Errors
/// The database's.
pub async fn withdraw(cx: &mut Write, about: &str) -> Result<()> {
    let delete = cx.sql(
        "DELETE FROM mails WHERE organization_id = $1 AND about = $2 AND body IS NOT NULL",
        args![about],
    );
    cx.execute(delete).await?;
    Ok(())
}
