//! Emails of several nodes on one database: each email is sent once.

use admin::mail::start_mailer;
use base::Clock;
use serde_json::json;
use store::sql;
use testkit::{NOW, Server};

use crate::slow_mail_server::SlowMailServer;

/// Number of emails: fewer than nodes, so that some nodes poll while others send.
const EMAIL_COUNT: usize = 2;

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
    let mail_server = SlowMailServer::start().await;
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
    assert_eq!(mail_server.received(), EMAIL_COUNT);
}
