//! Spend and spend alerts survive a kill.

use std::time::Duration;

use poll::ScenarioDelay;
use serde_json::{Value, json};

use super::{PRICES, SETTINGS, report, until_alerts_are_mailed};
use crate::dice::Dice;
use crate::installation::Installation;
use crate::mail_server::{self, MailServer, free_port};
use crate::reports::now;

/// Number of rounds; each spends a cent and kills the server.
const ROUND_COUNT: i64 = 8;
/// Nano-dollars.
const NANO_DOLLARS_PER_CENT: i64 = 10_000_000;
/// US cents.
const SPEND_LIMIT: i64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cent_is_counted_and_told_of_once_after_kill_9() {
    let (dice, port) = (Dice::thrown(), free_port());
    let settings = mail_server::settings(port) + SETTINGS;
    let installation = Installation::new(&settings);
    let (server, admin) = installation.first_serve();
    let key = admin.key.clone();
    let project = admin.get("/organization/projects").await["data"][0]["id"].clone();
    let limit = json!({"threshold_amount": SPEND_LIMIT, "currency": "USD", "interval": "month"});
    admin.post("/organization/spend_limit", &limit).await;
    let (_, spender) = admin.application("Spender").await;
    for cents in 1..=ROUND_COUNT {
        let channel = json!({"type": "email", "recipients": ["ada@example.com"]});
        let alert = json!({"threshold_amount": cents, "currency": "USD", "interval": "month",
                           "notification_channel": channel});
        admin.post("/organization/spend_alerts", &alert).await;
    }

    let mut running = Some(server);
    for round in 1..=ROUND_COUNT {
        let server = running.take().unwrap_or_else(|| installation.serve());
        let admin = server.api(&key);
        let spender = server.api(&spender);
        assert_eq!(spender.has_spent_all().await, round > SPEND_LIMIT);
        let event = json!({
            "id": format!("evt-{round}"), "timestamp": now(), "type": "completions", "project_id": project,
            "model": "metered-elsewhere", "input_tokens": 0, "output_tokens": NANO_DOLLARS_PER_CENT / PRICES[2],
        });
        assert_eq!(report(&admin, &[event]).await, (1, 0));
        assert_eq!(spender.has_spent_all().await, round >= SPEND_LIMIT);
        // A look for alerts takes place each second.
        let moment = Duration::from_millis(dice.below(2_000));
        ScenarioDelay(moment).elapse().await;
        server.process.kill();
    }

    // Nobody took mails until now, so none is sent twice because its sender was killed.
    let mail_server = MailServer::start(port);
    let server = installation.serve();
    let admin = server.api(&key);
    let count = usize::try_from(ROUND_COUNT).expect("few");
    mail_server.first(count);
    until_alerts_are_mailed(&admin, &mail_server).await;
    let mails = mail_server.all(&admin, count + 1).await;
    for cents in 1..=ROUND_COUNT {
        let words = format!("spend alert: $0.0{cents}.");
        let says = |mail: &&Value| {
            mail["text"]
                .as_str()
                .is_some_and(|text| text.contains(&words))
        };
        assert_eq!(mails.iter().filter(says).count(), 1, "{words} {mails:?}");
    }
    server.stop();
}
