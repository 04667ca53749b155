//! `kill -9` at random moments while usage comes in from everywhere and people are told of what is spent, cycle after
//! cycle: what was acknowledged is there once, every sum is that of the ledger, everybody is told once.
//!
//! A mail that was handed over while its sender was killed comes again, with the same Message-ID; that is one mail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use poll::ScenarioDelay;
use serde_json::json;
use tokio::task::JoinSet;

use super::background::BackgroundCalls;
use super::gateway::{Calls, INPUT_TOKEN_COUNT, OUTPUT_TOKEN_COUNT};
use super::lost::lost_sums;
use super::writers::Work;
use super::{PRICES, SETTINGS, are_known, is_known, until_alerts_are_mailed};
use crate::api::Api;
use crate::dice::Dice;
use crate::installation::{Installation, Server};
use crate::mail_server::{self, MailServer, free_port};
use crate::model_server::ModelServer;
use crate::reports::{self, Sums};

/// Number of cycles, unless `ORGPLANE_TEST_KILL_CYCLES` is set.
const DEFAULT_CYCLES: usize = 6;
const REPORTER_COUNT: usize = 3;
const CALLER_COUNT: usize = 2;
const BACKGROUND_CALLER_COUNT: usize = 2;
/// Maximum lifetime of a server under load, in milliseconds.
const MAX_LIFE_MS: u64 = 1_500;
/// Nano-dollars.
const NANO_DOLLARS_PER_CENT: i64 = 10_000_000;
/// Maximum number of alerts: one less than an organization may have.
const ALERT_COUNT: usize = 99;

struct World {
    installation: Installation,
    mail_server: MailServer,
    dice: Dice,
    key: String,
    application: String,
    work: Work,
    calls: Calls,
    background: BackgroundCalls,
    /// Number of batches, calls and calls in the background checked.
    seen: (usize, usize, usize),
    /// The thresholds of the alerts, in US cents.
    alerts: BTreeSet<i64>,
    spent: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_there_once_after_every_kill_9() {
    let cycles = std::env::var("ORGPLANE_TEST_KILL_CYCLES").ok();
    let cycles = cycles.map_or(DEFAULT_CYCLES, |cycles| cycles.parse().expect("a number"));
    let model_server = ModelServer::start();
    let (mut world, server) = World::new(&model_server).await;
    let mut running = Some(server);
    for cycle in 1..=cycles {
        let server = running.take().unwrap_or_else(|| world.installation.serve());
        if cycle % 2 == 1 {
            world.alert(&server.api(&world.key)).await;
        }
        world.work_until_killed(server).await;
        let server = world.installation.serve();
        let application = server.api(&world.application);
        world.is_whole(&server.api(&world.key), &application).await;
        world.say(cycle);
        running = Some(server);
    }
    let server = running.expect("a server");
    world.everybody_is_told_once(&server.api(&world.key)).await;
    server.stop();
}

impl World {
    async fn new(model_server: &ModelServer) -> (Self, Server) {
        let (dice, port) = (Dice::thrown(), free_port());
        let mail_server = MailServer::start(port);
        let durability = "[metering]\ndurability = \"strict\"\n";
        let mails = mail_server::settings(port);
        let background = BackgroundCalls::start().await;
        let upstreams = model_server.settings() + &background.settings();
        let settings = format!("{mails}{durability}{upstreams}{SETTINGS}");
        let installation = Installation::new(&settings);
        let (server, admin) = installation.first_serve();
        let (project, application) = admin.application("Relentless").await;
        let world = Self {
            installation,
            mail_server,
            dice,
            key: admin.key,
            work: Work::new(&project),
            application,
            calls: Calls::default(),
            background,
            seen: (0, 0, 0),
            alerts: BTreeSet::new(),
            spent: 0,
        };
        (world, server)
    }

    /// Sets an alert that this cycle reaches, or one that follows.
    async fn alert(&mut self, admin: &Api) {
        let ahead = i64::try_from(self.dice.below(60)).expect("a small number");
        let cents = self.spent / NANO_DOLLARS_PER_CENT + 1 + ahead;
        if self.alerts.len() < ALERT_COUNT && self.alerts.insert(cents) {
            let channel = json!({"type": "email", "recipients": ["ada@example.com"]});
            let alert = json!({"threshold_amount": cents, "currency": "USD", "interval": "month",
                               "notification_channel": channel});
            admin.post("/organization/spend_alerts", &alert).await;
        }
    }

    async fn work_until_killed(&self, server: Server) {
        let mut workers = JoinSet::new();
        for _ in 0..REPORTER_COUNT {
            let (work, api) = (self.work.clone(), server.api(&self.key));
            workers.spawn(work.report_until_cut_off(api, self.dice.clone()));
        }
        for number in 0..CALLER_COUNT {
            let (calls, api) = (self.calls.clone(), server.api(&self.application));
            workers.spawn(calls.call_until_cut_off(api, number % 2 == 0));
        }
        for _ in 0..BACKGROUND_CALLER_COUNT {
            let (calls, api) = (self.background.clone(), server.api(&self.application));
            workers.spawn(calls.call_until_cut_off(api));
        }
        let life = Duration::from_micros(self.dice.below(MAX_LIFE_MS * 1_000));
        ScenarioDelay(life).elapse().await;
        let ended_early = workers.try_join_next();
        if let Some(ended) = ended_early {
            ended.expect("nobody is refused before the kill");
            panic!(
                "nobody is cut off before the kill: {}",
                server.process.stderr()
            );
        }
        server.process.kill();
        workers.join_all().await;
    }

    /// After a restart.
    async fn is_whole(&mut self, admin: &Api, application: &Api) {
        self.is_proved();
        let batches = self.work.batches();
        let since = batches[self.seen.0..].iter().cloned();
        let (acknowledged, unknown): (Vec<_>, Vec<_>) = since.partition(|batch| batch.acknowledged);
        are_known(admin, &self.work, &acknowledged).await;
        for batch in &unknown {
            is_known(admin, &self.work, batch).await;
        }
        self.work.acknowledge_all();
        let calls = &self.calls;
        calls.are_in_the_ledger(&self.installation, self.seen.1);
        let background = &self.background;
        background
            .are_in_the_ledger(&self.installation, application, self.seen.2)
            .await;
        self.seen = (batches.len(), calls.received(), background.received());

        let reported: Sums = batches.iter().map(|batch| batch.sums()).sum();
        let usage = reports::usage(admin).await;
        let lost = lost_sums(&self.installation);
        let through_us = usage.requests - reported.requests - lost.requests;
        let mut expected = reported;
        expected += lost;
        expected += Sums {
            requests: through_us,
            input: through_us * INPUT_TOKEN_COUNT,
            cached: 0,
            output: through_us * OUTPUT_TOKEN_COUNT,
        };
        assert_eq!(usage, expected, "every event counts once");
        let begun = [&calls.begun, &background.begun];
        let begun: usize = begun.iter().map(|it| it.load(Ordering::SeqCst)).sum();
        let received = calls.received() + background.received();
        assert!(
            (received..=begun)
                .contains(&usize::try_from(through_us + lost.requests).expect("some"))
        );
        self.spent = reports::cost(admin).await;
        assert_eq!(self.spent, usage.cost(PRICES));
        self.is_proved();
        self.nobody_is_told_twice();
    }

    /// `orgplane usage verify` finds nothing, beside the running server.
    fn is_proved(&self) {
        let ended = self.installation.run(&["usage", "verify"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended
                .stdout
                .starts_with("Every sum is that of the ledger: ")
        );
    }

    /// The Message-IDs of the mails about each threshold.
    fn told(&self) -> BTreeMap<i64, BTreeSet<String>> {
        let mails = self.mail_server.mails();
        let of = |cents: &i64| {
            let words = format!("spend alert: ${}.{:02}.", cents / 100, cents % 100);
            let says = |text: Option<&str>| text.is_some_and(|text| text.contains(&words));
            let mails = mails.iter().filter(|mail| says(mail["text"].as_str()));
            let ids = mails.map(|mail| mail["id"].as_str().expect("an id").to_owned());
            (*cents, ids.collect())
        };
        self.alerts.iter().map(of).collect()
    }

    fn nobody_is_told_twice(&self) {
        for (cents, mails) in self.told() {
            let most = usize::from(cents * NANO_DOLLARS_PER_CENT <= self.spent);
            assert!(mails.len() <= most, "{cents} of {}: {mails:?}", self.spent);
        }
    }

    async fn everybody_is_told_once(&self, admin: &Api) {
        let due = |cents: &i64| cents * NANO_DOLLARS_PER_CENT <= self.spent;
        let due: Vec<i64> = self.alerts.iter().copied().filter(due).collect();
        let told = || {
            let told = self.told().into_iter();
            let told = told.filter(|(_, mails)| !mails.is_empty());
            told.map(|(cents, _)| cents).collect::<Vec<_>>()
        };
        poll::until_blocking("every alert is mailed", || told().len() >= due.len());
        until_alerts_are_mailed(admin, &self.mail_server).await;
        self.mail_server.until_sent(admin).await;
        assert_eq!(told(), due);
        self.nobody_is_told_twice();
    }

    #[expect(
        clippy::print_stderr,
        reason = "whoever runs many cycles wants to see how far they are"
    )]
    fn say(&self, cycle: usize) {
        let (events, calls, background) = self.seen;
        let mails = self.mail_server.mails().len();
        eprintln!(
            "cycle {cycle}: {events} reports, {calls} answers, {background} responses in the background, {mails} mails, all there once"
        );
    }
}
