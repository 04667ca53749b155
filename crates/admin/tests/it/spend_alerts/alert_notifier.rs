//! Notification of spend alerts: once for each alert, month and threshold.

use std::sync::Arc;
use std::time::Duration;

use admin::spend_alerts::start_notifier;
use base::time::{SECONDS_PER_DAY, Stopwatch};
use serde_json::{Value, json};
use testkit::{NOW, Server, ServerOptions};
use usage::PriceBook;

const ORGANIZATION: &str = "/organization/spend_alerts";
/// A million tokens cost a dollar, so ten thousand of them a cent.
const PRICES: &str = "\
[[price]]
model = 'm'
effective = '2025-01-01'
input = '1.00'
";
const TOKENS_PER_CENT: i64 = 10_000;
/// Maximum time between spend and notification.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(60);

async fn start() -> Server {
    let prices = PriceBook::parse(PRICES).expect("prices");
    Server::with(ServerOptions {
        prices,
        ..ServerOptions::default()
    })
    .await
}

fn alert(cents: i64, recipients: &[&str], prefix: Option<&str>) -> Value {
    json!({
        "threshold_amount": cents, "currency": "USD", "interval": "month",
        "notification_channel": {"type": "email", "recipients": recipients, "subject_prefix": prefix},
    })
}

/// Creates an alert and returns its path.
async fn create(server: &Server, path: &str, alert: Value) -> String {
    let created = server.admin().post(path, alert).await.ok();
    format!("{path}/{}", created["id"].as_str().expect("an id"))
}

fn of_project(server: &Server) -> String {
    let project = server.default_project_id();
    format!("/organization/projects/{project}/spend_alerts")
}

/// Spends `tokens` ten-thousandths of a cent in the default project.
async fn spend_at(server: &Server, id: &str, at: i64, tokens: i64) {
    let project = server.default_project_id();
    let event = json!({"id": id, "timestamp": at, "type": "completions", "project_id": project, "model": "m",
                       "input_tokens": tokens, "output_tokens": 0});
    let path = "/organization/usage/events";
    let answer = server.admin().post(path, event).await.ok();
    assert_eq!(answer["accepted"], 1, "{answer}");
}

async fn spend(server: &Server, id: &str, tokens: i64) {
    spend_at(server, id, NOW.0, tokens).await;
}

/// Waits until all usage is in the ledger, and for a scan for reached alerts that begins after that, as by another node.
async fn scan(server: &Server) {
    server.flush().await;
    // The first scan of a task is about all organizations; a stopped task ends after its scan.
    start_notifier(Arc::clone(server.services())).stop().await;
}

/// Returns the recipients of queued emails, once there are `count`, and checks that no more follow.
async fn told(server: &Server, count: usize) -> Vec<String> {
    let watch = Stopwatch::start();
    poll::until("the emails are queued", async || {
        server.mails().await.len() >= count
    })
    .await;
    assert!(u128::from(watch.milliseconds()) < NOTICE_TIMEOUT.as_millis());
    scan(server).await;
    let mails = server.mails().await;
    assert_eq!(mails.len(), count, "{mails:?}");
    mails.into_iter().map(|(recipient, _)| recipient).collect()
}

#[tokio::test]
async fn recipients_are_notified_once_when_the_threshold_is_reached() {
    let server = start().await;
    create(
        &server,
        ORGANIZATION,
        alert(10, &["a@acme.example", "b@acme.example"], Some("[Money]")),
    )
    .await;
    create(
        &server,
        &of_project(&server),
        alert(11, &["p@acme.example"], None),
    )
    .await;
    create(&server, ORGANIZATION, alert(100, &["z@acme.example"], None)).await;
    spend(&server, "1", 10 * TOKENS_PER_CENT - 1).await;
    assert_eq!(told(&server, 0).await, [""; 0]);
    spend(&server, "2", 1).await;
    assert_eq!(told(&server, 2).await, ["a@acme.example", "b@acme.example"]);
    spend(&server, "3", 50 * TOKENS_PER_CENT).await;
    let all = ["a@acme.example", "b@acme.example", "p@acme.example"];
    assert_eq!(told(&server, 3).await, all);
    let server = server.restart().await;
    spend(&server, "4", TOKENS_PER_CENT).await;
    assert_eq!(told(&server, 3).await, all, "a restart repeats nothing");
}

#[tokio::test]
async fn an_email_names_the_threshold_and_the_way_to_change_the_alert() {
    let server = start().await;
    let of_organization = create(
        &server,
        ORGANIZATION,
        alert(10, &["a@acme.example"], Some("[Money]")),
    )
    .await;
    let of_project = create(
        &server,
        &of_project(&server),
        alert(10, &["p@acme.example"], None),
    )
    .await;
    spend(&server, "1", 12 * TOKENS_PER_CENT + 5).await;
    told(&server, 2).await;
    let (organization, project) = (server.organization_id(), server.default_project_id());
    let [(_, whole), (_, part)] = server.mails().await.try_into().expect("two mails");
    for (text, who, path, command) in [
        (
            whole,
            format!("The organization Acme ({organization}) has spent"),
            of_organization,
            "spend-alerts update alert_",
        ),
        (
            part,
            format!("({project}) of the organization Acme ({organization}) has spent"),
            of_project,
            "projects:spend-alerts update proj_",
        ),
    ] {
        for words in [
            who.as_str(),
            " $0.120005 so far in January 2026 (UTC)",
            "spend alert: $0.10.",
            &format!("https://orgplane.example/v1{path}\n"),
            &format!("orgplane {command}"),
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    let subjects: Vec<_> = server
        .waiting()
        .await
        .into_iter()
        .map(|mail| mail.subject)
        .collect();
    assert_eq!(
        subjects[0],
        "[Money] The organization Acme has spent $0.10 in January 2026"
    );
    assert!(subjects[1].starts_with("The project "), "{subjects:?}");
}

#[tokio::test]
async fn a_changed_threshold_is_notified_again_and_an_unchanged_one_is_not() {
    let server = start().await;
    let path = create(&server, ORGANIZATION, alert(10, &["a@acme.example"], None)).await;
    spend(&server, "1", 20 * TOKENS_PER_CENT).await;
    told(&server, 1).await;
    let change = async |cents, recipient| {
        let body = alert(cents, &[recipient], None);
        server.admin().post(&path, body).await.ok();
    };
    change(10, "b@acme.example").await;
    told(&server, 1).await;
    change(15, "b@acme.example").await;
    assert_eq!(told(&server, 2).await, ["a@acme.example", "b@acme.example"]);
    change(25, "c@acme.example").await;
    told(&server, 2).await;
    spend(&server, "2", 5 * TOKENS_PER_CENT).await;
    assert_eq!(told(&server, 3).await[2], "c@acme.example");
    // Queued emails of a deleted alert are withdrawn.
    server.admin().delete(&path).await.ok();
    assert_eq!(told(&server, 0).await, [""; 0]);
}

#[tokio::test]
async fn a_threshold_of_zero_is_reached_with_the_first_spend() {
    let server = start().await;
    create(&server, ORGANIZATION, alert(0, &["a@acme.example"], None)).await;
    told(&server, 0).await;
    spend(&server, "1", 1).await;
    told(&server, 1).await;
}

#[tokio::test]
async fn each_month_is_notified_including_one_that_has_ended() {
    /// From [`NOW`] to ten minutes before February, and from there to ten minutes after its beginning.
    const UNTIL_END_OF_JANUARY_SECONDS: i64 = 16 * SECONDS_PER_DAY + (11 * 60 + 50) * 60;
    const MONTH_TURN_SECONDS: i64 = 20 * 60;
    let server = start().await;
    server.clock.advance(UNTIL_END_OF_JANUARY_SECONDS);
    create(&server, ORGANIZATION, alert(10, &["a@acme.example"], None)).await;
    create(&server, ORGANIZATION, alert(20, &["b@acme.example"], None)).await;
    spend(&server, "1", 10 * TOKENS_PER_CENT).await;
    told(&server, 1).await;
    server.clock.advance(MONTH_TURN_SECONDS);
    told(&server, 1).await;
    spend_at(&server, "2", server.clock.now().0, 10 * TOKENS_PER_CENT).await;
    told(&server, 2).await;
    // Spend of January that arrives late reaches an alert that was set in January.
    spend_at(&server, "3", NOW.0, 10 * TOKENS_PER_CENT).await;
    assert_eq!(told(&server, 3).await[2], "b@acme.example");
    let mails = server.mails().await;
    let months: Vec<_> = mails
        .iter()
        .map(|(_, text)| text.contains("January"))
        .collect();
    assert_eq!(months, [true, false, true]);
    // This alert was set after January.
    create(&server, ORGANIZATION, alert(15, &["c@acme.example"], None)).await;
    told(&server, 3).await;
}

#[tokio::test]
async fn a_threshold_that_was_reached_while_stopped_is_notified_after_the_start() {
    let server = start().await;
    create(&server, ORGANIZATION, alert(10, &["a@acme.example"], None)).await;
    // The email of this alert cannot be queued.
    let rename = async |from: &'static str| {
        let mut transaction = server.store.begin().await.expect("a transaction");
        transaction
            .execute(store::sql!(from))
            .await
            .expect("renamed");
        transaction.commit().await.expect("a commit");
    };
    rename("ALTER TABLE spend_notices RENAME TO away").await;
    spend(&server, "1", 10 * TOKENS_PER_CENT).await;
    // An attempt that fails.
    scan(&server).await;
    rename("ALTER TABLE away RENAME TO spend_notices").await;
    let server = server.restart().await;
    told(&server, 1).await;
}

#[tokio::test]
async fn several_nodes_notify_once() {
    let server = start().await;
    if server.store.usage().is_local() {
        // A SQLite database serves a single node.
        return;
    }
    let others = [server.another().await, server.another().await];
    let recipients: Vec<String> = (0..20).map(|n| format!("a{n}@acme.example")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    create(&server, ORGANIZATION, alert(10, &recipients, None)).await;
    create(
        &server,
        &of_project(&server),
        alert(10, &["p@acme.example"], None),
    )
    .await;
    spend(&server, "1", 10 * TOKENS_PER_CENT).await;
    let told = told(&server, 21).await;
    let mut once = told.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), told.len());
    for other in others {
        other.stop(Duration::from_secs(5)).await;
    }
}
