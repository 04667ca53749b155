//! Delivery to an SMTP server.

use std::time::{Duration, UNIX_EPOCH};

use base::UnixTime;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::response::{Category, Severity};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::QueuedMail;

/// Timeout of delivering one email.
pub(super) const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);

/// An SMTP server and the sender of emails.
#[derive(Clone)]
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// The outcome of an attempt to deliver an email.
#[derive(Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The server accepted the email.
    Sent,
    /// The attempt failed and may be repeated; with the reason.
    Retry(String),
    /// The email can never be delivered; with the reason.
    Failed(String),
}

impl Smtp {
    /// Parses the URL of a server and the sender. The URL is `smtp://HOST:PORT`, `smtps://…`, or `smtp://…?tls=required` for
    /// STARTTLS, with an optional user and password before the host.
    ///
    /// # Errors
    /// A message that names the invalid one.
    pub fn new(url: &str, from: &str) -> Result<Self, String> {
        // The message must not repeat the URL, which may contain a password.
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| "smtp.url must be smtp://HOST:PORT or smtps://HOST:PORT".to_owned())?;
        let from = from.parse().map_err(|_| {
            format!("smtp.from must be an address, with or without a name, not '{from}'")
        })?;
        Ok(Self {
            transport: builder.timeout(Some(DELIVERY_TIMEOUT)).build(),
            from,
        })
    }

    /// Delivers an email. The Message-ID is derived from the email's id, so that receivers recognize a repeated delivery.
    pub async fn deliver(&self, mail: &QueuedMail, now: UnixTime) -> DeliveryOutcome {
        let message = match self.message(mail, now) {
            Ok(message) => message,
            Err(wrong) => return DeliveryOutcome::Failed(wrong),
        };
        match tokio::time::timeout(DELIVERY_TIMEOUT, self.transport.send(message)).await {
            Ok(Ok(_)) => DeliveryOutcome::Sent,
            Ok(Err(error)) if is_final(&error) => DeliveryOutcome::Failed(error_chain(&error)),
            Ok(Err(error)) => DeliveryOutcome::Retry(error_chain(&error)),
            Err(_) => DeliveryOutcome::Retry("the SMTP server did not answer in time".to_owned()),
        }
    }

    fn message(&self, mail: &QueuedMail, now: UnixTime) -> Result<Message, String> {
        let to = mail
            .recipient
            .parse()
            .map_err(|_| "the recipient is no address".to_owned())?;
        let id = format!("<{}@{}>", mail.id, self.from.email.domain());
        let date = UNIX_EPOCH + Duration::from_secs(u64::try_from(now.0).unwrap_or(0));
        Message::builder()
            .message_id(Some(id))
            .date(date)
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject.clone())
            .header(ContentType::TEXT_PLAIN)
            .body(mail.body.to_string())
            .map_err(|error| error.to_string())
    }
}

/// Returns true if retrying is pointless. Errors about credentials (53x) are not final, because the operator can fix them.
fn is_final(error: &Error) -> bool {
    error.status().is_some_and(|code| {
        code.severity == Severity::PermanentNegativeCompletion
            && code.category != Category::Unspecified3
    })
}

/// Formats an error with its causes on one line of bounded length.
fn error_chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use base::ids::Id;
    use zeroize::Zeroizing;

    use super::*;

    fn smtp() -> Smtp {
        Smtp::new("smtp://127.0.0.1:1", "Acme <noreply@acme.example>").expect("a server")
    }

    #[test]
    fn a_mail_is_written_as_mail_servers_want_it() {
        for recipient in ["ada@acme.example", "o'hara+x@localhost"] {
            let mail = QueuedMail {
                id: Id::from_text("mail_1".to_owned()),
                recipient: recipient.to_owned(),
                subject: "Invitation to Größe\r\nBcc: eve@other.example".to_owned(),
                body: Zeroizing::new("Hello!".to_owned()),
            };
            let text = smtp()
                .message(&mail, UnixTime(1_768_478_400))
                .expect("a message")
                .formatted();
            let text = String::from_utf8(text).expect("ASCII");
            for line in [
                "Message-ID: <mail_1@acme.example>\r\n",
                "Date: Thu, 15 Jan 2026 12:00:00 +0000\r\n",
                "From: Acme <noreply@acme.example>\r\n",
                "Content-Type: text/plain; charset=utf-8\r\n",
            ] {
                assert!(text.contains(line), "{line} is not in\n{text}");
            }
            assert!(!text.contains("\r\nBcc:"), "{text}");
        }
    }

    #[test]
    fn a_bad_url_is_not_repeated() {
        let wrong = Smtp::new("http://user:secret@host", "a@b.example").err();
        assert!(wrong.is_some_and(|wrong| wrong.contains("smtp.url") && !wrong.contains("secret")));
        let wrong = Smtp::new("smtp://host", "nobody").err();
        assert!(wrong.is_some_and(|wrong| wrong.contains("smtp.from")));
    }

    #[tokio::test]
    async fn a_server_that_is_down_may_take_it_later() {
        let mail = QueuedMail {
            id: Id::from_text("mail_1".to_owned()),
            recipient: "ada@acme.example".to_owned(),
            subject: "Hello".to_owned(),
            body: Zeroizing::new("Hello!".to_owned()),
        };
        let outcome = smtp().deliver(&mail, UnixTime(0)).await;
        assert!(matches!(outcome, DeliveryOutcome::Retry(_)), "{outcome:?}");
    }
}
