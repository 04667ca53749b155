//! `kill -9` while work is acknowledged: after a restart all of it is there, once.

mod background;
mod batches;
mod cycles;
mod gateway;
pub(crate) mod lost;
mod socket_cycles;
mod socket_peers;
mod spend;
mod writers;

use std::collections::BTreeMap;
use std::time::Duration;

use poll::ScenarioDelay;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::Api;
use crate::dice::Dice;
use crate::installation::{Installation, Server};
use crate::mail_server::MailServer;
use crate::reports::{self, Sums};
use writers::{Batch, Work};

/// Minimum number of acknowledged operations over all rounds.
const MIN_ACKNOWLEDGED: usize = 2_000;
/// Number of concurrent reporters of usage, and of concurrent administrators.
const REPORTER_COUNT: usize = 6;
const ADMINISTRATOR_COUNT: usize = 3;
/// Price of the model: an input, a cached and an output token, in nano-dollars.
const PRICES: [i64; 3] = [1_250, 125, 10_000];
const SETTINGS: &str = r#"
[[price]]
model = "metered-elsewhere"
effective = "2026-01-01"
input = "1.25"
cached_input = "0.125"
output = "10.00"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_once_after_kill_9() {
    let dice = Dice::thrown();
    let installation = Installation::new(SETTINGS);
    let (server, admin) = installation.first_serve();
    let projects = admin.get("/organization/projects").await;
    let default_project = projects["data"][0]["id"].as_str().expect("an id");
    let work = Work::new(default_project);

    let mut running = Some(server);
    while work.acknowledged() < MIN_ACKNOWLEDGED {
        let server = running.take().unwrap_or_else(|| installation.serve());
        let until = work.acknowledged() + 200 + dice.below(200) as usize;
        work_until_killed(server, &admin.key, &work, until, &dice).await;
    }

    let server = installation.serve();
    let admin = server.api(&admin.key);
    every_event_counts_once(&admin, &work).await;
    every_project_is_there_once(&admin, &work, default_project).await;
    server.stop();
}

/// Lets everybody work until so many operations are acknowledged, and kills the server a random moment later.
async fn work_until_killed(server: Server, key: &str, work: &Work, until: usize, dice: &Dice) {
    let mut workers = JoinSet::new();
    for _ in 0..REPORTER_COUNT {
        workers.spawn(
            work.clone()
                .report_until_cut_off(server.api(key), dice.clone()),
        );
    }
    for _ in 0..ADMINISTRATOR_COUNT {
        workers.spawn(work.clone().administer_until_cut_off(server.api(key)));
    }
    let moment = Duration::from_micros(dice.below(30_000));
    kill_after(server, workers, || work.acknowledged() >= until, moment).await;
}

/// Kills the server this long after the workers have done enough, and waits for their ends; none may have been refused or cut
/// off before.
async fn kill_after(
    server: Server,
    mut workers: JoinSet<()>,
    is_enough: impl Fn() -> bool,
    delay: Duration,
) {
    poll::until("the workers have done enough", async || {
        if let Some(ended) = workers.try_join_next() {
            ended.expect("nobody is refused or cut off before the kill");
        }
        is_enough() || workers.is_empty()
    })
    .await;
    ScenarioDelay(delay).elapse().await;
    server.process.kill();
    workers.join_all().await;
}

/// Waits until the mails of a scan for spend alerts that begins after this call have come: those of an alert that is due.
async fn until_alerts_are_mailed(admin: &Api, mail_server: &MailServer) {
    let last = "last-alert@example.com";
    let channel = json!({"type": "email", "recipients": [last]});
    let alert = json!({"threshold_amount": 0, "currency": "USD", "interval": "month",
                       "notification_channel": channel});
    admin.post("/organization/spend_alerts", &alert).await;
    mail_server.until_told(last);
}

/// The ledger, its sums by every width, and its costs hold each acknowledged event once, and of a batch that was not
/// acknowledged all events or none.
async fn every_event_counts_once(admin: &Api, work: &Work) {
    let (acknowledged, unknown): (Vec<Batch>, Vec<Batch>) = work
        .batches()
        .into_iter()
        .partition(|batch| batch.acknowledged);
    let mut counted: Sums = acknowledged.iter().map(Batch::sums).sum();
    let (usage, cost) = (reports::usage(admin).await, reports::cost(admin).await);

    are_known(admin, work, &acknowledged).await;
    for batch in &unknown {
        if is_known(admin, work, batch).await {
            counted += batch.sums();
        }
    }

    assert_eq!(usage, counted, "the sums are those of the ledger");
    assert_eq!(cost, counted.cost(PRICES), "and so are the costs");
    let everything: Sums = work.batches().iter().map(Batch::sums).sum();
    assert_eq!(reports::usage(admin).await, everything);
    assert_eq!(reports::cost(admin).await, everything.cost(PRICES));
}

/// Sends the events of batches that were acknowledged again.
async fn are_known(admin: &Api, work: &Work, batches: &[Batch]) {
    for batches in batches.chunks(500) {
        let events = batches.iter().flat_map(|batch| batch.events(work));
        let events: Vec<Value> = events.collect();
        let answer = report(admin, &events).await;
        assert_eq!(answer, (0, events.len() as u64), "events were lost");
    }
}

/// Sends the events of a batch that was not acknowledged again; whether they were there, all of them.
async fn is_known(admin: &Api, work: &Work, batch: &Batch) -> bool {
    let events = batch.events(work);
    let size = events.len() as u64;
    match report(admin, &events).await {
        (0, known) if known == size => true,
        (new, 0) if new == size => false,
        torn => panic!("of {size} events in one request, (new, known) are {torn:?}"),
    }
}

/// Sends events; how many were new and how many known.
async fn report(admin: &Api, events: &[Value]) -> (u64, u64) {
    let answer = admin
        .post("/organization/usage/events", &json!(events))
        .await;
    assert_eq!(answer["rejected"], json!([]));
    let number = |name: &str| answer[name].as_u64().expect("a number");
    (number("accepted"), number("duplicates"))
}

/// Each acknowledged project exists once, nothing exists that nobody asked for, and the audit log has one event for each
/// project and none without.
async fn every_project_is_there_once(admin: &Api, work: &Work, default_project: &str) {
    let mut found = BTreeMap::new();
    for project in admin
        .all("/organization/projects?include_archived=true")
        .await
    {
        if project["id"] != default_project {
            let before = found.insert(text(&project["name"]), text(&project["id"]));
            assert_eq!(before, None, "{project} is there twice");
        }
    }
    let attempts = work.attempts();
    for (name, id) in &attempts {
        if let Some(id) = id {
            assert_eq!(
                found.get(name),
                Some(id),
                "{name} is as it was acknowledged"
            );
        }
    }
    let invented = found.keys().find(|name| !attempts.contains_key(*name));
    assert_eq!(invented, None);

    let events = admin
        .all("/organization/audit_logs?event_types[]=project.created")
        .await;
    let logged: BTreeMap<String, String> = events
        .iter()
        .map(|event| &event["project.created"])
        .map(|created| (text(&created["data"]["name"]), text(&created["id"])))
        .collect();
    assert_eq!(events.len(), found.len(), "one event for each project");
    assert_eq!(logged, found);
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
