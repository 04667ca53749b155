//! Emails of several nodes on one database: each email is sent once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use admin::mail::{Smtp, start_mailer};
use base::Clock;
use serde_json::json;
use store::sql;
use testkit::{NOW, Server};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Number of emails: fewer than nodes, so that some nodes poll while others send.
const EMAIL_COUNT: usize = 2;
/// Delay of the mail server for each email: every node polls several times meanwhile.
const SERVER_DELAY: Duration = Duration::from_secs(3);

/// A slow mail server that counts emails.
struct MailServer {
    address: SocketAddr,
    received: Arc<AtomicUsize>,
}

impl MailServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let received = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&counted)));
            }
        });
        Self { address, received }
    }

    fn smtp(&self) -> Smtp {
        let url = format!("smtp://{}", self.address);
        Smtp::new(&url, "Plane <plane@acme.example>").expect("a mail server")
    }
}

async fn converse(stream: TcpStream, received: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 slow\r\n").await?;
    let (mut line, mut is_text) = (String::new(), false);
    while stream.read_line(&mut line).await? > 0 {
        let answer = match line.trim_end() {
            "." => {
                is_text = false;
                received.fetch_add(1, Ordering::SeqCst);
                poll::pause(SERVER_DELAY).await;
                "250 taken\r\n"
            }
            _ if is_text => "",
            "DATA" => {
                is_text = true;
                "354 go on\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 well\r\n",
        };
        stream.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

async fn sent(server: &Server) -> i64 {
    let count = sql!("SELECT COUNT(*) AS count FROM mails WHERE sent_at IS NOT NULL");
    let mut read = server.store.read().await.expect("a connection");
    let count = read.fetch_one(count, |row| row.get("count")).await;
    count.expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_different_clocks_send_an_email_once() {
    let server = Server::start().await;
    for number in 0..EMAIL_COUNT {
        let invite = json!({"email": format!("u{number}@acme.example"), "role": "reader"});
        server
            .admin()
            .post("/organization/invites", invite)
            .await
            .ok();
    }
    let mail_server = MailServer::start().await;
    // Some clocks are ahead by more than the duration of a lease.
    let mailers = [0, 35, 90, 3_600].map(|ahead| {
        let mut clock = NOW;
        clock.0 += ahead;
        let services = server.services();
        let (store, pepper) = (services.store.clone(), services.pepper.clone());
        start_mailer(store, pepper, Clock::fake(clock), Some(mail_server.smtp()))
    });
    let count = i64::try_from(EMAIL_COUNT).expect("a few");
    poll::until("all emails are sent", async || sent(&server).await >= count).await;
    // Each mailer stops after its current email.
    for mailer in mailers {
        mailer.stop().await;
    }
    assert_eq!(mail_server.received.load(Ordering::SeqCst), EMAIL_COUNT);
}
